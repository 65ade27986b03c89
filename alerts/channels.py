"""Which of a tenant's numbers are cut off, and why.

Instances live in `public` and what is usual for them in the tenant, so this is read apart and
compared here; a tenant has few numbers.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Sum

from alerts.models import AwayInstance
from alerts.rules import CHANNEL_DOWN
from alerts.thresholds import Tuning
from messaging.models import InstanceDay
from tenants.models import ProviderInstance, Tenant

State = ProviderInstance.State
USUAL_DAYS = 14
# Who is written to less often than this has no habit that silence could break.
USUAL_FROM = 28
SILENT_GAPS = 3
SHORTEST_SILENCE = timedelta(minutes=30)


@dataclass(frozen=True)
class Down:
    """An instance that is cut off."""

    instance_id: int
    since: datetime
    facts: str


def down(tenant: Tenant, tuning: Tuning) -> list[Down]:
    """The tenant's instances that are cut off."""
    mine = list(ProviderInstance.objects.serving(tenant).order_by("pk"))
    away = _away(mine)
    gaps = _usual_gaps(tuning)
    found = [_cut_off(each, away.get(each.pk), gaps.get(each.pk), tuning) for each in mine]
    return [each for each in found if each]


def _away(mine: list[ProviderInstance]) -> dict[int, datetime]:
    """Since when each of those that are not connected has not been."""
    gone = [each for each in mine if each.state != State.CONNECTED]
    AwayInstance.objects.exclude(pk__in=[each.pk for each in gone]).delete()
    AwayInstance.objects.bulk_create(
        [AwayInstance(pk=each.pk, since=_changed(each)) for each in gone], ignore_conflicts=True
    )
    return dict(AwayInstance.objects.values_list("pk", "since"))


def _changed(instance: ProviderInstance) -> datetime:
    return instance.state_changed_at or instance.created_at


def _cut_off(
    instance: ProviderInstance,
    away_since: datetime | None,
    usual_gap: timedelta | None,
    tuning: Tuning,
) -> Down | None:
    if instance.state == State.BLOCKED:
        return _down(instance, _changed(instance), "blocked")
    if away_since is not None:
        patience = timedelta(seconds=tuning.thresholds(CHANNEL_DOWN)["critical"] or 0)
        is_late = away_since + patience <= tuning.now
        return _down(instance, away_since, instance.state) if is_late else None
    heard = instance.last_event_at
    if usual_gap is None or heard is None:
        return None
    allowed = max(SILENT_GAPS * usual_gap, SHORTEST_SILENCE)
    if tuning.hours.between(heard, tuning.now) < allowed:
        return None
    return _down(instance, heard, "silent")


def _down(instance: ProviderInstance, since: datetime, reason: str) -> Down:
    facts = {"since": since.isoformat(), "reason": reason}
    return Down(instance.pk, since, json.dumps(facts))


def _usual_gaps(tuning: Tuning) -> dict[int, timedelta]:
    """Opening time for each message, over the last two weeks, where there were enough."""
    day = tuning.now.date()
    days = InstanceDay.objects.filter(day__lt=day, day__gte=day - timedelta(days=USUAL_DAYS))
    received = dict(days.values_list("instance_id").annotate(Sum("received")))
    end = tuning.now
    opening = tuning.hours.between(end - timedelta(days=USUAL_DAYS), end)
    return {pk: opening / count for pk, count in received.items() if count >= USUAL_FROM}
