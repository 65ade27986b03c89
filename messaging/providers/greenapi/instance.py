"""The instance at Green-API: its state, the code to scan, where it posts.

Settings are words, "yes" and "no", and every kind of notification is off until it is asked for.
Saving them restarts the instance, which takes up to five minutes. Each of these calls may be made
once a second only.
"""

import base64
import binascii
from typing import Any

from messaging.events import Connection
from messaging.providers.base import Blame, InstanceState, SendError, Via, WebhookState
from messaging.providers.exchange import safe
from messaging.providers.reading import first_text, mapping, text

from .account import STATES, reason_of
from .calls import ask

# What the adapter's table reads; `incomingCallWebhook` and the like would only be ignored.
NOTIFICATIONS = (
    "incomingWebhook",
    "outgoingWebhook",
    "outgoingMessageWebhook",
    "outgoingAPIMessageWebhook",
    "stateWebhook",
    "pollMessageWebhook",
    "editedMessageWebhook",
    "deletedMessageWebhook",
)


def check(via: Via) -> InstanceState:
    """GET getStateInstance."""
    said = text(mapping(ask(via, "GET", "getStateInstance")).get("stateInstance")).strip()
    state = STATES.get(said)
    if state is None:
        raise SendError("unknown_state", safe(said, via))
    return InstanceState(state=state, reason=reason_of(said))


def connect(via: Via) -> InstanceState:
    """Connected already, or waiting for the code in the answer to be scanned."""
    kind, message = _ask_for_code(via)
    if kind == "alreadyLogged":
        return InstanceState(Connection.CONNECTED)
    return InstanceState(Connection.PENDING, "need_scan", qr=_picture(kind, message, via))


def qr(via: Via) -> str:
    """GET qr: a picture of the code, which changes every twenty seconds."""
    kind, message = _ask_for_code(via)
    if kind == "alreadyLogged":
        raise SendError("already_connected", blame=Blame.ACCOUNT)
    return _picture(kind, message, via)


def restart(via: Via) -> InstanceState:
    """GET reboot: up again within minutes."""
    _done(via, "reboot", "isReboot")
    return InstanceState(Connection.PENDING, "starting")


def disconnect(via: Via) -> InstanceState:
    """GET logout: the code must be scanned again."""
    _done(via, "logout", "isLogout")
    return InstanceState(Connection.DISCONNECTED, "logged_out")


def read_webhook(via: Via) -> WebhookState:
    """GET getSettings."""
    kept = mapping(ask(via, "GET", "getSettings"))
    on = tuple(name for name in NOTIFICATIONS if text(kept.get(name)) == "yes")
    url, token = first_text(kept, "webhookUrl"), first_text(kept, "webhookUrlToken")
    return WebhookState(
        url=url,
        enabled=bool(url and "incomingWebhook" in on),
        events=on,
        values={"webhook_token": token} if token else {},
    )


def configure_webhook(via: Via, url: str) -> WebhookState:
    """POST setSettings, then look: a bare yes proves nothing."""
    token = via.secrets.get("webhook_token", "")
    if not token:
        raise SendError("bad_webhook_token", blame=Blame.ACCOUNT)
    wanted = {"webhookUrl": url, "webhookUrlToken": token, **dict.fromkeys(NOTIFICATIONS, "yes")}
    answer = mapping(ask(via, "POST", "setSettings", wanted))
    if answer.get("saveSettings") is not True:
        raise SendError("webhook_not_kept", "saveSettings")
    kept = read_webhook(via)
    wrong = _wrong(kept, url, token)
    if wrong:
        raise SendError("webhook_not_kept", ", ".join(wrong))
    return kept


def _wrong(kept: WebhookState, url: str, token: str) -> list[str]:
    # Some instances do not show the token again.
    shown = kept.values.get("webhook_token", token)
    right = {
        "webhookUrl": kept.url == url,
        "webhookUrlToken": shown == token,
        **{name: name in kept.events for name in NOTIFICATIONS},
    }
    return [name for name, is_right in right.items() if not is_right]


def _done(via: Via, method: str, member: str) -> None:
    answer = mapping(ask(via, "GET", method))
    if answer.get(member) is not True:
        raise SendError("refused", method)


def _ask_for_code(via: Via) -> tuple[str, Any]:
    answer = mapping(ask(via, "GET", "qr"))
    return text(answer.get("type")), answer.get("message")


def _picture(kind: str, message: Any, via: Via) -> str:
    said = text(message)
    if kind != "qrCode":
        raise SendError("no_qr", safe(said, via), retry=kind == "error", blame=Blame.ACCOUNT)
    try:
        base64.b64decode(said, validate=True)
    except binascii.Error as error:
        raise SendError("unreadable_answer", "no picture", retry=True) from error
    return f"data:image/png;base64,{said}"
