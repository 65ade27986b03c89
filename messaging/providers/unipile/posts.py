"""Unipile's JSON, in its two versions: what is told, about which account, and when.

v1 posts the fields of an event beside its name, v2 wraps them: `{id, type, account_id, payload}`.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from messaging.events import Ignored, Unlisted
from messaging.providers.base import BadPayload
from messaging.providers.reading import digest, first_text, mapping, moment, read_json, text

_LONGEST_NAME = 60
_STATUS = "AccountStatus"


@dataclass(frozen=True)
class Post:
    """One webhook: the event's name, what it tells, its account, its time, its own id if any."""

    name: str
    told: dict[str, Any]
    account: str
    at: datetime | None
    id: str
    reference: str
    raw: Any


def read_post(body: bytes, reference: str) -> Post:
    """The webhook in a body, or `BadPayload`."""
    whole = read_json(body)
    if not isinstance(whole, dict) or not whole:
        raise BadPayload("not an object")
    told, name = whole, first_text(whole, "event")
    if _STATUS in whole:
        told, name = mapping(whole[_STATUS]), _STATUS
    elif not name and "type" in whole:
        told, name = mapping(whole.get("payload")), first_text(whole, "type")
    return Post(
        name=name[:_LONGEST_NAME],
        told=told,
        account=first_text(told, "account_id") or first_text(whole, "account_id"),
        at=_time_of(told, whole),
        id=first_text(whole, "id") if told is not whole else "",
        reference=reference,
        raw=whole,
    )


def account_in(body: bytes) -> str:
    """The account that a body names, "" where it names none. Total."""
    try:
        return read_post(body, "").account
    except BadPayload:
        return ""


def ignored(post: Post, reason: str) -> Ignored:
    return Ignored(
        event_id=fact_id(post),
        instance_ref=post.reference,
        at=post.at,
        raw=post.raw,
        reason=reason,
    )


def unlisted(post: Post) -> Unlisted:
    kind = text(post.told.get("account_type"))
    name = f"{post.name} {kind}".strip() if kind and kind != "WHATSAPP" else post.name
    return Unlisted(
        event_id=fact_id(post),
        instance_ref=post.reference,
        at=post.at,
        raw=post.raw,
        name=name[:_LONGEST_NAME],
    )


def fact_id(post: Post) -> str:
    """The event's own id, else one built of what it says: the same each time it comes."""
    if post.id and len(post.id) <= 100:
        return f"{post.name}:{post.id}"
    return f"built:{digest(post.reference, post.raw)}"


def _time_of(told: dict[str, Any], whole: dict[str, Any]) -> datetime | None:
    for source, name in ((told, "timestamp"), (whole, "timestamp"), (whole, "created_at")):
        found = moment(source.get(name))
        if found:
            return found
    return None
