"""Which message of ours a provider speaks of, and the ids by which it knows it."""

from datetime import datetime, timedelta

from django.db import IntegrityError, transaction

from messaging import activities, changing, events, facts, media, previews, realtime
from messaging.models import Conversation, Message

Status = Message.Status
Direction = Message.Direction
# How far apart our send and the provider's echo of it may lie to be taken for one message.
ECHO_WITHIN = timedelta(minutes=10)


def meant_by(event: events.StatusChanged | events.Received, instance_id: int) -> Message | None:
    """The message of ours with the event's id, its number, or our own reference."""
    ways = (
        ("external_id", event.external_id),
        ("provider_number", event.provider_number),
        ("reference", event.echo if _is_uuid(event.echo) else ""),
    )
    for name, value in ways:
        if value:
            mine = Message.objects.filter(instance_id=instance_id, direction=Direction.OUT)
            found = mine.filter(**{name: value}).first()
            if found is not None:
                return found
    return None


def shown_by(
    event: events.Received, conversation: Conversation, instance_id: int, at: datetime
) -> Message | None:
    """The message of ours that an echo shows: the one it means, else the oldest of the same words
    and time that has no id yet."""
    known = meant_by(event, instance_id)
    if known is not None:
        return known
    return (
        Message.objects.filter(
            conversation=conversation,
            instance_id=instance_id,
            direction=Direction.OUT,
            external_id="",
            text=event.text,
            status__in=(Status.SENDING, Status.UNKNOWN, Status.SENT),
            sent_at__range=(at - ECHO_WITHIN, at + ECHO_WITHIN),
        )
        .order_by("id")
        .first()
    )


def learn_ids(message: Message, *, external_id: str = "", provider_number: str = "") -> bool:
    """Keep the provider's ids of a message that has none yet; whether there was one to keep."""
    told = {"external_id": external_id, "provider_number": provider_number}
    new = {name: value for name, value in told.items() if value and not getattr(message, name)}
    for name, value in new.items():
        setattr(message, name, value)
    if new:
        message.save(update_fields=list(new))
    return bool(new)


def link(message: Message, *, external_id: str = "", provider_number: str = "") -> None:
    """Give a sent message the provider's ids of it, and what waited for it under them."""
    told = {"external_id": external_id, "provider_number": provider_number}
    try:
        linked = _name(message, told)
    except IntegrityError:
        # Its echo was taken in between the look and the writing: now it is seen.
        linked = _name(message, told)
    if not linked:
        return
    message.refresh_from_db()
    changing.adopt_waiting(message)
    previews.renew(message)
    activities.order([message.pk])
    realtime.publish("message", conversation=message.conversation_id, message=message.pk)


def _name(message: Message, told: dict[str, str]) -> bool:
    with transaction.atomic():
        mine = Message.objects.select_for_update().get(pk=message.pk)
        ids = dict(told)
        for name, value in told.items():
            if value and not getattr(mine, name):
                ids |= _taken_from_others(mine, name, value)
        return learn_ids(mine, **ids)


def _taken_from_others(mine: Message, name: str, value: str) -> dict[str, str]:
    """Take an id from whoever has it wrongly: a copy that the echo of `mine` made, or another
    message of ours with the same words. What was told of it is told to its owner again.

    The ids of the copy are answered, since there may be more than one.
    """
    named = Message.objects.filter(
        instance_id=mine.instance_id, direction=Direction.OUT, **{name: value}
    )
    other = named.exclude(pk=mine.pk).select_for_update().first()
    if other is None:
        return {}
    told = facts.by_providers().filter(message=other)
    told.exclude(external_id="").update(message=None)
    if other.origin != Message.Origin.PHONE:
        Message.objects.filter(pk=other.pk).update(**{name: "", "status": Status.UNKNOWN})
        return {}
    told.update(message=mine)
    _remove_copy(other, mine)
    known = {"external_id": other.external_id, "provider_number": other.provider_number}
    return {each: found for each, found in known.items() if found}


def _remove_copy(copy: Message, mine: Message) -> None:
    media.forget_old([copy.pk])
    Conversation.objects.filter(last_message_id=copy.pk).update(**previews.of(mine))
    realtime.publish("message", conversation=copy.conversation_id, message=copy.pk)
    Message.objects.filter(pk=copy.pk).delete()


def _is_uuid(text: str) -> bool:
    return len(text) == 36 and text.count("-") == 4
