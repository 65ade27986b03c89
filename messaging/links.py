"""Links to files: signed, short-lived, made for one person of one tenant, or for its provider."""

import time
from dataclasses import dataclass

from django.conf import settings
from django.core import signing
from django.urls import reverse

from messaging.models import MessageFile
from tenants import context
from tenants.accounts.models import User

VALID_SECONDS = 10 * 60
# Within this time the same person gets the same link, so that a browser's cache is of use.
_STEP_SECONDS = 5 * 60
# A provider that is busy fetches the file of a queued message later.
_PROVIDER_SECONDS = 6 * 3600
_PROVIDER = 0
_SALT = "messaging.files"


@dataclass(frozen=True)
class Ticket:
    """What a link lets whom see, and until when; user 0 is the provider that a file is sent by."""

    tenant: int
    user: int
    version: int
    file: int
    is_preview: bool
    until: int

    @property
    def is_for_provider(self) -> bool:
        return self.user == _PROVIDER


def signed(file: MessageFile, user: User, *, preview: bool = False) -> str:
    """The path of a link to a file for this person, valid five to ten minutes."""
    step = int(time.time()) // _STEP_SECONDS
    ticket = (
        context.current_number(),
        user.pk,
        user.token_version,
        file.pk,
        int(preview),
        step * _STEP_SECONDS + VALID_SECONDS,
    )
    return _path(ticket)


def for_provider(file: MessageFile) -> str:
    """The public address from which a provider may fetch a file that we send."""
    until = int(time.time()) + _PROVIDER_SECONDS
    return settings.PUBLIC_URL + _path((context.current_number(), _PROVIDER, 0, file.pk, 0, until))


def on_cdn(path: str) -> str:
    """The link at the delivery network in front of us, where there is one."""
    return f"{settings.MEDIA_CDN_URL}{path}" if settings.MEDIA_CDN_URL else path


def read(token: str) -> Ticket | None:
    """What a link says, if we wrote it and its time is not over."""
    try:
        tenant, user, version, file, preview, until = signing.Signer(salt=_SALT).unsign_object(
            token
        )
    except (signing.BadSignature, ValueError, TypeError):
        return None
    if time.time() > until:
        return None
    return Ticket(tenant, user, version, file, bool(preview), until)


def _path(ticket: tuple) -> str:
    token = signing.Signer(salt=_SALT).sign_object(ticket)
    return reverse("file-content", args=[token])
