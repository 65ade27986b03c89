"""How far a message of ours got: forward only, whatever order the news come in."""

from messaging.models import Conversation, Message
from messaging.providers import get as provider_of

Status = Message.Status

RANK: dict[str, int] = {
    Status.QUEUED: 0,
    Status.SENDING: 1,
    Status.UNKNOWN: 2,
    Status.SENT: 3,
    Status.DELIVERED: 5,
    Status.READ: 6,
    Status.PLAYED: 7,
}


def apply(message: Message, status: str, code: str = "", detail: str = "") -> bool:
    """Move a status forward, never back; a later delivered or read overrules failed."""
    if message.direction != Message.Direction.OUT:
        return False
    if status != Status.FAILED:
        return raise_to(message, status)
    if RANK.get(message.status, 99) > RANK[Status.SENT]:
        return False
    message.status = Status.FAILED
    message.error_code, message.error_detail = code[:60], detail[:500]
    message.error_blame = provider_of(message.provider).blame_of(code) if code else ""
    message.save(update_fields=["status", "error_code", "error_detail", "error_blame"])
    mirror(message)
    return True


def raise_to(message: Message, status: str) -> bool:
    """Move a status forward; a failed one only once the message proves to have arrived."""
    after_failure = (Status.DELIVERED, Status.READ, Status.PLAYED)
    current = RANK.get(message.status)
    if current is None and status not in after_failure:
        return False
    if current is not None and RANK[status] <= current:
        return False
    message.status = status
    message.error_code = message.error_detail = message.error_blame = ""
    message.save(update_fields=["status", "error_code", "error_detail", "error_blame"])
    mirror(message)
    return True


def mirror(message: Message) -> None:
    """Show the message's status in its conversation's row, where it is the last one."""
    Conversation.objects.filter(last_message_id=message.pk).update(
        last_message_status=message.status
    )
