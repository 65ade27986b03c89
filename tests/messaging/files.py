"""Files of messages for tests: what a provider hands out, and what became of it."""

import io
import json
from dataclasses import dataclass, field

from django.core.files.storage import default_storage
from django.utils import timezone
from PIL import Image

from messaging import media
from messaging.events import Attachment, Kind
from messaging.models import MessageFile
from messaging.providers.base import SendError
from tests import factories
from tests.messaging.test_outbox import jobs_waiting

REFERENCE = {"message": {"imageMessage": {"url": "https://mmg.test/a", "mediaKey": "a2V5"}}}


@dataclass
class Source:
    """What the provider hands out, and what it was asked for."""

    content: bytes = b""
    mime_type: str = ""
    error: SendError | None = None
    calls: list = field(default_factory=list)


def picture(size=(40, 30), form="PNG", **facts) -> bytes:
    """A picture of one colour."""
    written = io.BytesIO()
    Image.new("RGB", size, "#0b6b50").save(written, form, **facts)
    return written.getvalue()


def brought(conversation, *, now=None, view_once=False, **facts) -> MessageFile:
    """A file that a new message brings."""
    message = factories.make_message(conversation, text="", kind="image", at=now or timezone.now())
    told = {"kind": Kind.IMAGE, "mime_type": "image/png", "reference": REFERENCE, **facts}
    media.note(message, [Attachment(**told)], view_once=view_once)
    return message.files.get()


def fetched(conversation, source, content=None, **facts) -> MessageFile:
    """A file that was brought and fetched."""
    if content is not None:
        source.content = content
    file = brought(conversation, **facts)
    media.fetch(file.pk)
    file.refresh_from_db()
    return file


def content_of(browser, file, **headers):
    """A file as a page gets it: through its address, then its reader's own link."""
    first = browser.get(f"/files/{file.pk}/")
    assert first.status_code == 302, first.status_code
    return browser.get(first["Location"], headers=headers)


def body_of(answer) -> bytes:
    return b"".join(answer.streaming_content)


def kept_at(path: str) -> bytes:
    with default_storage.open(path) as opened:
        return opened.read()


def ordered(name: str) -> list[dict]:
    """What the waiting jobs of one name are about."""
    return [json.loads(args) for task, args, _at in jobs_waiting() if task == f"amda.{name}"]
