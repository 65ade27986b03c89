"""One HTTP exchange with a provider: what its failure means, and what of it may be told."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import httpx

from messaging.providers.base import Blame, Media, SendError, Via

LONGEST_DETAIL = 300
_IN_MEMORY_BYTES = 1024 * 1024
# How long a file may take from the first byte sent to the last one read.
_DOWNLOAD = {"exchange_seconds": 300}

# Nothing had left yet: sending again cannot double the message.
_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


@dataclass(frozen=True)
class Verdict:
    """What a refusal of a provider means: its code, whether trying again helps, whose fault it is,
    and whether it is unknown if the message left."""

    code: str
    retry: bool = False
    blame: Blame = Blame.PROVIDER
    unknown: bool = False


@contextmanager
def translated_errors() -> Iterator[None]:
    """The HTTP library's errors as `SendError`, by whether the request had left."""
    try:
        yield
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise SendError("bad_api_url", blame=Blame.ACCOUNT) from error
    except httpx.HTTPError as error:
        retry = isinstance(error, _NEVER_LEFT)
        raise SendError(type(error).__name__, retry=retry, unknown=not retry) from error


@contextmanager
def repeatable() -> Iterator[None]:
    """What goes wrong inside with an unknown outcome may simply be tried again."""
    try:
        yield
    except SendError as error:
        if not error.unknown:
            raise
        raise SendError(error.code, error.detail, retry=True, blame=error.blame) from error


def safe(said: str, via: Via) -> str:
    """What the provider said, short, and without any secret it may have repeated."""
    for secret in via.secrets.values():
        if secret:
            said = said.replace(secret, "[secret]")
    return said[:LONGEST_DETAIL]


def header_secret(via: Via, name: str) -> str:
    """A secret for a header; refused where a header cannot carry it, since the HTTP library would
    repeat it in its error."""
    secret = via.secrets.get(name, "")
    if not secret or not secret.isascii() or not secret.isprintable():
        raise SendError(f"bad_{name}", blame=Blame.ACCOUNT)
    return secret


def download(
    via: Via,
    url: str,
    *,
    limit: int,
    refusal: Callable[[httpx.Response, Via], SendError],
    headers: dict[str, str] | None = None,
    auth: httpx.Auth | None = None,
    follow_redirects: bool = False,
) -> Media:
    """A file behind a URL; one that is larger than allowed is never read to its end.

    Where redirects are followed, `auth` is shown to the first host alone.
    """
    asked = via.http.stream(
        "GET",
        url,
        headers=headers,
        auth=auth,
        follow_redirects=follow_redirects,
        extensions=_DOWNLOAD,
    )
    with repeatable(), translated_errors(), asked as answer:
        if not answer.is_success:
            answer.read()
            raise refusal(answer, via)
        file = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)
        try:
            size = _copy(answer, file, limit)
        except BaseException:
            file.close()
            raise
        mime_type = answer.headers.get("content-type", "").partition(";")[0].strip()
    file.seek(0)
    return Media(file, size, mime_type)


def _copy(response: httpx.Response, file: IO[bytes], limit: int) -> int:
    size = 0
    for piece in response.iter_bytes():
        size += len(piece)
        if size > limit:
            raise SendError("too_large", blame=Blame.MESSAGE)
        file.write(piece)
    return size
