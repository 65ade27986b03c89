"""From deliveries to rows: a tenant's waiting posts, batch by batch, one worker at a time."""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from amda import crashpoints
from messaging import bodies, ingest
from messaging.events import Event
from messaging.providers import UnknownProvider
from messaging.providers.base import BadPayload
from tenants import context, directory, orders
from tenants.models import Tenant, WebhookDelivery

logger = logging.getLogger(__name__)

State = WebhookDelivery.State
BATCH = 100
TURN_SECONDS = 2
SWEEP_AFTER_SECONDS = 3


def drain(number: int) -> None:
    """Read a tenant's inbox until it is empty or the turn is over; then ring and let others.

    Whoever does not get the tenant's lock leaves: who holds it looks once more after its last
    empty batch, so nothing that was committed before stays behind.
    """
    try:
        tenant = directory.tenant_numbered(number)
    except Tenant.DoesNotExist:
        return
    until = timezone.now() + timedelta(seconds=TURN_SECONDS)
    with context.entered(tenant):
        empty_before = False
        while timezone.now() < until:
            handled = _drain_batch(tenant)
            if handled is None or (handled == 0 and empty_before):
                return
            empty_before = handled == 0
    orders.ring(number)


def sweep() -> int:
    """Ring for every tenant whose deliveries have waited too long; how many there are."""
    overdue = WebhookDelivery.objects.across_tenants().filter(
        state=State.WAITING, received_at__lt=timezone.now() - timedelta(seconds=SWEEP_AFTER_SECONDS)
    )
    due = overdue.exclude(not_before__gt=timezone.now())
    numbers = sorted(due.values_list("tenant_id", flat=True).distinct())
    with connection.cursor() as cursor:
        cursor.execute(orders.RING, [numbers])
    return len(numbers)


def replay(deliveries) -> int:
    """Put deliveries of a queryset back into the inbox, where they still say anything."""
    deliveries = deliveries.filter(erased_at=None)
    numbers = sorted(set(deliveries.values_list("tenant_id", flat=True)))
    count = deliveries.update(state=State.WAITING, attempts=0, not_before=None, error="")
    for number in numbers:
        orders.ring(number)
    return count


def forget_old(now: datetime) -> int:
    """Remove deliveries that are older than they may be kept; how many there were."""
    before = now - timedelta(days=settings.DELIVERY_RETENTION_DAYS)
    removed, _ = WebhookDelivery.objects.across_tenants().filter(received_at__lt=before).delete()
    return removed


def _drain_batch(tenant: Tenant) -> int | None:
    """One transaction; how many deliveries it dealt with, None when another worker is at it."""
    with transaction.atomic():
        if not _lock(tenant.number):
            return None
        deliveries = list(_waiting(tenant)[:BATCH])
        _ingest_each(tenant, deliveries)
    return len(deliveries)


def _lock(number: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [orders.INBOX_LOCK, number])
        return cursor.fetchone()[0]


def _waiting(tenant: Tenant):
    return (
        WebhookDelivery.objects.of(tenant)
        .filter(state=State.WAITING)
        .exclude(not_before__gt=timezone.now())
        .order_by("id")
    )


def _ingest_each(tenant: Tenant, deliveries: Iterable[WebhookDelivery]) -> None:
    """Each delivery in its own savepoint, so that a bad one never stops the others."""
    batch = ingest.Batch(tenant)
    for delivery in deliveries:
        told: list[Event] = []
        try:
            with transaction.atomic():
                told = _read(delivery)
                batch.apply(told, delivery)
                _done(delivery, told)
        except BadPayload as exc:
            _unreadable(delivery, exc)
        except Exception as exc:
            if connection.needs_rollback or not connection.is_usable():
                raise
            logger.exception("delivery %s could not be taken in", delivery.pk)
            _failed(delivery, exc, told)
        crashpoints.reached("mid_batch")
    batch.finish()


def _read(delivery: WebhookDelivery) -> list[Event]:
    try:
        return bodies.read(delivery)
    except UnknownProvider as exc:
        raise BadPayload(f"no adapter for {delivery.provider}") from exc


def _done(delivery: WebhookDelivery, told: list[Event]) -> None:
    now = timezone.now()
    _move(delivery, State.DONE, message_ids=bodies.named_in(told), processed_at=now, error="")
    if bodies.is_fleeting(told) or bodies.was_erased_elsewhere(delivery):
        bodies.erase_post(delivery)


def _unreadable(delivery: WebhookDelivery, exc: Exception) -> None:
    _move(delivery, State.UNREADABLE, processed_at=timezone.now(), error=_words(exc))


def _failed(delivery: WebhookDelivery, exc: Exception, told: list[Event]) -> None:
    """Try again after a while; after the last attempt it stays, to be seen and replayed."""
    attempts = delivery.attempts + 1
    known = {"attempts": attempts, "message_ids": bodies.named_in(told), "error": _words(exc)}
    if attempts >= settings.DELIVERY_ATTEMPTS:
        _move(delivery, State.FAILED, **known)
        return
    wait = settings.DELIVERY_BACKOFF_SECONDS[attempts - 1]
    _move(delivery, State.WAITING, not_before=timezone.now() + timedelta(seconds=wait), **known)


def _move(delivery: WebhookDelivery, state: str, **facts) -> None:
    WebhookDelivery.objects.of(delivery.tenant_id).filter(pk=delivery.pk).update(
        state=state, **facts
    )


def _words(exc: Exception) -> str:
    """What kind of mistake it was; never the text, which may quote a message."""
    return str(exc)[:500] if isinstance(exc, BadPayload) else type(exc).__name__
