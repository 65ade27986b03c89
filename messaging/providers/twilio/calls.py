"""One request to Twilio's REST API, and its refusal read by the table of codes."""

import math
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import httpx

from messaging.providers.base import BadPayload, Blame, SendError, Via
from messaging.providers.exchange import header_secret, repeatable, safe, translated_errors
from messaging.providers.reading import first_text, mapping, number, read_json, text

from .errors import OPTED_OUT, VERDICTS, Verdict

API_URL = "https://api.twilio.com"
VERSION = "/2010-04-01"

# What a status means where the body has no code of Twilio's.
_STATUSES = {
    401: Verdict(Blame.ACCOUNT),
    402: Verdict(Blame.ACCOUNT),
    403: Verdict(Blame.ACCOUNT),
    404: Verdict(Blame.ACCOUNT),
    408: Verdict(Blame.PROVIDER, retry=True),
    413: Verdict(Blame.MESSAGE),
    429: Verdict(Blame.PROVIDER, retry=True),
    503: Verdict(Blame.PROVIDER, retry=True),
}
_CODE = re.compile(r"[0-9]{3,6}", re.ASCII)

Fields = Sequence[tuple[str, str]]


def post(via: Via, path: str, fields: Fields) -> dict[str, Any]:
    """One request whose repetition does harm: a lost answer is an unknown outcome."""
    return _call(via, "POST", account_url(via) + path, fields)


def get(via: Via, path: str, fields: Fields = ()) -> dict[str, Any]:
    """One request that may be repeated, below the account."""
    return get_at(via, account_url(via) + path, fields)


def get_at(via: Via, url: str, fields: Fields = ()) -> dict[str, Any]:
    """One request that may be repeated, to a whole address of the API."""
    with repeatable():
        return _call(via, "GET", url, fields)


def api_url(via: Via) -> str:
    """Where the API is: without a version, without a slash at the end."""
    return (text(via.settings.get("api_url")) or API_URL).rstrip("/").removesuffix(VERSION)


def account_url(via: Via) -> str:
    """The address of the account, below which everything of it lies."""
    return f"{api_url(via)}{VERSION}/Accounts/{quote(account_sid(via), safe='')}"


def account_sid(via: Via) -> str:
    """The account's id, which is the user name, too."""
    return text(via.settings.get("account_sid"))


def credentials(via: Via) -> httpx.BasicAuth:
    """Who we are there."""
    return httpx.BasicAuth(account_sid(via), header_secret(via, "auth_token"))


def refusal(response: httpx.Response, via: Via) -> SendError:
    """What an answer other than 2xx means."""
    try:
        answer = mapping(read_json(response.content))
    except BadPayload:
        answer = {}
    code = text(answer.get("code"))
    code = code if _CODE.fullmatch(code) else ""
    verdict = VERDICTS.get(code) or _verdict(response.status_code)
    # A server that fell over does not know what it did with the message before.
    unknown = response.status_code >= 500 and not verdict.retry
    return SendError(
        code or f"http_{response.status_code}",
        safe(first_text(answer, "message"), via),
        retry=verdict.retry,
        blame=verdict.blame,
        unknown=unknown,
        retry_after=_retry_after(response) if verdict.retry else None,
        opted_out=code == OPTED_OUT,
    )


def _call(via: Via, method: str, url: str, fields: Fields) -> dict[str, Any]:
    auth = credentials(via)
    with translated_errors():
        response = via.http.request(method, url, auth=auth, **_carried(method, fields))
    if not response.is_success:
        raise refusal(response, via)
    try:
        answer = read_json(response.content)
    except BadPayload as error:
        raise SendError("unreadable_answer", str(error), unknown=True) from error
    if not isinstance(answer, dict):
        raise SendError("unreadable_answer", "not an object", unknown=True)
    return answer


def _carried(method: str, fields: Fields) -> dict[str, Any]:
    """The fields as a form, a repeated name as often as it is given, or as a query."""
    if method == "GET":
        return {"params": list(fields)} if fields else {}
    form: dict[str, list[str]] = {}
    for name, value in fields:
        form.setdefault(name, []).append(value)
    return {"data": form}


def _verdict(status_code: int) -> Verdict:
    if status_code in _STATUSES:
        return _STATUSES[status_code]
    return Verdict(Blame.PROVIDER if status_code >= 500 else Blame.MESSAGE)


def _retry_after(response: httpx.Response) -> float | None:
    seconds = number(response.headers.get("retry-after"))
    return math.ceil(seconds) if seconds is not None else None
