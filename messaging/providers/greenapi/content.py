"""What a message is made of: `typeMessage` says which member of the notification holds it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from messaging.events import Attachment, Kind
from messaging.providers.reading import first_text, listing, mapping, text

# Markers in place of what Green-API could not get (documentation, "common errors").
EMPTY_FOR_DEVICES = "{{SWE001}}"
FILE_TOO_LARGE = "{{SWE002}}"
NOT_DECRYPTED = "{{SWE003}}"
_UNREADABLE = (EMPTY_FOR_DEVICES, NOT_DECRYPTED)

_FILES = {
    "imageMessage": Kind.IMAGE,
    "videoMessage": Kind.VIDEO,
    "documentMessage": Kind.DOCUMENT,
    "audioMessage": Kind.AUDIO,
    "stickerMessage": Kind.STICKER,
}
_VOICE_NOTES = "audio/ogg"
_PHONE_OF_VCARD = re.compile(r"^(?:item\d+\.)?TEL[^:\r\n]*:(.+)$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Content:
    """What a message says."""

    kind: Kind
    text: str = ""
    reply_to: str = ""
    attachments: tuple[Attachment, ...] = ()


def read_content(data: dict[str, Any], chat: str, message_id: str) -> Content:
    """What the message says; a placeholder where it says it in a way we do not know."""
    name = text(data.get("typeMessage"))
    reply_to = _quoted(data)
    if name in _FILES:
        return _file(name, mapping(data.get("fileMessageData")), chat, message_id, reply_to)
    kind, say = _SAYINGS.get(name, (Kind.PLACEHOLDER, _say_nothing))
    said = say(data)
    if not said or said.strip() in _UNREADABLE:
        return Content(Kind.PLACEHOLDER, "", reply_to)
    return Content(kind, said, reply_to)


def _quoted(data: dict[str, Any]) -> str:
    """The answered message: an answer in words names it with the words, a file beside itself."""
    for name in ("extendedTextMessageData", *_REPLIES, "quotedMessage"):
        if found := first_text(mapping(data.get(name)), "stanzaId"):
            return found
    return ""


def _file(name: str, file: dict[str, Any], chat: str, message_id: str, reply_to: str) -> Content:
    mime_type = first_text(file, "mimeType")
    kind = _FILES[name]
    if kind is Kind.AUDIO and mime_type.startswith(_VOICE_NOTES):
        kind = Kind.VOICE
    attachment = Attachment(
        kind=kind,
        mime_type=mime_type,
        file_name=first_text(file, "fileName"),
        reference={
            "chatId": chat,
            "idMessage": message_id,
            "downloadUrl": first_text(file, "downloadUrl"),
            "mimeType": mime_type,
            "fileName": first_text(file, "fileName"),
        },
    )
    return Content(kind, text(file.get("caption")), reply_to, (attachment,))


def _say_nothing(data: dict[str, Any]) -> str:
    return ""


def _say(member: str, *names: str) -> Callable[[dict[str, Any]], str]:
    """The first of these names in a member that says something."""
    return lambda data: next(
        (said for name in names if (said := text(mapping(data.get(member)).get(name)))), ""
    )


def _say_lines(member: str, *names: str) -> Callable[[dict[str, Any]], str]:
    return lambda data: _lines(*(text(mapping(data.get(member)).get(name)) for name in names))


def _say_location(data: dict[str, Any]) -> str:
    place = mapping(data.get("locationMessageData"))
    latitude, longitude = text(place.get("latitude")), text(place.get("longitude"))
    position = f"{latitude}, {longitude}" if latitude and longitude else ""
    return _lines(first_text(place, "nameLocation", "name"), first_text(place, "address"), position)


def _say_contact(data: dict[str, Any]) -> str:
    return _card(data.get("contactMessageData"))


def _say_contacts(data: dict[str, Any]) -> str:
    """The Java SDK nests them one level deeper; the notification's own member is read, too."""
    nested = mapping(data.get("messageData"))
    found = nested.get("contacts") or data.get("contacts") or []
    return _lines(*(_card(card) for card in listing(found)))


def _card(value: Any) -> str:
    card = mapping(value)
    phones = _PHONE_OF_VCARD.findall(text(card.get("vcard")))
    return _lines(first_text(card, "displayName"), *(phone.strip() for phone in phones))


def _say_poll(data: dict[str, Any]) -> str:
    poll = mapping(data.get("pollMessageData"))
    options = [first_text(mapping(option), "optionName") for option in listing(poll.get("options"))]
    return _lines(first_text(poll, "name"), *(f"- {option}" for option in options if option))


def _say_votes(data: dict[str, Any]) -> str:
    """The question, and the options that somebody has chosen by now."""
    poll = mapping(data.get("pollMessageData"))
    votes = [mapping(vote) for vote in listing(poll.get("votes"))]
    chosen = [first_text(vote, "optionName") for vote in votes if vote.get("optionVoters")]
    return _lines(first_text(poll, "name"), *(f"✓ {option}" for option in chosen if option))


def _lines(*lines: str) -> str:
    return "\n".join(line for line in lines if line)


_REPLIES = (
    "buttonsResponseMessage",
    "templateButtonReplyMessage",
    "listResponseMessage",
    "interactiveButtonsResponse",
    "pollMessageData",
)

_SAYINGS: dict[str, tuple[Kind, Callable[[dict[str, Any]], str]]] = {
    "textMessage": (Kind.TEXT, _say("textMessageData", "textMessage")),
    "extendedTextMessage": (Kind.TEXT, _say("extendedTextMessageData", "text")),
    "quotedMessage": (Kind.TEXT, _say("extendedTextMessageData", "text")),
    "locationMessage": (Kind.LOCATION, _say_location),
    "contactMessage": (Kind.CONTACT, _say_contact),
    "contactsArrayMessage": (Kind.CONTACT, _say_contacts),
    "pollMessage": (Kind.POLL, _say_poll),
    "pollUpdateMessage": (Kind.POLL, _say_votes),
    "groupInviteMessage": (Kind.TEXT, _say_lines("groupInviteMessageData", "groupName", "caption")),
    # What a person chose among the buttons and lists of a business.
    "buttonsResponseMessage": (Kind.TEXT, _say("buttonsResponseMessage", "selectedButtonText")),
    "templateButtonsReplyMessage": (
        Kind.TEXT,
        _say("templateButtonReplyMessage", "selectedDisplayText"),
    ),
    "listResponseMessage": (Kind.TEXT, _say("listResponseMessage", "title")),
    "interactiveButtonsResponse": (
        Kind.TEXT,
        _say("interactiveButtonsResponse", "selectedDisplayText", "selectedButtonText"),
    ),
    # What businesses send to businesses.
    "buttonsMessage": (Kind.TEXT, _say("buttonsMessage", "contentText")),
    "listMessage": (Kind.TEXT, _say("listMessage", "contentText", "title")),
    "templateMessage": (Kind.TEXT, _say("templateMessage", "contentText")),
    "interactiveButtons": (Kind.TEXT, _say_lines("interactiveButtons", "titleText", "contentText")),
    "interactiveButtonsReply": (
        Kind.TEXT,
        _say_lines("interactiveButtonsReply", "titleText", "contentText"),
    ),
}
