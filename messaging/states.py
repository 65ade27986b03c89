"""The state of an instance: written in this one place, with when it is looked at again.

An instance that is away is looked at again soon, then ever more rarely. One that only a person
can bring back (another device took its place, its code must be scanned, its key is refused,
somebody disconnected it) is left alone: nothing is spent on it until a person or the provider says
something.
"""

from datetime import datetime, timedelta

from django.utils import timezone

from messaging import realtime, reconciling, signals, standing_in
from messaging.events import Connection
from messaging.providers import get as provider_of
from messaging.providers.base import InstanceState
from tenants import orders
from tenants.models import ProviderInstance

State = ProviderInstance.State
FIRST_PAUSE_SECONDS = 5
LONGEST_PAUSE_SECONDS = 300
_NEVER_BY_ITSELF = (State.CONFLICT, State.BLOCKED)


def enter(
    instance: ProviderInstance,
    found: InstanceState,
    *,
    at: datetime,
    is_told: bool = True,
    waits_for_person: bool = False,
) -> None:
    """Write down the state an instance is in at `at`; tell pages and listeners if it is new.

    `is_told` says that its provider said so, then. Inside the instance's tenant.
    """
    if _would_fight(instance, found):
        return
    before = (instance.state, instance.state_reason)
    is_back = found.state is Connection.CONNECTED and instance.state != State.CONNECTED
    since = instance.state_changed_at or at
    instance.state, instance.state_reason = found.state.value, found.reason[:200]
    if before[0] != instance.state:
        instance.state_changed_at = at
    if is_told:
        instance.known_at = max(at, instance.known_at or at)
    if found.state is Connection.CONNECTED:
        instance.tries, instance.is_held = 0, False
    instance.look_again_at = None if waits_for_person else _next_look(instance)
    keep(instance)
    if is_back:
        reconciling.order_after_absence(instance, since, at)
    if before[0] != instance.state:
        order_drains(instance)
    if before != (instance.state, instance.state_reason):
        realtime.publish("instance", conversation=0, message=instance.pk)
        signals.instance_moved(instance.pk)


def order_drains(instance: ProviderInstance) -> None:
    """What waits leaves by it, or by another in its place: at once, or once it is away for long."""
    drain = {"tenant": instance.tenant_id, "instance": instance.pk}
    orders.order("drain_outbox", "outbox", **drain)
    if instance.failover_id is not None:
        at = timezone.now() + standing_in.PATIENCE + timedelta(seconds=1)
        orders.order("drain_outbox", "outbox", at=at, **drain)


def _would_fight(instance: ProviderInstance, found: InstanceState) -> bool:
    """Whether this only says that an instance is down whose place another device took. Believing
    it would connect the instance again, and the two would throw each other out for ever."""
    return instance.state == State.CONFLICT and found.state in (
        Connection.DISCONNECTED,
        Connection.PENDING,
    )


def put_off(instance: ProviderInstance) -> None:
    """The provider could not be asked, or still says no: look again later than the last time."""
    instance.tries = min(instance.tries + 1, 1000)
    if instance.look_again_at is not None:
        instance.look_again_at = timezone.now() + _pause(instance.tries)
    keep(instance)


def keep(instance: ProviderInstance) -> None:
    """Save what an instance's life consists of, and nothing else of it."""
    ProviderInstance.objects.of(instance.tenant_id).filter(pk=instance.pk).update(
        **{name: getattr(instance, name) for name in _LIFE}
    )


_LIFE = (
    "state",
    "state_reason",
    "state_changed_at",
    "known_at",
    "look_again_at",
    "tries",
    "is_held",
)


def is_left_alone(instance: ProviderInstance) -> bool:
    """Whether only a person can bring it back."""
    if instance.state == State.CONNECTED:
        return False
    needs_person = provider_of(instance.provider).waits_for_person
    return (
        instance.is_held
        or instance.state in _NEVER_BY_ITSELF
        or instance.state_reason in needs_person
    )


def waits_for_person(instance: ProviderInstance) -> bool:
    """Whether nothing is done for it until a person acts, be it for wrong keys."""
    is_away = instance.state != State.CONNECTED
    return is_left_alone(instance) or (is_away and instance.look_again_at is None)


def _next_look(instance: ProviderInstance) -> datetime | None:
    if is_left_alone(instance):
        return None
    if instance.state != State.CONNECTED:
        return timezone.now() + _pause(instance.tries)
    minutes = provider_of(instance.provider).minutes_between_looks
    return timezone.now() + timedelta(minutes=minutes)


def _pause(tries: int) -> timedelta:
    seconds = FIRST_PAUSE_SECONDS * 2 ** min(tries, 10)
    return timedelta(seconds=min(seconds, LONGEST_PAUSE_SECONDS))
