"""What every kind of event is made with: its id, its time, the numbers it carries."""

from datetime import datetime
from typing import Any

from messaging.events import Ignored, Unlisted
from messaging.providers.reading import digest, mapping, moment, text

from .payloads import Post


def ignored(post: Post, item: Any, reason: str) -> Ignored:
    fact = f"built:{digest(post.reference, post.name, post.timestamp, item)}"
    return Ignored(event_id=fact, instance_ref=post.reference, at=post.at, raw=item, reason=reason)


def unlisted(post: Post, item: Any) -> Unlisted:
    fact = f"built:{digest(post.reference, post.name, post.timestamp, item)}"
    return Unlisted(
        event_id=fact, instance_ref=post.reference, at=post.at, raw=item, name=post.name
    )


def built_id(post: Post, *parts: str) -> str:
    """An id for a message that came without one, the same each time it comes."""
    return f"built:{digest(post.reference, *parts)}"


def said_at(post: Post, item: Any) -> datetime | None:
    found = mapping(item)
    return moment(found.get("messageTimestamp")) or moment(found.get("timestamp")) or post.at


def provider_number_of(item: Any, key: dict[str, Any]) -> str:
    """The integer id that POST /send-message answered with, where an event repeats it.

    The documentation does not say which event does; the Python SDK has it in the key.
    """
    return digits(key.get("msgId")) or digits(mapping(item).get("msgId"))


def digits(value: Any) -> str:
    said = text(value)
    return said if said.isascii() and said.isdecimal() and len(said) <= 20 else ""
