"""Unipile's webhooks as events, v1's and v2's.

| what arrives (v1 · v2) | event | what a person sees |
|---|---|---|
| message_received · message.new | Received | the message |
| … whose sender owns the account | Received with `from_us` | our message: written on the phone, or the echo of a send |
| … ours, without saying to whom | StatusChanged SENT | the tick on what we sent |
| … with attachments | Received of the first one's kind | the files, once they are fetched |
| … without words and attachments (a place, a card, a poll) | Received PLACEHOLDER | a placeholder |
| … in a group | Received with `group` | the message, under who wrote it |
| … only a LID as sender | Received, Person with lid alone | the message; sends take the LID |
| … an event of the chat (`is_event`) | Ignored | nothing: somebody joined, a name changed |
| … a story (`status@broadcast`) | Ignored | nothing |
| … of an account that is not WhatsApp | Unlisted | staff see it in the instance's events |
| message_edited · message.update | Edited | the new text |
| … · message.update without `is_edited` | Ignored | nothing: its words are the same |
| message_deleted · message.delete | Deleted | a tombstone |
| message_reaction · message.reaction.new | Reacted | the emoji on the message |
| message_delivered · message.receipt.delivery | StatusChanged DELIVERED | that it arrived |
| message_read · message.receipt.read | StatusChanged READ | that it was read |
| AccountStatus · account.status.*, account.add, account.reconnect, account.remove | InstanceChanged | the state of the instance |
| account.initial_sync.* | Ignored | nothing: old messages being read |
| mail_* · email.* | Ignored | nothing: another medium |
| tracking, relations, calendars, chats' settings, calls | Ignored | nothing |
| anything else | Unlisted | staff see it in the instance's events |

Unipile has no event for a send that failed: it answers the send itself with an error.
Sources: developer.unipile.com's pages on webhooks and the account's life, its Node SDK (v1) and
its Python SDK (v2, beta).
"""  # noqa: E501

from collections.abc import Callable

from messaging.events import Event, Status

from .account import read_status
from .messages import read_deletion, read_edit, read_message, read_reaction, receipt
from .posts import Post, ignored, read_post, unlisted

_READERS: dict[str, Callable[[Post], Event | None]] = {
    "message_received": read_message,
    "message_edited": read_edit,
    "message_deleted": read_deletion,
    "message_reaction": read_reaction,
    "message_delivered": receipt(Status.DELIVERED),
    "message_read": receipt(Status.READ),
    "AccountStatus": read_status,
    "message.new": read_message,
    "message.update": read_edit,
    "message.delete": read_deletion,
    "message.reaction.new": read_reaction,
    "message.receipt.delivery": receipt(Status.DELIVERED),
    "message.receipt.read": receipt(Status.READ),
    "account.status.running": read_status,
    "account.status.disconnected": read_status,
    "account.status.errored": read_status,
    "account.status.paused": read_status,
    "account.add": read_status,
    "account.reconnect": read_status,
    "account.remove": read_status,
}

# By how the name begins.
_IGNORED = {
    "account.initial_sync.": "synchronisation",
    "mail_": "mail",
    "email.": "mail",
    "tracking.": "tracking",
    "new_relation": "relation",
    "relation.": "relation",
    "calendar": "calendar",
    "chat.": "chat list",
    "call": "call",
}


def parse(body: bytes, reference: str) -> list[Event]:
    """The facts in a body, or `BadPayload`."""
    post = read_post(body, reference)
    for beginning, reason in _IGNORED.items():
        if post.name.startswith(beginning):
            return [ignored(post, reason)]
    read = _READERS.get(post.name, unlisted)
    return [read(post) or unlisted(post)]
