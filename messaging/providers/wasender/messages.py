"""Messages, and what becomes of them: edits, withdrawals, reactions, statuses."""

from collections.abc import Callable, Mapping
from typing import Any

from messaging.events import (
    STORY,
    Deleted,
    Edited,
    Event,
    Ignored,
    Kind,
    Person,
    Reacted,
    Received,
    Status,
    StatusChanged,
)
from messaging.providers.reading import (
    digest,
    event_id,
    first_text,
    identifier,
    listing,
    mapping,
    moment,
    text,
    word,
)

from .content import BOOKKEEPING, Parts, read_content, unwrap
from .facts import built_id, ignored, provider_number_of, said_at
from .payloads import Post
from .people import chat_of, group_of, person_of

_PENDING = "pending"
STATUSES: dict[str, Status | str] = {
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


def status_of(value: Any) -> Status | None:
    """The status a number or word stands for; None while it is pending or unknown."""
    status = STATUSES.get(word(value))
    return status if isinstance(status, Status) else None


# Messages


def message_items(data: Any) -> list[Any]:
    """The messages of a post, in whichever of the three shapes it has."""
    if isinstance(data, dict) and "messages" in data:
        return listing(data["messages"])
    return listing(data)


def read_message(post: Post, item: Any) -> Event | None:
    key = mapping(mapping(item).get("key"))
    message = unwrap(mapping(item).get("message"))
    if chat_of(key) == "status@broadcast":
        return ignored(post, item, STORY)
    if mapping(item).get("success") is False:
        return status_changed(post, item, key, Status.FAILED)
    for name, read in _INSIDE.items():
        if isinstance(message.parts.get(name), dict):
            return read(post, item, message.parts[name])
    if message.edited:
        return _edited(post, item, key, message, carrier=identifier(key, "id"))
    if message.parts and BOOKKEEPING.issuperset(message.parts):
        return ignored(post, item, "group keys")
    return _received(post, item, message)


def _received(
    post: Post, item: Any, message: Parts, *, kind: Kind | None = None
) -> Received | Ignored | None:
    key = mapping(mapping(item).get("key"))
    from_us = _is_from_us(post, key)
    person = _person(item, from_us=from_us)
    group = group_of(key)
    if person == Person() and group.endswith("@newsletter"):
        return ignored(post, item, "newsletter post")
    if person == Person() and not (from_us and group):
        return None
    said = first_text(item, "messageBody") and text(item["messageBody"])
    message_id = identifier(key, "id")
    content = read_content(message.parts, said, message_id)
    sender = person.phone or person.lid or group
    message_id = message_id or built_id(
        post, sender, text(item.get("messageTimestamp")), content.text
    )
    return Received(
        event_id=message_id,
        instance_ref=post.reference,
        at=said_at(post, item),
        raw=item,
        external_id=message_id,
        person=person,
        kind=kind or content.kind,
        text=content.text,
        from_us=from_us,
        provider_number=provider_number_of(item, key),
        group=group,
        reply_to=content.reply_to,
        view_once=message.view_once or key.get("isViewOnce") is True,
        attachments=content.attachments,
    )


def unlisted_message(post: Post, item: Any) -> Event | None:
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
        return ignored(post, item, _HOUSEKEEPING[kind])
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
        at=said_at(post, item),
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
        at=said_at(post, item),
        raw=item,
        external_id=target_id,
    )


def deleted_keys(data: Any) -> list[Any]:
    return listing(mapping(data).get("keys", data))


def read_deleted(post: Post, item: Any) -> Event | None:
    """A key, in an object of its own or bare."""
    found = mapping(item)
    return _deleted(post, item, mapping(found.get("key")) or found or {"id": text(item)})


def read_reaction(post: Post, item: Any) -> Event | None:
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
    at = moment(reaction.get("senderTimestampMs")) or said_at(post, item)
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


def _is_from_us(post: Post, key: dict[str, Any]) -> bool:
    return key.get("fromMe") is True or post.name == "message.sent"


def _person(item: Any, *, from_us: bool) -> Person:
    key = mapping(mapping(item).get("key"))
    return person_of(key, from_us=from_us, name=_name(item, from_us))


def _name(item: Any, from_us: bool) -> str:
    # What we send carries our own name.
    return "" if from_us else first_text(mapping(item), "pushName")


# Statuses


def read_update(post: Post, item: Any) -> Event | None:
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
    return status_changed(post, {**found, **update}, key, STATUSES.get(word(told.get("status"))))


def status_changed(
    post: Post, item: dict[str, Any], key: dict[str, Any], status: Status | str | None
) -> StatusChanged | Ignored | None:
    message_id = identifier(key, "id")
    provider_number = provider_number_of(item, key)
    if status is None or not (message_id or provider_number):
        return None
    if key.get("fromMe") is False:
        return ignored(post, item, "status of a received message")
    if not isinstance(status, Status):
        return ignored(post, item, "not sent yet")
    return StatusChanged(
        event_id=event_id(message_id or provider_number, "status", status.value),
        instance_ref=post.reference,
        at=said_at(post, item),
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
