"""One request to Unipile, its refusal read by a table.

v1 lives on a server of each customer, the DSN; v2 at one address for all.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from messaging.providers.base import BadPayload, Blame, Media, SendError, Via
from messaging.providers.exchange import (
    Verdict,
    download,
    header_secret,
    repeatable,
    safe,
    translated_errors,
)
from messaging.providers.reading import first_text, number, read_json, text

V1, V2 = "v1", "v2"
V2_HOST = "api.unipile.com"

_DSN = re.compile(r"(?:https?://)?[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?/?", re.ASCII)

# One field of a form: a name, then a file name or None, content, and at times a type.
Part = tuple[str, tuple[str | None, bytes] | tuple[str | None, bytes, str]]


_REFUSALS = {
    400: Verdict("bad_request", blame=Blame.MESSAGE),
    401: Verdict("unauthorized", blame=Blame.ACCOUNT),
    402: Verdict("payment_required", blame=Blame.ACCOUNT),
    403: Verdict("forbidden", blame=Blame.ACCOUNT),
    404: Verdict("not_found", blame=Blame.ACCOUNT),
    408: Verdict("timeout", unknown=True),
    413: Verdict("too_large", blame=Blame.MESSAGE),
    415: Verdict("bad_type", blame=Blame.MESSAGE),
    422: Verdict("invalid", blame=Blame.MESSAGE),
    429: Verdict("rate_limited", retry=True),
    503: Verdict("unavailable", retry=True),
}

# A refusal's `type` says more than its number (Node SDK, README).
_TYPES = {
    "missing_credentials": Verdict("missing_credentials", blame=Blame.ACCOUNT),
    "invalid_credentials": Verdict("invalid_credentials", blame=Blame.ACCOUNT),
    "expired_credentials": Verdict("expired_credentials", blame=Blame.ACCOUNT),
    "disconnected_account": Verdict("not_connected", retry=True, blame=Blame.ACCOUNT),
    "insufficient_privileges": Verdict("forbidden", blame=Blame.ACCOUNT),
    "multiple_sessions": Verdict("multiple_sessions", blame=Blame.ACCOUNT),
    "checkpoint_error": Verdict("checkpoint_error", blame=Blame.ACCOUNT),
    "wrong_account": Verdict("wrong_account", blame=Blame.ACCOUNT),
    "too_many_requests": Verdict("rate_limited", retry=True),
}
_RECIPIENT = re.compile(r"recipient|unreachable|invalid_user", re.I)


def version(via: Via) -> str:
    """Which of the two versions this instance speaks."""
    return text(via.settings.get("version")) or V1


def account(via: Via) -> str:
    """The account's id, safe in a path."""
    found = text(via.settings.get("account_id")) or via.reference
    return quote(found, safe="")


def call(
    via: Via,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    *,
    form: Sequence[Part] | None = None,
) -> dict[str, Any]:
    """One request whose repetition does harm: a lost answer is an unknown outcome."""
    with translated_errors():
        response = via.http.request(
            method, _base(via) + path, headers=_headers(via), json=body, files=form
        )
    if not response.is_success:
        raise refusal(response, via)
    if not response.content:
        return {}
    try:
        answer = read_json(response.content)
    except BadPayload as error:
        raise SendError("unreadable_answer", str(error), unknown=True) from error
    if not isinstance(answer, dict):
        raise SendError("unreadable_answer", "not an object", unknown=True)
    return answer


def ask(via: Via, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """One request that may be repeated: a lost answer is only to be asked for again."""
    with repeatable():
        return call(via, method, path, body)


def fetch(via: Via, path: str, limit: int) -> Media:
    """A file, which is what the answer itself is."""
    with translated_errors():
        headers = _headers(via)
    return download(via, _base(via) + path, limit=limit, refusal=refusal, headers=headers)


def refusal(response: httpx.Response, via: Via) -> SendError:
    """What an answer other than 2xx means."""
    try:
        answer = read_json(response.content)
    except BadPayload:
        answer = {}
    answer = answer if isinstance(answer, dict) else {}
    kind = first_text(answer, "type").rpartition("/")[2]
    verdict = _verdict(response.status_code, kind)
    said = first_text(answer, "detail", "title", "message", "error")
    return SendError(
        verdict.code,
        safe(said, via),
        retry=verdict.retry,
        blame=verdict.blame,
        unknown=verdict.unknown,
        retry_after=number(response.headers.get("retry-after")) if verdict.retry else None,
    )


def is_dsn(value: str) -> bool:
    """Whether this can be where an API is: a host and a port."""
    return bool(_DSN.fullmatch(value))


def root(via: Via) -> str:
    """Where the API is, without version; not encrypted on this very machine only."""
    dsn = text(via.settings.get("dsn")).strip().rstrip("/")
    if not dsn:
        if version(via) != V2:
            raise SendError("bad_dsn", blame=Blame.ACCOUNT)
        dsn = V2_HOST
    if not is_dsn(dsn):
        raise SendError("bad_dsn", blame=Blame.ACCOUNT)
    return dsn if "://" in dsn else f"{_scheme(dsn)}://{dsn}"


def _base(via: Via) -> str:
    return root(via) + ("/v2" if version(via) == V2 else "/api/v1")


def _scheme(dsn: str) -> str:
    host = urlsplit(f"//{dsn}").hostname or ""
    try:
        return "http" if ipaddress.ip_address(host).is_loopback else "https"
    except ValueError:
        return "http" if host == "localhost" else "https"


def _headers(via: Via) -> dict[str, str]:
    return {"X-API-KEY": header_secret(via, "api_key"), "Accept": "application/json"}


def _verdict(status_code: int, kind: str) -> Verdict:
    if kind in _TYPES:
        return _TYPES[kind]
    if status_code < 500 and _RECIPIENT.search(kind):
        return Verdict("recipient", blame=Blame.RECIPIENT)
    if status_code in _REFUSALS:
        return _REFUSALS[status_code]
    # A gateway that gives up does not know what the server behind it did with the message.
    return Verdict(f"http_{status_code}", unknown=status_code >= 500)
