"""What providers post, read safely: whatever JSON holds can be stored afterwards."""

import base64
import binascii
import hashlib
import json
import math
import re
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from messaging.providers.base import BadPayload

DEEPEST = 100
"""Levels of nesting; real bodies have about fifteen."""
LONGEST_ID = 160

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_NUMBER = re.compile(r"[0-9]{1,17}(\.[0-9]{1,9})?", re.ASCII)
_MILLISECONDS_FROM = 100_000_000_000


def read_json(body: bytes, *, without: Collection[str] = ()) -> Any:
    """The value in a body, storable and without members of these names, or `BadPayload`."""
    try:
        return storable(json.loads(body.decode("utf-8")), without)
    except (ValueError, RecursionError) as error:
        raise BadPayload(type(error).__name__) from error


def storable(value: Any, without: Collection[str], depth: int = 0) -> Any:
    """The value as PostgreSQL can keep it: no NUL, no lone surrogate, no infinite number, and
    no member of these names."""
    if depth > DEEPEST:
        raise BadPayload("nested too deeply")
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, list):
        return [storable(item, without, depth + 1) for item in value]
    if isinstance(value, dict):
        return {
            storable(name, ()): storable(item, without, depth + 1)
            for name, item in value.items()
            if name not in without
        }
    return value


def mapping(value: Any) -> dict[str, Any]:
    """The value where it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def listing(value: Any) -> list[Any]:
    """The items of an array; anything else is the only item."""
    return value if isinstance(value, list) else [value]


def text(value: Any) -> str:
    """A text or a number as text; "" for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value)


def first_text(source: dict[str, Any], *names: str) -> str:
    """The first of these members that says something."""
    return next((said for name in names if (said := text(source.get(name)).strip())), "")


def word(value: Any) -> str:
    """A name or state, in lower case: Wasender writes `need_scan` and `NEED_SCAN`."""
    return text(value).strip().lower()


def identifier(source: dict[str, Any], *names: str) -> str:
    """The first of these members that can be an id; what is too long to be one is none."""
    found = first_text(source, *names)
    return found if len(found) <= LONGEST_ID else ""


def number(value: Any) -> float | None:
    """A count or a time: a number, digits, or a protobuf Long ({"low", "high"})."""
    if isinstance(value, dict):
        value = value.get("low")
    said = text(value).strip()
    return float(said) if _NUMBER.fullmatch(said) else None


def moment(value: Any) -> datetime | None:
    """When: seconds or milliseconds since 1970, or ISO 8601; None where it is no such thing."""
    seconds = number(value)
    if seconds is None:
        return _iso_moment(text(value))
    if seconds >= _MILLISECONDS_FROM:
        seconds /= 1000
    if not 0 < seconds < _MILLISECONDS_FROM // 10:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def digest(*parts: Any) -> str:
    """A short fingerprint of values that repeats when they repeat."""
    told = json.dumps(parts, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()


def hash_in_hexadecimal(value: Any) -> str:
    """A SHA-256 that was written in base64; what is no hash of 32 bytes is none."""
    try:
        found = base64.b64decode(text(value), validate=True)
    except (binascii.Error, ValueError):
        return ""
    return found.hex() if len(found) == 32 else ""


def event_id(*parts: str) -> str:
    """The parts joined by colons; too long a tail becomes its fingerprint."""
    joined = ":".join(parts)
    if len(joined) <= LONGEST_ID + 40:
        return joined
    return f"{parts[0]}:{digest(*parts)[:32]}"


def _iso_moment(value: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(value)
        found = found if found.tzinfo else found.replace(tzinfo=UTC)
        return found.astimezone(UTC) if 1970 < found.year < 2500 else None
    except ValueError:
        return None
