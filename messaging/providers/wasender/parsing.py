"""Wasender's webhooks as events.

What is read is decided by the shape of a body, not by the path it was posted to: the shapes are
not uniform (`data.messages` is an object, an array, or `data` is itself the message), and the
same message comes two or three times where several events are subscribed, under the same key.id.

| what arrives | event | what a person sees |
|---|---|---|
| messages.received, messages.upsert, messages-personal.received, messages-group.received, messages-newsletter.received, message.sent | Received | the message; a placeholder where its kind is unknown |
| message.sent with success false | StatusChanged | the message failed |
| messages.update | StatusChanged, Edited, Deleted | how far a message got, its new text, its tombstone |
| messages.reaction, reactionMessage | Reacted | the emoji on the message |
| messages.delete, protocolMessage REVOKE | Deleted | a tombstone |
| protocolMessage with editedMessage, editedMessage | Edited | the new text |
| session.status, qrcode.updated | InstanceChanged | the state of the instance, the code to scan |
| message, message.received, status, message.status, connection, connection.update (and bodies without event): what the replaced systems took | as above | as above |
| status@broadcast | Ignored | nothing: a story |
| a newsletter's post without author | Ignored | nothing: nobody to answer |
| bookkeeping: key distribution, settings and synchronisation between phones | Ignored | nothing |
| status pending; the status of a message we received | Ignored | nothing: it says nothing new |
| message-receipt.update | Ignored | nothing: who of a group has read |
| call, call.received, chats.*, contacts.*, groups.*, group-participants.update | Ignored | nothing |
| any other event that carries a message | Received | a placeholder |
| anything else | Unlisted | staff see it in the instance's events |

Sources: wasenderapi.com's documentation of its webhooks, its TypeScript and Python SDKs, its n8n
node; the kinds inside `message` are WhatsApp's protobuf as the Baileys library names it.
"""  # noqa: E501

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from messaging.events import (
    Connection,
    Deleted,
    Edited,
    Event,
    Ignored,
    InstanceChanged,
    Kind,
    Person,
    Reacted,
    Received,
    Status,
    StatusChanged,
    Unlisted,
)
from messaging.providers.base import BadPayload

from .content import BOOKKEEPING, Parts, read_content, unwrap
from .payloads import (
    Post,
    digest,
    event_id,
    first_text,
    identifier,
    listing,
    mapping,
    moment,
    read_post,
    text,
    word,
)
from .people import chat_of, group_of, person_of
from .states import is_state, read_state

_IGNORED = {
    "message-receipt.update": "group receipt",
    "call": "call",
    "call.received": "call",
    "chats.upsert": "chat list",
    "chats.update": "chat list",
    "chats.delete": "chat list",
    "contacts.upsert": "address book",
    "contacts.update": "address book",
    "groups.upsert": "group settings",
    "groups.update": "group settings",
    "group-participants.update": "group members",
}

_PENDING = "pending"
_STATUSES: dict[str, Status | str] = {
    # WhatsApp's numbers, as the messages.update webhook documents them.
    "0": Status.FAILED,
    "1": _PENDING,
    "2": Status.SENT,
    "3": Status.DELIVERED,
    "4": Status.READ,
    "5": Status.PLAYED,
    # Words, as the SDKs, Baileys and the replaced systems write them.
    "error": Status.FAILED,
    "failed": Status.FAILED,
    "pending": _PENDING,
    "queued": _PENDING,
    "in_progress": _PENDING,
    "sent": Status.SENT,
    "server_ack": Status.SENT,
    "delivered": Status.DELIVERED,
    "delivery_ack": Status.DELIVERED,
    "read": Status.READ,
    "played": Status.PLAYED,
}

_REVOKE = ("0", "REVOKE")
_REVOKED_STUB = ("1", "REVOKE")
_HOUSEKEEPING = {
    # ProtocolMessage.Type by number and by name: phones talking among themselves.
    **dict.fromkeys(("3", "EPHEMERAL_SETTING"), "disappearing messages setting"),
    **dict.fromkeys(("4", "EPHEMERAL_SYNC_RESPONSE"), "disappearing messages setting"),
    **dict.fromkeys(("5", "HISTORY_SYNC_NOTIFICATION"), "history synchronisation"),
    **dict.fromkeys(("6", "APP_STATE_SYNC_KEY_SHARE"), "phone synchronisation"),
    **dict.fromkeys(("7", "APP_STATE_SYNC_KEY_REQUEST"), "phone synchronisation"),
    **dict.fromkeys(("9", "INITIAL_SECURITY_NOTIFICATION_SETTING_SYNC"), "phone synchronisation"),
    **dict.fromkeys(("10", "APP_STATE_FATAL_EXCEPTION_NOTIFICATION"), "phone synchronisation"),
    **dict.fromkeys(("16", "PEER_DATA_OPERATION_REQUEST_MESSAGE"), "phone synchronisation"),
    **dict.fromkeys(
        ("17", "PEER_DATA_OPERATION_REQUEST_RESPONSE_MESSAGE"), "phone synchronisation"
    ),
}

_OLD_IDS = ("id", "messageId", "message_id", "msgId")
_OLD_SENDERS = ("from", "sender", "phone", "phoneNumber")
_OLD_TEXTS = ("message", "text", "body", "messageBody")
_OLD_NAMES = ("name", "pushName", "senderName")


def parse(body: bytes, reference: str) -> list[Event]:
    """The facts in a body, or `BadPayload`."""
    post = read_post(body, reference)
    if post.name in _IGNORED:
        return [_ignored(post, post.data, _IGNORED[post.name])]
    items, read = _READERS.get(post.name, (_message_items, _unlisted_message))
    # One unreadable item never hides the others: it stays visible as what it is.
    events = [read(post, item) or _unlisted(post, item) for item in items(post.data)]
    if not events:
        raise BadPayload("nothing in it")
    return events


def status_of(value: Any) -> Status | None:
    """The status a number or word stands for; None while it is pending or unknown."""
    status = _STATUSES.get(word(value))
    return status if isinstance(status, Status) else None


# Messages


def _message_items(data: Any) -> list[Any]:
    """The messages of a post, in whichever of the three shapes it has."""
    if isinstance(data, dict) and "messages" in data:
        return listing(data["messages"])
    return listing(data)


def _read_message(post: Post, item: Any) -> Event | None:
    key = mapping(mapping(item).get("key"))
    message = unwrap(mapping(item).get("message"))
    if chat_of(key) == "status@broadcast":
        return _ignored(post, item, "story")
    if mapping(item).get("success") is False:
        return _status(post, item, key, Status.FAILED)
    for name, read in _INSIDE.items():
        if isinstance(message.parts.get(name), dict):
            return read(post, item, message.parts[name])
    if message.edited:
        return _edited(post, item, key, message, carrier=identifier(key, "id"))
    if message.parts and BOOKKEEPING.issuperset(message.parts):
        return _ignored(post, item, "group keys")
    return _received(post, item, message)


def _received(
    post: Post, item: Any, message: Parts, *, kind: Kind | None = None
) -> Received | Ignored | None:
    key = mapping(mapping(item).get("key"))
    from_us = _is_from_us(post, key)
    person = _person(item, from_us=from_us)
    group = group_of(key)
    if person == Person() and group.endswith("@newsletter"):
        return _ignored(post, item, "newsletter post")
    if person == Person() and not (from_us and group):
        return None
    said = first_text(item, "messageBody") and text(item["messageBody"])
    message_id = identifier(key, "id")
    content = read_content(message.parts, said, message_id)
    sender = person.phone or person.lid or group
    message_id = message_id or _built(
        post, sender, text(item.get("messageTimestamp")), content.text
    )
    return Received(
        event_id=message_id,
        instance_ref=post.reference,
        at=_said_at(post, item),
        raw=item,
        external_id=message_id,
        person=person,
        kind=kind or content.kind,
        text=content.text,
        from_us=from_us,
        provider_number=_provider_number(item, key),
        group=group,
        reply_to=content.reply_to,
        view_once=message.view_once or key.get("isViewOnce") is True,
        attachments=content.attachments,
    )


def _unlisted_message(post: Post, item: Any) -> Event | None:
    """What an event that no table lists carries, where that is a message."""
    message = mapping(mapping(item).get("message"))
    if not message and not text(mapping(item).get("messageBody")):
        return None
    return _received(post, item, unwrap(message), kind=Kind.PLACEHOLDER)


# Messages that change others


def _read_protocol(post: Post, item: Any, protocol: dict[str, Any]) -> Event | None:
    """Withdrawals and edits travel as messages of their own, naming the one they change."""
    target = mapping(protocol.get("key"))
    kind = text(protocol.get("type")).upper()
    if protocol.get("editedMessage"):
        carrier = identifier(mapping(item.get("key")), "id")
        return _edited(post, item, target, unwrap(protocol["editedMessage"]), carrier=carrier)
    # Protobuf leaves a member out when it has its first value, and REVOKE is the first.
    if target and (kind in _REVOKE or not kind):
        return _deleted(post, item, target)
    if kind in _HOUSEKEEPING:
        return _ignored(post, item, _HOUSEKEEPING[kind])
    return _received(post, item, unwrap(item.get("message")))


def _edited(
    post: Post, item: Any, target: Mapping[str, Any], message: Parts, *, carrier: str
) -> Edited | None:
    target_id = identifier(dict(target), "id")
    said = read_content(message.parts, text(mapping(item).get("messageBody")), target_id).text
    if not target_id or not said:
        return None
    return Edited(
        event_id=event_id(target_id, "edited", digest(carrier, said)[:32]),
        instance_ref=post.reference,
        at=_said_at(post, item),
        raw=item,
        external_id=target_id,
        text=said,
    )


def _deleted(post: Post, item: Any, target: Mapping[str, Any]) -> Deleted | None:
    target_id = identifier(dict(target), "id")
    if not target_id:
        return None
    return Deleted(
        event_id=event_id(target_id, "deleted"),
        instance_ref=post.reference,
        at=_said_at(post, item),
        raw=item,
        external_id=target_id,
    )


def _deleted_keys(data: Any) -> list[Any]:
    return listing(mapping(data).get("keys", data))


def _read_deleted(post: Post, item: Any) -> Event | None:
    """A key, in an object of its own or bare."""
    found = mapping(item)
    return _deleted(post, item, mapping(found.get("key")) or found or {"id": text(item)})


def _read_reaction(post: Post, item: Any) -> Event | None:
    """`key` names the message reacted to, `reaction.key` who reacted (Baileys' types)."""
    found = mapping(item)
    reaction = mapping(found.get("reaction"))
    target = mapping(found.get("key"))
    return _reacted(post, item, target, reaction, by=mapping(reaction.get("key")) or target)


def _read_reaction_inside(post: Post, item: Any, reaction: dict[str, Any]) -> Event | None:
    """The same reaction as a message: there the inner key names the message reacted to."""
    target = mapping(reaction.get("key"))
    return _reacted(post, item, target, reaction, by=mapping(item.get("key")))


def _reacted(
    post: Post, item: Any, target: dict[str, Any], reaction: dict[str, Any], *, by: dict[str, Any]
) -> Reacted | None:
    target_id = identifier(target, "id")
    from_us = by.get("fromMe") is True
    person = person_of(by, from_us=from_us, name=_name(item, from_us))
    if not target_id or (person == Person() and not from_us) or "text" not in reaction:
        return None
    at = moment(reaction.get("senderTimestampMs")) or _said_at(post, item)
    emoji = text(reaction.get("text"))
    who = "us" if from_us else person.phone or person.lid
    when = str(int(at.timestamp())) if at else ""
    return Reacted(
        event_id=event_id(target_id, "reaction", who, emoji, when),
        instance_ref=post.reference,
        at=at,
        raw=item,
        external_id=target_id,
        person=person,
        emoji=emoji,
        from_us=from_us,
    )


_INSIDE: dict[str, Callable[[Post, Any, dict[str, Any]], Event | None]] = {
    "protocolMessage": _read_protocol,
    "reactionMessage": _read_reaction_inside,
}


# Statuses


def _read_update(post: Post, item: Any) -> Event | None:
    """What became of a message: how far it got, or what it now says."""
    found = mapping(item)
    key = mapping(found.get("key"))
    update = mapping(found.get("update"))
    # An edit comes as the new content, a withdrawal as a stub, both under the old key.
    message = unwrap(update.get("message"))
    if message.edited:
        when = first_text(update, "messageTimestamp") or post.timestamp
        return _edited(post, item, key, message, carrier=when)
    if text(update.get("messageStubType")).upper() in _REVOKED_STUB:
        return _deleted(post, item, key)
    told = update if "status" in update else found
    return _status(post, {**found, **update}, key, _STATUSES.get(word(told.get("status"))))


def _status(
    post: Post, item: dict[str, Any], key: dict[str, Any], status: Status | str | None
) -> StatusChanged | Ignored | None:
    message_id = identifier(key, "id")
    provider_number = _provider_number(item, key)
    if status is None or not (message_id or provider_number):
        return None
    if key.get("fromMe") is False:
        return _ignored(post, item, "status of a received message")
    if not isinstance(status, Status):
        return _ignored(post, item, "not sent yet")
    return StatusChanged(
        event_id=event_id(message_id or provider_number, "status", status.value),
        instance_ref=post.reference,
        at=_said_at(post, item),
        raw=item,
        status=status,
        external_id=message_id,
        provider_number=provider_number,
        error_code=_error_code(item) if status is Status.FAILED else "",
        error_detail=_error_detail(item) if status is Status.FAILED else "",
    )


def _error_code(item: dict[str, Any]) -> str:
    # Baileys keeps WhatsApp's error code as the first parameter of the stub.
    stub = listing(item.get("messageStubParameters"))
    return (first_text(item, "errorCode", "code") or (text(stub[0]) if stub else ""))[:50]


def _error_detail(item: dict[str, Any]) -> str:
    return first_text(item, "error", "reason", "errorMessage")[:300]


# The instance


def _read_session(post: Post, item: Any) -> Event | None:
    told = item if isinstance(item, dict) else {"status": item}
    said = first_text(told, "status", "state", "connection") or post.name
    state = read_state(said, first_text(told, "reason", "message", "error"))
    if state is None:
        return None
    when = first_text(told, "timestamp") or post.timestamp
    name = word(said)[:60]
    # Without a time two equal bodies are one event; ingest applies these whatever it has seen.
    fact = event_id("session", name, when) if when else f"built:{digest(post.reference, item)}"
    return InstanceChanged(
        event_id=fact,
        instance_ref=post.reference,
        at=moment(when),
        raw=item,
        state=state.state,
        reason=state.reason,
        qr=first_text(told, "qr", "qrCode"),
    )


def _read_qr(post: Post, item: Any) -> Event | None:
    """The webhook names the code `qr`, the REST calls `qrCode`."""
    code = first_text(mapping(item), "qr", "qrCode")
    if not code:
        return None
    return InstanceChanged(
        event_id=event_id("qr", digest(code)[:32]),
        instance_ref=post.reference,
        at=post.at,
        raw=item,
        state=Connection.PENDING,
        reason="need_scan",
        qr=code,
    )


# What the replaced systems took


def _read_old(post: Post, item: Any) -> Event | None:
    """A flat body, told apart by what it has: a sender, a message with a status, a state."""
    found = mapping(item)
    if isinstance(found.get("key"), dict):
        return _read_update(post, item) if "update" in found else _read_message(post, item)
    if first_text(found, *_OLD_SENDERS) and any(found.get(name) for name in _OLD_TEXTS):
        return _read_old_message(post, found)
    if first_text(found, *_OLD_IDS) and "status" in found:
        return _read_old_status(post, found)
    if is_state(first_text(found, "status", "state", "connection") or text(item) or post.name):
        return _read_session(post, item)
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
    message_id = message_id or _built(post, sender, when, content.text)
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
        provider_number=_digits(item.get("msgId")),
        reply_to=content.reply_to,
        attachments=content.attachments,
    )


def _read_old_status(post: Post, item: dict[str, Any]) -> Event | None:
    key = {"id": first_text(item, "messageId", "message_id", "id"), "fromMe": item.get("fromMe")}
    return _status(post, item, key, _STATUSES.get(word(item.get("status"))))


# What all of them share


def _ignored(post: Post, item: Any, reason: str) -> Ignored:
    fact = f"built:{digest(post.reference, post.name, post.timestamp, item)}"
    return Ignored(event_id=fact, instance_ref=post.reference, at=post.at, raw=item, reason=reason)


def _unlisted(post: Post, item: Any) -> Unlisted:
    fact = f"built:{digest(post.reference, post.name, post.timestamp, item)}"
    return Unlisted(
        event_id=fact, instance_ref=post.reference, at=post.at, raw=item, name=post.name
    )


def _built(post: Post, *parts: str) -> str:
    """An id for a message that came without one, the same each time it comes."""
    return f"built:{digest(post.reference, *parts)}"


def _is_from_us(post: Post, key: dict[str, Any]) -> bool:
    return key.get("fromMe") is True or post.name == "message.sent"


def _person(item: Any, *, from_us: bool) -> Person:
    key = mapping(mapping(item).get("key"))
    return person_of(key, from_us=from_us, name=_name(item, from_us))


def _name(item: Any, from_us: bool) -> str:
    # What we send carries our own name.
    return "" if from_us else first_text(mapping(item), "pushName")


def _said_at(post: Post, item: Any) -> datetime | None:
    found = mapping(item)
    return moment(found.get("messageTimestamp")) or moment(found.get("timestamp")) or post.at


def _provider_number(item: Any, key: dict[str, Any]) -> str:
    """The integer id that POST /send-message answered with, where an event repeats it.

    The documentation does not say which event does; the Python SDK has it in the key.
    """
    return _digits(key.get("msgId")) or _digits(mapping(item).get("msgId"))


def _digits(value: Any) -> str:
    said = text(value)
    return said if said.isascii() and said.isdecimal() and len(said) <= 20 else ""


_Reader = tuple[Callable[[Any], list[Any]], Callable[[Post, Any], Event | None]]
_MESSAGES: _Reader = (_message_items, _read_message)
_OLD: _Reader = (_message_items, _read_old)

_READERS: dict[str, _Reader] = {
    "messages.received": _MESSAGES,
    "messages.recieved": _MESSAGES,  # As the Python SDK spells it.
    "messages.upsert": _MESSAGES,
    "messages-personal.received": _MESSAGES,
    "messages-group.received": _MESSAGES,
    "messages-newsletter.received": _MESSAGES,
    "message.sent": _MESSAGES,
    "messages.update": (listing, _read_update),
    "messages.reaction": (listing, _read_reaction),
    "messages.delete": (_deleted_keys, _read_deleted),
    "session.status": (listing, _read_session),
    "qrcode.updated": (listing, _read_qr),
    "message": _OLD,
    "message.received": _OLD,
    "status": _OLD,
    "message.status": _OLD,
    "connection": _OLD,
    "connection.update": _OLD,
    "": _OLD,
}
