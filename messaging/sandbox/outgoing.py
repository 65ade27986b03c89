"""What `POST /send-message` accepts, and what WhatsApp would make of it."""

import mimetypes
import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from .store import E164, Message

MEDIA = {
    "imageUrl": "imageMessage",
    "videoUrl": "videoMessage",
    "documentUrl": "documentMessage",
    "audioUrl": "audioMessage",
    "stickerUrl": "stickerMessage",
}
KINDS = {
    "imageUrl": "image",
    "videoUrl": "video",
    "documentUrl": "document",
    "audioUrl": "audio",
    "stickerUrl": "sticker",
    "contact": "contact",
    "location": "location",
    "poll": "poll",
}
# The documentation names numbers, groups and newsletters. WhatsApp also routes by LID, and a
# customer who hides their number can be answered in no other way.
JID = re.compile(r"[0-9]+(-[0-9]+)?@(g\.us|newsletter|s\.whatsapp\.net|lid)")


class Invalid(Exception):
    """A request body that the real service answers with 422; says which field and why."""

    def __init__(self, errors: dict[str, list[str]]):
        super().__init__(str(errors))
        self.errors = errors


@dataclass
class _Errors:
    found: dict[str, list[str]] = field(default_factory=dict)

    def add(self, name: str, message: str) -> None:
        self.found.setdefault(name, []).append(message)

    def raise_any(self) -> None:
        if self.found:
            raise Invalid(self.found)


@dataclass(frozen=True)
class Outgoing:
    """One accepted request: who it is for and what it says, not yet stored."""

    to: str
    jid: str
    kind: str
    text: str
    content: dict
    reply_to: int | None
    reply_to_key: str


def read_send_request(body: dict) -> Outgoing:
    """The message a request asks for, or `Invalid` with every field that is wrong."""
    errors = _Errors()
    _check_recipient(body.get("to"), errors)
    part = _check_parts(body, errors)
    _check_options(body, errors)
    errors.raise_any()
    text = body.get("text") or ""
    return Outgoing(
        to=body["to"],
        jid=_jid(body["to"]),
        kind=KINDS.get(part, "text"),
        text=text,
        content=_content(part, body, text),
        reply_to=body.get("replyTo"),
        reply_to_key=body["replyToObject"]["key"]["id"] if body.get("replyToObject") else "",
    )


def quoting(content: dict, quoted: Message, quoted_by: str) -> dict:
    """The same content as an answer to an earlier message."""
    context = {
        "stanzaId": quoted.key_id,
        "participant": quoted_by,
        "quotedMessage": quoted.content,
    }
    if "conversation" in content:
        text = {"text": content["conversation"], "contextInfo": context}
        return {"extendedTextMessage": text}
    return {kind: {**part, "contextInfo": context} for kind, part in content.items()}


def _check_recipient(to, errors: _Errors) -> None:
    if to in (None, ""):
        errors.add("to", "The to field is required.")
    elif not isinstance(to, str):
        errors.add("to", "The to field must be a string.")
    elif not _is_address(to):
        errors.add("to", "The to field must be a phone number in E.164 format or a JID.")


def _is_address(to: str) -> bool:
    if "@" in to:
        return JID.fullmatch(to) is not None
    return E164.fullmatch(to) is not None


def _check_parts(body: dict, errors: _Errors) -> str | None:
    """Exactly one thing is sent; which one, or None for plain text."""
    parts = [name for name in KINDS if body.get(name) is not None]
    text = body.get("text")
    if text is not None and not isinstance(text, str):
        errors.add("text", "The text field must be a string.")
    elif not parts and not (text or "").strip():
        errors.add("text", "The text field is required when no media is present.")
    for extra in parts[1:]:
        errors.add(extra, f"The {extra} field cannot be sent together with {parts[0]}.")
    for name in parts:
        _check_part(name, body[name], errors)
    return parts[0] if parts else None


def _check_part(name: str, value, errors: _Errors) -> None:
    if name in MEDIA:
        if not _is_web_address(value):
            errors.add(name, f"The {name} field must be a valid URL.")
    elif not isinstance(value, dict):
        errors.add(name, f"The {name} field must be an object.")
    else:
        _OBJECT_CHECKS[name](value, errors)


def _check_contact(contact: dict, errors: _Errors) -> None:
    for name in ("name", "phone"):
        if not isinstance(contact.get(name), str) or not contact[name].strip():
            errors.add(f"contact.{name}", f"The contact.{name} field is required.")


def _check_location(location: dict, errors: _Errors) -> None:
    for name, limit in (("latitude", 90), ("longitude", 180)):
        value = location.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > limit:
            errors.add(
                f"location.{name}", f"The location.{name} field must be a number of degrees."
            )


def _check_poll(poll: dict, errors: _Errors) -> None:
    options = poll.get("options")
    if not isinstance(poll.get("question"), str) or not poll["question"].strip():
        errors.add("poll.question", "The poll.question field is required.")
    if not isinstance(options, list) or len(options) < 2:
        errors.add("poll.options", "The poll.options field must have at least 2 items.")
    elif not all(isinstance(option, str) for option in options):
        errors.add("poll.options", "Every item of the poll.options field must be a string.")
    if not isinstance(poll.get("multiSelect", False), bool):
        errors.add("poll.multiSelect", "The poll.multiSelect field must be true or false.")


_OBJECT_CHECKS = {"contact": _check_contact, "location": _check_location, "poll": _check_poll}


def _check_options(body: dict, errors: _Errors) -> None:
    reply_to = body.get("replyTo")
    if reply_to is not None and type(reply_to) is not int:
        errors.add("replyTo", "The replyTo field must be an integer.")
    if body.get("replyToObject") is not None and not _is_webhook_message(body["replyToObject"]):
        errors.add("replyToObject", "The replyToObject field must hold a key and a message.")
    if not isinstance(body.get("viewOnce", False), bool):
        errors.add("viewOnce", "The viewOnce field must be true or false.")
    if not isinstance(body.get("mentions", []), list):
        errors.add("mentions", "The mentions field must be an array.")
    if not isinstance(body.get("fileName", ""), str):
        errors.add("fileName", "The fileName field must be a string.")


def _is_webhook_message(value) -> bool:
    key = value.get("key") if isinstance(value, dict) else None
    return (
        isinstance(key, dict)
        and isinstance(key.get("id"), str)
        and isinstance(value.get("message"), dict)
    )


def _is_web_address(value) -> bool:
    if not isinstance(value, str):
        return False
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _jid(to: str) -> str:
    return to if "@" in to else f"{to.removeprefix('+')}@s.whatsapp.net"


def _content(part: str | None, body: dict, text: str) -> dict:
    if part is None:
        return {"conversation": text}
    if part in MEDIA:
        return {MEDIA[part]: _media(part, body, text)}
    return _OBJECT_CONTENTS[part](body[part])


def _media(part: str, body: dict, caption: str) -> dict:
    url = body[part]
    name = unquote(PurePosixPath(urlsplit(url).path).name)
    media = {
        "url": url,
        "mimetype": mimetypes.guess_type(name)[0] or "application/octet-stream",
    }
    if caption:
        media["caption"] = caption
    if part == "documentUrl":
        media["fileName"] = body.get("fileName") or name
    if part == "audioUrl":
        media["ptt"] = True
    if body.get("viewOnce"):
        media["viewOnce"] = True
    return media


def _contact(contact: dict) -> dict:
    lines = ("BEGIN:VCARD", "VERSION:3.0", f"FN:{contact['name']}", f"TEL:{contact['phone']}")
    card = "\n".join((*lines, "END:VCARD"))
    return {"contactMessage": {"displayName": contact["name"], "vcard": card}}


def _location(location: dict) -> dict:
    place = {
        "degreesLatitude": location["latitude"],
        "degreesLongitude": location["longitude"],
        "name": location.get("name") or "",
        "address": location.get("address") or "",
    }
    return {"locationMessage": place}


def _poll(poll: dict) -> dict:
    options = [{"optionName": option} for option in poll["options"]]
    # WhatsApp writes "as many as you like" as none.
    count = 0 if poll.get("multiSelect") else 1
    asked = {"name": poll["question"], "options": options, "selectableOptionsCount": count}
    return {"pollCreationMessage": asked}


_OBJECT_CONTENTS = {"contact": _contact, "location": _location, "poll": _poll}
