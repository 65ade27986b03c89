"""What leaves: one POST to Messages.json per message.

| member | is |
|---|---|
| To, From | numbers; instead of From, MessagingServiceSid where one is set |
| Body | the text, 1600 characters at most |
| MediaUrl | where Twilio fetches the file, 5 MB at most |
| StatusCallback | our address, naming the instance and the message |

Twilio has no key against doubles: an answer that is lost leaves the outcome unknown, until the
status callback names the message.
"""

from urllib.parse import urlencode, urlsplit

from messaging.events import Connection, Kind
from messaging.providers.base import Blame, InstanceState, Outgoing, SendError, Sent, Via
from messaging.providers.reading import first_text, listing, text

from .calls import API_URL, api_url, get, post
from .errors import verdict_on

LARGEST_FILE = 5 * 1024 * 1024
LONGEST_TEXT = 1600
FILES = frozenset({Kind.IMAGE, Kind.VIDEO, Kind.AUDIO, Kind.VOICE, Kind.DOCUMENT, Kind.STICKER})
_ACCOUNT_STATES = {
    "active": Connection.CONNECTED,
    "suspended": Connection.BLOCKED,
    "closed": Connection.BLOCKED,
}


def send(outgoing: Outgoing, via: Via) -> Sent:
    """Hand one message to Twilio; the answer means queued there, and gives its sid."""
    fields = [("To", outgoing.to), _sender(via), *_content(outgoing)]
    callback = status_callback(outgoing.reference, via)
    if callback:
        fields.append(("StatusCallback", callback))
    answer = post(via, "/Messages.json", fields)
    sid, code = first_text(answer, "sid"), text(answer.get("error_code"))
    if code:
        raise SendError(code, first_text(answer, "error_message"), blame=verdict_on(code).blame)
    if not sid:
        # It answered "done" without saying what: the message may be on its way.
        raise SendError("unreadable_answer", "no sid", unknown=True)
    return Sent(external_id=sid)


def check(via: Via) -> InstanceState:
    """Whether the account is active and the number is one of its own."""
    status = first_text(get(via, ".json"), "status").lower()
    state = _ACCOUNT_STATES.get(status)
    if state is None:
        raise SendError("unknown_state", status[:60])
    if state is not Connection.CONNECTED:
        return InstanceState(state, f"account {status}")
    if not _owns_number(via):
        return InstanceState(Connection.PENDING, "the account does not have this number")
    return InstanceState(state, address=via.address)


def status_callback(reference: str, via: Via) -> str:
    """Where Twilio tells what becomes of a message; "" where it could not call us."""
    address, sign, fragment = via.webhooks.get("status", "").partition("#")
    host = urlsplit(address).hostname or ""
    # Twilio refuses a host name with an underscore; without a dot it is this machine's own.
    if not address or "_" in host or ("." not in host and api_url(via) == API_URL):
        return ""
    named = urlencode({"instance": via.reference, "message": reference})
    return f"{address}?{named}{sign}{fragment}"


def sender_of(via: Via) -> str:
    """The number or name that recipients see."""
    return text(via.settings.get("from_number")) or via.address


def _sender(via: Via) -> tuple[str, str]:
    service = text(via.settings.get("messaging_service_sid"))
    return ("MessagingServiceSid", service) if service else ("From", sender_of(via))


def _content(outgoing: Outgoing) -> list[tuple[str, str]]:
    words = [("Body", outgoing.text)] if outgoing.text else []
    if outgoing.kind is Kind.TEXT and words:
        return words
    if outgoing.kind in FILES:
        return [*words, ("MediaUrl", _file_url(outgoing))]
    raise SendError("unsupported_kind", outgoing.kind.value, blame=Blame.MESSAGE)


def _file_url(outgoing: Outgoing) -> str:
    file = outgoing.file
    if file is None or not file.url:
        raise SendError("file_missing", outgoing.kind.value, blame=Blame.MESSAGE)
    if file.size > LARGEST_FILE:
        raise SendError("too_large", blame=Blame.MESSAGE)
    return file.url


def _owns_number(via: Via) -> bool:
    """False only where Twilio answers that the account has no such number."""
    try:
        answer = get(via, "/IncomingPhoneNumbers.json", [("PhoneNumber", via.address)])
    except SendError as error:
        if error.retry:
            raise
        # Keys may be allowed to send and not to list numbers.
        return True
    return "incoming_phone_numbers" not in answer or bool(listing(answer["incoming_phone_numbers"]))
