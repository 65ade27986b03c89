"""What platform staff see of vendors at a glance: public tables only, however many vendors."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.db.models import Count, Q
from django.db.models.functions import TruncHour

from tenants.limits import Kind
from tenants.models import ProviderInstance, UsageCounter, WebhookDelivery

HOURS_SHOWN = 48
_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_State = WebhookDelivery.State
FAILED = (_State.FAILED, _State.UNREADABLE)
_COUNTS = {"arrived": Count("pk"), "failed": Count("pk", filter=Q(state__in=FAILED))}


@dataclass(frozen=True)
class Glance:
    """A vendor in a line: its people, its instances, and what was posted for it in a day."""

    users: int = 0
    instances: list[ProviderInstance] = field(default_factory=list)
    arrived: int = 0
    failed: int = 0

    @property
    def last_event_at(self) -> datetime | None:
        """When a provider last told something about any of its instances."""
        told = [each.last_event_at for each in self.instances if each.last_event_at]
        return max(told, default=None)


@dataclass(frozen=True)
class Hour:
    """What was posted for a vendor in one hour, and how much of it could not be read."""

    begins_at: datetime
    arrived: int = 0
    failed: int = 0


def glances(numbers: Collection[int], now: datetime) -> dict[int, Glance]:
    """A glance at each of these tenants, in as many queries for one as for fifty."""
    counters = UsageCounter.objects.across_tenants().filter(
        tenant_id__in=numbers, kind=Kind.USERS.value, period=""
    )
    users = dict(counters.values_list("tenant_id", "used"))
    instances: dict[int, list[ProviderInstance]] = defaultdict(list)
    rows = ProviderInstance.objects.across_tenants().filter(tenant_id__in=numbers)
    for instance in rows.select_related("failover").order_by("pk"):
        instances[instance.tenant_id].append(instance)
    recent = WebhookDelivery.objects.across_tenants().filter(
        tenant_id__in=numbers, received_at__gte=now - _DAY
    )
    counts = {row["tenant_id"]: row for row in recent.values("tenant_id").annotate(**_COUNTS)}
    return {
        number: Glance(
            users.get(number, 0),
            instances[number],
            counts.get(number, {}).get("arrived", 0),
            counts.get(number, {}).get("failed", 0),
        )
        for number in numbers
    }


def hours(number: int, now: datetime) -> list[Hour]:
    """The last hours of a tenant, the present one last; those without any post are there too."""
    present = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    first = present - (HOURS_SHOWN - 1) * _HOUR
    posted = WebhookDelivery.objects.of(number).filter(received_at__gte=first)
    by_hour = posted.annotate(hour=TruncHour("received_at", tzinfo=UTC)).values("hour")
    counted = {row["hour"]: row for row in by_hour.annotate(**_COUNTS).order_by("hour")}
    return [
        Hour(
            at,
            counted.get(at, {}).get("arrived", 0),
            counted.get(at, {}).get("failed", 0),
        )
        for at in (first + step * _HOUR for step in range(HOURS_SHOWN))
    ]
