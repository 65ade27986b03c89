"""Emojis that the team puts on messages, and takes back.

One shows at once as ours; its provider is told by a job. If that refuses, what was there before is
there again and the message says so. While the job is on its way another choice takes its place:
the same job then tells the provider of that one, so that the last choice is the last one told.
"""

import logging
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from messaging import optouts, reaching, realtime, refusing
from messaging.calling import forgiving_a_former_key, let_go_of_the_connection, open_via
from messaging.changing import LONGEST_EMOJI, US
from messaging.models import Message
from messaging.providers import get as provider_of
from messaging.providers.base import Feature, Known, SendError
from messaging.refusing import Refused
from tenants import orders
from tenants.accounts.models import User
from tenants.context import current_number
from tenants.models import ProviderInstance

logger = logging.getLogger(__name__)

PART = "reaction"
USUAL = ("👍", "❤️", "😂", "😮", "😢", "🙏")
NO_ANSWER = "no_answer"
TRIES = 3
WAIT = timedelta(seconds=5)
# One whose job was lost may be chosen again after this; a refusal is shown for a day.
LONGEST_WAIT = timedelta(minutes=5)
SHOWN = timedelta(days=1)

_Status = Message.Status
_BOTH_HAVE = frozenset(
    {_Status.RECEIVED, _Status.SENT, _Status.DELIVERED, _Status.READ, _Status.PLAYED}
)
_SIGN = (
    "[\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u2bff\u3030\u303d\u3297\u3299"
    "\U0001f000-\U0001f1e5\U0001f200-\U0001faff]"
)
_SHADED = f"{_SIGN}\ufe0f?[\U0001f3fb-\U0001f3ff]?[\U000e0020-\U000e007f]*"
_EMOJI = re.compile(
    f"{_SHADED}(?:\u200d{_SHADED})*|[0-9#*]\ufe0f?\u20e3|[\U0001f1e6-\U0001f1ff]{{2}}"
)


def may_react(message: Message, now: datetime) -> bool:
    """Whether an emoji of ours can be put on a message, or taken back."""
    provider = provider_of(message.provider)
    return (
        Feature.REACTIONS in provider.supports
        and message.external_id != ""
        and (provider.reacts_to_own or message.direction == Message.Direction.IN)
        and message.deleted_at is None
        and message.status in _BOTH_HAVE
        and message.sent_at > now - timedelta(days=provider.react_days)
    )


def ours(message: Message) -> str:
    """The emoji of ours on a message; "" where there is none."""
    return message.reactions.get(US, {}).get("emoji", "")


def refusal(message: Message, now: datetime) -> Mapping[str, Any] | None:
    """The choice that the provider refused a moment ago."""
    choice = message.parts.get(PART)
    return choice if choice and choice["code"] and _since(choice, now) < SHOWN else None


def react(message: Message, emoji: str, *, by: User, now: datetime) -> Message:
    """Put an emoji on a message in the place of our former one, or `Refused`; "" takes it back."""
    refusing.require_leave(message.conversation, Message.Origin.PERSON, by)
    wanted = emoji.strip()
    if wanted and not (_EMOJI.fullmatch(wanted) and len(wanted) <= LONGEST_EMOJI):
        raise Refused("emoji_invalid", _("This is not one emoji."), "emoji")
    if not may_react(message, now):
        raise Refused("not_reactable", _("No reaction can be put on this message."))
    instance = reaching.instance_numbered(message.instance_id)
    refusing.require_window(message.conversation, instance, now)
    if wanted != ours(message):
        _choose(message, wanted, now)
    return message


def carry_out(message_id: int, attempt: int) -> None:
    """Tell the provider once, outside any transaction, and write down what came of it."""
    rows = Message.objects.select_related("conversation")
    message = rows.filter(pk=message_id, deleted_at=None).first()
    choice = message.parts.get(PART) if message else None
    if message is None or choice is None or choice["code"]:
        return
    mine = ProviderInstance.objects.of(current_number()).select_related("tenant")
    instance = mine.filter(pk=message.instance_id).first()
    if instance is None:
        return _undo(message, choice, "instance_gone")
    if optouts.of(message.conversation) is not None:
        return _undo(message, choice, optouts.CODE)
    let_go_of_the_connection()
    try:
        via = open_via(instance)
        with via.http, forgiving_a_former_key(via):
            provider_of(instance.provider).react(_known(message), choice["emoji"], via)
    except SendError as error:
        logger.info("message %s got no reaction: %s", message_id, error.code)
        if not (error.retry or error.unknown):
            return _undo(message, choice, error.code)
        if attempt >= TRIES:
            return _undo(message, choice, NO_ANSWER)
        return _order(message_id, attempt + 1)
    _settle(message, choice)


def _choose(message: Message, wanted: str, now: datetime) -> None:
    with transaction.atomic():
        held = _held(message)
        if held.deleted_at:
            return
        earlier = held.parts.get(PART)
        is_waiting = bool(earlier) and not earlier["code"] and _since(earlier, now) < LONGEST_WAIT
        held.parts[PART] = {
            "emoji": wanted,
            "before": earlier["before"] if is_waiting else held.reactions.get(US),
            "code": "",
            "at": earlier["at"] if is_waiting else now.isoformat(),
        }
        held.reactions[US] = {"emoji": wanted, "name": "", "at": now.timestamp()}
        _save(held)
        if not is_waiting:
            _order(held.pk, 1)
    message.parts, message.reactions = held.parts, held.reactions
    _tell(message)


def _settle(message: Message, told: Mapping[str, Any]) -> None:
    """The provider has it; what was chosen meanwhile is told next."""
    with transaction.atomic():
        held = _held(message)
        choice = held.parts.get(PART)
        if choice is None:
            return
        if choice["emoji"] == told["emoji"]:
            held.parts.pop(PART)
        else:
            now = timezone.now()
            confirmed = {"emoji": told["emoji"], "name": "", "at": now.timestamp()}
            choice |= {"before": confirmed, "at": now.isoformat()}
            _order(held.pk, 1)
        _save(held)
    _tell(message)


def _undo(message: Message, told: Mapping[str, Any], code: str) -> None:
    """The provider does not have it: what was there before is there again."""
    with transaction.atomic():
        held = _held(message)
        choice = held.parts.get(PART)
        if choice is None:
            return
        if choice["emoji"] != told["emoji"]:
            return _order(held.pk, 1)
        choice["code"] = code[:60] or "refused"
        if ours(held) == told["emoji"]:
            held.reactions.pop(US, None)
            if choice["before"]:
                held.reactions[US] = choice["before"]
        _save(held)
    _tell(message)


def _held(message: Message) -> Message:
    return Message.objects.select_for_update(of=("self",)).get(pk=message.pk)


def _save(held: Message) -> None:
    held.save(update_fields=["parts", "reactions"])


def _order(message_id: int, attempt: int) -> None:
    at = timezone.now() + WAIT * attempt if attempt > 1 else None
    tenant = current_number()
    orders.order("react", "outbox", at=at, tenant=tenant, message=message_id, attempt=attempt)


def _known(message: Message) -> Known:
    return Known(
        external_id=message.external_id,
        provider_number=message.provider_number,
        chat=message.peer or message.conversation.peer,
        author=message.author,
        from_us=message.direction == Message.Direction.OUT,
    )


def _since(choice: Mapping[str, Any], now: datetime) -> timedelta:
    return now - datetime.fromisoformat(choice["at"])


def _tell(message: Message) -> None:
    realtime.publish("message", conversation=message.conversation_id, message=message.pk)
