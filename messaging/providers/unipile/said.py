"""A message as either version of Unipile tells it, made one shape.

v1 names people by their ids at WhatsApp in `sender.attendee_provider_id` and its own account in
`account_info.user_id`; v2 says `is_sender` and calls the chat of two by the other one's id.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from messaging.events import Attachment, Kind, Person
from messaging.providers import jids
from messaging.providers.reading import (
    first_text,
    identifier,
    listing,
    mapping,
    moment,
    number,
    text,
)

from .posts import Post

CHATS = "@chats.unipile"
"""What makes an address of the id that v1 has for a group's chat."""

_NUMBER = re.compile(r"\+?[0-9]{6,15}", re.ASCII)
_OF_PERSON = (
    "attendee_provider_id",
    "provider_id",
    "attendee_public_identifier",
    "public_identifier",
    "id",
)
_OF_CHAT = ("provider_chat_id", "chat_provider_id", "chat_id")
_KINDS = {
    "img": Kind.IMAGE,
    "image": Kind.IMAGE,
    "picture": Kind.IMAGE,
    "video": Kind.VIDEO,
    "audio": Kind.AUDIO,
    "voice": Kind.VOICE,
    "voice_note": Kind.VOICE,
    "sticker": Kind.STICKER,
}
_VOICE_NOTES = "audio/ogg"


@dataclass(frozen=True)
class Said:
    """One message: whose it is, where it stands, what it brings."""

    id: str
    text: str
    at: datetime | None
    from_us: bool
    person: Person
    group: str
    reply_to: str
    attachments: tuple[Attachment, ...]
    is_event: bool
    is_story: bool


def read_said(post: Post) -> Said:
    """The message that a webhook is about; its id is empty where it names none."""
    message = mapping(post.told.get("message")) or post.told
    message_id = identifier(message, "message_id", "id")
    sender = mapping(message.get("sender"))
    own = addresses_of(mapping(message.get("account_info")), "user_id", "id")
    wrote = addresses_of(sender) or _bare(message.get("sender_id"))
    from_us = is_true(message.get("is_sender")) or bool(set(wrote) & set(own))
    chat = first_text(message, *_OF_CHAT)
    group = _group(message, wrote)
    others = _others(message, own, wrote)
    return Said(
        id=message_id,
        text=text(message.get("text")) or text(message.get("message")),
        at=moment(message.get("timestamp")) or post.at,
        from_us=from_us,
        person=_person(sender, wrote, others, chat, from_us, group),
        group=group,
        reply_to=_quoted(message.get("quoted")),
        attachments=_attachments(message, message_id),
        is_event=is_true(message.get("is_event")),
        is_story=chat == jids.STORIES,
    )


def addresses_of(person: dict[str, Any], *names: str) -> list[str]:
    """What of a person's ids is an address of WhatsApp, the same for every spelling of it."""
    specifics = mapping(person.get("attendee_specifics")) or mapping(person.get("specifics"))
    found = [person.get(name) for name in names or _OF_PERSON] + [specifics.get("phone_number")]
    return [address for each in found for address in _bare(each)]


def person_of(person: dict[str, Any]) -> Person:
    """Somebody Unipile names, empty where none of the ids is an address."""
    name = first_text(person, "attendee_name", "display_name", "name")
    return jids.person_at(*addresses_of(person), name=name)


def is_ours(person: dict[str, Any], account: dict[str, Any]) -> bool:
    """Whether somebody Unipile names is the account itself."""
    return bool(set(addresses_of(person)) & set(addresses_of(account, "user_id", "id")))


def _bare(value: Any) -> list[str]:
    said = text(value).strip()
    if len(said) > jids.LONGEST_ADDRESS:
        return []
    if _NUMBER.fullmatch(said):
        return [said.lstrip("+")]
    if "@" not in said:
        return []
    return [address] if (address := jids.phone_of(said) or jids.lid_of(said)) else []


def _others(message: dict[str, Any], *without: list[str]) -> list[dict[str, Any]]:
    """Those in the chat beside people with these addresses."""
    known = {address for addresses in without for address in addresses}
    people = [mapping(each) for each in listing(message.get("attendees") or [])]
    return [each for each in people if each and not set(addresses_of(each)) & known]


def _group(message: dict[str, Any], wrote: list[str]) -> str:
    """The address of a chat of many: v2 has WhatsApp's own, v1 writes to its own id of the chat."""
    chat_id = identifier(message, "chat_id")
    if jids.is_for_many(chat_id):
        return chat_id[: jids.LONGEST_ADDRESS]
    named = first_text(message, *_OF_CHAT)
    # Of two, one wrote and one is left.
    many = len(_others(message, wrote)) > 1
    if chat_id and (many or is_true(message.get("is_group")) or jids.is_for_many(named)):
        return f"{chat_id}{CHATS}"
    return ""


def _person(
    sender: dict[str, Any],
    wrote: list[str],
    others: list[dict[str, Any]],
    chat: str,
    from_us: bool,
    group: str,
) -> Person:
    """The other side of the chat, or whoever of a group wrote."""
    if not from_us:
        name = first_text(sender, "attendee_name", "display_name", "name")
        return jids.person_at(*wrote, *(() if group else _bare(chat)), name=name)
    if group:
        return Person()
    found = person_of(others[0]) if others else Person()
    return found if found != Person() else jids.person_at(*_bare(chat))


def _quoted(value: Any) -> str:
    if isinstance(value, dict):
        return identifier(value, "message_id", "id")
    return identifier({"id": value}, "id")


def _attachments(message: dict[str, Any], message_id: str) -> tuple[Attachment, ...]:
    """An object in old webhooks, a list in new ones."""
    found = [mapping(each) for each in listing(message.get("attachments") or [])]
    return tuple(_attachment(each, message, message_id) for each in found if each.get("id"))


def _attachment(file: dict[str, Any], message: dict[str, Any], message_id: str) -> Attachment:
    mime_type = first_text(file, "mimetype", "mime_type")
    name = first_text(file, "file_name", "filename", "name")
    size = number(file.get("file_size"))
    reference = {
        "message_id": message_id,
        "chat_id": first_text(message, "chat_id"),
        "attachment_id": text(file.get("id")),
        "mimetype": mime_type,
        "filename": name,
        "unavailable": is_true(file.get("unavailable")) or is_true(file.get("is_unavailable")),
    }
    return Attachment(
        kind=_kind(file, mime_type),
        mime_type=mime_type,
        file_name=name,
        size=None if size is None else int(size),
        reference=reference,
    )


def _kind(file: dict[str, Any], mime_type: str) -> Kind:
    if is_true(file.get("sticker")):
        return Kind.STICKER
    named = _KINDS.get(text(file.get("type")).lower()) or _KINDS.get(mime_type.partition("/")[0])
    if named is Kind.AUDIO and (
        is_true(file.get("voice_note")) or mime_type.startswith(_VOICE_NOTES)
    ):
        return Kind.VOICE
    return named or Kind.DOCUMENT


def is_true(value: Any) -> bool:
    """Whether it is so: written as a truth, a number or a word, by page and version."""
    return value is True or text(value).lower() in ("1", "true")
