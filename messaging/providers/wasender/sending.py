"""What leaves: messages of every kind, and what is done to them afterwards.

POST /send-message takes them all; which member the body has besides `to` says the kind
(documentation of send-text-message and send-quoted-message, TypeScript SDK; polls: n8n node):

| kind | member | and |
|---|---|---|
| text | text | |
| image, video, sticker | imageUrl, videoUrl, stickerUrl | text as caption |
| audio, voice | audioUrl | both arrive as a voice note |
| document | documentUrl | fileName, text as caption |
| location | location {latitude, longitude, name, address} | |
| contact | contact {name, phone} | |
| poll | poll {question, options, multiSelect} | |

`replyTo` quotes what was sent here by its integer msgId; WhatsApp's own id of a message is refused
there. What came in is quoted by `replyToObject`, the key and the message of its webhook as they
were (help page on quoting incoming messages). Wasender fetches files itself: what has no URL of
its own is handed to POST /upload first.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from messaging.events import Kind
from messaging.providers.base import (
    Blame,
    File,
    InstanceState,
    Known,
    Outgoing,
    SendError,
    Sent,
    Via,
)
from messaging.providers.exchange import safe
from messaging.providers.reading import first_text, mapping, text

from .calls import ask, call
from .facts import digits
from .files import upload
from .messages import status_of
from .people import person_of
from .states import read_state

_FILE_MEMBERS = {
    Kind.IMAGE: "imageUrl",
    Kind.VIDEO: "videoUrl",
    Kind.AUDIO: "audioUrl",
    Kind.VOICE: "audioUrl",
    Kind.DOCUMENT: "documentUrl",
    Kind.STICKER: "stickerUrl",
}
_LID = re.compile(r"[0-9]{1,40}(@lid)?")


def send(outgoing: Outgoing, via: Via) -> Sent:
    """POST /send-message: the answer means queued there, and gives the integer msgId only."""
    body = {"to": outgoing.to, **_reply(outgoing), **_content(outgoing, via)}
    answer = call(via, "POST", "/send-message", body)
    provider_number = text(mapping(answer.get("data")).get("msgId"))
    if not provider_number:
        # It answered "done" without saying what: the message may be on its way.
        raise SendError("unreadable_answer", "no msgId", unknown=True)
    return Sent(provider_number=provider_number)


def find_sent(via: Via, provider_number: str) -> Sent | None:
    """GET /messages/{msgId}/info: WhatsApp's own id of a message, and how far it got."""
    if not digits(provider_number):
        return None
    try:
        answer = ask(via, "GET", f"/messages/{provider_number}/info")
    except SendError as error:
        if error.code == "not_found":
            return None
        raise
    message = mapping(answer.get("data"))
    external_id = first_text(mapping(message.get("key")), "id") or first_text(message, "id")
    status = status_of(message.get("status"))
    return Sent(external_id=external_id, provider_number=provider_number, status=status)


def check(via: Via) -> InstanceState:
    """GET /status: the state of the session whose key this is."""
    answer = ask(via, "GET", "/status")
    said = first_text(answer, "status") or first_text(mapping(answer.get("data")), "status")
    state = read_state(said, "")
    if state is None:
        raise SendError("unknown_state", safe(said, via))
    return InstanceState(state=state.state, reason=state.reason)


def mark_read(known: Known, via: Via) -> None:
    """POST /messages/read with the message's key (n8n node)."""
    chat = known.chat if "@" in known.chat else f"{known.chat.lstrip('+')}@s.whatsapp.net"
    key: dict[str, Any] = {"id": known.external_id, "remoteJid": chat, "fromMe": False}
    if known.author:
        key["participant"] = known.author
    _change(via, "POST", "/messages/read", {"key": key})


def edit(known: Known, said: str, via: Via) -> None:
    """PUT /messages/{msgId} with the new text (n8n node)."""
    _change(via, "PUT", _own_message(known), {"text": said})


def delete(known: Known, via: Via) -> None:
    """DELETE /messages/{msgId}: withdrawn for everyone (n8n node)."""
    _change(via, "DELETE", _own_message(known))


def has_number(known: Known) -> bool:
    """Whether a message was sent here: what left elsewhere has no number and cannot be changed."""
    return bool(digits(known.provider_number))


def find_phone(lid: str, via: Via) -> str:
    """GET /pn-from-lid/{lid}: the number behind it, "" where Wasender does not know it."""
    if not _LID.fullmatch(lid):
        return ""
    try:
        answer = ask(via, "GET", f"/pn-from-lid/{lid.removesuffix('@lid')}")
    except SendError as error:
        if error.code == "not_found":
            return ""
        raise
    # The page shows no answer; the name of the address is what the member is called.
    found = mapping(answer.get("data")) or answer
    return person_of({"senderPn": found.get("pn")}, from_us=False, name="").phone


def _change(via: Via, method: str, path: str, body: dict[str, Any] | None = None) -> None:
    """Something done to one message: what Wasender does not know is that message."""
    try:
        ask(via, method, path, body)
    except SendError as error:
        if error.code != "not_found":
            raise
        raise SendError(error.code, error.detail, blame=Blame.MESSAGE) from error


def _own_message(known: Known) -> str:
    number = digits(known.provider_number)
    if not number:
        raise SendError("no_number", "", blame=Blame.MESSAGE)
    return f"/messages/{number}"


def _reply(outgoing: Outgoing) -> dict[str, Any]:
    number = digits(outgoing.reply_to_number)
    if number:
        return {"replyTo": int(number)}
    told = {name: mapping(outgoing.reply_to_raw.get(name)) for name in ("key", "message")}
    # A quote of nothing known would be refused; the message matters more than its quote.
    return {"replyToObject": told} if all(told.values()) else {}


def _content(outgoing: Outgoing, via: Via) -> Mapping[str, Any]:
    if outgoing.kind in _FILE_MEMBERS:
        return _file(outgoing, via)
    if outgoing.kind in _MEMBERS:
        member = _MEMBERS[outgoing.kind](outgoing)
        if member:
            return member
    raise SendError("unsupported_kind", outgoing.kind.value, blame=Blame.MESSAGE)


def _file(outgoing: Outgoing, via: Via) -> dict[str, Any]:
    file = outgoing.file
    if file is None or not (file.url or file.content):
        raise SendError("file_missing", outgoing.kind.value, blame=Blame.MESSAGE)
    body = {_FILE_MEMBERS[outgoing.kind]: file.url or upload(file, via)}
    if outgoing.kind is Kind.DOCUMENT:
        body |= _file_name(file)
    return body | ({"text": outgoing.text} if outgoing.text else {})


def _file_name(file: File) -> dict[str, str]:
    return {"fileName": file.file_name} if file.file_name else {}


def _place(outgoing: Outgoing) -> Mapping[str, Any]:
    place = outgoing.place
    if place is None:
        return {}
    named = {"name": place.name, "address": place.address}
    location = {"latitude": place.latitude, "longitude": place.longitude}
    return {"location": location | {name: said for name, said in named.items() if said}}


def _card(outgoing: Outgoing) -> Mapping[str, Any]:
    card = outgoing.card
    return {"contact": {"name": card.name, "phone": card.phone}} if card else {}


def _poll(outgoing: Outgoing) -> Mapping[str, Any]:
    poll = outgoing.poll
    if poll is None:
        return {}
    asked = {"question": poll.question, "options": list(poll.options)}
    return {"poll": {**asked, "multiSelect": poll.several}}


_MEMBERS: dict[Kind, Callable[[Outgoing], Mapping[str, Any]]] = {
    Kind.TEXT: lambda outgoing: {"text": outgoing.text},
    Kind.LOCATION: _place,
    Kind.CONTACT: _card,
    Kind.POLL: _poll,
}
