"""Whether the credentials are what they claim.

GET /{phone_number_id} and GET /{waba_id}/message_templates with the token: Meta shows a number and
an account only to a token that was given rights on them.
"""

from messaging.events import Connection
from messaging.providers.base import InstanceState, NotOwned, SendError, Via
from messaging.providers.reading import first_text, text, word

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
# The token itself is no good; or it is, and shows no such thing.
_BAD_TOKEN = ("0", "3", "10", "102", "190", "unauthorized", "forbidden", "bad_access_token")
_NOT_SHOWN = ("33", "100", "803", "2500")


def check(via: Via) -> InstanceState:
    """The state of the number; `NotOwned` where token, number and account do not fit."""
    answer = _shown(via, via.reference, {"fields": _FIELDS}, "phone_number_id")
    number = "".join(each for each in first_text(answer, "display_phone_number") if each.isdigit())
    if first_text(answer, "id") != via.reference:
        raise SendError("unreadable_answer", "another id", retry=True)
    if number and number != via.address.lstrip("+"):
        raise NotOwned("another_number", f"+{number}", field="phone")
    account = text(via.settings.get("waba_id"))
    if account:
        _shown(via, f"{account}/message_templates", {"fields": "id", "limit": "1"}, "waba_id")
    status = word(answer.get("status"))
    state = _STATES.get(status, Connection.CONNECTED)
    reason = "" if state is Connection.CONNECTED else status
    return InstanceState(state=state, reason=reason, address=f"+{number}" if number else "")


def _shown(via: Via, path: str, query: dict[str, str], field: str) -> dict:
    try:
        return ask(via, "GET", path, query=query)
    except SendError as error:
        if error.code in _BAD_TOKEN or (error.code.startswith("2") and len(error.code) == 3):
            raise NotOwned(error.code, error.detail, field="access_token") from error
        if error.code in _NOT_SHOWN:
            raise NotOwned(error.code, error.detail, field=field) from error
        raise
