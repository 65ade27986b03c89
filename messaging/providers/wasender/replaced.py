"""The bodies that the systems this one replaces took, flat and without keys."""

from typing import Any

from messaging.events import Event, Person, Received
from messaging.providers.reading import first_text, identifier, mapping, moment, text, word

from .content import read_content, unwrap
from .facts import built_id, digits
from .instance import read_session
from .messages import STATUSES, read_message, read_update, status_changed
from .payloads import Post
from .people import person_of
from .states import is_state

_OLD_IDS = ("id", "messageId", "message_id", "msgId")
_OLD_SENDERS = ("from", "sender", "phone", "phoneNumber")
_OLD_TEXTS = ("message", "text", "body", "messageBody")
_OLD_NAMES = ("name", "pushName", "senderName")


def read_old(post: Post, item: Any) -> Event | None:
    """A flat body, told apart by what it has: a sender, a message with a status, a state."""
    found = mapping(item)
    if isinstance(found.get("key"), dict):
        return read_update(post, item) if "update" in found else read_message(post, item)
    if first_text(found, *_OLD_SENDERS) and any(found.get(name) for name in _OLD_TEXTS):
        return _read_old_message(post, found)
    if first_text(found, *_OLD_IDS) and "status" in found:
        return _read_old_status(post, found)
    if is_state(first_text(found, "status", "state", "connection") or text(item) or post.name):
        return read_session(post, item)
    return None


def _read_old_message(post: Post, item: dict[str, Any]) -> Received | None:
    from_us = item.get("fromMe") is True
    sender = first_text(item, *_OLD_SENDERS)
    name = "" if from_us else first_text(item, *_OLD_NAMES)
    person = person_of({"remoteJid": sender}, from_us=False, name=name)
    if person == Person():
        return None
    said = next(item[name] for name in _OLD_TEXTS if item.get(name))
    parts = mapping(said) or {"conversation": text(said)}
    message_id = identifier(item, "id", "messageId", "message_id")
    content = read_content(
        unwrap(parts).parts, first_text(mapping(said), "text", "body"), message_id
    )
    when = first_text(item, "timestamp", "messageTimestamp") or post.timestamp
    message_id = message_id or built_id(post, sender, when, content.text)
    return Received(
        event_id=message_id,
        instance_ref=post.reference,
        at=moment(when),
        raw=item,
        external_id=message_id,
        person=person,
        kind=content.kind,
        text=content.text,
        from_us=from_us,
        provider_number=digits(item.get("msgId")),
        reply_to=content.reply_to,
        attachments=content.attachments,
    )


def _read_old_status(post: Post, item: dict[str, Any]) -> Event | None:
    key = {"id": first_text(item, "messageId", "message_id", "id"), "fromMe": item.get("fromMe")}
    return status_changed(post, item, key, STATUSES.get(word(item.get("status"))))
