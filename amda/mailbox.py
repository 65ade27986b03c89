"""Mail of a development run: kept in a folder, and shown on a page of the public host."""

import re
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage as ReceivedMail
from functools import wraps
from pathlib import Path

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.http import Http404
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

BACKEND = "amda.mailbox.FolderBackend"
KEPT = 200
_NAME = re.compile(r"[0-9]{8}T[0-9]{12}-[0-9a-f]{8}\Z")
_TAG = re.compile(r"<[^>]*>")


class FolderBackend(BaseEmailBackend):
    """Writes every mail to a file of MAILBOX_DIR instead of sending it."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Keep the mails and return how many there were; the oldest ones go."""
        folder = Path(settings.MAILBOX_DIR)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for mail in email_messages:
            _write(folder, mail.message().as_bytes())
        for name in _names(folder)[KEPT:]:
            (folder / f"{name}.eml").unlink(missing_ok=True)
        return len(email_messages)


def forget(addresses: Collection[str]) -> int:
    """Remove the kept mails to these addresses; how many there were."""
    folder = Path(settings.MAILBOX_DIR)
    wanted = {each.lower() for each in addresses}
    names = [name for name in _names(folder) if _read(folder, name).to.lower() in wanted]
    for name in names:
        (folder / f"{name}.eml").unlink(missing_ok=True)
    return len(names)


@dataclass(frozen=True)
class Mail:
    """A kept mail as the pages show it."""

    name: str
    sent_at: datetime
    sender: str
    to: str
    subject: str
    text: str


def _in_development_only(view):
    """Answer 404 anywhere else: these pages show everybody's mail to anybody."""

    @wraps(view)
    def guarded(request, *args, **kwargs):
        if not settings.DEBUG or settings.EMAIL_BACKEND != BACKEND:
            raise Http404("no mail is kept here")
        return view(request, *args, **kwargs)

    return guarded


@require_safe
@_in_development_only
def listing(request):
    """The page of all kept mails, newest first."""
    folder = Path(settings.MAILBOX_DIR)
    mails = [_read(folder, name) for name in _names(folder)]
    return render(request, "mail/listing.html", {"mails": mails})


@require_safe
@_in_development_only
def one(request, name):
    """The page of one mail, as text only: what a mail's HTML would load stays unloaded."""
    folder = Path(settings.MAILBOX_DIR)
    if name not in _names(folder):
        raise Http404("no such mail")
    context = {"mail": _read(folder, name), "back": reverse("mailbox")}
    return render(request, "mail/one.html", context)


def _write(folder: Path, mail: bytes) -> None:
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}"
    unfinished = folder / f"{name}.new"
    unfinished.touch(mode=0o600)
    unfinished.write_bytes(mail)
    unfinished.rename(folder / f"{name}.eml")


def _names(folder: Path) -> list[str]:
    names = (file.stem for file in folder.glob("*.eml"))
    return sorted((name for name in names if _NAME.match(name)), reverse=True)


def _read(folder: Path, name: str) -> Mail:
    content = (folder / f"{name}.eml").read_bytes()
    mail = message_from_bytes(content, _class=ReceivedMail, policy=policy.default)
    return Mail(
        name=name,
        sent_at=datetime.strptime(name.partition("-")[0], "%Y%m%dT%H%M%S%f").replace(tzinfo=UTC),
        sender=str(mail["From"] or ""),
        to=str(mail["To"] or ""),
        subject=str(mail["Subject"] or ""),
        text=_text_of(mail),
    )


def _text_of(mail: ReceivedMail) -> str:
    body = mail.get_body(("plain", "html"))
    if body is None:
        return ""
    text = body.get_content()
    return text if body.get_content_subtype() == "plain" else _TAG.sub("", text)
