"""Green-API's notifications as events.

| what arrives | event | what a person sees |
|---|---|---|
| incomingMessageReceived | Received | the message; a placeholder where its kind is unknown |
| outgoingMessageReceived, outgoingAPIMessageReceived | Received with `from_us` | our message: written on the phone, by another program, or the echo of a send |
| … textMessage, extendedTextMessage, quotedMessage, buttons, lists, invitations | Received TEXT | the words |
| … imageMessage, videoMessage, audioMessage, documentMessage, stickerMessage | Received of that kind with an attachment | the file, once it is fetched |
| … audioMessage of type audio/ogg | Received VOICE | a voice note |
| … locationMessage | Received LOCATION | name, address, position |
| … contactMessage, contactsArrayMessage | Received CONTACT | names and numbers |
| … pollMessage, pollUpdateMessage | Received POLL | the question with its options; with those chosen by now |
| … {{SWE001}}, {{SWE003}} for a text | Received PLACEHOLDER | a placeholder: WhatsApp gave no content, or nobody could decrypt it |
| … {{SWE002}} for a file | Received with an attachment | the file is too large for the provider (100 MB) |
| … anything newer | Received PLACEHOLDER | a placeholder |
| … stanzaId beside the content | `reply_to` | what is quoted |
| … in a group (`@g.us`) | Received with `group` | the message, under who wrote it |
| … only a LID in its chat | Received, Person with lid alone | the message; sends take the LID |
| … editedMessage | Edited | the new text |
| … deletedMessage | Deleted | a tombstone |
| … reactionMessage | Reacted | the emoji on the message |
| outgoingMessageStatus sent, delivered, read, played | StatusChanged | how far the message got |
| outgoingMessageStatus failed, noAccount, notInGroup, yellowCard | StatusChanged FAILED | that it failed, with the provider's word and description |
| outgoingMessageStatus pending | Ignored | nothing: it says nothing new |
| stateInstanceChanged | InstanceChanged | the state of the instance |
| quotaExceeded | InstanceChanged with the reason | that the plan is spent, and what of it |
| statusInstanceChanged | Ignored | nothing: the socket comes and goes; stateInstanceChanged says whether it can send |
| incomingCall, outgoingCall | Ignored | nothing |
| incomingBlock | Ignored | nothing: a send to them fails and says so |
| deviceInfo | Ignored | nothing |
| status@broadcast | Ignored | nothing: a story |
| a newsletter's post without author | Ignored | nothing: nobody to answer |
| a line of a journal, read after a gap | as the notification it stands for | what was missed |
| anything else | Unlisted | staff see it in the instance's events |

Sources: green-api.com's documentation of its notifications and its common errors, its Java and
C++ webhook servers, its JavaScript SDK.
"""  # noqa: E501

from collections.abc import Callable

from messaging.events import Event
from messaging.providers.base import JOURNAL_ROUTE

from .account import read_quota, read_state
from .journal import parse_line
from .messages import read_message, read_status
from .posts import Post, ignored, read_post, unlisted

_IGNORED = {
    "statusInstanceChanged": "socket state",
    "incomingCall": "call",
    "outgoingCall": "call",
    "incomingBlock": "block",
    "deviceInfo": "device",
}

_READERS: dict[str, Callable[[Post], Event | None]] = {
    "incomingMessageReceived": read_message,
    "outgoingMessageReceived": read_message,
    "outgoingAPIMessageReceived": read_message,
    "outgoingMessageStatus": read_status,
    "stateInstanceChanged": read_state,
    "quotaExceeded": read_quota,
}


def parse(body: bytes, reference: str, route: str) -> list[Event]:
    """The facts in a body, or `BadPayload`."""
    if route == JOURNAL_ROUTE:
        return parse_line(body, reference)
    post = read_post(body, reference)
    if post.type in _IGNORED:
        return [ignored(post, _IGNORED[post.type])]
    read = _READERS.get(post.type, unlisted)
    return [read(post) or unlisted(post)]
