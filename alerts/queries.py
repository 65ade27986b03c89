"""What lists of alerts read: the worst first, then the oldest; never a scan of what is closed."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models import F, Q, QuerySet

from alerts.models import LEVELS, Alert

PAGE = 100


@dataclass(frozen=True)
class Wanted:
    """Which of the open alerts: by severity, kind, whose; empty means all."""

    severity: str = ""
    type: str = ""
    owner: int | None = None
    unowned: bool = False
    lead: int | None = None


@dataclass(frozen=True)
class Place:
    """A place in the list."""

    level: int
    opened_at: datetime
    id: int

    def __str__(self) -> str:
        return f"{self.level}~{self.opened_at.isoformat()}~{self.id}"

    @classmethod
    def read(cls, text: str) -> "Place":
        """The place in an address, or ValueError."""
        level, _, rest = text.partition("~")
        at, _, identity = rest.partition("~")
        opened_at = datetime.fromisoformat(at.replace(" ", "+"))
        if not (level.isdecimal() and identity.isdecimal()) or opened_at.tzinfo is None:
            raise ValueError(text)
        return cls(int(level), opened_at, int(identity))


def visible(user) -> QuerySet[Alert]:
    """The alerts this person may see."""
    return Alert.objects.select_related("lead", "lead__owner").defer("lead__words")


def active(user, wanted: Wanted, now: datetime) -> QuerySet[Alert]:
    """The open alerts that are awake, the worst first, then the oldest."""
    rows = visible(user).filter(_awake(now), resolved_at=None)
    if wanted.severity:
        rows = rows.filter(level=LEVELS.index(wanted.severity) + 1)
    if wanted.type:
        rows = rows.filter(type=wanted.type)
    if wanted.owner is not None:
        rows = rows.filter(lead__owner_id=wanted.owner)
    if wanted.unowned:
        rows = rows.filter(lead__owner_id=None)
    if wanted.lead is not None:
        rows = rows.filter(lead_id=wanted.lead)
    return rows.order_by(F("level").desc(), "opened_at", "id")


def page(
    rows: QuerySet[Alert], after: Place | None = None, size: int = PAGE
) -> tuple[list[Alert], Place | None]:
    """Some alerts, and the place of the rest."""
    if after:
        later = Q(opened_at__gt=after.opened_at) | Q(opened_at=after.opened_at, id__gt=after.id)
        rows = rows.filter(Q(level__lt=after.level) | Q(Q(level=after.level) & later))
    found = list(rows[: size + 1])
    if len(found) <= size:
        return found, None
    last = found[size - 1]
    return found[:size], Place(last.level, last.opened_at, last.pk)


def stats(rows: QuerySet[Alert]) -> dict:
    """How many there are, by severity and by kind; every severity is named."""
    table = rows.order_by().values_list("severity", "type")
    with connection.cursor() as cursor:
        query, values = table.query.sql_with_params()
        cursor.execute(
            f"SELECT severity, type, count(*) FROM ({query}) AS open GROUP BY 1, 2",  # noqa: S608
            values,
        )
        counts = cursor.fetchall()
    by_severity: Counter[str] = Counter()
    by_type: Counter[str] = Counter()
    for severity, code, count in counts:
        by_severity[severity] += count
        by_type[code] += count
    return {
        "total": sum(by_severity.values()),
        "by_severity": {name: by_severity[name] for name in reversed(LEVELS)},
        "by_type": dict(by_type),
    }


def _awake(now: datetime) -> Q:
    return (Q(snoozed_until=None) | Q(snoozed_until__lte=now)) & Q(snoozed_until_reply=False)
