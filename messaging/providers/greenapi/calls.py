"""One request to Green-API, its refusal read by a table.

The token is a part of every address there, so no address is ever printed: not by the HTTP
library, which logs each request, and not by an error.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import httpx

from messaging.providers.base import BadPayload, Blame, SendError, Via
from messaging.providers.exchange import Verdict, repeatable, safe, translated_errors
from messaging.providers.reading import first_text, mapping, number, read_json, text

API_URL = "https://api.green-api.com"
MEDIA_URL = "https://media.green-api.com"

_ID = re.compile(r"[0-9]{1,20}", re.ASCII)
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,200}", re.ASCII)


class SecretUrl(httpx.URL):
    """An address that is called as it is and printed without what it must not tell."""

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}/…"

    def __repr__(self) -> str:
        return f"SecretUrl({str(self)!r})"


_REFUSALS = {
    400: Verdict("bad_request", blame=Blame.MESSAGE),
    401: Verdict("unauthorized", blame=Blame.ACCOUNT),
    403: Verdict("forbidden", blame=Blame.ACCOUNT),
    404: Verdict("not_found", blame=Blame.ACCOUNT),
    405: Verdict("not_allowed", blame=Blame.ACCOUNT),
    413: Verdict("too_large", blame=Blame.MESSAGE),
    429: Verdict("rate_limited", retry=True),
    466: Verdict("quota_exceeded", blame=Blame.ACCOUNT),
    503: Verdict("unavailable", retry=True),
}

# The same number for many things: what it means stands in its words (documentation, "common
# errors"). The first that fits counts: "starting or not authorized" may be either.
_WORDS = (
    (re.compile(r"encrypted url not found", re.I), Verdict("expired", blame=Blame.MESSAGE)),
    (re.compile(r"starting process|starting or not", re.I),
     Verdict("starting", retry=True, blame=Blame.ACCOUNT)),
    (re.compile(r"not authorized", re.I),
     Verdict("not_connected", retry=True, blame=Blame.ACCOUNT)),
    (re.compile(r"expired|deleted", re.I), Verdict("instance_expired", blame=Blame.ACCOUNT)),
    (re.compile(r"chatId|phoneNumber|phoneContact", re.I),
     Verdict("recipient", blame=Blame.RECIPIENT)),
    (re.compile(r"exceeded max upload size", re.I), Verdict("too_large", blame=Blame.MESSAGE)),
)  # fmt: skip


def call(
    via: Via,
    http_method: str,
    method: str,
    body: Mapping[str, Any] | None = None,
    *,
    params: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None,
    file: tuple[str, bytes, str] | None = None,
) -> Any:
    """One request whose repetition does harm: a lost answer is an unknown outcome.

    With a `file` it goes to the server for files, as a form.
    """
    host = media_url(via) if file else api_url(via)
    with translated_errors():
        request = via.http.build_request(
            http_method,
            f"{host}/",
            json=body,
            params=params,
            data=form,
            files={"file": file} if file else None,
        )
        request.url = _address(request.url, via, method)
        response = via.http.send(request)
    if not response.is_success:
        raise refusal(response, via)
    try:
        return read_json(response.content)
    except BadPayload as error:
        raise SendError("unreadable_answer", str(error), unknown=True) from error


def ask(
    via: Via,
    http_method: str,
    method: str,
    body: Mapping[str, Any] | None = None,
    *,
    params: Mapping[str, str] | None = None,
) -> Any:
    """One request that may be repeated: a lost answer is only to be asked for again."""
    with repeatable():
        return call(via, http_method, method, body, params=params)


def api_url(via: Via) -> str:
    """Where the API is, without a slash at the end."""
    return (text(via.settings.get("api_url")) or API_URL).rstrip("/")


def media_url(via: Via) -> str:
    """Where files are uploaded: `1103.api.greenapi.com` has its own `1103.media.greenapi.com`."""
    given = text(via.settings.get("media_url")).rstrip("/")
    if given:
        return given
    own = api_url(via)
    if own == API_URL:
        return MEDIA_URL
    return own.replace(".api.", ".media.", 1)


def refusal(response: httpx.Response, via: Via) -> SendError:
    """What an answer other than 2xx means."""
    told = _said(response)
    verdict = _verdict(response.status_code, told)
    return SendError(
        verdict.code,
        safe(told, via),
        retry=verdict.retry,
        blame=verdict.blame,
        unknown=verdict.unknown,
        retry_after=number(response.headers.get("retry-after")) if verdict.retry else None,
    )


def _address(base: httpx.URL, via: Via, method: str) -> SecretUrl:
    instance = text(via.settings.get("id_instance")) or via.reference
    token = via.secrets.get("api_token", "")
    if not _ID.fullmatch(instance):
        raise SendError("bad_id_instance", blame=Blame.ACCOUNT)
    if not _TOKEN.fullmatch(token):
        raise SendError("bad_api_token", blame=Blame.ACCOUNT)
    path = f"{base.path}waInstance{instance}/{method}/{token}"
    query = f"?{base.query.decode()}" if base.query else ""
    return SecretUrl(base.copy_with(raw_path=f"{path}{query}".encode()))


def _said(response: httpx.Response) -> str:
    """What the refusal says, in whichever of the shapes it comes."""
    try:
        answer = read_json(response.content)
    except BadPayload:
        return "".join(each for each in response.text[:500] if each.isprintable())
    if not isinstance(answer, dict):
        return text(answer)
    for name in ("correspondentsStatus", "invokeStatus"):
        status = mapping(answer.get(name))
        if "EXCEEDED" in text(status.get("status")):
            return f"{text(status.get('status'))}: {first_text(status, 'description')}"
    message = answer.get("message")
    return text(message) or first_text(answer, "error", "description") or _compact(message)


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if value else ""


def _verdict(status_code: int, told: str) -> Verdict:
    if status_code in (400, 500):
        for words, verdict in _WORDS:
            if words.search(told):
                return verdict
    if status_code in _REFUSALS:
        return _REFUSALS[status_code]
    # A gateway that gives up does not know what the server behind it did with the message.
    return Verdict(f"http_{status_code}", unknown=status_code >= 499)
