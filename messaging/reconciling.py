"""After a gap: what a provider still has of its own is read again, and what was missed taken in.

Each instance whose provider keeps a journal knows up to when it was read. It is read on from there
every quarter of an hour, which heals a gap of ours however long it was, and back to where an
instance went away once it is connected again. A line goes the way of every post: it is stored as
a delivery, and what was told already is told once. Only lines with something new are stored.
"""

import logging
import math
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.utils import timezone

from messaging import providers
from messaging.calling import let_go_of_the_connection, open_via
from messaging.models import MessageEvent
from messaging.providers.base import JOURNAL_ROUTE, BadPayload, Feature, Hook, Provider
from tenants import context, orders, secrets
from tenants.models import ProviderInstance, WebhookDelivery

logger = logging.getLogger(__name__)

LONGEST_MINUTES = 7 * 24 * 60
# A line may appear in a journal minutes after its message, and clocks differ.
OVERLAP = timedelta(minutes=10)
UNTIL_LISTED = timedelta(minutes=3)
_AT_ONCE = 500


def keeps_journal(provider_slug: str) -> bool:
    """Whether what was missed at this provider can be read again."""
    return Feature.JOURNAL in providers.get(provider_slug).supports


def order_after_absence(instance: ProviderInstance, since: datetime, now: datetime) -> None:
    """Order the reading of what was said while an instance was away, once its journal has it."""
    if keeps_journal(instance.provider):
        at = now + UNTIL_LISTED
        orders.order(
            "reconcile",
            "default",
            at=at,
            tenant=instance.tenant_id,
            instance=instance.pk,
            minutes=_minutes(since, at),
        )


def order_all() -> int:
    """Order it for every connected instance; how many there are. Never inside `atomic`."""
    with_journal = [slug for slug in providers.REGISTRY if keeps_journal(slug)]
    connected = ProviderInstance.objects.across_tenants().filter(
        provider__in=with_journal, state=ProviderInstance.State.CONNECTED
    )
    ordered = 0
    for pk, tenant in connected.values_list("pk", "tenant_id"):
        key = f"reconcile:{pk}"
        orders.order_once("reconcile", "default", key=key, tenant=tenant, instance=pk)
        ordered += 1
    return ordered


def reconcile(instance_id: int, minutes: int | None = None) -> int:
    """Take in what the journal tells and we were not told, since it was last read or of the last
    minutes; how many lines that is.

    Raises `SendError` where the provider cannot be asked. Safe to repeat.
    """
    number = context.current_number()
    mine = ProviderInstance.objects.of(number).filter(pk=instance_id)
    instance = mine.first()
    if instance is None or not keeps_journal(instance.provider):
        return 0
    started = timezone.now()
    provider = providers.get(instance.provider)
    via = open_via(instance)
    let_go_of_the_connection()
    with via.http:
        lines = provider.read_journal(via, minutes=minutes or _gap(instance, started))
    missed = list(_with_something_new(lines, instance, provider))
    _store(missed, instance)
    mine.update(journal_read_at=started)
    if missed:
        logger.info("instance %s: %d of %d lines were missed", instance.pk, len(missed), len(lines))
        orders.ring(number)
    return len(missed)


def _gap(instance: ProviderInstance, now: datetime) -> int:
    """How far back the journal is read: nothing from before the instance was ours."""
    return _minutes(instance.journal_read_at or instance.created_at, now)


def _minutes(since: datetime, now: datetime) -> int:
    minutes = math.ceil((now - since + OVERLAP).total_seconds() / 60)
    return min(max(minutes, 1), LONGEST_MINUTES)


def _with_something_new(
    lines: list[bytes], instance: ProviderInstance, provider: Provider
) -> Iterator[bytes]:
    for start in range(0, len(lines), _AT_ONCE):
        some = lines[start : start + _AT_ONCE]
        facts = [_facts_of(line, instance, provider) for line in some]
        told = _told(instance, {fact for each in facts for fact in each or ()})
        for line, ids in zip(some, facts, strict=True):
            # What cannot be read is kept once, so that staff see it.
            if (ids - told) if ids is not None else not _is_kept(line, instance):
                yield line


def _facts_of(line: bytes, instance: ProviderInstance, provider: Provider) -> set[str] | None:
    """The ids of what a line tells; None where it cannot be read."""
    try:
        events = provider.parse(Hook(body=line, route=JOURNAL_ROUTE), instance.reference)
    except BadPayload:
        return None
    return {event.event_id[:250] for event in events}


def _told(instance: ProviderInstance, ids: set[str]) -> set[str]:
    known = MessageEvent.objects.filter(
        provider=instance.provider, instance_id=instance.pk, event_id__in=ids
    )
    return set(known.values_list("event_id", flat=True))


def _is_kept(line: bytes, instance: ProviderInstance) -> bool:
    unreadable = WebhookDelivery.objects.of(instance.tenant_id).filter(
        instance=instance, route=JOURNAL_ROUTE, size=len(line), erased_at=None
    )
    return any(secrets.unseal(delivery.body) == line for delivery in unreadable)


def _store(lines: list[bytes], instance: ProviderInstance) -> None:
    now = timezone.now()
    for line in lines:
        WebhookDelivery(
            tenant_id=instance.tenant_id,
            instance=instance,
            provider=instance.provider,
            route=JOURNAL_ROUTE,
            content_type="application/json",
            body=secrets.seal(line),
            size=len(line),
            received_at=now,
        ).save()
