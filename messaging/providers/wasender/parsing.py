"""Wasender's webhooks as events.

What is read is decided by the shape of a body, not by the path it was posted to: the shapes are
not uniform (`data.messages` is an object, an array, or `data` is itself the message), and the
same message comes two or three times where several events are subscribed, under the same key.id.

| what arrives | event | what a person sees |
|---|---|---|
| messages.received, messages.upsert, messages-personal.received, messages-group.received, messages-newsletter.received, message.sent | Received | the message; a placeholder where its kind is unknown |
| … text, buttons, lists, interactive answers, invitations, events | Received TEXT | the words |
| … image, video, audio, document, sticker, wrapped or not | Received of that kind with an attachment | the file, once POST /decrypt-media has opened it |
| … location, live location | Received LOCATION | name, address, position |
| … contact, contacts | Received CONTACT | names and numbers |
| … poll | Received POLL | the question and its options |
| … a vote in a poll, a pin, an order, a product, anything newer | Received PLACEHOLDER | a placeholder: votes come encrypted |
| … contextInfo.stanzaId | `reply_to` | what is quoted |
| … in a group (`@g.us`) | Received with `group` | the message, under who wrote it; nobody answers it automatically |
| … fromMe | Received with `from_us` | our message: the echo of a send, or what was written on the phone |
| … only a LID in its key | Received, Person with lid alone | the message; POST /send-message takes the LID, GET /pn-from-lid may tell the number |
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

from collections.abc import Callable
from typing import Any

from messaging.events import Event
from messaging.providers.base import BadPayload
from messaging.providers.reading import listing

from .facts import ignored, unlisted
from .instance import read_qr, read_session
from .messages import (
    deleted_keys,
    message_items,
    read_deleted,
    read_message,
    read_reaction,
    read_update,
    unlisted_message,
)
from .payloads import Post, read_post
from .replaced import read_old

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


def parse(body: bytes, reference: str) -> list[Event]:
    """The facts in a body, or `BadPayload`."""
    post = read_post(body, reference)
    if post.name in _IGNORED:
        return [ignored(post, post.data, _IGNORED[post.name])]
    items, read = _READERS.get(post.name, (message_items, unlisted_message))
    # One unreadable item never hides the others: it stays visible as what it is.
    events = [read(post, item) or unlisted(post, item) for item in items(post.data)]
    if not events:
        raise BadPayload("nothing in it")
    return events


_Reader = tuple[Callable[[Any], list[Any]], Callable[[Post, Any], Event | None]]
_MESSAGES: _Reader = (message_items, read_message)
_OLD: _Reader = (message_items, read_old)

_READERS: dict[str, _Reader] = {
    "messages.received": _MESSAGES,
    "messages.recieved": _MESSAGES,  # As the Python SDK spells it.
    "messages.upsert": _MESSAGES,
    "messages-personal.received": _MESSAGES,
    "messages-group.received": _MESSAGES,
    "messages-newsletter.received": _MESSAGES,
    "message.sent": _MESSAGES,
    "messages.update": (listing, read_update),
    "messages.reaction": (listing, read_reaction),
    "messages.delete": (deleted_keys, read_deleted),
    "session.status": (listing, read_session),
    "qrcode.updated": (listing, read_qr),
    "message": _OLD,
    "message.received": _OLD,
    "status": _OLD,
    "message.status": _OLD,
    "connection": _OLD,
    "connection.update": _OLD,
    "": _OLD,
}
