"""The whole examination: each part by itself, so that one that cannot be done hides no other."""

from collections.abc import Callable, Iterator
from datetime import datetime

from django.db import DatabaseError
from django.utils.translation import gettext as _

from amda.doctoring import database, surroundings, working
from amda.doctoring.findings import Finding, broken

_Part = Callable[[datetime], Iterator[Finding]]
WITHOUT_DATABASE: tuple[_Part, ...] = (
    surroundings.system_checks,
    surroundings.disk,
    surroundings.storage,
    surroundings.statics,
    surroundings.redis_server,
    surroundings.mail,
    surroundings.sentry,
    surroundings.stripe_account,
)
IN_DATABASE: tuple[_Part, ...] = (
    database.version,
    database.clock,
    database.migrations,
    database.whole,
    database.backup,
    working.workers,
    working.deliveries,
    working.keys,
    working.numbers,
)


def examine(now: datetime) -> list[Finding]:
    """Everything that is wrong, the worst first; in the language that is active."""
    away = database.is_away()
    parts = WITHOUT_DATABASE if away else (*IN_DATABASE, *WITHOUT_DATABASE)
    found = [away] if away else []
    for part in parts:
        found += _found_by(part, now)
    return sorted(found, key=lambda each: -each.severity)


def _found_by(part: _Part, now: datetime) -> list[Finding]:
    try:
        return list(part(now))
    except DatabaseError as exc:
        # Tables of a later release, or of none: said, so that nobody takes silence for health.
        return [
            broken(
                "examination.failed",
                _("“%(part)s” could not be looked at (%(fault)s).")
                % {"part": part.__name__, "fault": type(exc).__name__},
                _("Put the rest right first, then ask again."),
            )
        ]
