"""Files: handed to Wasender before they are sent, fetched from it after they arrived.

POST /upload takes `{base64, mimetype}` (n8n node) and POST /decrypt-media the message as the
webhook brought it; both answer with a `publicUrl`, the second one valid for an hour
(documentation of decrypt-media). Neither sends anything, so both may be repeated.
"""

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from messaging.providers.base import Blame, File, Media, SendError, Via
from messaging.providers.exchange import download
from messaging.providers.reading import first_text, mapping, number, text

from .calls import address, ask, refusal


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
    media = download(via, url, limit=limit, refusal=refusal)
    mime_type = text(part.get("mimetype")) or media.mime_type
    return replace(
        media, mime_type=mime_type, file_name=first_text(dict(part), "fileName", "title")
    )


def _check_origin(url: str, via: Via) -> None:
    """Files travel encrypted, except from the very server that the instance's own API is on."""
    try:
        asked, own = urlsplit(url), urlsplit(address(via))
    except ValueError as error:
        raise SendError("bad_media_url", blame=Blame.PROVIDER) from error
    if asked.scheme != "https" and (asked.scheme, asked.netloc) != (own.scheme, own.netloc):
        raise SendError("bad_media_url", blame=Blame.PROVIDER)
