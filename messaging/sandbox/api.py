"""Wasender's HTTP API below `/api`.

Two kinds of token, as there: the personal access token for the sessions, a session's own API key
for everything else. Whatever the documentation does not allow is refused the way it documents.
"""

import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from messaging.providers.signatures import same

from . import files, payloads
from .bodies import json_object
from .limits import Meter
from .outgoing import Invalid, Outgoing, read_send_request
from .simulation import Simulation
from .store import E164, Message, Session, Store, new_api_key


@dataclass(frozen=True)
class Services:
    """What the endpoints work with; one per running sandbox, kept on the application."""

    store: Store
    simulation: Simulation
    meter: Meter
    personal_token: str


class Refused(Exception):
    """An answer other than 200, with the body the real service documents for it."""

    def __init__(self, status: int, message: str, errors: dict | None = None):
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = errors

    def answer(self) -> JSONResponse:
        body = {"success": False, "message": self.message}
        if self.errors:
            body["errors"] = self.errors
        return JSONResponse(body, self.status)


# Messages


async def send_message(request: Request) -> JSONResponse:
    services = _services(request)
    session = _calling_session(request)
    body = await _json_object(request)
    outgoing = _validated(read_send_request, body)
    quoted = _quoted(services.store, session, outgoing)
    if not session.connected:
        raise Refused(422, f"The WhatsApp session is not connected: {session.status}.")
    allowance = services.meter.take(session)
    if allowance.refused:
        return JSONResponse(
            {
                "message": f"You can only send {allowance.limit} messages at this rate.",
                "retry_after": allowance.retry_after,
            },
            429,
            {**allowance.headers, "Retry-After": str(allowance.retry_after)},
        )
    message = services.simulation.accept(session, outgoing, quoted)
    data = {"msgId": message.id, "jid": outgoing.to, "status": "in_progress"}
    return JSONResponse({"success": True, "data": data}, headers=allowance.headers)


async def message_info(request: Request) -> JSONResponse:
    session = _calling_session(request)
    message = _services(request).store.message(request.path_params["message_id"])
    if message is None or message.session_id != session.id:
        raise Refused(404, "Message not found.")
    return JSONResponse({"success": True, "data": payloads.message_info(message)})


async def edit_message(request: Request) -> JSONResponse:
    message = _own_message(request)
    body = await _json_object(request)
    text = body.get("text")
    if not isinstance(text, str) or not text.strip():
        raise Refused(422, "Validation failed", {"text": ["The text field is required."]})
    if message.kind != "text" or message.deleted:
        raise Refused(422, "Only a text message can be edited.")
    _services(request).simulation.edit(message, text)
    return JSONResponse({"success": True, "data": {"msgId": message.id}})


async def delete_message(request: Request) -> JSONResponse:
    _services(request).simulation.take_back(_own_message(request))
    return JSONResponse({"success": True})


async def mark_read(request: Request) -> JSONResponse:
    """The session has read what a customer wrote, and the customer sees it."""
    session = _calling_session(request)
    body = await _json_object(request)
    key = body.get("key")
    if not isinstance(key, dict) or not all(
        isinstance(key.get(name), str) and key[name] for name in ("id", "remoteJid")
    ):
        raise Refused(422, "Validation failed", {"key": ["The key must have id and remoteJid."]})
    message = _services(request).store.message_with_key(session.id, key["id"])
    if message is None or message.from_business or message.jid != key["remoteJid"]:
        raise Refused(404, "Message not found.")
    _services(request).simulation.read_by_business(message)
    return JSONResponse({"success": True})


async def upload(request: Request) -> JSONResponse:
    session = _calling_session(request)
    handed_in = _validated(files.read_upload, await _json_object(request))
    store = _services(request).store
    file = store.add_file(session.id, handed_in.mime_type, handed_in.content)
    url = _public_url(request, store.add_link(file, None))
    return JSONResponse({"success": True, "publicUrl": url})


async def decrypt_media(request: Request) -> JSONResponse:
    session = _calling_session(request)
    body = await _json_object(request)
    store = _services(request).store
    file = _validated(lambda it: files.encrypted_file(store, session.id, it), body)
    link = store.add_link(file, files.DECRYPTED_SECONDS)
    return JSONResponse({"publicUrl": _public_url(request, link)})


async def status(request: Request) -> JSONResponse:
    return JSONResponse({"status": _calling_session(request).status})


async def phone_of_lid(request: Request) -> JSONResponse:
    _calling_session(request)
    lid = request.path_params["lid"].removesuffix("@lid") + "@lid"
    customer = _services(request).store.customer_of_lid(lid)
    if customer is None:
        raise Refused(404, "No phone number is known for this LID.")
    return JSONResponse({"success": True, "data": {"pn": customer.jid, "lid": customer.lid}})


# Sessions


async def list_sessions(request: Request) -> JSONResponse:
    _check_personal_token(request)
    sessions = [_listed(session) for session in _services(request).store.sessions()]
    return JSONResponse({"success": True, "data": sessions})


async def create_session(request: Request) -> JSONResponse:
    _check_personal_token(request)
    store = _services(request).store
    body = await _json_object(request)
    settings = _session_settings(body, required=_REQUIRED_SETTINGS)
    _check_number_is_free(store, settings)
    return JSONResponse({"success": True, "data": _detailed(store.create_session(**settings))})


async def show_session(request: Request) -> JSONResponse:
    return JSONResponse({"success": True, "data": _detailed(_named_session(request))})


async def update_session(request: Request) -> JSONResponse:
    session = _named_session(request)
    store = _services(request).store
    settings = _session_settings(await _json_object(request), required=())
    _check_number_is_free(store, settings, other_than=session.id)
    if settings:
        session = store.change_session(session.id, **settings)
    return JSONResponse({"success": True, "data": _detailed(session)})


async def delete_session(request: Request) -> JSONResponse:
    session = _named_session(request)
    _services(request).store.delete_session(session.id)
    return JSONResponse({"success": True})


async def connect_session(request: Request) -> JSONResponse:
    session = _named_session(request)
    if session.connected:
        data = {"status": "connected", "message": "The session is already connected."}
        return JSONResponse({"success": True, "data": data})
    session = _ask_for_scan(request, session)
    return JSONResponse(
        {"success": True, "data": {"status": "NEED_SCAN", "qrCode": session.qr_code}}
    )


async def qr_code(request: Request) -> JSONResponse:
    session = _named_session(request)
    if not session.qr_code:
        raise Refused(422, "The session is not waiting for a scan: connect it first.")
    return JSONResponse({"success": True, "data": {"qrCode": session.qr_code}})


async def disconnect_session(request: Request) -> JSONResponse:
    session = _named_session(request)
    _services(request).simulation.change_status(session, "disconnected")
    data = {"status": "disconnected", "message": "The session was disconnected."}
    return JSONResponse({"success": True, "data": data})


async def restart_session(request: Request) -> JSONResponse:
    session = _named_session(request)
    if not session.connected:
        raise Refused(422, "The session is not connected.")
    _services(request).simulation.change_status(session, "connected")
    data = {"status": "connected", "message": "The session was restarted."}
    return JSONResponse({"success": True, "data": data})


async def regenerate_key(request: Request) -> JSONResponse:
    session = _named_session(request)
    store = _services(request).store
    session = store.change_session(session.id, api_key=new_api_key())
    return JSONResponse({"success": True, "api_key": session.api_key})


def _sessions(path: str, **methods) -> list[Route]:
    return [
        Route(f"/whatsapp-sessions{path}", endpoint, methods=[method])
        for method, endpoint in methods.items()
    ]


routes = [
    Route("/send-message", send_message, methods=["POST"]),
    Route("/messages/{message_id:int}/info", message_info, methods=["GET"]),
    Route("/messages/read", mark_read, methods=["POST"]),
    Route("/messages/{message_id:int}", edit_message, methods=["PUT"]),
    Route("/messages/{message_id:int}", delete_message, methods=["DELETE"]),
    Route("/upload", upload, methods=["POST"]),
    Route("/decrypt-media", decrypt_media, methods=["POST"]),
    Route("/status", status, methods=["GET"]),
    Route("/pn-from-lid/{lid}", phone_of_lid, methods=["GET"]),
    *_sessions("", GET=list_sessions, POST=create_session),
    *_sessions("/{session_id:int}", GET=show_session, PUT=update_session, DELETE=delete_session),
    *_sessions("/{session_id:int}/connect", POST=connect_session),
    *_sessions("/{session_id:int}/qrcode", GET=qr_code),
    *_sessions("/{session_id:int}/disconnect", POST=disconnect_session),
    *_sessions("/{session_id:int}/restart", POST=restart_session),
    *_sessions("/{session_id:int}/regenerate-key", POST=regenerate_key),
]


# Reading requests


def _services(request: Request) -> Services:
    return request.app.state.services


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _calling_session(request: Request) -> Session:
    token = _bearer(request)
    for session in _services(request).store.sessions():
        if same(token, session.api_key):
            return session
    raise Refused(401, "Unauthenticated: a session's API key is expected as bearer token.")


def _own_message(request: Request) -> Message:
    session = _calling_session(request)
    message = _services(request).store.message(request.path_params["message_id"])
    if message is None or message.session_id != session.id or not message.from_business:
        raise Refused(404, "Message not found.")
    return message


def _public_url(request: Request, token: str) -> str:
    return f"{request.url.scheme}://{request.url.netloc}/media/{token}"


def _check_personal_token(request: Request) -> None:
    if not same(_bearer(request), _services(request).personal_token):
        raise Refused(401, "Unauthenticated: a personal access token is expected.")


def _named_session(request: Request) -> Session:
    _check_personal_token(request)
    session = _services(request).store.session(request.path_params["session_id"])
    if session is None:
        raise Refused(404, "Session not found.")
    return session


async def _json_object(request: Request) -> dict:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise Refused(415, "The Content-Type must be application/json.")
    try:
        return json_object(await request.body())
    except ValueError as problem:
        raise Refused(422, "Validation failed", {"body": [str(problem)]}) from problem


def _validated(read, body: dict):
    try:
        return read(body)
    except Invalid as invalid:
        raise Refused(422, "Validation failed", invalid.errors) from invalid


def _quoted(store: Store, session: Session, outgoing: Outgoing) -> Message | None:
    if outgoing.reply_to is None:
        return store.message_with_key(session.id, outgoing.reply_to_key)
    message = store.message(outgoing.reply_to)
    if message is None or message.session_id != session.id:
        errors = {"replyTo": ["The selected replyTo is invalid."]}
        raise Refused(422, "Validation failed", errors)
    return message


def _ask_for_scan(request: Request, session: Session) -> Session:
    code = "2@" + secrets.token_urlsafe(48)
    return _services(request).simulation.change_status(session, "need_scan", qr_code=code)


# Settings of sessions

_REQUIRED_SETTINGS = ("name", "phone_number", "account_protection", "log_messages")


def _session_settings(body: dict, *, required: tuple[str, ...]) -> dict:
    """The settings a body carries, all checked; unknown fields are ignored as there."""
    errors: dict[str, list[str]] = {}
    for name in required:
        if body.get(name) in (None, ""):
            errors[name] = [f"The {name} field is required."]
    settings = {}
    for name, (accepts, complaint) in _SETTING_CHECKS.items():
        if name not in body or name in errors:
            continue
        if accepts(body[name]):
            settings[name] = body[name]
        else:
            errors[name] = [f"The {name} field must be {complaint}."]
    if errors:
        raise Refused(422, "Validation failed", errors)
    return settings


def _check_number_is_free(store: Store, settings: dict, other_than: int = 0) -> None:
    if store.has_session_of(settings.get("phone_number", ""), other_than):
        errors = {"phone_number": ["The phone_number has already been taken."]}
        raise Refused(422, "Validation failed", errors)


def _is_name(value) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_phone_number(value) -> bool:
    return isinstance(value, str) and E164.fullmatch(value) is not None


def _is_flag(value) -> bool:
    return isinstance(value, bool)


def is_web_address(value) -> bool:
    """Whether a webhook could be posted there."""
    if not isinstance(value, str):
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_webhook_url(value) -> bool:
    return value is None or is_web_address(value)


def _is_event_list(value) -> bool:
    return isinstance(value, list) and all(isinstance(event, str) for event in value)


_SETTING_CHECKS = {
    "name": (_is_name, "a text"),
    "phone_number": (_is_phone_number, "a phone number in international format"),
    "account_protection": (_is_flag, "true or false"),
    "log_messages": (_is_flag, "true or false"),
    "webhook_url": (_is_webhook_url, "a valid URL"),
    "webhook_enabled": (_is_flag, "true or false"),
    "webhook_events": (_is_event_list, "an array of event names"),
}


def _listed(session: Session) -> dict:
    """A session as lists show it: without its secrets."""
    return {
        "id": session.id,
        "name": session.name,
        "phone_number": session.phone_number,
        "status": session.status,
        "account_protection": session.account_protection,
        "log_messages": session.log_messages,
        "webhook_url": session.webhook_url,
        "webhook_enabled": session.webhook_enabled,
        "webhook_events": list(session.webhook_events),
        "created_at": session.created_at,
        "updated_at": session.updated_at,
    }


def _detailed(session: Session) -> dict:
    secrets_of_session = {"api_key": session.api_key, "webhook_secret": session.webhook_secret}
    return {**_listed(session), **secrets_of_session}
