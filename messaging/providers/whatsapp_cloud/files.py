"""Files: handed to Meta before they are sent, looked up and fetched after they arrived.

POST /{phone_number_id}/media takes the file and gives an id. GET /{media id} gives an address
that is good for five minutes and wants the same token. An id that a webhook brought is good for
seven days (Meta's page on media).
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from messaging.events import Kind
from messaging.providers.base import Blame, File, Media, Outgoing, SendError, Via
from messaging.providers.exchange import download
from messaging.providers.reading import first_text, number, text

from .calls import address, ask, authorization, refusal

_TYPES = {
    Kind.IMAGE: "image",
    Kind.VIDEO: "video",
    Kind.AUDIO: "audio",
    Kind.VOICE: "audio",
    Kind.DOCUMENT: "document",
    Kind.STICKER: "sticker",
}
_WITH_CAPTION = (Kind.IMAGE, Kind.VIDEO, Kind.DOCUMENT)
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,200}")
_META_HOSTS = ("facebook.com", "fbsbx.com", "fbcdn.net", "whatsapp.net")


def member_of(outgoing: Outgoing, via: Via) -> dict[str, Any]:
    """The type and member of a message that is a file."""
    kind = _TYPES.get(outgoing.kind)
    file = outgoing.file
    if kind is None or file is None or not (file.url or file.content):
        raise SendError("file_missing", outgoing.kind.value, blame=Blame.MESSAGE)
    if outgoing.text and outgoing.kind not in _WITH_CAPTION:
        raise SendError("caption_unsupported", kind, blame=Blame.MESSAGE)
    content = source_of(file, via)
    if outgoing.text:
        content["caption"] = outgoing.text
    if outgoing.kind is Kind.DOCUMENT and file.file_name:
        content["filename"] = file.file_name
    return {"type": kind, kind: content}


def source_of(file: File, via: Via) -> dict[str, str]:
    """Where Meta takes a file from: its own address, else what was uploaded."""
    return {"link": file.url} if file.url else {"id": upload(file, via)}


def upload(file: File, via: Via) -> str:
    """The id under which Meta keeps this file, for thirty days."""
    form = {"messaging_product": "whatsapp", "type": file.mime_type}
    content = (file.file_name or "file", file.content, file.mime_type)
    answer = ask(via, "POST", f"{via.reference}/media", form=form, files={"file": content})
    media_id = first_text(answer, "id")
    if not media_id:
        raise SendError("unreadable_answer", "no media id", retry=True)
    return media_id


def fetch_media(reference: Mapping[str, Any], via: Via, limit: int) -> Media:
    """The file that a message brought."""
    media_id = text(reference.get("id"))
    if not _ID.fullmatch(media_id):
        raise SendError("bad_reference", blame=Blame.MESSAGE)
    answer = ask(via, "GET", media_id, query={"phone_number_id": via.reference})
    if (number(answer.get("file_size")) or 0) > limit:
        raise SendError("too_large", blame=Blame.MESSAGE)
    url = first_text(answer, "url")
    if not url:
        raise SendError("unreadable_answer", "no url", retry=True)
    _check_origin(url, via)
    media = download(via, url, limit=limit, refusal=refusal, headers=authorization(via))
    return replace(media, mime_type=first_text(answer, "mime_type") or media.mime_type)


def _check_origin(url: str, via: Via) -> None:
    """The token goes to Meta, or to the server that the instance's own API is on; nowhere else."""
    try:
        asked, own = urlsplit(url), urlsplit(address(via))
        host = asked.hostname or ""
    except ValueError as error:
        raise SendError("bad_media_url", blame=Blame.PROVIDER) from error
    is_metas = asked.scheme == "https" and any(
        host == known or host.endswith(f".{known}") for known in _META_HOSTS
    )
    if not is_metas and (asked.scheme, asked.netloc) != (own.scheme, own.netloc):
        raise SendError("bad_media_url", blame=Blame.PROVIDER)
