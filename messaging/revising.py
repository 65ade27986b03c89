"""What the team changes in what it sent: withdrawn for everyone, or given another text.

The provider is asked by a job; what it agrees to goes the way of what a contact withdraws or edits.
Until then, and when it refuses, the message itself says so.
"""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from messaging import activities, erasing, reaching, realtime, refusing
from messaging.calling import forgiving_a_former_key, let_go_of_the_connection, open_via
from messaging.events import Kind
from messaging.models import Message
from messaging.providers import get as provider_of
from messaging.providers.base import Feature, Known, Provider, SendError, Via
from messaging.refusing import Refused
from tenants import audit, limits, orders
from tenants.accounts.models import User
from tenants.context import current_number
from tenants.models import ProviderInstance

logger = logging.getLogger(__name__)

Status = Message.Status
PART = "change"
WITHDRAW, EDIT = "withdraw", "edit"
NO_ANSWER = "no_answer"
TRIES = 3
WAIT = timedelta(seconds=5)
# A change whose job was lost may be asked for again after this; a refusal is shown for a day.
LONGEST_WAIT = timedelta(minutes=5)
SHOWN = timedelta(days=1)
_LEFT = frozenset({Status.SENT, Status.DELIVERED, Status.READ, Status.PLAYED})


def may_withdraw(message: Message, now: datetime) -> bool:
    """Whether a message of ours can still be taken back for everyone."""
    provider = provider_of(message.provider)
    age = timedelta(hours=provider.withdraw_hours)
    return Feature.DELETES in provider.supports and _is_there(message, provider, now - age)


def may_edit(message: Message, now: datetime) -> bool:
    """Whether a text of ours can still be given other words."""
    provider = provider_of(message.provider)
    age = timedelta(minutes=provider.edit_minutes)
    is_text = message.kind == Kind.TEXT and not message.parts.keys() & {"template", "taps"}
    return (
        is_text and Feature.EDITS in provider.supports and _is_there(message, provider, now - age)
    )


def is_waiting(message: Message, now: datetime) -> bool:
    """Whether the provider is being asked to change it."""
    change = message.parts.get(PART)
    return bool(change) and change["code"] == "" and _since(change, now) < LONGEST_WAIT


def refusal(message: Message, now: datetime) -> Mapping[str, str] | None:
    """What the provider refused to change a moment ago."""
    change = message.parts.get(PART)
    return change if change and change["code"] and _since(change, now) < SHOWN else None


def withdraw(message: Message, *, by: User, now: datetime) -> Message:
    """Have a message taken back for everyone, or `Refused`."""
    limits.require_may_send(current_number())
    if not may_withdraw(message, now):
        raise Refused("too_late", _("This message can no longer be withdrawn."))
    return _ask_for(message, {"what": WITHDRAW, "text": ""}, by, now)


def edit(message: Message, text: str, *, by: User, now: datetime) -> Message:
    """Have a message given another text, or `Refused`."""
    limits.require_may_send(current_number())
    if not may_edit(message, now):
        raise Refused("too_late", _("This message can no longer be changed."))
    body = refusing.checked_text(text)
    refusing.require_fits(body, reaching.instance_numbered(message.instance_id))
    refusing.require_consent(message.conversation)
    if body == message.text:
        return message
    return _ask_for(message, {"what": EDIT, "text": body}, by, now)


def carry_out(message_id: int, attempt: int) -> None:
    """Ask the provider once, outside any transaction, and write down what came of it."""
    message = Message.objects.filter(pk=message_id, deleted_at=None).first()
    change = message.parts.get(PART) if message else None
    if message is None or change is None or change["code"]:
        return
    mine = ProviderInstance.objects.of(current_number()).select_related("tenant")
    instance = mine.filter(pk=message.instance_id).first()
    if instance is None:
        return _refuse(message, change, "instance_gone")
    let_go_of_the_connection()
    try:
        via = open_via(instance)
        with via.http, forgiving_a_former_key(via):
            _call(provider_of(instance.provider), message, change, via)
    except SendError as error:
        logger.info("message %s was not changed: %s", message_id, error.code)
        if not (error.retry or error.unknown):
            return _refuse(message, change, error.code)
        if attempt < TRIES:
            return _order(message_id, attempt + 1)
        return _refuse(message, change, NO_ANSWER)
    _apply(message, change, timezone.now())


def _call(provider: Provider, message: Message, change: Mapping[str, str], via: Via) -> None:
    known = _known(message)
    if change["what"] == WITHDRAW:
        provider.delete(known, via)
    else:
        provider.edit(known, change["text"], via)


def _apply(message: Message, change: Mapping[str, str], now: datetime) -> None:
    with transaction.atomic():
        held = Message.objects.select_for_update(of=("self",)).get(pk=message.pk)
        # What was asked for during the call is another change, and goes its own way.
        if held.parts.get(PART) == change:
            del held.parts[PART]
            held.save(update_fields=["parts"])
        if change["what"] == WITHDRAW:
            erasing.bury(held, now)
        else:
            erasing.rewrite(held, change["text"], now)
        erasing.order(current_number(), held.instance_id, [held.external_id])
    _tell(message)


def _refuse(message: Message, change: Mapping[str, str], code: str) -> None:
    with transaction.atomic():
        held = Message.objects.select_for_update(of=("self",)).get(pk=message.pk)
        if held.parts.get(PART) == change:
            held.parts[PART]["code"] = code[:60] or "refused"
            held.save(update_fields=["parts"])
    _tell(message)


def _ask_for(message: Message, change: dict[str, str], by: User, now: datetime) -> Message:
    with transaction.atomic():
        held = Message.objects.select_for_update(of=("self",)).get(pk=message.pk)
        if held.deleted_at or is_waiting(held, now):
            return message
        message.parts = {**held.parts, PART: {**change, "code": "", "at": now.isoformat()}}
        message.save(update_fields=["parts"])
        act = "message.withdrawn" if change["what"] == WITHDRAW else "message.edited"
        audit.record(act, by=by, subject=message)
        _order(message.pk, 1)
    realtime.publish("message", conversation=message.conversation_id, message=message.pk)
    return message


def _order(message_id: int, attempt: int) -> None:
    at = timezone.now() + WAIT * attempt if attempt > 1 else None
    tenant = current_number()
    orders.order("revise", "outbox", at=at, tenant=tenant, message=message_id, attempt=attempt)


def _is_there(message: Message, provider: Provider, since: datetime) -> bool:
    """Whether it left a short while ago, both sides have it, and nothing else is being changed."""
    return (
        message.direction == Message.Direction.OUT
        and message.status in _LEFT
        and message.deleted_at is None
        and message.sent_at > since
        and message.external_id != ""
        and provider.can_change(_known(message))
        and not is_waiting(message, timezone.now())
    )


def _known(message: Message) -> Known:
    return Known(
        external_id=message.external_id,
        provider_number=message.provider_number,
        chat=message.peer,
        from_us=True,
    )


def _since(change: Mapping[str, Any], now: datetime) -> timedelta:
    return now - datetime.fromisoformat(change["at"])


def _tell(message: Message) -> None:
    activities.order([message.pk])
    realtime.publish("message", conversation=message.conversation_id, message=message.pk)
