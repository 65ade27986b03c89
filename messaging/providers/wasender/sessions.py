"""The sessions of a Wasender account: one per number, managed with the personal access token.

Paths and bodies are those of the TypeScript SDK, the n8n node and the documentation's pages on
sessions; the state of a session is written `NEED_SCAN` or `need_scan` there.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from messaging.events import Connection
from messaging.providers.base import (
    Blame,
    Found,
    InstanceState,
    SendError,
    Unfit,
    Via,
    WebhookState,
)
from messaging.providers.exchange import safe
from messaging.providers.reading import first_text, listing, mapping, text

from .calls import Token, ask, call
from .states import read_state

# What the adapter's table reads. messages.upsert repeats each received message, and is the only
# one that brings what was written on the phone itself.
EVENTS = (
    "messages.received",
    "messages.upsert",
    "message.sent",
    "messages.update",
    "messages.delete",
    "messages.reaction",
    "session.status",
    "qrcode.updated",
)
_SESSIONS = "/whatsapp-sessions"
# What a refusal of a new session may be about, and what the contract calls it.
_UNFIT = {"name": "name", "phone_number": "address"}


def instances(via: Via) -> list[Found]:
    """GET /whatsapp-sessions: a list, which does not show the sessions' secrets."""
    answer = ask(via, "GET", _SESSIONS, token=Token.PERSONAL)
    items = answer.get("data")
    # Taking what cannot be read for an empty list would let a session be made a second time.
    if not isinstance(items, list):
        raise SendError("unreadable_answer", "no list")
    return [_found(mapping(item)) for item in items]


def make_instance(via: Via, name: str, address: str, webhook_url: str) -> Found:
    """POST /whatsapp-sessions: a session with a key and a secret of its own, not connected yet."""
    body = {
        "name": name,
        "phone_number": address,
        # It sends one message per five seconds where this is on.
        "account_protection": False,
        # Nobody needs our conversations in a second place.
        "log_messages": False,
        **_webhook(webhook_url),
    }
    try:
        answer = call(via, "POST", _SESSIONS, body, token=Token.PERSONAL)
    except SendError as error:
        if error.code not in _UNFIT:
            raise
        raise Unfit(error.code, error.detail, field=_UNFIT[error.code]) from error
    found = _found(mapping(answer.get("data")))
    if not found.reference:
        raise SendError("unreadable_answer", "no id", unknown=True)
    return found


def connect(via: Via) -> InstanceState:
    """POST …/connect: connected, or waiting for the code in the answer to be scanned."""
    return _state(_do(via, "/connect"), via)


def disconnect(via: Via) -> InstanceState:
    return _state(_do(via, "/disconnect"), via)


def restart(via: Via) -> InstanceState:
    return _state(_do(via, "/restart"), via)


def qr(via: Via) -> str:
    """GET …/qrcode: the text of the code; drawing it is ours to do."""
    answer = ask(via, "GET", _own(via, "/qrcode"), token=Token.PERSONAL)
    code = _code(mapping(answer.get("data")))
    if not code:
        raise SendError("no_qr", blame=Blame.ACCOUNT)
    return code


def read_webhook(via: Via) -> WebhookState:
    """GET /whatsapp-sessions/{id}: the session with its webhook and its secrets."""
    answer = ask(via, "GET", _own(via), token=Token.PERSONAL)
    session = mapping(answer.get("data"))
    return WebhookState(
        url=first_text(session, "webhook_url"),
        enabled=session.get("webhook_enabled") in (True, 1),
        events=tuple(text(name) for name in listing(session.get("webhook_events") or [])),
        values=_values(session),
    )


def configure_webhook(via: Via, url: str) -> WebhookState:
    """PUT /whatsapp-sessions/{id}, then look: a yes that changed nothing is an error."""
    ask(via, "PUT", _own(via), _webhook(url), token=Token.PERSONAL)
    kept = read_webhook(via)
    wrong = [
        name
        for name, right in (
            ("webhook_url", kept.url == url),
            ("webhook_enabled", kept.enabled),
            ("webhook_events", set(EVENTS) <= set(kept.events)),
        )
        if not right
    ]
    if wrong:
        raise SendError("webhook_not_kept", ", ".join(wrong))
    return kept


def regenerate_key(via: Via) -> Mapping[str, str]:
    """POST …/regenerate-key: the old key is refused from then on."""
    answer = call(via, "POST", _own(via, "/regenerate-key"), token=Token.PERSONAL)
    key = first_text(answer, "api_key") or first_text(mapping(answer.get("data")), "api_key")
    if not key:
        raise SendError("unreadable_answer", "no api_key", unknown=True)
    return {"api_key": key}


def _do(via: Via, action: str) -> dict[str, Any]:
    # Each leads to a state, and leads there again when it is repeated.
    answer = ask(via, "POST", _own(via, action), token=Token.PERSONAL)
    return mapping(answer.get("data")) or answer


def _own(via: Via, action: str = "") -> str:
    session_id = text(via.settings.get("session_id"))
    if not session_id:
        raise SendError("no_session_id", blame=Blame.ACCOUNT)
    return f"{_SESSIONS}/{quote(session_id, safe='')}{action}"


def _webhook(url: str) -> dict[str, Any]:
    return {"webhook_url": url, "webhook_enabled": True, "webhook_events": list(EVENTS)}


def _state(told: dict[str, Any], via: Via) -> InstanceState:
    said = first_text(told, "status")
    code = _code(told)
    state = read_state(said, "")
    if state is None and code:
        return InstanceState(Connection.PENDING, "need_scan", qr=code)
    if state is None:
        raise SendError("unknown_state", safe(said, via))
    return InstanceState(state.state, state.reason, qr=code)


def _code(told: dict[str, Any]) -> str:
    """The REST calls name it `qrCode`, the webhook `qr`."""
    return first_text(told, "qrCode", "qr")


def _found(session: dict[str, Any]) -> Found:
    state = read_state(first_text(session, "status"), "")
    return Found(
        reference=first_text(session, "id"),
        name=first_text(session, "name"),
        address=first_text(session, "phone_number"),
        state=InstanceState(state.state, state.reason) if state else None,
        values=_values(session),
    )


def _values(session: dict[str, Any]) -> dict[str, str]:
    """What the session shows of itself, under the names of our fields."""
    shown = {
        "session_id": first_text(session, "id"),
        "api_key": first_text(session, "api_key"),
        "webhook_secret": first_text(session, "webhook_secret"),
    }
    return {name: value for name, value in shown.items() if value}
