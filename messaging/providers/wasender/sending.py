"""Calls to Wasender's API: one request each, its answer read by a table."""

import math
import re
from dataclasses import dataclass
from typing import Any

import httpx

from messaging.events import Kind
from messaging.providers.base import (
    BadPayload,
    Blame,
    InstanceState,
    Outgoing,
    SendError,
    Sent,
    Via,
)

from .messages import status_of
from .payloads import first_text, listing, mapping, number, read_json, text
from .states import read_state

API_URL = "https://www.wasenderapi.com/api"
_LONGEST_DETAIL = 300
_EPOCH_FROM = 1_000_000_000


@dataclass(frozen=True)
class _Verdict:
    code: str
    retry: bool = False
    blame: Blame = Blame.PROVIDER
    unknown: bool = False


_REFUSALS = {
    400: _Verdict("bad_request", blame=Blame.MESSAGE),
    401: _Verdict("unauthorized", blame=Blame.ACCOUNT),
    402: _Verdict("payment_required", blame=Blame.ACCOUNT),
    403: _Verdict("forbidden", blame=Blame.ACCOUNT),
    404: _Verdict("not_found", blame=Blame.ACCOUNT),
    408: _Verdict("timeout", retry=True),
    413: _Verdict("too_large", blame=Blame.MESSAGE),
    422: _Verdict("invalid", blame=Blame.MESSAGE),
    429: _Verdict("rate_limited", retry=True),
    503: _Verdict("unavailable", retry=True),
}

# Nothing had left yet: sending again cannot double the message.
_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)

# The texts of refusals are not documented; these words are read where they appear.
_NOT_CONNECTED = re.compile(r"\bsession\b.*\b(not connected|disconnected)\b", re.I | re.S)


def send(outgoing: Outgoing, via: Via) -> Sent:
    """POST /send-message: the answer means queued there, and gives the integer msgId only."""
    if outgoing.kind is not Kind.TEXT:
        raise SendError("unsupported_kind", outgoing.kind.value, blame=Blame.MESSAGE)
    answer = _call(via, "POST", "/send-message", {"to": outgoing.to, "text": outgoing.text})
    provider_number = text(mapping(answer.get("data")).get("msgId"))
    if provider_number:
        return Sent(provider_number=provider_number)
    if answer.get("success") is False:
        raise SendError("refused", _safe(first_text(answer, "message"), via))
    # It answered "done" without saying what: the message may be on its way.
    raise SendError("unreadable_answer", "no msgId", unknown=True)


def find_sent(via: Via, provider_number: str) -> Sent | None:
    """GET /messages/{msgId}/info: WhatsApp's own id of a message, and how far it got."""
    if not (provider_number.isascii() and provider_number.isdecimal()):
        return None
    try:
        answer = _ask(via, f"/messages/{provider_number}/info")
    except SendError as error:
        if error.code == "not_found":
            return None
        raise
    message = mapping(answer.get("data"))
    external_id = first_text(mapping(message.get("key")), "id") or first_text(message, "id")
    status = status_of(message.get("status"))
    return Sent(external_id=external_id, provider_number=provider_number, status=status)


def check(via: Via) -> InstanceState:
    """GET /status: the state of the session whose key this is."""
    answer = _ask(via, "/status")
    said = first_text(answer, "status") or first_text(mapping(answer.get("data")), "status")
    state = read_state(said, "")
    if state is None:
        raise SendError("unknown_state", _safe(said, via))
    return InstanceState(state=state.state, reason=state.reason)


def _ask(via: Via, path: str) -> dict[str, Any]:
    try:
        return _call(via, "GET", path)
    except SendError as error:
        if not error.unknown:
            raise
        # Asking twice does no harm, so an answer that got lost is only to be asked for again.
        raise SendError(error.code, error.detail, retry=True, blame=error.blame) from error


def _call(via: Via, method: str, path: str, body: dict[str, str] | None = None) -> dict[str, Any]:
    url = (text(via.settings.get("api_url")) or API_URL).rstrip("/") + path
    headers = {"Authorization": f"Bearer {_api_key(via)}", "Accept": "application/json"}
    try:
        response = via.http.request(method, url, headers=headers, json=body)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise SendError("bad_api_url", blame=Blame.ACCOUNT) from error
    except httpx.HTTPError as error:
        retry = isinstance(error, _NEVER_LEFT)
        raise SendError(type(error).__name__, retry=retry, unknown=not retry) from error
    if not response.is_success:
        raise _refusal(response, via)
    try:
        return _object(response)
    except BadPayload as error:
        raise SendError("unreadable_answer", str(error), unknown=True) from error


def _api_key(via: Via) -> str:
    """The session's key; refused here where a header cannot carry it, since the HTTP library
    would repeat it in its error."""
    key = via.secrets.get("api_key", "")
    if not key or not key.isascii() or not key.isprintable():
        raise SendError("bad_api_key", blame=Blame.ACCOUNT)
    return key


def _object(response: httpx.Response) -> dict[str, Any]:
    answer = read_json(response.content)
    if not isinstance(answer, dict):
        raise BadPayload("not an object")
    return answer


def _refusal(response: httpx.Response, via: Via) -> SendError:
    try:
        answer = _object(response)
    except BadPayload:
        answer = {}
    verdict = _verdict(response.status_code)
    message = first_text(answer, "message", "error")
    if response.status_code == 422:
        verdict, message = _invalid(answer, message)
    return SendError(
        _safe(verdict.code, via),
        _safe(message, via),
        retry=verdict.retry,
        blame=verdict.blame,
        unknown=verdict.unknown,
        retry_after=_retry_after(answer, response.headers) if verdict.retry else None,
    )


def _verdict(status_code: int) -> _Verdict:
    if status_code in _REFUSALS:
        return _REFUSALS[status_code]
    # A gateway that gives up does not know what the server behind it did with the message.
    return _Verdict(f"http_{status_code}", unknown=status_code >= 500)


def _invalid(answer: dict[str, Any], message: str) -> tuple[_Verdict, str]:
    """A 422 names the fields it refuses; the first one says whose fault it is."""
    for field, complaints in mapping(answer.get("errors")).items():
        blame = Blame.RECIPIENT if field == "to" else Blame.MESSAGE
        return _Verdict(field[:60], blame=blame), text(
            next(iter(listing(complaints)), "")
        ) or message
    if _NOT_CONNECTED.search(message):
        return _Verdict("not_connected", retry=True, blame=Blame.ACCOUNT), message
    return _REFUSALS[422], message


def _retry_after(answer: dict[str, Any], headers: httpx.Headers) -> float | None:
    """How long to wait, in seconds, from the body, else from a header.

    X-RateLimit-Reset is documented as a unix time on one page and as seconds left on another;
    only the second can be used without a clock.
    """
    for said in (answer.get("retry_after"), headers.get("retry-after")):
        seconds = number(said)
        if seconds is not None and seconds < _EPOCH_FROM:
            return math.ceil(seconds)
    seconds = number(headers.get("x-ratelimit-reset"))
    return seconds if seconds is not None and seconds < _EPOCH_FROM else None


def _safe(said: str, via: Via) -> str:
    """What the provider said, short, and without any secret it may have repeated."""
    for secret in via.secrets.values():
        if secret:
            said = said.replace(secret, "[secret]")
    return said[:_LONGEST_DETAIL]
