"""The files of messages: noted with their message, fetched once, kept, let go of.

Every file has a place of its own in the storage; files of the same content share the place of
the first. Whoever shares one locks its row meanwhile, so that nobody lets go of it.
"""

import hashlib
import logging
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import IO, Any

from django.core.files import File
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from messaging import first_page, pictures, realtime, sniffing
from messaging.calling import forgiving_a_former_key, let_go_of_the_connection, open_via
from messaging.events import Attachment
from messaging.models import Message, MessageFile
from messaging.providers import get as provider_of
from messaging.providers.base import SendError
from tenants import context, expiring, limits, orders
from tenants.models import ProviderInstance

logger = logging.getLogger(__name__)

State = MessageFile.State
FIRST_WAIT_SECONDS = 5
LONGEST_WAIT_SECONDS = 6 * 3600
_BLOCK = 256 * 1024
# So few that a withdrawn file never waits long for others to go.
_REMOVED_AT_ONCE = 200
# How long a person's own retry goes on where the provider's time is over already.
_GRACE = timedelta(minutes=10)


class NotTaken(Exception):
    """A file that was not taken: why, in the reader's language."""

    def __init__(self, code: str, message: Any) -> None:
        super().__init__(code)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class _Content:
    """What a file proved to be."""

    file: IO[bytes]
    size: int
    sha256: str
    head: bytes


def note(message: Message, attachments: Iterable[Attachment], *, view_once: bool = False) -> None:
    """Write down the files a message brings and order each, in the message's own transaction."""
    until = message.received_at + timedelta(days=provider_of(message.provider).media_days)
    for attachment in attachments:
        file = MessageFile(
            message=message,
            kind=attachment.kind.value,
            mime_type=attachment.mime_type[:120],
            file_name=_tidy(attachment.file_name),
            size=attachment.size if attachment.size and attachment.size > 0 else None,
            expires_at=until,
        )
        _decide(file, attachment, view_once)
        file.save()
        if file.state == State.WAITING:
            _order(file)


def fetch(pk: int) -> None:
    """Ask the provider for a file and keep it; tried again until the provider's time is over."""
    file = MessageFile.objects.select_related("message").filter(pk=pk, state=State.WAITING).first()
    if file is None or file.message is None:
        return
    now = timezone.now()
    if file.expires_at and now > file.expires_at:
        return _end(file, State.GONE, "expired")
    if _share_what_came_meanwhile(file):
        return _tell(file)
    MessageFile.objects.filter(pk=pk).update(attempts=file.attempts + 1)
    file.attempts += 1
    try:
        _fetch(file)
    except SendError as error:
        _refused(file, error, now)
    except Exception:
        # Storage that is away, a decoder that fell over: the file is still at the provider.
        logger.exception("file %s could not be kept", file.pk)
        _later(file, now, None)


def retry(file: MessageFile) -> None:
    """Ask once more, at a person's wish, for a file that failed; any other is left as it is."""
    if not file.may_be_retried:
        return
    until = max(file.expires_at or timezone.now(), timezone.now() + _GRACE)
    with transaction.atomic():
        moved = MessageFile.objects.filter(pk=file.pk, state=State.FAILED).update(
            state=State.WAITING, error="", attempts=0, expires_at=until
        )
        if moved:
            _order(file)
    _tell(file)


def take(upload: File, *, by) -> MessageFile:
    """Keep a file that somebody wants to send; it waits for the message that takes it."""
    limits.require_may_add(context.current_number())
    head = upload.read(sniffing.HEAD_BYTES)
    name = _tidy(upload.name or "")
    mime_type = sniffing.mime_type_of(head, getattr(upload, "content_type", "") or "")
    kind = sniffing.kind_of(mime_type)
    if not upload.size:
        raise NotTaken("file_empty", _("This file is empty."))
    if not sniffing.may_leave(head, name, mime_type):
        raise NotTaken("file_type", _("Files of this type cannot be sent."))
    limit = sniffing.cap_of(kind)
    if upload.size > limit:
        raise NotTaken(
            "file_too_large",
            _("This file is too large: %(limit)d MB are allowed.")
            % {"limit": limit // sniffing.MEGABYTE},
        )
    file = MessageFile(kind=kind.value, file_name=name, uploaded_by=by)
    with transaction.atomic():
        file.save()
        limits.take(context.current_number(), limits.Kind.STORAGE, upload.size)
    # The caller's upload is not ours to close; its content is read to the end, then kept.
    is_new = _keep(file, _measured(upload, limit), mime_type)
    if not is_new:
        limits.count(context.current_number(), limits.Kind.STORAGE, -upload.size)
    return file


def attach(files: Sequence[MessageFile], message: Message) -> bool:
    """Give waiting uploads to the message that sends them; whether all were still there."""
    waiting = MessageFile.objects.filter(
        pk__in=[file.pk for file in files], message=None, state=State.STORED
    )
    return waiting.update(message=message) == len(files)


def forget(messages: Iterable[int]) -> None:
    """Remove the files of withdrawn messages, rows now and contents by a job of the same
    transaction, which goes before whatever else there is to remove."""
    _remove(MessageFile.objects.filter(message__in=list(messages)), orders.SOON)


def forget_old(messages: Iterable[int]) -> None:
    """Remove the files of messages that are kept no longer, in the same way but in their turn."""
    _remove(MessageFile.objects.filter(message__in=list(messages)))


def forget_unsent(before: datetime) -> None:
    """Remove uploads that no message took."""
    with transaction.atomic():
        _remove(MessageFile.objects.filter(message=None, created_at__lt=before))


def drop(file: MessageFile) -> None:
    """Remove one upload that its author took back; one that was sent stays."""
    with transaction.atomic():
        _remove(MessageFile.objects.filter(pk=file.pk, message=None))


def discard(paths: Iterable[str]) -> None:
    """Delete contents that no file holds any more."""
    for path in paths:
        if not MessageFile.objects.filter(Q(path=path) | Q(preview_path=path)).exists():
            default_storage.delete(path)
    # An export that began before has read them.
    expiring.take_away(context.current_number())
    recount()


def recount() -> None:
    """Count anew how much room the tenant's files take; files of one content take it once."""
    stored = MessageFile.objects.filter(state=State.STORED).exclude(path="")
    sizes = stored.order_by("path").distinct("path").values_list("size", flat=True)
    limits.set_used(context.current_number(), limits.Kind.STORAGE, sum(filter(None, sizes)))


def content_of(file: MessageFile) -> bytes:
    """The whole content, to be handed to a provider."""
    with default_storage.open(file.path) as opened:
        return opened.read()


def place_of(file: MessageFile) -> str:
    """Where a file's own content lies; names of people or files are no part of it."""
    name = file.key.hex
    return f"{context.folder_of(context.current_number())}/media/{name[:2]}/{name}"


def _decide(file: MessageFile, attachment: Attachment, view_once: bool) -> None:
    """Whether there is anything to fetch, and whether it is here already."""
    if view_once:
        file.state, file.error = State.GONE, "view_once"
    elif file.size and file.size > sniffing.cap_of(file.kind):
        file.state, file.error = State.FAILED, "too_large"
    elif not _share(file, attachment.sha256.lower()):
        file.reference = attachment.reference
        file.sha256 = attachment.sha256.lower()[:64]


def _share(file: MessageFile, sha256: str) -> bool:
    """Take over the content of a file that is the same; False where there is none."""
    if len(sha256) != 64:
        return False
    same = (
        MessageFile.objects.select_for_update()
        .filter(sha256=sha256, state=State.STORED)
        .exclude(pk=file.pk)
        .order_by("pk")
        .first()
    )
    if same is None:
        return False
    for name in _CONTENT:
        setattr(file, name, getattr(same, name))
    file.state, file.error, file.reference = State.STORED, "", {}
    return True


@transaction.atomic
def _share_what_came_meanwhile(file: MessageFile) -> bool:
    """Whether another message brought the same file since this one was ordered."""
    is_shared = _share(file, file.sha256)
    if is_shared:
        _write_down(file)
    return is_shared


_CONTENT = (
    "mime_type", "size", "sha256", "path", "preview_path", "width", "height", "is_showable",
)  # fmt: skip


def _order(file: MessageFile, at: datetime | None = None) -> None:
    orders.order("fetch_media", "media", at=at, tenant=context.current_number(), file=file.pk)


def _fetch(file: MessageFile) -> None:
    instances = ProviderInstance.objects.of(context.current_number())
    instance = instances.filter(pk=getattr(file.message, "instance_id", None)).first()
    if instance is None:
        return _end(file, State.GONE, "instance_gone")
    limit = sniffing.cap_of(file.kind)
    via = open_via(instance)
    let_go_of_the_connection()
    with via.http, forgiving_a_former_key(via):
        media = provider_of(instance.provider).fetch_media(file.reference, via, limit=limit)
    with closing(media.file):
        content = _measured(media.file, limit)
        told = media.mime_type or file.mime_type
        file.file_name = file.file_name or _tidy(media.file_name)
        is_new = _keep(file, content, sniffing.mime_type_of(content.head, told, file.kind))
    if is_new:
        # What comes in is kept, whatever the limit.
        limits.count(context.current_number(), limits.Kind.STORAGE, content.size)
    _tell(file)


def _measured(file: IO[bytes] | File, limit: int) -> _Content:
    """Read a file once: its length, its hash, its first bytes; never more than the limit."""
    file.seek(0)
    head = file.read(sniffing.HEAD_BYTES)
    digest, size, block = hashlib.sha256(), 0, head
    while block:
        size += len(block)
        if size > limit:
            raise SendError("too_large")
        digest.update(block)
        block = file.read(_BLOCK)
    if not size:
        raise SendError("empty", retry=True)
    file.seek(0)
    return _Content(file, size, digest.hexdigest(), head)


def _keep(file: MessageFile, content: _Content, mime_type: str) -> bool:
    """Store the content, unless the same is here already, and write down what it is.

    Whether it takes room of its own.
    """
    with transaction.atomic():
        if _share(file, content.sha256):
            _write_down(file)
            return False
    file.mime_type, file.size, file.sha256 = mime_type[:120], content.size, content.sha256
    file.is_showable = True
    preview = _look_at(file, content)
    file.path = _store(place_of(file), File(content.file))
    file.preview_path = _store(f"{place_of(file)}-preview", preview) if preview else ""
    file.state, file.error, file.reference = State.STORED, "", {}
    _write_down(file)
    return True


def _look_at(file: MessageFile, content: _Content) -> File | None:
    """What stands for it on a page, where that is not the file itself."""
    drawn = None
    display = sniffing.display_of(file.mime_type)
    if display == sniffing.Display.IMAGE:
        drawn = _smaller(file, content)
    elif display == sniffing.Display.PDF:
        drawn = _first_page(file, content)
    content.file.seek(0)
    return ContentFile(drawn) if drawn else None


def _smaller(file: MessageFile, content: _Content) -> bytes | None:
    """Measure a picture; what cannot be opened safely is a file to download."""
    try:
        picture = pictures.look_at(content.file)
    except pictures.NotShown as exc:
        logger.info("file %s is not shown: %s", file.pk, exc)
        file.is_showable = False
        return None
    file.width, file.height = picture.width, picture.height
    return picture.preview


def _first_page(file: MessageFile, content: _Content) -> bytes | None:
    """Draw a PDF's first page; what cannot be drawn is opened by its name alone."""
    try:
        return first_page.of(content.file, content.size)
    except first_page.NotDrawn as exc:
        logger.info("file %s has no first page: %s", file.pk, exc)
        return None


def _store(path: str, content: File) -> str:
    kept = default_storage.save(path, content)
    if kept != path:
        raise RuntimeError("the file storage must overwrite")
    return path


def _write_down(file: MessageFile) -> None:
    """The row says stored only if it is still wanted; else the content goes again."""
    facts = {name: getattr(file, name) for name in (*_CONTENT, "file_name", "state", "error")}
    kept = MessageFile.objects.filter(pk=file.pk).update(**facts, reference={})
    if not kept:
        discard([path for path in (place_of(file), f"{place_of(file)}-preview") if path])


def _refused(file: MessageFile, error: SendError, now: datetime) -> None:
    # Asking does no harm, so a lost answer is only to be asked for again.
    if error.retry or error.unknown:
        return _later(file, now, error.retry_after)
    _end(file, State.FAILED, error.code)


def _later(file: MessageFile, now: datetime, retry_after: float | None) -> None:
    """Order the next attempt; the last one lies at the end of the provider's time."""
    wait = min(FIRST_WAIT_SECONDS * 4 ** min(file.attempts - 1, 8), LONGEST_WAIT_SECONDS)
    at = now + timedelta(seconds=max(wait, retry_after or 0))
    if file.expires_at and at > file.expires_at:
        return _end(file, State.FAILED, "unavailable")
    _order(file, at)


def _end(file: MessageFile, state: str, error: str) -> None:
    MessageFile.objects.filter(pk=file.pk).update(state=state, error=error[:60])
    _tell(file)


def _remove(files, priority: int = 0) -> None:
    """Delete rows and order the removal of what they held, both or neither."""
    held = list(files.select_for_update())
    if not held:
        return
    paths = sorted({path for file in held for path in _places(file)})
    MessageFile.objects.filter(pk__in=[file.pk for file in held]).delete()
    for first in range(0, len(paths), _REMOVED_AT_ONCE):
        orders.order(
            "discard_files",
            "removals",
            priority=priority,
            tenant=context.current_number(),
            paths=paths[first : first + _REMOVED_AT_ONCE],
        )


def _places(file: MessageFile) -> list[str]:
    """What a file holds, and its own place, where a fetch may just be writing."""
    own = place_of(file)
    return [path for path in (own, f"{own}-preview", file.path, file.preview_path) if path]


def _tell(file: MessageFile) -> None:
    if file.message is not None:
        realtime.publish(
            "message", conversation=file.message.conversation_id, message=file.message_id
        )


def _tidy(name: str) -> str:
    """A file name without folders and without characters that could mislead."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(each for each in last if each.isprintable()).strip()[:255]
