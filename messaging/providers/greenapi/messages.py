"""Messages, and what becomes of them: edits, withdrawals, reactions, statuses."""

from collections.abc import Callable, Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from messaging.events import (
    STORY,
    Deleted,
    Edited,
    Event,
    Person,
    Reacted,
    Received,
    Status,
    StatusChanged,
)
from messaging.providers.advice import NO_WHATSAPP
from messaging.providers.base import Blame
from messaging.providers.jids import LONGEST_ADDRESS, STORIES, group_of, is_for_many, person_at
from messaging.providers.reading import digest, event_id, first_text, identifier, mapping, text

from .content import read_content
from .posts import Post, built_id, ignored

_FROM_US = ("outgoingMessageReceived", "outgoingAPIMessageReceived")

_PENDING = "pending"
_STATUSES: dict[str, Status | str] = {
    "sent": Status.SENT,
    "delivered": Status.DELIVERED,
    "read": Status.READ,
    "played": Status.PLAYED,
    "failed": Status.FAILED,
    # Older instances tell apart why it failed; newer ones say `failed` with a description.
    "noAccount": Status.FAILED,
    "notInGroup": Status.FAILED,
    "yellowCard": Status.FAILED,
    "pending": _PENDING,
}
BLAMES = {
    "noAccount": Blame.RECIPIENT,
    "notInGroup": Blame.RECIPIENT,
    "yellowCard": Blame.ACCOUNT,
}
"""Whose fault a failure is that a status tells by one of these words."""

ADVICE: Mapping[str, Any] = {
    "noAccount": NO_WHATSAPP,
    "notInGroup": _("This number is no longer in the group. Somebody there has to add it again."),
    "yellowCard": _(
        "WhatsApp warned this number for writing too much. Send nothing more until it is connected "
        "again, then slower and to people who answer."
    ),
}


def read_message(post: Post) -> Event | None:
    data = mapping(post.told.get("messageData"))
    if _chat(post) == STORIES:
        return ignored(post, STORY)
    read = _CHANGES.get(text(data.get("typeMessage")), _received)
    return read(post, data)


def read_status(post: Post) -> Event | None:
    """How far a message of ours got."""
    return status_of(post, text(post.told.get("status")).strip())


def status_of(post: Post, said: str) -> Event | None:
    """What a word says about the message that a notification is about."""
    status = _STATUSES.get(said)
    message_id = identifier(post.told, "idMessage")
    if status is None or not message_id:
        return None
    if not isinstance(status, Status):
        return ignored(post, "not sent yet")
    failed = status is Status.FAILED
    return StatusChanged(
        event_id=event_id(message_id, "status", status.value),
        instance_ref=post.reference,
        at=post.at,
        raw=post.told,
        status=status,
        external_id=message_id,
        error_code=said if failed else "",
        error_detail=first_text(post.told, "description")[:300] if failed else "",
    )


def _received(post: Post, data: dict[str, Any]) -> Event | None:
    chat = _chat(post)
    group = group_of(chat)
    from_us = post.type in _FROM_US
    person = _person(post, from_us=from_us)
    if person == Person() and group.endswith("@newsletter"):
        return ignored(post, "newsletter post")
    if person == Person() and not (from_us and group):
        return None
    message_id = identifier(post.told, "idMessage") or built_id(post)
    content = read_content(data, chat, message_id)
    return Received(
        event_id=message_id,
        instance_ref=post.reference,
        at=post.at,
        raw=post.told,
        external_id=message_id,
        person=person,
        kind=content.kind,
        text=content.text,
        from_us=from_us,
        group=group,
        reply_to=content.reply_to,
        attachments=content.attachments,
    )


def _edited(post: Post, data: dict[str, Any]) -> Event | None:
    told = mapping(data.get("editedMessageData"))
    target, said = identifier(told, "stanzaId"), first_text(told, "textMessage", "caption")
    if not target or not said:
        return None
    carrier = identifier(post.told, "idMessage")
    return Edited(
        event_id=event_id(target, "edited", digest(carrier, said)[:32]),
        instance_ref=post.reference,
        at=post.at,
        raw=post.told,
        external_id=target,
        text=said,
    )


def _deleted(post: Post, data: dict[str, Any]) -> Event | None:
    return deleted(post, identifier(mapping(data.get("deletedMessageData")), "stanzaId"))


def deleted(post: Post, target: str) -> Deleted | None:
    """That a message was withdrawn."""
    if not target:
        return None
    return Deleted(
        event_id=event_id(target, "deleted"),
        instance_ref=post.reference,
        at=post.at,
        raw=post.told,
        external_id=target,
    )


def _reacted(post: Post, data: dict[str, Any]) -> Event | None:
    target = identifier(mapping(data.get("quotedMessage")), "stanzaId")
    said = mapping(data.get("extendedTextMessageData"))
    from_us = post.type in _FROM_US
    person = _person(post, from_us=from_us)
    if not target or "text" not in said or (person == Person() and not from_us):
        return None
    emoji = text(said.get("text"))
    who = "us" if from_us else person.phone or person.lid
    return Reacted(
        event_id=event_id(target, "reaction", who, emoji, text(post.told.get("timestamp"))),
        instance_ref=post.reference,
        at=post.at,
        raw=post.told,
        external_id=target,
        person=person,
        emoji=emoji,
        from_us=from_us,
    )


_CHANGES: dict[str, Callable[[Post, dict[str, Any]], Event | None]] = {
    "editedMessage": _edited,
    "deletedMessage": _deleted,
    "reactionMessage": _reacted,
}


def _chat(post: Post) -> str:
    sender = mapping(post.told.get("senderData"))
    return (first_text(sender, "chatId") or first_text(post.told, "chatId"))[:LONGEST_ADDRESS]


def _person(post: Post, *, from_us: bool) -> Person:
    """The other side of the chat, or whoever of a group wrote; nobody where we wrote to many."""
    sender = mapping(post.told.get("senderData"))
    chat = _chat(post)
    if is_for_many(chat):
        if from_us:
            return Person()
        return person_at(first_text(sender, "sender"), name=_name(sender))
    if from_us:
        # The names are our own then; `chatName` is what the phone calls the chat.
        return person_at(chat)
    return person_at(chat, first_text(sender, "sender"), name=_name(sender))


def _name(sender: dict[str, Any]) -> str:
    """As the phone's address book has it, else as they call themselves."""
    return first_text(sender, "senderContactName", "senderName")
