"""The account itself: the words both versions have for its state."""

from messaging.events import Connection, Event, InstanceChanged
from messaging.providers.reading import text

from .posts import Post, fact_id

STATES = {
    # v1: the webhook's words, then those only GET /accounts has.
    "OK": Connection.CONNECTED,
    "CREATION_SUCCESS": Connection.CONNECTED,
    "RECONNECTED": Connection.CONNECTED,
    "SYNC_SUCCESS": Connection.CONNECTED,
    "CONNECTING": Connection.PENDING,
    "CREDENTIALS": Connection.DISCONNECTED,
    "ERROR": Connection.DISCONNECTED,
    "STOPPED": Connection.DISCONNECTED,
    "DELETED": Connection.DISCONNECTED,
    "CREATION_FAIL": Connection.DISCONNECTED,
    "PERMISSIONS": Connection.DISCONNECTED,
    # v2: the state's words, then what its events are called.
    "running": Connection.CONNECTED,
    "error": Connection.DISCONNECTED,
    "disconnected": Connection.DISCONNECTED,
    "paused": Connection.DISCONNECTED,
    "account.status.running": Connection.CONNECTED,
    "account.add": Connection.CONNECTED,
    "account.reconnect": Connection.CONNECTED,
    "account.status.errored": Connection.DISCONNECTED,
    "account.status.disconnected": Connection.DISCONNECTED,
    "account.status.paused": Connection.DISCONNECTED,
    "account.remove": Connection.DISCONNECTED,
}


def reason_of(word: str) -> str:
    """A state's own word, where it says more than ours."""
    last = word.rpartition(".")[2].lower()
    return "" if STATES.get(word) is Connection.CONNECTED or last == "disconnected" else last


def read_status(post: Post) -> Event | None:
    """AccountStatus names the state in a member, v2 in the event's name."""
    word = text(post.told.get("message")).strip() if post.name == "AccountStatus" else post.name
    state = STATES.get(word)
    if state is None:
        return None
    return InstanceChanged(
        event_id=fact_id(post),
        instance_ref=post.reference,
        at=post.at,
        raw=post.raw,
        state=state,
        reason=reason_of(word),
    )
