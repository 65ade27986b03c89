"""How many of a day's messages arrived, by medium.

Counted where they stand: an index holds what was sent by time, and only days that are asked for
are read from it.
"""

from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import Count, Q
from django.db.models.functions import TruncDate

from messaging import providers
from messaging.models import Message
from messaging.providers.base import Medium
from messaging.told import Days

DAYS = 30

Status = Message.Status
# What still waits says nothing yet; what was written on the phone did not leave from here.
_WAITING = (Status.QUEUED, Status.SENDING)
_ARRIVED = (Status.DELIVERED, Status.READ, Status.PLAYED)
# Where bars stand in the drawing, which is a hundred high.
HEIGHT, LEFT, STEP = 100, 47, 13


@dataclass(frozen=True)
class Tally:
    """How many messages left, how many of them arrived, how many failed."""

    sent: int = 0
    arrived: int = 0
    failed: int = 0

    @property
    def percent(self) -> int | None:
        """How many of a hundred arrived, rounded down so that 100 means all; None of nothing."""
        return self.arrived * 100 // self.sent if self.sent else None

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.sent + other.sent, self.arrived + other.arrived, self.failed + other.failed
        )


@dataclass(frozen=True)
class Bar:
    """One day in a drawing: where it stands, how high it is, what it stands for."""

    day: date
    tally: Tally
    x: int
    y: int
    height: int
    label: str


@dataclass(frozen=True)
class Line:
    """One medium: its days in order, those without messages too, and all of them together."""

    medium: str
    days: list[tuple[date, Tally]]

    @property
    def total(self) -> Tally:
        return sum((tally for _day, tally in self.days), Tally())

    @property
    def is_told(self) -> bool:
        """Whether anybody tells that a message arrived: mail servers only take it."""
        return any(each.paths for each in providers.every() if each.medium == self.medium)

    @property
    def bars(self) -> list[Bar]:
        """A bar for each day on which something was sent, of a hundred in height."""
        return [
            Bar(
                day,
                tally,
                LEFT + place * STEP,
                HEIGHT - (tally.percent or 0),
                tally.percent or 0,
                f"{day:%d/%m}" if place % 5 == 0 else "",
            )
            for place, (day, tally) in enumerate(self.days)
        ]


def by_medium(days: Days) -> list[Line]:
    """Each medium by which something was sent in these days."""
    counted = _counted(days)
    every = [days.first + timedelta(days=n) for n in range((days.last - days.first).days + 1)]
    return [
        Line(medium.value, [(day, counted.get((medium.value, day), Tally())) for day in every])
        for medium in Medium
        if any(known == medium for known, _day in counted)
    ]


def together(lines: list[Line]) -> Tally:
    """All media as one."""
    return sum((line.total for line in lines), Tally())


def _counted(days: Days) -> dict[tuple[str, date], Tally]:
    # Whoever tells nothing about arrival has done its part once it took the message.
    silent = [each.slug for each in providers.every() if not each.paths]
    arrived = Q(status__in=_ARRIVED) | Q(status=Status.SENT, provider__in=silent)
    rows = (
        Message.objects.filter(
            direction=Message.Direction.OUT,
            sent_at__gte=days.begin_at,
            sent_at__lt=days.end_at,
        )
        .exclude(status__in=_WAITING)
        .exclude(origin=Message.Origin.PHONE)
        .annotate(day=TruncDate("sent_at", tzinfo=days.zone))
        .values("medium", "day")
        .annotate(
            sent=Count("pk"),
            arrived=Count("pk", filter=arrived),
            failed=Count("pk", filter=Q(status=Status.FAILED)),
        )
        .order_by()
    )
    return {
        (row["medium"], row["day"]): Tally(row["sent"], row["arrived"], row["failed"])
        for row in rows
    }
