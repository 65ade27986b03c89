"""Content that is older than a tenant keeps it: removed for good, wherever it stands.

What was posted to us is kept for thirty days at most and answers to repeated writes for two, both
less than the shortest retention there is, so that neither holds what is removed here.
"""

from datetime import datetime, timedelta

from django.db import transaction

from messaging import erasing, folding
from messaging.models import Conversation, Draft, Message, MessageEvent, Note
from tenants import audit, expiring, orders
from tenants.context import current_number

BATCH = 500
AUDITED_AS = "messages.removed"
_UNDER_WAY = (Message.Status.QUEUED, Message.Status.SENDING)


def apply(days: int, *, now: datetime) -> int:
    """Remove what the tenant one is in heard or wrote more than `days` ago; how many messages."""
    before = now - timedelta(days=days)
    removed, last = 0, 0
    # Rows are made in the order in which we hear of things: the old ones come first.
    while found := _older(before, last):
        removed += _remove(found)
        last = found[-1]
    _remove_words_of_the_team(before)
    if removed:
        audit.record(AUDITED_AS, by=None, after={"count": removed, "older_than_days": days})
    return removed


def _older(before: datetime, last: int) -> list[int]:
    rows = Message.objects.filter(pk__gt=last, received_at__lt=before)
    return list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH])


@transaction.atomic
def _remove(ids: list[int]) -> int:
    """These messages, and their conversations' rows true again."""
    orders.hold_inbox(current_number())
    rows = Message.objects.select_for_update().filter(pk__in=ids).exclude(status__in=_UNDER_WAY)
    messages = list(rows.order_by("pk"))
    touched = {message.conversation_id for message in messages}
    unread = _unread_left(touched, messages)
    erasing.remove(messages)
    for conversation in Conversation.objects.filter(pk__in=touched):
        folding.recount(conversation, unread=unread[conversation.pk])
    return len(messages)


def _unread_left(touched: set[int], messages: list[Message]) -> dict[int, int]:
    going = {message.pk for message in messages}
    return {
        conversation.pk: len(folding.unread_in(conversation) - going)
        for conversation in Conversation.objects.filter(pk__in=touched)
    }


@transaction.atomic
def _remove_words_of_the_team(before: datetime) -> None:
    notes, _of_each = Note.objects.filter(created_at__lt=before).delete()
    drafts, _of_each = Draft.objects.filter(updated_at__lt=before).delete()
    if notes or drafts:
        expiring.take_away(current_number())
    MessageEvent.objects.filter(message=None, recorded_at__lt=before).delete()
