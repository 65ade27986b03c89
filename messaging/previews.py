"""What a conversation's row shows of its last message."""

from typing import Any

from messaging.models import Conversation, Message

SNIPPET = 200
# The kind of what was withdrawn: what it was is gone, too.
DELETED = "deleted"


def of(message: Message) -> dict[str, Any]:
    """The columns of a conversation whose last message this is."""
    return {
        "last_message_at": message.sent_at,
        "last_message_id": message.pk,
        "last_message_snippet": message.text[:SNIPPET],
        "last_message_kind": DELETED if message.deleted_at else message.kind,
        "last_message_direction": message.direction,
        "last_message_status": message.status,
    }


def of_nothing() -> dict[str, Any]:
    """The columns of a conversation in which nothing was said."""
    return {
        "last_message_at": None,
        "last_message_id": None,
        "last_message_snippet": "",
        "last_message_kind": "",
        "last_message_direction": "",
        "last_message_status": "",
    }


def renew(message: Message) -> None:
    """Show a changed message in its conversation's row, where it is the last one."""
    Conversation.objects.filter(last_message_id=message.pk).update(**of(message))
