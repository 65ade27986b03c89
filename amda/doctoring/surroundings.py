"""What the product stands on: settings, files, disk, and the services that were named to it."""

import shutil
import smtplib
import socket
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import redis
from django.conf import settings
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.checks import ERROR, run_checks
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.mail import get_connection
from django.utils.translation import gettext as _

from amda.doctoring.findings import Finding, broken, warning
from billing import gateway

PATIENCE_SECONDS = 5
GIGABYTE = 1024**3
LITTLE_SPACE = 2 * GIGABYTE
NO_SPACE = GIGABYTE // 4
# Django's own words are English: its code says it in every language.
_OURS = ("amda", "tenants", "messaging", "alerts", "billing", "accounts")


def system_checks(now: datetime) -> Iterator[Finding]:
    """What `manage.py check --deploy` says."""
    for found in run_checks(include_deployment_checks=not settings.DEBUG):
        if found.is_silenced():
            continue
        make = broken if found.level >= ERROR else warning
        code = found.id or "unnamed"
        if code.partition(".")[0] in _OURS:
            yield make(f"settings.{code}", str(found.msg), str(found.hint or ""))
        else:
            yield make(
                f"settings.{code}",
                _("Django warns of a setting: %(code)s.") % {"code": code},
                _("manage.py check --deploy says what it means."),
            )


def storage(now: datetime) -> Iterator[Finding]:
    """Files can be kept, read and removed."""
    content = uuid.uuid4().bytes
    name = f"doctor/{uuid.uuid4()}"
    trouble = _("No file can be written into the storage (%(fault)s).")
    try:
        name = default_storage.save(name, ContentFile(content))
        trouble = _("What is in the storage cannot be read (%(fault)s).")
        with closing(default_storage.open(name)) as kept:
            is_same = kept.read() == content
        trouble = _("Nothing can be removed from the storage (%(fault)s).")
        default_storage.delete(name)
    except Exception as exc:  # storages raise whatever their service's library does
        yield broken(
            "storage.away",
            trouble % {"fault": type(exc).__name__},
            _("See the rights of AMDA_DATA_DIR/files, or S3_BUCKET and its keys."),
        )
        return
    if not is_same:
        yield broken(
            "storage.wrong",
            _("A file that was written is not what is read."),
            _("See who else writes into this storage."),
        )


def statics(now: datetime) -> Iterator[Finding]:
    """Style sheets and scripts of this release were collected."""
    if settings.DEBUG:
        return
    known = getattr(staticfiles_storage, "hashed_files", {})
    sources = [Path(folder) for folder in settings.STATICFILES_DIRS]
    files = [path.relative_to(top) for top in sources for path in top.rglob("*") if path.is_file()]
    missing = [path for path in files if path.as_posix() not in known]
    if missing:
        yield broken(
            "statics.missing",
            _("%(count)d style sheets, scripts or pictures of this release were not collected.")
            % {"count": len(missing)},
            _("Run manage.py collectstatic --noinput and restart the web processes."),
        )


def disk(now: datetime) -> Iterator[Finding]:
    """There is room."""
    free = shutil.disk_usage(settings.DATA_DIR).free
    if free < LITTLE_SPACE:
        make = broken if free < NO_SPACE else warning
        yield make(
            "disk.full",
            _("%(free).1f GB are free on the disk of AMDA_DATA_DIR.") % {"free": free / GIGABYTE},
            _("Make room: without it the database stops."),
        )


def redis_server(now: datetime) -> Iterator[Finding]:
    """Redis answers, where one is named."""
    if not settings.REDIS_URL:
        return
    try:
        with closing(
            redis.Redis.from_url(
                settings.REDIS_URL,
                socket_timeout=PATIENCE_SECONDS,
                socket_connect_timeout=PATIENCE_SECONDS,
            )
        ) as server:
            server.ping()
    except (redis.RedisError, OSError, ValueError) as exc:
        yield broken(
            "redis.away",
            _("Redis does not answer (%(fault)s): pages are not live, sign-ins fail.")
            % {"fault": type(exc).__name__},
            _("Start it, put REDIS_URL right, or leave it out: PostgreSQL does the same."),
        )


def mail(now: datetime) -> Iterator[Finding]:
    """The mail server takes us in, where one is named."""
    if not settings.EMAIL_URL:
        return
    server = get_connection(timeout=PATIENCE_SECONDS)
    try:
        server.open()
        server.close()
    except (smtplib.SMTPException, OSError) as exc:
        yield broken(
            "mail.away",
            _("The mail server does not take us in (%(fault)s): invitations and resets are lost.")
            % {"fault": type(exc).__name__},
            _("See that EMAIL_URL is right, and that the server may be reached from here."),
        )


def sentry(now: datetime) -> Iterator[Finding]:
    """Errors can be reported, where somebody wants them."""
    if not settings.SENTRY_DSN:
        return
    named = urlsplit(settings.SENTRY_DSN)
    port = named.port or (80 if named.scheme == "http" else 443)
    try:
        socket.create_connection((named.hostname, port), PATIENCE_SECONDS).close()
    except OSError as exc:
        yield warning(
            "sentry.away",
            _("Sentry cannot be reached (%(fault)s): errors are only in the log.")
            % {"fault": type(exc).__name__},
            _("See that SENTRY_DSN is right, and that its host may be reached from here."),
        )


def stripe_account(now: datetime) -> Iterator[Finding]:
    """Stripe takes our key, where something is sold."""
    if not gateway.is_configured():
        return
    try:
        gateway.require_known()
    except (gateway.Away, gateway.Refused) as exc:
        yield broken(
            "stripe.away",
            _("Stripe does not take our key or cannot be reached (%(fault)s).")
            % {"fault": type(exc.__cause__ or exc).__name__},
            _("See that STRIPE_SECRET_KEY is the key of this account, and not revoked."),
        )
