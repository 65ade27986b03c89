"""What a person does with a conversation: take it, hand it on, read it, close it."""

from datetime import datetime

from django.db import transaction

from messaging import realtime, receipts
from messaging.models import Conversation


def assign(conversation: Conversation, *, to, by) -> Conversation:
    """Make somebody of the team responsible, or nobody with `to=None`."""
    before, conversation.assignee = conversation.assignee_id, to
    conversation.save(update_fields=["assignee"])
    realtime.publish("conversation", conversation=conversation.pk, formerly=[before])
    return conversation


def close(conversation: Conversation, *, by, now: datetime) -> Conversation:
    """Put a conversation away; the next message brings it back."""
    if conversation.state == Conversation.State.CLOSED:
        return conversation
    conversation.state = Conversation.State.CLOSED
    conversation.closed_at = now
    conversation.unread_count = 0
    conversation.save(update_fields=["state", "closed_at", "unread_count"])
    realtime.publish("conversation", conversation=conversation.pk)
    return conversation


def reopen(conversation: Conversation, *, by) -> Conversation:
    """Bring a closed conversation back."""
    if conversation.state == Conversation.State.OPEN:
        return conversation
    conversation.state = Conversation.State.OPEN
    conversation.closed_at = None
    conversation.save(update_fields=["state", "closed_at"])
    realtime.publish("conversation", conversation=conversation.pk)
    return conversation


def mark_read(conversation: Conversation) -> None:
    """Nothing here is unread any more, and the contact may see that."""
    if not conversation.unread_count:
        return
    with transaction.atomic():
        unread = Conversation.objects.filter(pk=conversation.pk, unread_count__gt=0)
        changed = unread.update(unread_count=0)
        if changed:
            receipts.order(conversation)
    if changed:
        conversation.unread_count = 0
        realtime.publish("conversation", conversation=conversation.pk)
