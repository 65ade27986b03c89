"""How much of its plan a tenant uses, and where that leads by the end of the month."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from tenants import limits
from tenants.accounts.models import User
from tenants.limits import Kind, Meter
from tenants.models import ProviderInstance, Tenant

MONTHS_SHOWN = 6
# Less than this of a month says nothing about the rest of it.
SHORTEST_PAST = timedelta(days=1)


@dataclass(frozen=True)
class Forecast:
    """Where the month leads if it goes on as it began; `reached_at` is when nothing is left."""

    expected: int
    reached_at: datetime | None


@dataclass(frozen=True)
class Month:
    """What was used in one month, and how that compares with the most of all shown."""

    begins_at: datetime
    used: int
    height: int


def meters(tenant: Tenant, now: datetime | None = None) -> list[Meter]:
    """Everything that is limited and how much of it is used, inside the tenant."""
    now = now or timezone.now()
    number = tenant.number
    allowed = limits.allowance_of(number)
    in_use = {
        Kind.USERS: User.objects.filter(is_active=True).count(),
        Kind.INSTANCES: ProviderInstance.objects.serving(tenant).count(),
    }
    return [
        limits.meter(number, Kind.MESSAGES, now=now),
        *(Meter(kind, used, getattr(allowed, kind.value)) for kind, used in in_use.items()),
        limits.meter(number, Kind.STORAGE, now=now),
    ]


def forecast(meter: Meter, now: datetime) -> Forecast | None:
    """Where a month's meter leads; None where it is too early to say, or nothing was used."""
    ends = meter.reset_at
    if ends is None or not meter.used:
        return None
    begins = (ends - timedelta(days=1)).replace(day=1)
    past = now - begins
    if past < SHORTEST_PAST:
        return None
    expected = round(meter.used * ((ends - begins) / past))
    if meter.limit is None or expected <= meter.limit or meter.used >= meter.limit:
        return Forecast(expected, None)
    return Forecast(expected, begins + past * (meter.limit / meter.used))


def history(tenant: Tenant, now: datetime | None = None) -> list[Month]:
    """The messages of the last months, oldest first."""
    now = now or timezone.now()
    begins = _months_up_to(limits.reset_at(tenant.number, Kind.MESSAGES, now))
    names = {f"{month:%Y-%m}": month for month in begins}
    used = limits.months(tenant.number, Kind.MESSAGES, names)
    most = max(used.values(), default=0)
    return [
        Month(month, used.get(name, 0), used.get(name, 0) * 100 // most if most else 0)
        for name, month in names.items()
    ]


def _months_up_to(end: datetime | None) -> list[datetime]:
    found: list[datetime] = []
    while end is not None and len(found) < MONTHS_SHOWN:
        end = (end - timedelta(days=1)).replace(day=1)
        found.insert(0, end)
    return found
