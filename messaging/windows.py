"""WhatsApp's 24-hour window: until when free text may be sent on an official number."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from messaging.models import Conversation
from messaging.providers import get as provider_of
from messaging.providers.base import Feature

WINDOW = timedelta(hours=24)


@dataclass(frozen=True)
class Window:
    """The window of a conversation; `ends_at` is None while the contact never wrote."""

    ends_at: datetime | None
    is_open: bool


def opened_by(conversation: Conversation, said_at: datetime) -> dict:
    """What a message of the contact changes: when they last wrote, and the window's end."""
    last = max(said_at, conversation.last_received_at or said_at)
    facts: dict = {"last_received_at": last}
    if _has_one(conversation):
        facts["window_ends_at"] = last + WINDOW
    return facts


def of(conversation: Conversation, now: datetime) -> Window | None:
    """The window of a conversation; None where anything may be sent at any time."""
    if not _has_one(conversation) or conversation.is_group:
        return None
    ends_at = conversation.window_ends_at
    return Window(ends_at, ends_at is not None and now < ends_at)


def _has_one(conversation: Conversation) -> bool:
    return Feature.WINDOW_24H in provider_of(conversation.provider).supports
