"""Wasender's JSON, made safe at the edge."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from messaging.providers import reading
from messaging.providers.base import BadPayload
from messaging.providers.reading import moment, text, word

# Several events carry the session's API key under the first name (documentation of the
# session.status webhook: "YOUR_SESSION_API_KEY"); it must never reach a row or a log.
_SECRET_NAMES = frozenset({"sessionId", "session_id", "apiKey", "api_key", "webhook_secret"})


@dataclass(frozen=True)
class Post:
    """One webhook: what it is called, what it tells, when, and whose it is."""

    name: str
    data: Any
    timestamp: str
    reference: str

    @property
    def at(self) -> datetime | None:
        return moment(self.timestamp)


def read_post(body: bytes, reference: str) -> Post:
    """The webhook in a body, or `BadPayload`."""
    envelope = read_json(body)
    if not isinstance(envelope, dict):
        raise BadPayload("not an object")
    data = envelope.get("data")
    if data is None:
        # The systems this one replaces also took bodies without an inner "data".
        data = {name: value for name, value in envelope.items() if name not in ("event", "data")}
    return Post(
        name=word(envelope.get("event"))[:100],
        data=data,
        timestamp=text(envelope.get("timestamp")),
        reference=reference,
    )


def read_json(body: bytes, *, keep_secrets: bool = False) -> Any:
    """The value in a body, storable and without secrets, or `BadPayload`.

    Secrets are kept for answers to our own calls only, where they are what was asked for.
    """
    return reading.read_json(body, without=() if keep_secrets else _SECRET_NAMES)
