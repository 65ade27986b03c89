"""Opening hours: how much time passed while somebody was there, over weekends, holidays and
changes of the clock. Nothing here reads the clock."""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from tenants.models import Tenant

# Who has not opened for this long does not open any more.
LONGEST_CLOSURE_DAYS = 400
NINE_TO_SIX = ((time(9), time(18)),)


@dataclass(frozen=True)
class OpeningHours:
    """When a tenant is there: ranges for each weekday from Monday on, in its time zone.

    A range that ends at midnight ends with `time.max`.
    """

    zone: ZoneInfo
    week: tuple[tuple[tuple[time, time], ...], ...]
    holidays: Container[date] = frozenset()

    def is_open(self, moment: datetime) -> bool:
        """Whether somebody is there at this moment."""
        day = moment.astimezone(self.zone).date()
        return any(start <= moment < end for start, end in self._spans(day))

    def between(self, start: datetime, end: datetime) -> timedelta:
        """How much opening time lies between two moments."""
        total = timedelta()
        # In UTC: Python subtracts two local times as if the clock never changed.
        start, end = start.astimezone(UTC), end.astimezone(UTC)
        day = start.astimezone(self.zone).date()
        last = end.astimezone(self.zone).date()
        while day <= last:
            for opens, closes in self._spans(day):
                total += max(min(closes, end) - max(opens, start), timedelta())
            day += timedelta(days=1)
        return total

    def before(self, moment: datetime, span: timedelta) -> datetime | None:
        """The latest moment since which `span` of opening time has passed; None for never.

        What began then or earlier has waited for `span` or longer.
        """
        left = span
        moment = moment.astimezone(UTC)
        if not left:
            return moment
        for opens, closes in self._backwards(moment):
            length = closes - opens
            if length >= left:
                return closes - left
            left -= length
        return None

    def _backwards(self, moment: datetime) -> Iterator[tuple[datetime, datetime]]:
        today = moment.astimezone(self.zone).date()
        for days in range(LONGEST_CLOSURE_DAYS):
            for opens, closes in reversed(self._spans(today - timedelta(days=days))):
                if opens < moment:
                    yield opens, min(closes, moment)

    def _spans(self, day: date) -> list[tuple[datetime, datetime]]:
        if day in self.holidays:
            return []
        return [
            (self._moment(day, opens), self._moment(day, closes))
            for opens, closes in self.week[day.weekday()]
        ]

    def _moment(self, day: date, at: time) -> datetime:
        if at == time.max:
            day, at = day + timedelta(days=1), time.min
        return datetime.combine(day, at, tzinfo=self.zone).astimezone(UTC)


def opening_hours_of(tenant: Tenant) -> OpeningHours:
    """When this tenant is there, as its settings say."""
    week = tuple(
        tuple((_time(opens), _time(closes, ends=True)) for opens, closes in ranges)
        for ranges in tenant.opening_hours
    )
    return OpeningHours(ZoneInfo(tenant.time_zone), week, Holidays(tenant.holidays))


class Holidays:
    """The days a tenant is closed: dates of one year, and those of every year."""

    def __init__(self, told: Iterable[Mapping[str, str]]) -> None:
        self._days = frozenset(each["day"] for each in told)

    def __contains__(self, day: object) -> bool:
        whole = str(day)
        return whole in self._days or whole[5:] in self._days


def _time(text: str, *, ends: bool = False) -> time:
    """A time of a setting; a range that ends at midnight ends with the day."""
    at = time.fromisoformat(text)
    return time.max if ends and at == time.min else at
