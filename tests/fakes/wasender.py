"""Wasender's servers as far as sessions, places, cards and numbers behind LIDs go, as strict as its
documentation.

`POST /_set` with `sessions` plants them by id, with `phones` numbers by LID; `keeps_webhooks` false
makes every change of a webhook answered with a yes and forgotten. What `loses` names is done, and
the answer is lost on the way; a session that is made late waits in `late` for a test.
"""

import re
from typing import Any

from tests.fakes.serving import BrokenOff, Limits, Refused, Request, serve

ACCOUNT_TOKEN = "pat-of-the-account"
_OF_LID = re.compile(r"/api/pn-from-lid/(\d+)\Z")
_PATH = re.compile(r"/api/whatsapp-sessions/([\w-]+)(?:/(\w[\w-]*))?\Z")
_MAY_CHANGE = {
    "name",
    "phone_number",
    "account_protection",
    "log_messages",
    "webhook_url",
    "webhook_enabled",
    "webhook_events",
}
_MUST_GIVE = ("name", "phone_number", "account_protection", "log_messages")
_SECRETS = ("api_key", "webhook_secret")


class State:
    """The account: its sessions by id, each as the API shows it."""

    def __init__(self) -> None:
        self.limits = Limits({})
        self.sessions: dict[str, dict[str, Any]] = {}
        self.keeps_webhooks = True
        self.shows_secrets = True
        self.wraps_lists = False
        self.refuses: dict[str, list[str]] = {}
        self.loses: set[str] = set()
        self.late: list[dict[str, Any]] = []
        self.phones: dict[str, str] = {}
        self.sent: list[dict[str, Any]] = []


STATE = State()


def answer(request: Request) -> Any:
    """The answer to one request, or `Refused`."""
    if (request.method, request.path) == ("GET", "/api/status"):
        return {"status": _session_of_key(request)["status"].lower()}
    if (request.method, request.path) == ("POST", "/api/send-message"):
        _session_of_key(request)
        return _taken(request.json())
    if request.method == "GET" and (asked := _OF_LID.match(request.path)):
        _session_of_key(request)
        STATE.limits.use("pn-from-lid")
        if asked[1] not in STATE.phones:
            raise Refused(404, {"success": False, "message": "Not found"})
        return {"success": True, "data": {"pn": f"{STATE.phones[asked[1]]}@s.whatsapp.net"}}
    _require_account(request)
    if request.path == "/api/whatsapp-sessions":
        return _of_account(request)
    found = _PATH.match(request.path)
    if found is None:
        raise Refused(404, {"success": False, "message": "Not found"})
    session = STATE.sessions.get(found[1])
    if session is None:
        raise Refused(404, {"success": False, "message": "Session not found"})
    if found[2] is None and request.method == "GET":
        return {"success": True, "data": session if STATE.shows_secrets else _without(session)}
    if found[2] is None and request.method == "PUT":
        return {"success": True, "data": _changed(session, request.json())}
    if (request.method, found[2]) == ("POST", "connect"):
        session["status"] = "NEED_SCAN"
        return {"success": True, "data": {"status": "NEED_SCAN", "qrCode": "2@a-code"}}
    if (request.method, found[2]) == ("POST", "regenerate-key"):
        return _with_new_key(session)
    raise Refused(405, {"success": False, "message": "Method not allowed"})


def _taken(body: dict[str, Any]) -> dict[str, Any]:
    wrong = [name for name in ("to", *_PARTS) if not _PARTS.get(name, _is_said)(body.get(name))]
    parts = [name for name in ("text", *_PARTS) if name in body]
    if wrong or len(parts) != 1 or body.keys() - {"to", *parts, *_QUOTES}:
        raise Refused(422, {"success": False, "message": f"Invalid: {wrong or sorted(body)}"})
    STATE.sent.append(body)
    return {"success": True, "data": {"msgId": 100 + len(STATE.sent), "status": "in_progress"}}


def _is_said(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_place(value: Any) -> bool:
    degrees = [value.get(each) for each in ("latitude", "longitude")] if value else []
    return all(isinstance(each, int | float) for each in degrees)


def _is_card(value: Any) -> bool:
    return value is None or all(_is_said(value.get(each)) for each in ("name", "phone"))


_PARTS = {"location": _is_place, "contact": _is_card}
_QUOTES = ("replyTo", "replyToObject")


def _of_account(request: Request) -> Any:
    if request.method == "GET":
        _lose("list")
        shown = [_without(each) for each in STATE.sessions.values()]
        return {"success": True, "data": {"items": shown} if STATE.wraps_lists else shown}
    if request.method != "POST":
        raise Refused(405, {"success": False, "message": "Method not allowed"})
    given = request.json()
    errors = {name: ["This field is required."] for name in _MUST_GIVE if name not in given}
    errors |= STATE.refuses
    if given.get("phone_number") in [each["phone_number"] for each in STATE.sessions.values()]:
        errors["phone_number"] = ["The phone_number has already been taken."]
    if errors:
        raise Refused(422, {"success": False, "message": "Invalid", "errors": errors})
    number = 901 + len(STATE.sessions)
    made = session(number, **{"status": "DISCONNECTED", **given})
    if "create, late" in STATE.loses:
        STATE.late.append(made)
        raise BrokenOff
    STATE.sessions[made["id"]] = made
    _lose("create")
    return {"success": True, "data": made}


def _with_new_key(session: dict[str, Any]) -> Any:
    _lose("regenerate-key, undone")
    session["api_key"] += "-again"
    _lose("regenerate-key")
    return {"success": True, "api_key": session["api_key"]}


def _lose(what: str) -> None:
    if what in STATE.loses:
        raise BrokenOff


def _without(session: dict[str, Any]) -> dict[str, Any]:
    """A session as lists show it."""
    return {name: value for name, value in session.items() if name not in _SECRETS}


def _require_account(request: Request) -> None:
    if request.headers.get("authorization") != f"Bearer {ACCOUNT_TOKEN}":
        raise Refused(401, {"success": False, "message": "Unauthenticated."})


def _session_of_key(request: Request) -> dict[str, Any]:
    for session in STATE.sessions.values():
        if request.headers.get("authorization") == f"Bearer {session['api_key']}":
            return session
    raise Refused(401, {"success": False, "message": "Invalid API key"})


def _changed(session: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    unknown = change.keys() - _MAY_CHANGE
    if unknown:
        raise Refused(422, {"success": False, "message": f"Unknown: {sorted(unknown)}"})
    if STATE.keeps_webhooks:
        session.update(change)
    return {**session, **change}


def session(number: int, **facts: Any) -> dict[str, Any]:
    """A session as the API shows it."""
    return {
        "id": f"instance_{number}",
        "name": f"Shop {number}",
        "phone_number": f"+2217099{number:05d}",
        "status": "CONNECTED",
        "api_key": f"key-at-wasender-{number}",
        "webhook_secret": f"secret-at-wasender-{number}",
        "webhook_url": None,
        "webhook_enabled": False,
        "webhook_events": [],
        **facts,
    }


if __name__ == "__main__":
    serve(STATE, answer)
