"""One request to Wasender's API, its refusal read by a table.

Two tokens there: the session's API key for messages, the personal access token for
`/whatsapp-sessions*` (TypeScript SDK, n8n node).
"""

import math
import re
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

import httpx
from django.conf import settings

from messaging.providers.base import BadPayload, Blame, SendError, Via
from messaging.providers.exchange import Verdict, header_secret, repeatable, safe, translated_errors
from messaging.providers.reading import first_text, listing, mapping, number, text

from .payloads import read_json

_EPOCH_FROM = 1_000_000_000


class Token(StrEnum):
    """Which of the two a call needs, by the name of its field."""

    SESSION = "api_key"
    PERSONAL = "personal_token"


_REFUSALS = {
    400: Verdict("bad_request", blame=Blame.MESSAGE),
    401: Verdict("unauthorized", blame=Blame.ACCOUNT),
    402: Verdict("payment_required", blame=Blame.ACCOUNT),
    403: Verdict("forbidden", blame=Blame.ACCOUNT),
    404: Verdict("not_found", blame=Blame.ACCOUNT),
    405: Verdict("not_allowed", blame=Blame.ACCOUNT),
    408: Verdict("timeout", retry=True),
    413: Verdict("too_large", blame=Blame.MESSAGE),
    415: Verdict("bad_type", blame=Blame.MESSAGE),
    422: Verdict("invalid", blame=Blame.MESSAGE),
    429: Verdict("rate_limited", retry=True),
    503: Verdict("unavailable", retry=True),
}

# The texts of refusals are not documented; these words are read where they appear.
_NOT_CONNECTED = re.compile(r"\bsession\b.*\b(not connected|disconnected)\b", re.I | re.S)


def call(
    via: Via,
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
    *,
    token: Token = Token.SESSION,
) -> dict[str, Any]:
    """One request whose repetition does harm: a lost answer is an unknown outcome."""
    headers = {"Authorization": f"Bearer {header_secret(via, token)}", "Accept": "application/json"}
    with translated_errors():
        response = via.http.request(method, address(via) + path, headers=headers, json=body)
    if not response.is_success:
        raise refusal(response, via)
    if not response.content:
        return {}
    try:
        answer = _object(response)
    except BadPayload as error:
        raise SendError("unreadable_answer", str(error), unknown=True) from error
    if answer.get("success") is False:
        raise SendError("refused", safe(first_text(answer, "message", "error"), via))
    return answer


def ask(
    via: Via,
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
    *,
    token: Token = Token.SESSION,
) -> dict[str, Any]:
    """One request that may be repeated: a lost answer is only to be asked for again."""
    with repeatable():
        return call(via, method, path, body, token=token)


def address(via: Via) -> str:
    """Where the API is, without a slash at the end."""
    return (text(via.settings.get("api_url")) or settings.WASENDER_API_URL).rstrip("/")


def refusal(response: httpx.Response, via: Via) -> SendError:
    """What an answer other than 2xx means."""
    try:
        answer = _object(response)
    except BadPayload:
        answer = {}
    verdict = _verdict(response.status_code)
    message = first_text(answer, "message", "error")
    if response.status_code == 422:
        verdict, message = _invalid(answer, message)
    return SendError(
        safe(verdict.code, via),
        safe(message, via),
        retry=verdict.retry,
        blame=verdict.blame,
        unknown=verdict.unknown,
        retry_after=_retry_after(answer, response.headers) if verdict.retry else None,
    )


def _object(response: httpx.Response) -> dict[str, Any]:
    answer = read_json(response.content, keep_secrets=True)
    if not isinstance(answer, dict):
        raise BadPayload("not an object")
    return answer


def _verdict(status_code: int) -> Verdict:
    if status_code in _REFUSALS:
        return _REFUSALS[status_code]
    # A gateway that gives up does not know what the server behind it did with the message.
    return Verdict(f"http_{status_code}", unknown=status_code >= 500)


def _invalid(answer: dict[str, Any], message: str) -> tuple[Verdict, str]:
    """A 422 names the fields it refuses; the first one says whose fault it is."""
    for field, complaints in mapping(answer.get("errors")).items():
        blame = Blame.RECIPIENT if field == "to" else Blame.MESSAGE
        return Verdict(field[:60], blame=blame), text(
            next(iter(listing(complaints)), "")
        ) or message
    if _NOT_CONNECTED.search(message):
        return Verdict("not_connected", retry=True, blame=Blame.ACCOUNT), message
    return _REFUSALS[422], message


def _retry_after(answer: dict[str, Any], headers: httpx.Headers) -> float | None:
    """How long to wait, in seconds, from the body, else from a header.

    X-RateLimit-Reset is documented as a unix time on one page and as seconds left on another;
    as a time it is compared with the clock of the server, which the answer carries too.
    """
    for said in (answer.get("retry_after"), headers.get("retry-after")):
        seconds = number(said)
        if seconds is not None and seconds < _EPOCH_FROM:
            return math.ceil(seconds)
    seconds = number(headers.get("x-ratelimit-reset"))
    if seconds is None or seconds < _EPOCH_FROM:
        return seconds
    now = _date(headers)
    return max(0.0, seconds - now.timestamp()) if now else None


def _date(headers: httpx.Headers) -> datetime | None:
    try:
        return parsedate_to_datetime(headers.get("date", ""))
    except ValueError:
        return None
