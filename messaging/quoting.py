"""Answering one message: which can be quoted, and what its provider needs to know it by."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from messaging import bodies, standing_in
from messaging.models import Conversation, Message
from messaging.providers import get as provider_of
from messaging.providers.base import BadPayload, Feature, Provider
from tenants import secrets
from tenants.context import current_number
from tenants.models import WebhookDelivery


def can_quote(provider: str) -> bool:
    """Whether an answer through this provider can name what it answers."""
    return Feature.QUOTES in provider_of(provider).supports


def may_be_quoted(message: Message, conversation: Conversation, now: datetime) -> bool:
    """Whether the contact would see which message an answer is about."""
    provider = provider_of(conversation.provider)
    if Feature.QUOTES not in provider.supports or not message.external_id or message.deleted_at:
        return False
    if message.instance_id != conversation.instance_id:
        return False
    if message.provider_number or not provider.quotes_whole:
        return True
    kept = timedelta(days=settings.DELIVERY_RETENTION_DAYS)
    return message.direction == Message.Direction.IN and message.received_at > now - kept


def as_outgoing(message: Message, provider: Provider) -> dict[str, Any]:
    """What a message quotes, as an adapter takes it."""
    # Another instance does not know the ids of this one.
    if not message.reply_to or standing_in.PART in message.parts:
        return {}
    mine = Message.objects.filter(instance_id=message.instance_id, external_id=message.reply_to)
    # What was withdrawn since it was chosen is named, but nothing of it is given back.
    quoted = mine.filter(deleted_at=None).first()
    number = quoted.provider_number if quoted else ""
    needs_whole = quoted is not None and provider.quotes_whole and not number
    return {
        "reply_to": message.reply_to,
        "reply_to_number": number,
        "reply_to_raw": _what_told_of(quoted) if quoted and needs_whole else {},
    }


def _what_told_of(message: Message) -> dict[str, Any]:
    """What its provider posted of a message; nothing where that is kept no longer."""
    fact = message.events.filter(kind="message").order_by("pk").first()
    mine = WebhookDelivery.objects.of(current_number())
    delivery = mine.filter(pk=fact.delivery_id, erased_at=None).first() if fact else None
    if delivery is None:
        return {}
    try:
        told = bodies.read(delivery)
    except (BadPayload, secrets.Unsealable):
        # The answer matters more than its quote.
        return {}
    name = message.external_id
    found = (event.raw for event in told if getattr(event, "external_id", "")[:200] == name)
    raw: Any = next(found, {})
    return raw if isinstance(raw, dict) else {}
