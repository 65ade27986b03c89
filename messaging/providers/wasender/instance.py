"""The session itself: its state, and the code to scan."""

from typing import Any

from messaging.events import Connection, Event, InstanceChanged
from messaging.providers.reading import digest, event_id, first_text, mapping, moment, word

from .payloads import Post
from .states import read_state


def read_session(post: Post, item: Any) -> Event | None:
    told = item if isinstance(item, dict) else {"status": item}
    said = first_text(told, "status", "state", "connection") or post.name
    state = read_state(said, first_text(told, "reason", "message", "error"))
    if state is None:
        return None
    when = first_text(told, "timestamp") or post.timestamp
    name = word(said)[:60]
    # Without a time two equal bodies are one event; ingest applies these whatever it has seen.
    fact = event_id("session", name, when) if when else f"built:{digest(post.reference, item)}"
    return InstanceChanged(
        event_id=fact,
        instance_ref=post.reference,
        at=moment(when),
        raw=item,
        state=state.state,
        reason=state.reason,
        qr=first_text(told, "qr", "qrCode"),
    )


def read_qr(post: Post, item: Any) -> Event | None:
    """The webhook names the code `qr`, the REST calls `qrCode`."""
    code = first_text(mapping(item), "qr", "qrCode")
    if not code:
        return None
    return InstanceChanged(
        event_id=event_id("qr", digest(code)[:32]),
        instance_ref=post.reference,
        at=post.at,
        raw=item,
        state=Connection.PENDING,
        reason="need_scan",
        qr=code,
    )
