"""Files that messages bring: behind a link in the notification, or asked for again.

The link leads to a storage of another company and ends after a time that is not documented;
POST downloadFile then gives a new one, as long as WhatsApp has the file.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import httpx

from messaging.providers.base import Blame, Media, SendError, Via
from messaging.providers.exchange import download
from messaging.providers.reading import first_text, mapping

from .calls import api_url, ask, refusal
from .content import FILE_TOO_LARGE

_GONE = ("not_found", "forbidden", "gone")


def fetch_media(reference: Mapping[str, Any], via: Via, limit: int) -> Media:
    """The file that a message brought, by its own link, else by a new one."""
    given = first_text(dict(reference), "downloadUrl")
    if given == FILE_TOO_LARGE:
        raise SendError("too_large", blame=Blame.MESSAGE)
    if given and not given.startswith("{{"):
        try:
            return _fetch(given, reference, via, limit)
        except SendError as error:
            if error.code not in _GONE:
                raise
    return _fetch(_new_link(reference, via), reference, via, limit)


def _new_link(reference: Mapping[str, Any], via: Via) -> str:
    asked = {name: first_text(dict(reference), name) for name in ("chatId", "idMessage")}
    if not all(asked.values()):
        raise SendError("bad_reference", blame=Blame.MESSAGE)
    answer = ask(via, "POST", "downloadFile", asked)
    link = first_text(mapping(answer), "downloadUrl")
    if link == FILE_TOO_LARGE:
        raise SendError("too_large", blame=Blame.MESSAGE)
    if not link or link.startswith("{{"):
        raise SendError("unreadable_answer", "no downloadUrl", retry=True)
    return link


def _fetch(link: str, reference: Mapping[str, Any], via: Via, limit: int) -> Media:
    _check_origin(link, via)
    media = download(via, link, limit=limit, refusal=_refused)
    told = dict(reference)
    return replace(
        media,
        mime_type=first_text(told, "mimeType") or media.mime_type,
        file_name=first_text(told, "fileName"),
    )


def _refused(response: httpx.Response, via: Via) -> SendError:
    """The storage's refusal: it says with these that the link has ended."""
    if response.status_code in (403, 404, 410):
        return SendError("gone", blame=Blame.MESSAGE)
    return refusal(response, via)


def _check_origin(link: str, via: Via) -> None:
    """Files travel encrypted, except from the very server that the instance's own API is on."""
    try:
        asked, own = urlsplit(link), urlsplit(api_url(via))
    except ValueError as error:
        raise SendError("bad_media_url") from error
    if asked.scheme != "https" and (asked.scheme, asked.netloc) != (own.scheme, own.netloc):
        raise SendError("bad_media_url")
