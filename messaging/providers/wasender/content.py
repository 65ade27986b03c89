"""What a WhatsApp message is made of, as Wasender passes it on.

`message` is the protobuf of the Baileys library as JSON: one member per kind of content, at times
wrapped (view once, disappearing, document with caption). `messageBody` is Wasender's own summary,
the text or the caption.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from messaging.events import Attachment, Kind
from messaging.providers.reading import (
    first_text,
    hash_in_hexadecimal,
    listing,
    mapping,
    number,
    text,
)

_DEEPEST_WRAPPING = 6
_VIEW_ONCE = ("viewOnceMessage", "viewOnceMessageV2", "viewOnceMessageV2Extension")
_WRAPPERS = (
    *_VIEW_ONCE,
    "ephemeralMessage",
    "documentWithCaptionMessage",
    "deviceSentMessage",
    "groupMentionedMessage",
    "lottieStickerMessage",
    "editedMessage",
)

_FILES = {
    "imageMessage": Kind.IMAGE,
    "videoMessage": Kind.VIDEO,
    "ptvMessage": Kind.VIDEO,
    "audioMessage": Kind.AUDIO,
    "documentMessage": Kind.DOCUMENT,
    "stickerMessage": Kind.STICKER,
}
# What POST /decrypt-media needs to open a file, and no thumbnail.
_FILE_REFERENCE = (
    "url",
    "directPath",
    "mimetype",
    "mediaKey",
    "fileSha256",
    "fileEncSha256",
    "fileLength",
    "fileName",
)
_PHONE_OF_VCARD = re.compile(r"^(?:item\d+\.)?TEL[^:\r\n]*:(.+)$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Parts:
    """A message without its wrappers, and what the wrappers said."""

    parts: dict[str, Any]
    view_once: bool = False
    edited: bool = False


@dataclass(frozen=True)
class Content:
    """What a message says."""

    kind: Kind
    text: str = ""
    reply_to: str = ""
    attachments: tuple[Attachment, ...] = ()


def unwrap(message: Any) -> Parts:
    """The message inside its wrappers."""
    parts = mapping(message)
    view_once = edited = False
    for _ in range(_DEEPEST_WRAPPING):
        wrapper = next((name for name in _WRAPPERS if _wrapped(parts, name)), None)
        if wrapper is None:
            break
        view_once = view_once or wrapper in _VIEW_ONCE
        edited = edited or wrapper == "editedMessage"
        parts = _wrapped(parts, wrapper)
    flagged = any(mapping(part).get("viewOnce") is True for part in parts.values())
    return Parts(parts, view_once=view_once or flagged, edited=edited)


def read_content(parts: dict[str, Any], message_body: str, message_id: str) -> Content:
    """What the message says; a placeholder where it says it in a way we do not know."""
    for name, part in parts.items():
        if name in _FILES:
            return _file(name, mapping(part), message_body, message_id)
        if name in _SAYINGS:
            kind, say = _SAYINGS[name]
            if said := say(part):
                return Content(kind, said, _quoted(part))
    if message_body and not _contents(parts):
        return Content(Kind.TEXT, message_body)
    return Content(Kind.PLACEHOLDER, message_body)


def _wrapped(parts: dict[str, Any], name: str) -> dict[str, Any]:
    return mapping(mapping(parts.get(name)).get("message"))


def _contents(parts: dict[str, Any]) -> list[str]:
    return [
        name
        for name, part in parts.items()
        if part not in (None, "", {}) and name not in BOOKKEEPING
    ]


BOOKKEEPING = frozenset({"messageContextInfo", "senderKeyDistributionMessage"})
"""Members that accompany a content, or come alone when a group's keys change."""


def _quoted(part: Any) -> str:
    return first_text(mapping(mapping(part).get("contextInfo")), "stanzaId")


def _file(name: str, part: dict[str, Any], message_body: str, message_id: str) -> Content:
    kind = _FILES[name]
    if kind is Kind.AUDIO and part.get("ptt") is True:
        kind = Kind.VOICE
    size = number(part.get("fileLength"))
    wanted = {field: part[field] for field in _FILE_REFERENCE if field in part}
    attachment = Attachment(
        kind=kind,
        mime_type=text(part.get("mimetype")),
        file_name=first_text(part, "fileName", "title"),
        size=None if size is None else int(size),
        sha256=hash_in_hexadecimal(part.get("fileSha256")),
        reference={"key": {"id": message_id}, "message": {name: wanted}},
    )
    said = text(part.get("caption")) or message_body
    return Content(kind, said, _quoted(part), (attachment,))


def _say_location(part: Any) -> str:
    place = mapping(part)
    latitude, longitude = text(place.get("degreesLatitude")), text(place.get("degreesLongitude"))
    position = f"{latitude}, {longitude}" if latitude and longitude else ""
    return _lines(first_text(place, "name"), first_text(place, "address"), position)


def _say_contact(part: Any) -> str:
    card = mapping(part)
    phones = _PHONE_OF_VCARD.findall(text(card.get("vcard")))
    return _lines(first_text(card, "displayName"), *(phone.strip() for phone in phones))


def _say_contacts(part: Any) -> str:
    return _lines(*(_say_contact(card) for card in listing(mapping(part).get("contacts"))))


def _say_poll(part: Any) -> str:
    poll = mapping(part)
    options = [first_text(mapping(option), "optionName") for option in listing(poll.get("options"))]
    return _lines(first_text(poll, "name"), *(f"- {option}" for option in options if option))


def _saying(*names: str) -> Callable[[Any], str]:
    return lambda part: next(
        (said for name in names if (said := text(mapping(part).get(name)))), ""
    )


def _say_lines(*names: str) -> Callable[[Any], str]:
    return lambda part: _lines(*(text(mapping(part).get(name)) for name in names))


def _say_body(part: Any) -> str:
    return text(mapping(mapping(part).get("body")).get("text"))


def _lines(*lines: str) -> str:
    return "\n".join(line for line in lines if line)


_SAYINGS: dict[str, tuple[Kind, Callable[[Any], str]]] = {
    "conversation": (Kind.TEXT, text),
    "extendedTextMessage": (Kind.TEXT, _saying("text")),
    "buttonsResponseMessage": (Kind.TEXT, _saying("selectedDisplayText")),
    "templateButtonReplyMessage": (Kind.TEXT, _saying("selectedDisplayText")),
    "listResponseMessage": (Kind.TEXT, _saying("title")),
    "interactiveResponseMessage": (Kind.TEXT, _say_body),
    # What businesses send to businesses.
    "buttonsMessage": (Kind.TEXT, _saying("contentText")),
    "listMessage": (Kind.TEXT, _saying("description", "title")),
    "interactiveMessage": (Kind.TEXT, _say_body),
    "groupInviteMessage": (Kind.TEXT, _say_lines("groupName", "caption")),
    "eventMessage": (Kind.TEXT, _say_lines("name", "description")),
    "locationMessage": (Kind.LOCATION, _say_location),
    "liveLocationMessage": (Kind.LOCATION, _say_location),
    "contactMessage": (Kind.CONTACT, _say_contact),
    "contactsArrayMessage": (Kind.CONTACT, _say_contacts),
    "pollCreationMessage": (Kind.POLL, _say_poll),
    "pollCreationMessageV2": (Kind.POLL, _say_poll),
    "pollCreationMessageV3": (Kind.POLL, _say_poll),
}
