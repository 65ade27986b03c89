"""From what a file says to what we keep: addresses, moments, people."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from messaging import addressing
from messaging.addressing import Address, Kind, NotAnAddress
from messaging.importing.rows import BadRow

_WHATSAPP_HOSTS = ("s.whatsapp.net", "c.us")
_DAY_FIRST = re.compile(
    r"(\d{1,2})[/.](\d{1,2})[/.](\d{4})(?:[ T,]+(\d{1,2})[:h](\d{2})(?::(\d{2}))?)?"
)
_SECONDS = re.compile(r"\d{9,17}(\.\d+)?")
_MILLISECONDS_FROM = 100_000_000_000
_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=10_000)
def address(column: str, written: str, country: str) -> Address:
    """A phone number, an e-mail address, or WhatsApp's own name of somebody."""
    name, _at, host = written.rpartition("@")
    try:
        if host == "lid" and name:
            return Address(Kind.LID, written)
        if host in _WHATSAPP_HOSTS:
            return Address(Kind.PHONE, addressing.as_phone(f"+{name.lstrip('+')}", country))
        found = addressing.as_address(written, country)
    except NotAnAddress as exc:
        raise BadRow(column, f"{written[:60]} is no address") from exc
    wanted = Kind.EMAIL if column == "email" else Kind.PHONE
    if found.kind != wanted:
        raise BadRow(column, f"{written[:60]} belongs into another column")
    return found


def moment(column: str, written: str, zone: ZoneInfo) -> datetime:
    """When: ISO 8601, day/month/year with a time, or seconds or milliseconds since 1970. What
    names no time zone is of this one."""
    try:
        found = _moment(written)
        local = found if found.tzinfo else found.replace(tzinfo=zone)
        if local.astimezone(UTC) < _EARLIEST:
            raise ValueError
    except (ValueError, OverflowError) as exc:
        raise BadRow(column, f"{written[:40]!r} is no time, such as 2024-05-31 14:30") from exc
    return local.astimezone(UTC)


def yes_or_no(column: str, written: str) -> bool:
    """A plain answer; nothing written is no."""
    if written.lower() in ("yes", "y", "true", "1", "oui", "vrai"):
        return True
    if written.lower() in ("", "no", "n", "false", "0", "non", "faux"):
        return False
    raise BadRow(column, f"{written[:20]!r} is neither yes nor no")


def one_of(column: str, written: str, known: Mapping[str, str]) -> str:
    """What a word of the file means."""
    if written.lower() not in known:
        raise BadRow(column, f"{written[:40]!r} is none of {', '.join(sorted(known))}")
    return known[written.lower()]


def at_most(column: str, written: str, longest: int) -> str:
    """A text that fits where it goes."""
    if len(written) > longest:
        raise BadRow(column, f"longer than {longest} characters")
    return written


def _moment(written: str) -> datetime:
    if found := _DAY_FIRST.fullmatch(written):
        day, month, year, *time = (int(each or 0) for each in found.groups())
        return datetime(year, month, day, *time)
    if _SECONDS.fullmatch(written):
        seconds = float(written)
        return datetime.fromtimestamp(
            seconds / 1000 if seconds >= _MILLISECONDS_FROM else seconds, UTC
        )
    return datetime.fromisoformat(written.removesuffix(" UTC"))
