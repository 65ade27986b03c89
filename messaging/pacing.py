"""How fast a number sends: what its provider lets through, what the team set, what is left."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils import timezone

from messaging.models import Message
from messaging.providers import get as provider_of
from messaging.providers.base import SendError
from tenants import audit, directory, paces
from tenants.accounts.models import User
from tenants.models import ProviderInstance

AT_ONCE_SECONDS = 10
"""After a silence as much may leave at once as in this time."""
PEACE_SECONDS = 30
"""How long a provider is left in peace that does not say how long it wants to be."""
LONGEST_PEACE_SECONDS = 600


@dataclass(frozen=True)
class Allowed:
    """What may still be sent today; None where nothing is counted."""

    limit: int | None
    remaining: int | None
    reset_at: datetime

    @property
    def used(self) -> int:
        return (self.limit or 0) - (self.remaining or 0)

    @property
    def nearness(self) -> str:
        """How the meter is drawn."""
        return "full" if self.percent >= 100 else "near" if self.percent >= 80 else ""

    @property
    def percent(self) -> int:
        """0 to 100, rounded down."""
        return self.used * 100 // self.limit if self.limit else 0


def speed_of(instance: ProviderInstance) -> paces.Speed:
    """The team's own limits, else the provider's."""
    provider = provider_of(instance.provider)
    per_minute = instance.per_minute or provider.per_minute
    at_once = max(1, (per_minute or 0) * AT_ONCE_SECONDS // 60)
    return paces.Speed(per_minute, at_once, instance.per_day or provider.per_day)


def turn(instance: ProviderInstance, now: datetime) -> paces.Turn:
    """Whether this instance may send one message now, whichever worker asks."""
    today, tomorrow = _day(instance, now)
    return paces.take(
        instance.tenant_id, instance.pk, speed_of(instance), now=now, today=today, tomorrow=tomorrow
    )


def give_back(instance: ProviderInstance) -> None:
    """There was nothing to send."""
    paces.give_back(instance.pk)


def is_too_fast(provider_slug: str, error: SendError) -> bool:
    """Whether the provider refused only because too much came at once."""
    return error.retry and not error.unknown and error.code in provider_of(provider_slug).too_fast


def slow_down(instance: ProviderInstance, error: SendError, now: datetime) -> datetime:
    """Leave the provider in peace; until when."""
    seconds = error.retry_after if error.retry_after is not None else PEACE_SECONDS
    until = now + timedelta(seconds=min(max(seconds, 1), LONGEST_PEACE_SECONDS))
    today, _tomorrow = _day(instance, now)
    paces.slow_down(
        instance.tenant_id, instance.pk, speed_of(instance), until=until, now=now, today=today
    )
    return until


def allowed(instance: ProviderInstance, now: datetime) -> Allowed:
    """What is left of today, what is queued already taken off."""
    today, tomorrow = _day(instance, now)
    limit = speed_of(instance).per_day
    if limit is None:
        return Allowed(None, None, tomorrow)
    taken = paces.sent_on(instance.pk, today) + _queued(instance)
    return Allowed(limit, max(limit - taken, 0), tomorrow)


def set_limits(
    instance: ProviderInstance, *, per_minute: int | None, per_day: int | None, by: User
) -> None:
    """Let a number send more or less than its provider's limits; None for those."""
    before = {"per_minute": instance.per_minute, "per_day": instance.per_day}
    after = {"per_minute": per_minute, "per_day": per_day}
    if before == after:
        return
    with transaction.atomic():
        instance.per_minute, instance.per_day = per_minute, per_day
        instance.save(update_fields=["per_minute", "per_day"])
        audit.record(
            "instance.changed",
            by=by,
            subject=instance,
            tenant=instance.tenant_id,
            before=before,
            after=after,
        )


def _queued(instance: ProviderInstance) -> int:
    waiting = Message.objects.filter(instance_id=instance.pk, status=Message.Status.QUEUED)
    return waiting.count()


def _day(instance: ProviderInstance, now: datetime) -> tuple[date, datetime]:
    """Today in the tenant's time zone, and when it ends."""
    zone = ZoneInfo(directory.tenant_numbered(instance.tenant_id).time_zone)
    today = timezone.localtime(now, zone).date()
    midnight = datetime.combine(today + timedelta(days=1), datetime.min.time(), zone)
    return today, midnight
