"""Files: handed to Wasender before they are sent, fetched from it after they arrived.

POST /upload takes `{base64, mimetype}` (n8n node) and POST /decrypt-media the message as the
webhook brought it; both answer with a `publicUrl`, the second one valid for an hour
(documentation of decrypt-media). Neither sends anything, so both may be repeated.
"""

import base64
import tempfile
from collections.abc import Mapping
from typing import IO, Any
from urllib.parse import urlsplit

import httpx

from messaging.providers.base import Blame, File, Media, SendError, Via

from .calls import address, ask, refusal, repeatable, translated_errors
from .payloads import first_text, mapping, number, text

_IN_MEMORY_BYTES = 1024 * 1024


def upload(file: File, via: Via) -> str:
    """The URL under which Wasender keeps this file."""
    content = base64.b64encode(file.content).decode("ascii")
    answer = ask(via, "POST", "/upload", {"base64": content, "mimetype": file.mime_type})
    return _public_url(answer)


def fetch_media(reference: Mapping[str, Any], via: Via, limit: int) -> Media:
    """The file that a message brought, decrypted by Wasender."""
    message = {name: reference.get(name) for name in ("key", "message")}
    part = _part(message)
    if (number(part.get("fileLength")) or 0) > limit:
        raise SendError("too_large", blame=Blame.MESSAGE)
    answer = ask(via, "POST", "/decrypt-media", {"data": {"messages": message}})
    return _download(_public_url(answer), part, via, limit)


def _part(message: Mapping[str, Any]) -> dict[str, Any]:
    """The one member that describes the file; without one there is nothing to ask for."""
    part = next((each for each in mapping(message.get("message")).values()), None)
    if not isinstance(part, dict):
        raise SendError("bad_reference", blame=Blame.MESSAGE)
    return part


def _public_url(answer: Mapping[str, Any]) -> str:
    url = first_text(dict(answer), "publicUrl") or first_text(
        mapping(answer.get("data")), "publicUrl"
    )
    if not url:
        raise SendError("unreadable_answer", "no publicUrl", retry=True)
    return url


def _download(url: str, part: Mapping[str, Any], via: Via, limit: int) -> Media:
    _check_origin(url, via)
    # Without our token: the URL may lead to another company's storage.
    with repeatable(), translated_errors(), via.http.stream("GET", url) as response:
        if not response.is_success:
            response.read()
            raise refusal(response, via)
        file = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)
        try:
            size = _copy(response, file, limit)
        except BaseException:
            file.close()
            raise
        said = response.headers.get("content-type", "").partition(";")[0].strip()
    file.seek(0)
    mime_type = text(part.get("mimetype")) or said
    return Media(file, size, mime_type, first_text(dict(part), "fileName", "title"))


def _check_origin(url: str, via: Via) -> None:
    """Files travel encrypted, except from the very server that the instance's own API is on."""
    try:
        asked, own = urlsplit(url), urlsplit(address(via))
    except ValueError as error:
        raise SendError("bad_media_url", blame=Blame.PROVIDER) from error
    if asked.scheme != "https" and (asked.scheme, asked.netloc) != (own.scheme, own.netloc):
        raise SendError("bad_media_url", blame=Blame.PROVIDER)


def _copy(response: httpx.Response, file: IO[bytes], limit: int) -> int:
    """Write the file piece by piece; one that is larger than allowed is never read to its end."""
    size = 0
    for piece in response.iter_bytes():
        size += len(piece)
        if size > limit:
            raise SendError("too_large", blame=Blame.MESSAGE)
        file.write(piece)
    return size
