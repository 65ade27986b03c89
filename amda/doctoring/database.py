"""The database: that it is there, new enough, whole, and that its clock is ours."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from amda import embedded
from amda.doctoring.findings import Finding, broken, warning
from tenants import migrating, schema
from tenants.context import PUBLIC

OLDEST_VERSION = 15
CLOCKS_APART = timedelta(seconds=5)
MOST_NAMED = 5


def is_away() -> Finding | None:
    """Why nothing else can be asked of the database; None while it answers."""
    try:
        if not settings.DATABASE_URL:
            embedded.hold(settings.DATA_DIR)
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (embedded.EmbeddedError, ImproperlyConfigured) as exc:
        return broken("database.away", str(exc), _("Put that right and ask again."))
    except (DatabaseError, OSError) as exc:
        return broken(
            "database.away",
            _("The database does not answer (%(fault)s): nothing works without it.")
            % {"fault": type(exc).__name__},
            _("Start PostgreSQL, and see that DATABASE_URL names it."),
        )
    return None


def version(now: datetime) -> Iterator[Finding]:
    """PostgreSQL is new enough."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version_num")
        found = int(cursor.fetchone()[0]) // 10_000
    if found < OLDEST_VERSION:
        yield broken(
            "database.old",
            _("PostgreSQL %(found)d is too old.") % {"found": found},
            _("Upgrade it to %(wanted)d or newer.") % {"wanted": OLDEST_VERSION},
        )


def clock(now: datetime) -> Iterator[Finding]:
    """Our clock and the database's are one."""
    asked = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        theirs = cursor.fetchone()[0]
    answered = timezone.now()
    apart = abs(theirs - (asked + (answered - asked) / 2))
    if apart > CLOCKS_APART + (answered - asked):
        yield warning(
            "database.clock",
            _("The clocks of this machine and of the database are %(seconds)d seconds apart.")
            % {"seconds": apart.total_seconds()},
            _("Let both follow a time server (NTP): links, windows and alerts count by them."),
        )


def migrations(now: datetime) -> Iterator[Finding]:
    """`public` and every vendor are at the state of the code."""
    if migrating.is_behind(PUBLIC):
        yield broken(
            "migrations.public",
            _("The shared tables are behind the code."),
            _("Run manage.py migrate_schemas."),
        )
        return
    behind = [name for name in migrating.schemas_of_tenants() if migrating.is_behind(name)]
    if behind:
        yield broken(
            "migrations.vendors",
            ngettext(
                "%(count)d vendor's tables are behind the code: %(names)s.",
                "%(count)d vendors' tables are behind the code: %(names)s.",
                len(behind),
            )
            % {"count": len(behind), "names": _some(behind)},
            _("Run manage.py migrate_schemas: it goes on where it stopped."),
        )


def whole(now: datetime) -> Iterator[Finding]:
    """No vendor's query can end up in `public`."""
    lacking = schema.lacking()
    if lacking:
        yield broken(
            "schemas.incomplete",
            ngettext(
                "%(count)d vendor lacks tables: %(names)s. Its queries would end up in the shared"
                " ones.",
                "%(count)d vendors lack tables: %(names)s. Their queries would end up in the"
                " shared ones.",
                len(lacking),
            )
            % {"count": len(lacking), "names": _some(sorted(lacking))},
            _("Stop the service and run manage.py migrate_schemas."),
        )


def backup(now: datetime) -> Iterator[Finding]:
    """Somebody makes backups."""
    if settings.DEBUG or migrating.is_backed_up(settings.BACKUP_STAMP, now):
        return
    made = migrating.backed_up_at(settings.BACKUP_STAMP, now)
    yield warning(
        "backup.old",
        _("The last backup is older than a day.") if made else _("No backup was ever noted."),
        _("Make one, and let the script that does touch %(stamp)s.")
        % {"stamp": settings.BACKUP_STAMP},
        made,
    )


def _some(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    told = ", ".join(names[:MOST_NAMED])
    return f"{told} (+{more})" if more > 0 else told
