"""After a gap: what a provider still has of its own is read again, and what was missed taken in.

A line of a provider's journal goes the way of every post: it is stored as a delivery, and what
was told already is told once. Only lines with something new are stored.
"""

import logging

from django.db import connection
from django.utils import timezone

from messaging.calling import open_via
from messaging.models import MessageEvent
from messaging.providers import get as provider_of
from messaging.providers.base import JOURNAL_ROUTE, BadPayload, Feature, Hook, Provider
from tenants import context, orders, secrets
from tenants.models import ProviderInstance, WebhookDelivery

logger = logging.getLogger(__name__)

LONGEST_MINUTES = 7 * 24 * 60


def order(instance: ProviderInstance, minutes: int) -> None:
    """Order the reading of an instance's journal, where its provider keeps one."""
    if keeps_journal(instance):
        orders.order(
            "reconcile",
            "default",
            tenant=instance.tenant_id,
            instance=instance.pk,
            minutes=min(max(minutes, 1), LONGEST_MINUTES),
        )


def keeps_journal(instance: ProviderInstance) -> bool:
    """Whether what was missed can be read again."""
    return Feature.JOURNAL in provider_of(instance.provider).supports


def reconcile(instance_id: int, minutes: int) -> int:
    """Take in what the last minutes' journal tells and we were not told; how many lines that is.

    Raises `SendError` where the provider cannot be asked. Safe to repeat.
    """
    number = context.current_number()
    instance = ProviderInstance.objects.of(number).filter(pk=instance_id).first()
    if instance is None or not keeps_journal(instance):
        return 0
    provider = provider_of(instance.provider)
    via = open_via(instance)
    _let_go_of_the_connection()
    with via.http:
        lines = provider.read_journal(via, minutes=minutes)
    missed = [line for line in lines if _tells_something_new(line, instance, provider)]
    _store(missed, instance)
    if missed:
        logger.info("instance %s: %d of %d lines were missed", instance.pk, len(missed), len(lines))
        orders.ring(number)
    return len(missed)


def _tells_something_new(line: bytes, instance: ProviderInstance, provider: Provider) -> bool:
    try:
        events = provider.parse(Hook(body=line, route=JOURNAL_ROUTE), instance.reference)
    except BadPayload:
        # Kept, so that staff see what cannot be read; a second reading finds it kept already.
        return not _is_kept(line, instance)
    ids = {event.event_id[:250] for event in events}
    told = MessageEvent.objects.filter(
        provider=instance.provider, instance_id=instance.pk, event_id__in=ids
    )
    return told.count() < len(ids)


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


def _let_go_of_the_connection() -> None:
    """The provider may take its time; the database connection is not kept waiting with it."""
    connection.close()
