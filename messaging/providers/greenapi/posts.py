"""Green-API's JSON: which instance it is about, and what kind of thing it tells."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from messaging.events import Ignored, Unlisted
from messaging.providers.base import BadPayload
from messaging.providers.reading import digest, mapping, moment, read_json, text

_ID = re.compile(r"[0-9]{1,20}", re.ASCII)
# Found also where the rest cannot be read: any answer but 200 would hold up all that waits there.
_INSTANCE = re.compile(rb'"idInstance"\s*:\s*"?([0-9]{1,20})\b')
# Pictures in miniature, which the file itself makes superfluous.
_UNWANTED = frozenset({"jpegThumbnail"})
_LONGEST_TYPE = 60


@dataclass(frozen=True)
class Post:
    """One notification: its type, what it tells, when, and whose it is."""

    type: str
    told: dict[str, Any]
    reference: str

    @property
    def at(self) -> datetime | None:
        return moment(self.told.get("timestamp"))


def read_post(body: bytes, reference: str) -> Post:
    """The notification in a body, or `BadPayload`."""
    told = read_json(body, without=_UNWANTED)
    if not isinstance(told, dict):
        raise BadPayload("not an object")
    if "receiptId" in told:
        # As `receiveNotification` hands it out.
        told = mapping(told.get("body"))
    if not told:
        raise BadPayload("nothing in it")
    return Post(_type(told), told, reference)


def instance_in(body: bytes) -> str:
    """The instance that a body names, "" where it names none. Total."""
    try:
        named = text(mapping(read_post(body, "").told.get("instanceData")).get("idInstance"))
    except BadPayload:
        found = _INSTANCE.search(body)
        return found[1].decode() if found else ""
    return named if _ID.fullmatch(named) else ""


def type_in(body: bytes) -> str:
    """The type of the notification in a body, "" where it has none. Total."""
    try:
        return read_post(body, "").type
    except BadPayload:
        return ""


def ignored(post: Post, reason: str) -> Ignored:
    return Ignored(
        event_id=built_id(post),
        instance_ref=post.reference,
        at=post.at,
        raw=post.told,
        reason=reason,
    )


def unlisted(post: Post) -> Unlisted:
    return Unlisted(
        event_id=built_id(post),
        instance_ref=post.reference,
        at=post.at,
        raw=post.told,
        name=post.type,
    )


def built_id(post: Post) -> str:
    """An id for what has none of its own, the same each time it comes."""
    return f"built:{digest(post.reference, post.told)}"


def _type(told: dict[str, Any]) -> str:
    return text(told.get("typeWebhook")).strip()[:_LONGEST_TYPE]
