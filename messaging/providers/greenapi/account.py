"""What an instance tells of itself: its state, and the limits of its plan."""

import re

from messaging.events import Connection, Event, InstanceChanged
from messaging.providers.reading import event_id, first_text, mapping, text

from .posts import Post, built_id

STATES = {
    "authorized": Connection.CONNECTED,
    "notAuthorized": Connection.DISCONNECTED,
    "starting": Connection.PENDING,
    # The phone slept; no longer told, by the documentation.
    "sleepMode": Connection.DISCONNECTED,
    "blocked": Connection.BLOCKED,
    # Sending is limited, partly or wholly, after people complained.
    "yellowCard": Connection.BLOCKED,
    "suspended": Connection.BLOCKED,
}


def reason_of(word: str) -> str:
    """A state's own word, where it says more than ours: `notAuthorized` is `not_authorized`."""
    if STATES.get(word) is Connection.CONNECTED:
        return ""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", word).lower()


def read_state(post: Post) -> Event | None:
    word = text(post.told.get("stateInstance")).strip()
    state = STATES.get(word)
    if state is None:
        return None
    when = text(post.told.get("timestamp"))
    return InstanceChanged(
        event_id=event_id("state", word, when) if when else built_id(post),
        instance_ref=post.reference,
        at=post.at,
        raw=post.told,
        state=state,
        reason=reason_of(word),
    )


def read_quota(post: Post) -> Event | None:
    """A plan that is spent: the instance still works, within what the plan allows."""
    quota = mapping(post.told.get("quotaData"))
    used, total = text(quota.get("used")), text(quota.get("total"))
    counted = f" ({used}/{total})" if used and total else ""
    return InstanceChanged(
        event_id=built_id(post),
        instance_ref=post.reference,
        at=post.at,
        raw=post.told,
        state=Connection.CONNECTED,
        reason=f"quota_exceeded: {first_text(quota, 'method')[:60]}{counted}",
    )
