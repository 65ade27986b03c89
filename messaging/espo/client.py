"""One call to EspoCRM, and what its refusal means.

The key leaves in a header only; no error, log or stored word repeats it.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import quote

import httpx

from messaging.calling import let_go_of_the_connection

LONGEST_DETAIL = 200
API = "api/v1"
_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


class Because(StrEnum):
    """Why a call did not do what it should."""

    AWAY = "away"
    """Nothing was done: nobody answered, or who did asks for patience."""
    UNKNOWN = "unknown"
    """It may have been done: the answer was lost, or came from a server in trouble."""
    KEY = "key"
    """The key is not, or no longer, good."""
    REFUSED = "refused"
    """This very call is refused; others may go well."""


class EspoError(Exception):
    """A call that failed: `code` for machines, `detail` as EspoCRM said it."""

    def __init__(self, because: Because, code: str, detail: str = "") -> None:
        super().__init__(code)
        self.because = because
        self.code = code
        self.detail = detail


_BY_STATUS: dict[int, tuple[Because, str]] = {
    400: (Because.REFUSED, "bad_request"),
    401: (Because.KEY, "unauthorized"),
    403: (Because.REFUSED, "forbidden"),
    404: (Because.REFUSED, "not_found"),
    409: (Because.REFUSED, "duplicate"),
    413: (Because.REFUSED, "too_large"),
    429: (Because.AWAY, "rate_limited"),
    500: (Because.UNKNOWN, "server_error"),
    503: (Because.AWAY, "unavailable"),
}


@dataclass(frozen=True)
class Client:
    """A tenant's EspoCRM, ready to be called."""

    url: str
    key: str = field(repr=False)
    http: httpx.Client = field(repr=False)

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """What EspoCRM answers; asking twice does no harm, so an unknown outcome is none."""
        try:
            return self._call("GET", path, params=list(flattened(params or {})))
        except EspoError as error:
            if error.because is not Because.UNKNOWN:
                raise
            raise EspoError(Because.AWAY, error.code, error.detail) from error

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make a record; whoever calls has looked whether it is there, so duplicates are ours."""
        headers = {"X-Skip-Duplicate-Check": "true"}
        return _object(self._call("POST", path, body=body, headers=headers))

    def put(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Change a record; the same change twice is the same."""
        return _object(self._call("PUT", path, body=body))

    def delete(self, path: str) -> None:
        """Remove a record."""
        self._call("DELETE", path)

    def _call(
        self,
        method: str,
        path: str,
        *,
        params: list[tuple[str, str]] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        if not self.key.isascii() or not self.key.isprintable():
            # A header cannot carry it, and the HTTP library would repeat it in its error.
            raise EspoError(Because.KEY, "bad_key")
        let_go_of_the_connection()
        sent = {"X-Api-Key": self.key, "Accept": "application/json", **(headers or {})}
        try:
            answer = self.http.request(
                method, f"{self.url}/{API}/{path}", params=params, json=body, headers=sent
            )
        except httpx.HTTPError as error:
            because = Because.AWAY if isinstance(error, _NEVER_LEFT) else Because.UNKNOWN
            raise EspoError(because, _named(error)) from error
        if answer.is_redirect:
            raise EspoError(Because.AWAY, "moved")
        if not answer.is_success:
            raise self._refusal(answer)
        return _read(answer)

    def _refusal(self, answer: httpx.Response) -> EspoError:
        because, code = _BY_STATUS.get(
            answer.status_code,
            (
                Because.UNKNOWN if answer.status_code > 500 else Because.REFUSED,
                f"http_{answer.status_code}",
            ),
        )
        said = answer.headers.get("X-Status-Reason", "").replace(self.key, "[key]")
        return EspoError(because, code, said[:LONGEST_DETAIL])


def safe(identifier: str) -> str:
    """An id of a record, as a piece of a path."""
    return quote(identifier, safe="")


def flattened(params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Nested parameters as EspoCRM reads them: `where[0][type]=equals`."""
    for name, value in params.items():
        yield from _flat(name, value)


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _flat(f"{name}[{key}]", each)
    elif isinstance(value, list | tuple):
        for place, each in enumerate(value):
            yield from _flat(f"{name}[{place}]", each)
    else:
        yield name, str(value)


def _named(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "timeout"
    return "unreachable" if isinstance(error, _NEVER_LEFT) else "no_answer"


def _read(answer: httpx.Response) -> Any:
    try:
        return json.loads(answer.content)
    except ValueError as error:
        raise EspoError(Because.UNKNOWN, "unreadable_answer") from error


def _object(answer: Any) -> dict[str, Any]:
    if not isinstance(answer, dict) or not answer.get("id"):
        raise EspoError(Because.UNKNOWN, "unreadable_answer")
    return answer
