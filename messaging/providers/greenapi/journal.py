"""What Green-API keeps of the last messages, read again after a gap.

A line of a journal says the same as a notification in other places; it becomes one first, so
that both are read by the same code and have the same ids. What was told already stays told once.
"""

import json
from typing import Any

from messaging.events import Event
from messaging.providers.base import BadPayload, SendError, Via
from messaging.providers.reading import first_text, identifier, mapping, read_json, text

from .calls import ask
from .messages import deleted, read_message, status_of
from .posts import Post, unlisted

_METHODS = ("lastIncomingMessages", "lastOutgoingMessages")
# Where a line has what a notification has under another name.
_MEMBERS = {
    "extendedTextMessage": "extendedTextMessageData",
    "location": "locationMessageData",
    "contact": "contactMessageData",
    "pollMessage": "pollMessageData",
}


def read_journal(via: Via, minutes: int) -> list[bytes]:
    """GET lastIncomingMessages and lastOutgoingMessages: one body for each line."""
    lines: list[Any] = []
    for method in _METHODS:
        answer = ask(via, "GET", method, params={"minutes": str(minutes)})
        if not isinstance(answer, list):
            raise SendError("unreadable_answer", "not a list", retry=True)
        lines += [line for line in answer if isinstance(line, dict)]
    # The provider lists the newest first.
    lines.sort(key=lambda line: text(line.get("timestamp")).zfill(12))
    return [json.dumps(line, separators=(",", ":")).encode() for line in lines]


def parse_line(body: bytes, reference: str) -> list[Event]:
    """The facts in one line: the message, and how far it got where it is ours."""
    line = read_json(body, without={"jpegThumbnail"})
    if not isinstance(line, dict) or not identifier(line, "idMessage"):
        raise BadPayload("not a line of a journal")
    post = Post(_type_of(line), _as_notification(line), reference)
    said = read_message(post) or unlisted(post)
    withdrawn = deleted(post, identifier(line, "idMessage")) if line.get("isDeleted") else None
    status = status_of(post, text(line.get("statusMessage")).strip())
    return [event for event in (said, status, withdrawn) if event is not None]


def _type_of(line: dict[str, Any]) -> str:
    if text(line.get("type")) != "outgoing":
        return "incomingMessageReceived"
    by_api = line.get("sendByApi") is True
    return "outgoingAPIMessageReceived" if by_api else "outgoingMessageReceived"


def _as_notification(line: dict[str, Any]) -> dict[str, Any]:
    sender = {
        "chatId": line.get("chatId"),
        "sender": first_text(line, "senderId", "chatId"),
        "senderName": line.get("senderName"),
        "senderContactName": line.get("senderContactName"),
    }
    return {
        "idMessage": line.get("idMessage"),
        "timestamp": line.get("timestamp"),
        "senderData": sender,
        "messageData": _content_of(line),
    }


def _content_of(line: dict[str, Any]) -> dict[str, Any]:
    words = text(line.get("textMessage")) or text(
        mapping(line.get("extendedTextMessage")).get("text")
    )
    renamed = {new: line[old] for old, new in _MEMBERS.items() if old in line}
    return {
        # Names that are the same in both come first.
        **line,
        "textMessageData": {"textMessage": line.get("textMessage")},
        "extendedTextMessageData": {"text": words},
        "fileMessageData": line,
        "editedMessageData": {
            "textMessage": words,
            "caption": line.get("caption"),
            "stanzaId": line.get("editedMessageId"),
        },
        "deletedMessageData": {"stanzaId": line.get("deletedMessageId")},
        **renamed,
    }
