"""How far our messages got."""

from typing import Any

from messaging.events import Event, Status, StatusChanged
from messaging.providers.reading import event_id, first_text, identifier, listing, mapping, word

from .envelope import Change, said_at
from .messages import deleted

STATUSES = {
    "sent": Status.SENT,
    "delivered": Status.DELIVERED,
    "read": Status.READ,
    "played": Status.PLAYED,
    "failed": Status.FAILED,
}


def read_status(change: Change, item: Any) -> Event | None:
    """One status of one message; in a group, of one of its readers."""
    found = mapping(item)
    message_id = identifier(found, "id")
    said = word(found.get("status"))
    if not message_id:
        return None
    if said == "deleted":
        return deleted(change, found, message_id)
    status = STATUSES.get(said)
    if status is None:
        return None
    error = _error(found) if status is Status.FAILED else {}
    return StatusChanged(
        event_id=event_id(message_id, "status", status.value),
        instance_ref=change.reference,
        at=said_at(change, found),
        raw=item,
        status=status,
        external_id=message_id,
        echo=first_text(found, "biz_opaque_callback_data")[:64],
        error_code=first_text(error, "code")[:50],
        error_detail=detail_of(error),
    )


def detail_of(error: dict[str, Any]) -> str:
    """What Meta says of an error: the details where there are some, else its title."""
    details = first_text(mapping(error.get("error_data")), "details")
    return (details or first_text(error, "message", "title"))[:300]


def _error(item: dict[str, Any]) -> dict[str, Any]:
    return mapping(listing(item.get("errors"))[0] if item.get("errors") else None)
