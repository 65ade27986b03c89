"""One request to the Graph API, its refusal read by its code."""

import math
from collections.abc import Mapping
from typing import Any

import httpx

from messaging.providers.base import BadPayload, Blame, SendError, Via
from messaging.providers.exchange import (
    header_secret,
    repeatable,
    safe,
    translated_errors,
)
from messaging.providers.reading import first_text, mapping, number, read_json, text

from .codes import verdict_of
from .statuses import detail_of

API_URL = "https://graph.facebook.com/v25.0"

# Where an answer has no code of Meta's: a proxy's, or a gateway's.
_STATUSES = {
    400: ("bad_request", Blame.MESSAGE),
    401: ("unauthorized", Blame.ACCOUNT),
    403: ("forbidden", Blame.ACCOUNT),
    404: ("not_found", Blame.ACCOUNT),
    413: ("too_large", Blame.MESSAGE),
}


def call(
    via: Via,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    *,
    query: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None,
    files: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """One request whose repetition does harm: a lost answer is an unknown outcome."""
    headers = authorization(via)
    with translated_errors():
        response = via.http.request(
            method,
            f"{address(via)}/{path}",
            headers=headers,
            json=body,
            params=query,
            data=form,
            files=files,
        )
    if not response.is_success:
        raise refusal(response, via)
    try:
        return _object(response)
    except BadPayload as error:
        raise SendError("unreadable_answer", str(error), unknown=True) from error


def ask(via: Via, method: str, path: str, **more: Any) -> dict[str, Any]:
    """One request that may be repeated: a lost answer is only to be asked for again."""
    with repeatable():
        return call(via, method, path, **more)


def authorization(via: Via) -> dict[str, str]:
    """The token, in the only place where it ever stands."""
    return {"Authorization": f"Bearer {header_secret(via, 'access_token')}"}


def address(via: Via) -> str:
    """Where the API is, without a slash at the end."""
    return (text(via.settings.get("api_url")) or API_URL).rstrip("/")


def refusal(response: httpx.Response, via: Via) -> SendError:
    """What an answer other than 2xx means."""
    try:
        error = mapping(_object(response).get("error"))
    except BadPayload:
        error = {}
    code = first_text(error, "code")
    if not code:
        return _without_code(response, via)
    verdict = verdict_of(int(code)) if code.isdecimal() else None
    blame = verdict.blame if verdict else Blame.PROVIDER
    is_busy = response.status_code == 429 or (verdict is None and error.get("is_transient") is True)
    retry = verdict.retry if verdict else is_busy
    wait = _retry_after(response.headers) or (verdict.wait if verdict else None)
    return SendError(
        safe(code, via)[:60],
        safe(detail_of(error), via),
        retry=retry,
        blame=blame,
        retry_after=wait if retry else None,
    )


def _without_code(response: httpx.Response, via: Via) -> SendError:
    status = response.status_code
    if status == 429:
        return SendError("rate_limited", retry=True, retry_after=_retry_after(response.headers))
    if status == 503:
        return SendError("unavailable", retry=True)
    code, blame = _STATUSES.get(status, (f"http_{status}", Blame.PROVIDER))
    # A gateway that gives up does not know what the server behind it did with the message.
    return SendError(code, blame=blame, unknown=status >= 500)


def _object(response: httpx.Response) -> dict[str, Any]:
    answer = read_json(response.content)
    if not isinstance(answer, dict):
        raise BadPayload("not an object")
    return answer


def _retry_after(headers: httpx.Headers) -> float | None:
    seconds = number(headers.get("retry-after"))
    return math.ceil(seconds) if seconds is not None else None
