"""Files that messages bring; the `att://` address in a webhook leads nowhere, the API has them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from messaging.providers.base import Blame, Media, SendError, Via
from messaging.providers.reading import first_text

from .calls import V2, account, fetch, version


def fetch_media(reference: Mapping[str, Any], via: Via, limit: int) -> Media:
    """The file that a message brought."""
    told = dict(reference)
    message, file = first_text(told, "message_id"), first_text(told, "attachment_id")
    if not message or not file:
        raise SendError("bad_reference", blame=Blame.MESSAGE)
    if told.get("unavailable") is True:
        raise SendError("expired", blame=Blame.MESSAGE)
    path = f"/messages/{_part(message)}/attachments/{_part(file)}"
    if version(via) == V2:
        path = f"/{account(via)}/chats/{_part(first_text(told, 'chat_id'))}{path}"
    try:
        media = fetch(via, path, limit)
    except SendError as error:
        if error.code != "not_found":
            raise
        raise SendError("expired", error.detail, blame=Blame.MESSAGE) from error
    return replace(
        media,
        mime_type=first_text(told, "mimetype") or media.mime_type,
        file_name=first_text(told, "filename"),
    )


def _part(value: str) -> str:
    return quote(value, safe="")
