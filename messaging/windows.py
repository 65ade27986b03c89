"""WhatsApp's 24-hour window: until when free text may be sent on an official number."""

from datetime import datetime, timedelta

from messaging.models import Conversation
from messaging.providers import get as provider_of
from messaging.providers.base import Feature

WINDOW = timedelta(hours=24)


def opened_by(conversation: Conversation, said_at: datetime) -> dict:
    """What a message of the contact changes: when they last wrote, and the window's end."""
    last = max(said_at, conversation.last_received_at or said_at)
    facts: dict = {"last_received_at": last}
    if Feature.WINDOW_24H in provider_of(conversation.provider).supports:
        facts["window_ends_at"] = last + WINDOW
    return facts
