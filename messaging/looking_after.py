"""Looking after instances: each is asked how it is, and one that went away is connected again.

The worker looks every two seconds for those whose time has come and orders a job for each. A job
claims its instance first, so that several workers ask once; a claim that was never finished ends
by itself.
"""

import logging
from datetime import timedelta

from django.utils import timezone

from messaging import connecting, states
from messaging.calling import let_go_of_the_connection, open_via
from messaging.events import Connection
from messaging.providers import get as provider_of
from messaging.providers.base import Feature, InstanceState, SendError
from tenants import context, orders
from tenants.models import ProviderInstance

logger = logging.getLogger(__name__)

State = ProviderInstance.State
STAGGER_SECONDS = 2
# After a restart every instance has had its turn within this time, however many there are.
ALL_WITHIN_SECONDS = 100
CLAIM_SECONDS = 90
_AT_ONCE = 200


def order_due() -> int:
    """Order a look at every instance whose time has come; how many. Never inside `atomic`."""
    due = ProviderInstance.objects.across_tenants().filter(look_again_at__lte=timezone.now())
    found = list(due.order_by("look_again_at").values_list("pk", "tenant_id")[:_AT_ONCE])
    for pk, tenant in found:
        orders.order_once("look_after", "instances", key=f"look:{pk}", tenant=tenant, instance=pk)
    return len(found)


def begin() -> int:
    """After a start of ours: spread the first look at every instance that is not left alone.

    Those that are away come first. One whose turn comes soon anyway keeps it, so that a second
    worker that starts puts nothing off.
    """
    now = timezone.now()
    everything = ProviderInstance.objects.across_tenants()
    waiting = everything.exclude(look_again_at=None).exclude(
        look_again_at__gt=now, look_again_at__lte=now + timedelta(seconds=ALL_WITHIN_SECONDS)
    )
    found = sorted(
        waiting.values_list("pk", "state"), key=lambda each: (each[1] == State.CONNECTED, each[0])
    )
    apart = min(STAGGER_SECONDS, ALL_WITHIN_SECONDS / max(len(found), 1))
    for place, (pk, _state) in enumerate(found):
        # Nobody may have left it alone meanwhile.
        everything.filter(pk=pk).exclude(look_again_at=None).update(
            look_again_at=now + timedelta(seconds=place * apart)
        )
    return len(found)


def look_after(instance_id: int) -> None:
    """Ask how an instance is, and connect it again where it is away and that may help.

    Inside its tenant. Does nothing where its time has not come.
    """
    instance = _claimed(instance_id)
    if instance is None:
        return
    if _is_lively(instance):
        states.enter(
            instance, InstanceState(Connection.CONNECTED), at=timezone.now(), is_told=False
        )
        return
    let_go_of_the_connection()
    connecting.probe(instance)
    if instance.state == State.DISCONNECTED and not _is_over(instance):
        _connect_again(instance)
    if instance.state != State.CONNECTED and instance.look_again_at is not None:
        states.put_off(instance)


def _claimed(instance_id: int) -> ProviderInstance | None:
    now = timezone.now()
    mine = ProviderInstance.objects.of(context.current_number())
    due = mine.filter(pk=instance_id, look_again_at__lte=now)
    if not due.update(look_again_at=now + timedelta(seconds=CLAIM_SECONDS)):
        return None
    return mine.select_related("tenant").get(pk=instance_id)


def _is_lively(instance: ProviderInstance) -> bool:
    """What posted something since it connected, a moment ago, need not be asked."""
    minutes = provider_of(instance.provider).minutes_between_looks
    heard = instance.last_event_at
    return (
        instance.state == State.CONNECTED
        and not instance.state_reason
        and instance.key_in_doubt_since is None
        and heard is not None
        and heard > timezone.now() - timedelta(minutes=minutes)
    )


def _is_over(instance: ProviderInstance) -> bool:
    return instance.look_again_at is None or states.is_left_alone(instance)


def _connect_again(instance: ProviderInstance) -> None:
    provider = provider_of(instance.provider)
    if Feature.CONNECTS not in provider.supports:
        return
    let_go_of_the_connection()
    via = open_via(instance)
    with via.http:
        try:
            found = provider.restart(via)
        except SendError as error:
            logger.info("instance %s was not connected again: %s", instance.pk, error.code)
            return
    states.enter(instance, found, at=timezone.now())
