"""What alerts did for the team, read from counters: a few rows a day, however many leads."""

from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import Count, Min, Q, Sum

from alerts import adoption
from alerts.models import LEVELS, Alert, AlertDay, DurationDay
from messaging.models import Standing
from tenants.accounts.models import User

DAYS = 30
What = DurationDay.What


@dataclass(frozen=True)
class Day:
    """One day's alerts: opened, and closed in which way."""

    day: date
    opened: int = 0
    by_action: int = 0
    by_hand: int = 0
    by_itself: int = 0

    @property
    def resolved(self) -> int:
        return self.by_action + self.by_hand + self.by_itself


def days(last: date, count: int = DAYS) -> list[Day]:
    """Each day up to this one, the oldest first; days without alerts too."""
    first = last - timedelta(days=count - 1)
    rows = (
        AlertDay.objects.filter(day__range=(first, last))
        .values("day")
        .annotate(
            opened=Sum("opened"),
            by_action=Sum("by_action"),
            by_hand=Sum("by_hand"),
            by_itself=Sum("by_itself"),
        )
    )
    known = {row["day"]: Day(**row) for row in rows}
    every = (first + timedelta(days=number) for number in range(count))
    return [known.get(day, Day(day)) for day in every]


def shares(of: list[Day]) -> dict[str, int]:
    """Of what was resolved, how many percent in which way; nothing where nothing was."""
    total = sum(each.resolved for each in of)
    if not total:
        return {}
    ways = ("by_action", "by_hand", "by_itself")
    return {way: round(100 * sum(getattr(each, way) for each in of) / total) for way in ways}


def median(what: str, last: date, count: int = DAYS, user: int | None = None) -> int | None:
    """The middle of how many minutes something took; None where it never happened."""
    rows = DurationDay.objects.filter(
        what=what, day__range=(last - timedelta(days=count - 1), last)
    )
    if user is not None:
        rows = rows.filter(user_id=user)
    times = list(
        rows.values("minutes").annotate(times=Sum("times")).values_list("minutes", "times")
    )
    total = sum(each for _minutes, each in times)
    passed = 0
    for minutes, each in sorted(times):
        passed += each
        if passed * 2 >= total:
            return minutes
    return None


def overview(last: date) -> dict:
    """Everything the page of figures says."""
    shown = days(last)
    looked, team = adoption.rate(last)
    return {
        "days": shown,
        "opened": sum(each.opened for each in shown),
        "resolved": sum(each.resolved for each in shown),
        "shares": shares(shown),
        "until_resolved": median(What.RESOLVED, last),
        "until_answered": median(What.ANSWERED, last),
        "looked": looked,
        "team_size": team,
        "highest": max([each.opened for each in shown] + [each.resolved for each in shown] + [1]),
    }


def people(last: date) -> list[dict]:
    """Each person of the team: what is open for their leads, who has waited longest."""
    open_now = Alert.objects.filter(resolved_at=None).exclude(lead=None)
    by_owner = {
        row["lead__owner_id"]: row
        for row in open_now.values("lead__owner_id").annotate(
            total=Count("id"), **{name: Count("id", filter=Q(severity=name)) for name in LEVELS}
        )
    }
    waiting = dict(
        Standing.objects.filter(is_watched=True, waiting_since__isnull=False)
        .values_list("owner_id")
        .annotate(Min("waiting_since"))
    )
    team = User.objects.filter(is_active=True).order_by("name", "email")
    rows = [
        {
            "user": user,
            "counts": by_owner.get(user.pk, {"total": 0, **dict.fromkeys(LEVELS, 0)}),
            "waiting_since": waiting.get(user.pk),
            "until_answered": median(What.ANSWERED, last, user=user.pk),
        }
        for user in team
    ]
    return sorted(rows, key=lambda row: -row["counts"]["total"])


def unowned() -> dict:
    """What is open for nobody's leads."""
    rows = Alert.objects.filter(resolved_at=None, lead__isnull=False, lead__owner=None)
    waiting = Standing.objects.filter(is_watched=True, owner_id=None, waiting_since__isnull=False)
    return {
        "total": rows.count(),
        "waiting_since": waiting.aggregate(oldest=Min("waiting_since"))["oldest"],
    }


def together() -> dict:
    """The team as one: how many alerts are open, how many wait, who has waited longest."""
    waiting = Standing.objects.filter(is_watched=True, waiting_since__isnull=False)
    facts = waiting.aggregate(oldest=Min("waiting_since"), leads=Count("lead_id"))
    return {"open": Alert.objects.filter(resolved_at=None).count(), **facts}
