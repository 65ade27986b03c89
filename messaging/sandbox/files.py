"""Files: uploaded to be sent, picked on the phone page, fetched under addresses that run out.

A file that a customer sends stands in the webhook as an encrypted one does there: an address
nobody can use and a key. Only `POST /decrypt-media` makes an address of it that works.
"""

import base64
import binascii
import re
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .outgoing import MEDIA, Invalid
from .store import File, Store

LARGEST_BYTES = 16 * 1024 * 1024
DECRYPTED_SECONDS = 3600
_ENCRYPTED_AT = "https://mmg.whatsapp.net/simulated/"
_MIME_TYPE = re.compile(r"[a-z]+/[a-z0-9.+-]+")
_DATA_URL = re.compile(r"data:([^;,]+);base64,(.*)", re.DOTALL)
_PARTS = {"image": "imageMessage", "video": "videoMessage", "audio": "audioMessage"}


@dataclass(frozen=True)
class Upload:
    """A file as it was handed in, not yet stored."""

    mime_type: str
    content: bytes
    name: str = ""


def read_upload(body: dict) -> Upload:
    """`{base64, mimetype}`; a data URL may say the type itself. `Invalid` names what is wrong."""
    said = body.get("base64")
    if not isinstance(said, str) or not said:
        raise Invalid({"base64": ["The base64 field is required."]})
    mime_type = body.get("mimetype")
    if data_url := _DATA_URL.fullmatch(said):
        mime_type, said = mime_type or data_url[1], data_url[2]
    if not isinstance(mime_type, str) or not _MIME_TYPE.fullmatch(mime_type):
        raise Invalid({"mimetype": ["The mimetype field must be a media type."]})
    try:
        content = base64.b64decode(said, validate=True)
    except (binascii.Error, ValueError) as problem:
        raise Invalid({"base64": ["The base64 field must be base64."]}) from problem
    if not 0 < len(content) <= LARGEST_BYTES:
        raise Invalid({"base64": [f"The file must have 1 to {LARGEST_BYTES} bytes."]})
    name = body.get("name")
    return Upload(mime_type, content, name[:200] if isinstance(name, str) else "")


def content_of(file: File, name: str, caption: str) -> tuple[str, dict]:
    """The kind of a message that brings this file, and its content as the webhook has it."""
    family = file.mime_type.partition("/")[0]
    part = _PARTS.get(family, "documentMessage")
    media = {
        "url": _ENCRYPTED_AT + file.id,
        "mimetype": file.mime_type,
        "mediaKey": base64.b64encode(file.id.encode()).decode(),
        "fileLength": str(len(file.content)),
    }
    if caption:
        media["caption"] = caption
    if part == "documentMessage":
        media["fileName"] = name or "document"
    return part.removesuffix("Message"), {part: media}


def encrypted_file(store: Store, session_id: int, body: dict) -> File:
    """The file that a body of `POST /decrypt-media` names, of this very session."""
    message = _inner(body, "data", "messages", "message")
    key_id = _inner(body, "data", "messages", "key").get("id")
    part = next((message[name] for name in MEDIA.values() if name in message), None)
    errors = {}
    if not isinstance(key_id, str) or not key_id:
        errors["data.messages.key.id"] = ["The data.messages.key.id field is required."]
    if not isinstance(part, dict) or not part.get("url") or not part.get("mediaKey"):
        errors["data.messages.message"] = ["The message must have a url and a mediaKey."]
    if errors:
        raise Invalid(errors)
    file = store.file(str(part["url"]).removeprefix(_ENCRYPTED_AT))
    if file is None or file.session_id != session_id:
        raise Invalid({"data.messages.message": ["The media cannot be decrypted."]})
    return file


def _inner(body: dict, *names: str) -> dict:
    for name in names:
        body = body.get(name)
        if not isinstance(body, dict):
            return {}
    return body


async def download(request: Request) -> Response:
    """A file under a link: as an attachment, whatever it claims to be."""
    file = request.app.state.services.store.linked_file(request.path_params["token"])
    if file is None:
        raise HTTPException(404)
    headers = {"Content-Disposition": "attachment"}
    return Response(file.content, media_type=file.mime_type, headers=headers)


routes = [Route("/media/{token}", download, methods=["GET"])]
