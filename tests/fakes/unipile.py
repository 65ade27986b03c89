"""Unipile's servers, both versions, as strict as their documentation: paths, forms, errors."""

import base64
import re
from typing import Any

from tests.fakes.serving import Limits, Refused, Request, serve

ACCOUNT = "acc_amda_1"
KEY = "key-s3cret"
CHAT = "chat1"
OURS = "U1"
PERSON = re.compile(r"[0-9]{6,15}@s\.whatsapp\.net|[0-9]+@lid|[0-9]+@g\.us")


class State:
    """One account: its state, its chats, its files, its webhooks."""

    def __init__(self) -> None:
        self.limits = Limits({})
        self.status = "OK"
        self.status_v2 = "running"
        self.connected = True
        self.busy = False
        self.unreachable: list[str] = []
        self.files: dict[str, str] = {}
        self.webhooks: list[dict[str, Any]] = []
        self.chats_v2: list[str] = []
        self.keeps_webhooks = True
        self.sent = 0


STATE = State()


def answer(request: Request) -> Any:
    """The answer to one request, or `Refused`."""
    if request.headers.get("x-api-key") != KEY:
        raise _error(401, "missing_credentials", "Missing credentials")
    if STATE.busy:
        raise _error(429, "too_many_requests", "Slow down")
    for method, path, act in _ROUTES:
        found = path.fullmatch(request.path)
        if found and method == request.method:
            return act(request, *found.groups())
    raise _error(404, "resource_not_found", "Cannot find this")


def _error(status: int, kind: str, title: str) -> Refused:
    return Refused(status, {"status": status, "type": f"errors/{kind}", "title": title})


def _account(given: str) -> None:
    if given != ACCOUNT:
        raise _error(404, "resource_not_found", "Account not found")


def _needs_connection(to: str) -> None:
    if not STATE.connected:
        raise _error(401, "disconnected_account", "The account is disconnected")
    if to in STATE.unreachable:
        raise _error(422, "invalid_recipient", "This user cannot be reached")


def _taken(kind: str) -> dict[str, str]:
    STATE.sent += 1
    return {"object": kind, "message_id": f"UNI{STATE.sent}", "chat_id": CHAT}


# Version 1


def _start_chat(request: Request) -> Any:
    parts = _form(request, ("account_id", "attendees_ids"))
    _account(_word(parts, "account_id"))
    to = _word(parts, "attendees_ids")
    if not PERSON.fullmatch(to):
        raise _error(400, "invalid_parameters", "attendees_ids is not valid")
    _needs_connection(to)
    return _taken("ChatStarted")


def _send_in_chat(request: Request, chat: str) -> Any:
    parts = _form(request, ())
    if chat != CHAT:
        raise _error(404, "resource_not_found", "Chat not found")
    if "quote_id" in parts and _word(parts, "quote_id") != OURS:
        raise _error(404, "resource_not_found", "Quoted message not found")
    _needs_connection(chat)
    return _taken("MessageSent")


def _form(request: Request, required: tuple[str, ...]) -> dict[str, tuple[str, bytes]]:
    parts = request.form()
    for name in required:
        if not parts.get(name, ("", b""))[1]:
            raise _error(400, "invalid_parameters", f"{name} is required")
    file = parts.get("attachments")
    if not parts.get("text", ("", b""))[1] and not file:
        raise _error(400, "invalid_parameters", "text or attachments is required")
    if file and not file[0]:
        raise _error(400, "invalid_parameters", "attachments must be files")
    return parts


def _word(parts: dict[str, tuple[str, bytes]], name: str) -> str:
    return parts[name][1].decode()


def _message(request: Request, message: str) -> Any:
    if message != OURS:
        raise _error(404, "resource_not_found", "Message not found")
    return {"object": "Message", "id": message, "chat_id": CHAT, "is_sender": 0}


def _attachment(request: Request, *names: str) -> bytes:
    content = STATE.files.get(names[-1])
    if content is None:
        raise _error(404, "resource_not_found", "Attachment not found")
    return content.encode("latin-1")


def _account_v1(request: Request, account: str) -> Any:
    _account(account)
    sources = [{"id": f"{account}_MESSAGING", "status": STATE.status}]
    return {"object": "Account", "id": account, "type": "WHATSAPP", "sources": sources}


def _hosted(request: Request) -> Any:
    body = request.json()
    if body.get("type") not in ("create", "reconnect"):
        raise _error(400, "invalid_parameters", "type")
    if body["type"] == "reconnect":
        _account(body.get("reconnect_account", ""))
    for name in ("providers", "api_url", "expiresOn"):
        if not body.get(name):
            raise _error(400, "invalid_parameters", f"{name} is required")
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", body["expiresOn"]):
        raise _error(400, "invalid_parameters", "expiresOn is not valid")
    return {"object": "HostedAuthUrl", "url": "https://account.unipile.com/pQAA"}


def _make_webhook(request: Request) -> Any:
    body = request.json()
    if body.get("source") not in ("messaging", "account_status", "email", "email_tracking"):
        raise _error(400, "invalid_parameters", "source")
    if not str(body.get("request_url", "")).startswith("https://"):
        raise _error(400, "invalid_parameters", "request_url")
    return {"object": "WebhookCreated", "webhook_id": _keep(body)}


def _keep(body: dict[str, Any]) -> str:
    identifier = f"we_{len(STATE.webhooks)}_{STATE.sent}"
    STATE.sent += 1
    if STATE.keeps_webhooks:
        STATE.webhooks.append({"id": identifier, "enabled": True, **body})
    return identifier


def _list_webhooks(request: Request) -> Any:
    # Neither version shows a secret again.
    hidden = ("headers", "secret")
    kept = [{k: v for k, v in each.items() if k not in hidden} for each in STATE.webhooks]
    return {"object": "List", "items" if "/v1/" in request.path else "data": kept}


def _drop_webhook(request: Request, identifier: str) -> Any:
    if identifier not in [each["id"] for each in STATE.webhooks]:
        raise _error(404, "resource_not_found", "Webhook not found")
    STATE.webhooks = [each for each in STATE.webhooks if each["id"] != identifier]
    return {"object": "Deleted"}


# Version 2


def _send_v2(request: Request, account: str, chat: str) -> Any:
    _account(account)
    chat = chat.replace("%40", "@")
    _checked_v2(request)
    if chat not in STATE.chats_v2:
        raise _error(404, "resource_not_found", "Chat not found")
    _needs_connection(chat)
    return _taken("MessageSent")


def _start_v2(request: Request, account: str) -> Any:
    _account(account)
    body = _checked_v2(request)
    people = body.get("users_ids")
    if not people or not all(PERSON.fullmatch(each) for each in people):
        raise _error(400, "invalid_parameters", "users_ids")
    _needs_connection(people[0])
    return _taken("ChatStarted")


def _checked_v2(request: Request) -> dict[str, Any]:
    body = request.json()
    if "text" not in body:
        raise _error(400, "invalid_parameters", "text is required")
    for file in body.get("attachments", []):
        if not all(file.get(name) for name in ("content", "content_type", "filename")):
            raise _error(400, "invalid_parameters", "attachments")
        base64.b64decode(file["content"], validate=True)
    return body


def _account_v2(request: Request, account: str) -> Any:
    _account(account)
    return {"object": "Account", "id": account, "status": STATE.status_v2, "provider": "whatsapp"}


def _auth_link(request: Request) -> Any:
    body = request.json()
    for name in ("expires_on", "redirect_uri", "account_id"):
        if not body.get(name):
            raise _error(400, "invalid_parameters", f"{name} is required")
    _account(body["account_id"])
    return {"object": "AuthLink", "link": "https://auth.unipile.com/s/1"}


def _make_endpoint(request: Request) -> Any:
    body = request.json()
    if not body.get("trigger_events") or not str(body.get("url", "")).startswith("https://"):
        raise _error(400, "invalid_parameters", "url")
    return {"object": "WebhookEndpoint", "id": _keep(body), "secret": "whsec-of-the-endpoint"}


_ROUTES = [
    (method, re.compile(path), act)
    for method, path, act in (
        ("POST", r"/api/v1/chats", _start_chat),
        ("POST", r"/api/v1/chats/([^/]+)/messages", _send_in_chat),
        ("GET", r"/api/v1/messages/([^/]+)", _message),
        ("GET", r"/api/v1/messages/([^/]+)/attachments/([^/]+)", _attachment),
        ("GET", r"/api/v1/accounts/([^/]+)", _account_v1),
        ("POST", r"/api/v1/hosted/accounts/link", _hosted),
        ("GET", r"/api/v1/webhooks", _list_webhooks),
        ("POST", r"/api/v1/webhooks", _make_webhook),
        ("DELETE", r"/api/v1/webhooks/([^/]+)", _drop_webhook),
        ("POST", r"/v2/([^/]+)/chats/send", _start_v2),
        ("POST", r"/v2/([^/]+)/chats/([^/]+)/messages/send", _send_v2),
        ("GET", r"/v2/([^/]+)/chats/([^/]+)/messages/([^/]+)/attachments/([^/]+)", _attachment),
        ("GET", r"/v2/accounts/([^/]+)", _account_v2),
        ("POST", r"/v2/auth/link", _auth_link),
        ("GET", r"/v2/webhooks/endpoints/", _list_webhooks),
        ("POST", r"/v2/webhooks/endpoints/", _make_endpoint),
        ("DELETE", r"/v2/webhooks/endpoints/([^/]+)", _drop_webhook),
    )
]


if __name__ == "__main__":
    serve(STATE, answer)
