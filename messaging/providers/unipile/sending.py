"""What leaves: texts and files.

v1 takes forms: POST /chats to a person, who then has a chat, POST /chats/{id}/messages where the
chat's id is known: in groups, and to quote. v2 takes JSON, files in base64; there a person's chat
is called by the person's own id, and POST /chats/send starts one that is not there yet.
"""

import base64
from typing import Any
from urllib.parse import quote

from messaging.events import Kind
from messaging.providers.base import Blame, File, Outgoing, SendError, Sent, Via
from messaging.providers.jids import lid_of, phone_of
from messaging.providers.reading import identifier

from .calls import V2, Part, account, ask, call, version
from .said import CHATS

_FILES = (Kind.IMAGE, Kind.VIDEO, Kind.DOCUMENT, Kind.AUDIO, Kind.VOICE, Kind.STICKER)


def send(outgoing: Outgoing, via: Via) -> Sent:
    """Hand one message to Unipile, which sends it at once."""
    if outgoing.kind is not Kind.TEXT and outgoing.kind not in _FILES:
        raise SendError("unsupported_kind", outgoing.kind.value, blame=Blame.MESSAGE)
    file = _file(outgoing)
    answer = _send_v2(outgoing, file, via) if version(via) == V2 else _send_v1(outgoing, file, via)
    message_id = identifier(answer, "message_id")
    if not message_id:
        # It answered "done" without saying what: the message may be on its way.
        raise SendError("unreadable_answer", "no message_id", unknown=True)
    return Sent(external_id=message_id)


def user_id(address: str) -> str:
    """`+33612345678` is `33612345678@s.whatsapp.net` there; a LID is what it is."""
    if lid := lid_of(address):
        return lid
    digits = "".join(each for each in phone_of(address) if each in "0123456789")
    if not digits:
        raise SendError("recipient", blame=Blame.RECIPIENT)
    return f"{digits}@s.whatsapp.net"


def _send_v1(outgoing: Outgoing, file: File | None, via: Via) -> dict[str, Any]:
    chat = outgoing.to.removesuffix(CHATS) if outgoing.to.endswith(CHATS) else ""
    form = [_field("text", outgoing.text), *_upload(file)]
    if chat:
        return _into_chat(chat, outgoing, form, via)
    if outgoing.reply_to and (chat := _chat_of(outgoing.reply_to, via)):
        return _into_chat(chat, outgoing, form, via)
    to = [
        _field("account_id", via.reference),
        _field("attendees_ids", user_id(outgoing.to)),
    ]
    return call(via, "POST", "/chats", form=[*to, *form])


def _into_chat(chat: str, outgoing: Outgoing, form: list[Part], via: Via) -> dict[str, Any]:
    quoted = [_field("quote_id", outgoing.reply_to)] if outgoing.reply_to else []
    path = f"/chats/{quote(chat, safe='')}/messages"
    return call(via, "POST", path, form=[*form, *quoted])


def _chat_of(message_id: str, via: Via) -> str:
    """The chat a quoted message stands in; the answer matters more than its quote."""
    try:
        answer = ask(via, "GET", f"/messages/{quote(message_id, safe='')}")
    except SendError as error:
        if error.code != "not_found":
            raise
        return ""
    return identifier(answer, "chat_id")


def _send_v2(outgoing: Outgoing, file: File | None, via: Via) -> dict[str, Any]:
    is_group = outgoing.to.endswith("@g.us")
    to = outgoing.to if is_group else user_id(outgoing.to)
    body: dict[str, Any] = {"text": outgoing.text}
    if file:
        body["attachments"] = [_encoded(file)]
    quoted = {"quote_id": outgoing.reply_to} if outgoing.reply_to else {}
    try:
        path = f"/{account(via)}/chats/{quote(to, safe='')}/messages/send"
        return call(via, "POST", path, {**body, **quoted})
    except SendError as error:
        if error.code != "not_found" or is_group:
            raise
    return call(via, "POST", f"/{account(via)}/chats/send", {**body, "users_ids": [to]})


def _file(outgoing: Outgoing) -> File | None:
    if outgoing.kind is Kind.TEXT:
        return None
    if outgoing.file is None or not outgoing.file.content:
        # Unipile fetches nothing: without its content there is no file.
        raise SendError("file_missing", outgoing.kind.value, blame=Blame.MESSAGE)
    return outgoing.file


def _field(name: str, value: str) -> Part:
    return name, (None, value.encode())


def _upload(file: File | None) -> list[Part]:
    if file is None:
        return []
    name = file.file_name or "file"
    return [("attachments", (name, file.content, file.mime_type or "application/octet-stream"))]


def _encoded(file: File) -> dict[str, str]:
    return {
        "content": base64.b64encode(file.content).decode("ascii"),
        "content_type": file.mime_type or "application/octet-stream",
        "filename": file.file_name or "file",
    }
