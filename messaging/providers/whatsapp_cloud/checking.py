"""Whether the credentials are what they claim: GET /{phone_number_id} with the token."""

from messaging.events import Connection
from messaging.providers.base import Blame, InstanceState, SendError, Via
from messaging.providers.reading import first_text, word

from .calls import ask

_FIELDS = "id,display_phone_number,verified_name,quality_rating,status"
# What a number's `status` means for sending, where it is not connected.
_STATES = {
    "banned": Connection.BLOCKED,
    "restricted": Connection.BLOCKED,
    "flagged": Connection.CONNECTED,
    "connected": Connection.CONNECTED,
    "rate_limited": Connection.CONNECTED,
    "disconnected": Connection.DISCONNECTED,
    "migrated": Connection.DISCONNECTED,
    "deleted": Connection.DISCONNECTED,
    "unverified": Connection.PENDING,
    "pending": Connection.PENDING,
}


def check(via: Via) -> InstanceState:
    """Whether the token reads the number and the number is the one that was said."""
    answer = ask(via, "GET", via.reference, query={"fields": _FIELDS})
    found = first_text(answer, "id")
    if not found:
        raise SendError("unreadable_answer", "no id", retry=True)
    number = "".join(each for each in first_text(answer, "display_phone_number") if each.isdigit())
    if found != via.reference or (number and number != via.address.lstrip("+")):
        raise SendError("another_number", f"+{number}", blame=Blame.ACCOUNT)
    status = word(answer.get("status"))
    state = _STATES.get(status, Connection.CONNECTED)
    reason = "" if state is Connection.CONNECTED else status
    return InstanceState(state=state, reason=reason, address=f"+{number}" if number else "")
