"""The words Wasender has for a session, as states of an instance."""

import re
from dataclasses import dataclass

from messaging.events import Connection

# The six documented words of GET /status and session.status come first; the others are Baileys'
# and those of the replaced systems.
_STATES = {
    "connected": Connection.CONNECTED,
    "connecting": Connection.PENDING,
    "need_scan": Connection.PENDING,
    "disconnected": Connection.DISCONNECTED,
    "expired": Connection.DISCONNECTED,
    "logged_out": Connection.DISCONNECTED,
    "open": Connection.CONNECTED,
    "pending": Connection.PENDING,
    "reconnecting": Connection.PENDING,
    "qr": Connection.PENDING,
    "close": Connection.DISCONNECTED,
    "closed": Connection.DISCONNECTED,
    "offline": Connection.DISCONNECTED,
    "loggedout": Connection.DISCONNECTED,
    "conflict": Connection.CONFLICT,
    "replaced": Connection.CONFLICT,
    "connection_replaced": Connection.CONFLICT,
    "connectionreplaced": Connection.CONFLICT,
    "banned": Connection.BLOCKED,
    "blocked": Connection.BLOCKED,
}
# Why a session ended says more than that it ended.
_WORSE = (Connection.CONFLICT, Connection.BLOCKED)
_LONGEST_REASON = 200


@dataclass(frozen=True)
class State:
    state: Connection
    reason: str


def is_state(word: str) -> bool:
    """Whether this is a word for a session's state."""
    return _normal(word) in _STATES


def read_state(word: str, reason: str) -> State | None:
    """The state a word names, made worse by its reason; None where the word is unknown."""
    name = _normal(word)
    state = _STATES.get(name)
    if state is None:
        return None
    if state is not Connection.CONNECTED:
        state = _worse(reason) or state
    said = reason or ("" if name == state.value else name)
    return State(state, said[:_LONGEST_REASON])


def _worse(reason: str) -> Connection | None:
    words = re.findall(r"[a-z]+", reason.lower())
    states = (_STATES.get(word) for word in words)
    return next((state for state in states if state in _WORSE), None)


def _normal(word: str) -> str:
    return re.sub(r"[\s.-]+", "_", word.strip().lower())
