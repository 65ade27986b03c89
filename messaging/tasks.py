"""Jobs: load, enter the tenant, call the verb."""

import logging
from collections.abc import Callable
from datetime import timedelta
from functools import wraps

from django.db import DatabaseError, transaction
from django.utils import timezone

from messaging import (
    activities,
    connecting,
    delivering,
    erasing,
    inbox,
    looking_after,
    media,
    moving,
    reacting,
    receipts,
    reconciling,
    retention,
    revealing,
    revising,
    templates,
)
from messaging.espo import running
from messaging.providers.base import SendError
from tenants import audit, context, directory, expiring, orders
from tenants.accounts.models import RememberedWrite, User
from tenants.models import ProviderInstance, Tenant

logger = logging.getLogger(__name__)

REMEMBER_WRITES = timedelta(days=2)
KEEP_FAILED_JOBS_DAYS = 14


def in_its_tenant(work: Callable[..., None]) -> Callable[..., None]:
    """A job that is ordered with its tenant's number and done inside the tenant; where that is
    gone, there is nothing left to do."""

    @wraps(work)
    def job(tenant: int, *args, **facts) -> None:
        try:
            found = directory.tenant_numbered(tenant)
        except Tenant.DoesNotExist:
            return
        with context.entered(found):
            work(*args, **facts)

    return job


def drain_inbox(tenant: int) -> None:
    """Read what providers posted for a tenant."""
    inbox.drain(tenant)


@in_its_tenant
def drain_outbox(instance: int) -> None:
    """Send what a tenant queued at one of its instances."""
    delivering.drain(context.current_number(), instance)


@in_its_tenant
def keep_history(messages: list[int]) -> None:
    """Write messages, or what became of them, into their leads' history."""
    activities.keep(messages)


@in_its_tenant
def fetch_media(file: int) -> None:
    """Get a file of a message from its provider."""
    media.fetch(file)


@in_its_tenant
def find_phone(instance: int, identity: int, attempt: int) -> None:
    """Ask a provider for the number behind a LID."""
    revealing.reveal(identity, instance, attempt)


@in_its_tenant
def discard_files(paths: list[str]) -> None:
    """Remove from storage what no message holds any more."""
    media.discard(paths)


@in_its_tenant
def show_read(message: int, attempt: int) -> None:
    """Show a contact that what they wrote was read."""
    receipts.show(message, attempt)


@in_its_tenant
def revise(message: int, attempt: int) -> None:
    """Withdraw a message of ours, or give it another text, at its provider."""
    revising.carry_out(message, attempt)


@in_its_tenant
def react(message: int, attempt: int) -> None:
    """Tell a provider of an emoji of ours."""
    reacting.carry_out(message, attempt)


@in_its_tenant
def take_out(instance: int, messages: list[str]) -> None:
    """Take what was withdrawn or edited out of every place it was copied to."""
    for external_id in messages:
        with transaction.atomic():
            erasing.take_out(context.current_number(), instance, external_id)


@in_its_tenant
def look_after(instance: int) -> None:
    """Ask how an instance is; connect it again where it went away."""
    looking_after.look_after(instance)


@in_its_tenant
def synchronise_templates(instance: int) -> None:
    """Read an account's templates from its provider."""
    mine = ProviderInstance.objects.of(context.current_number())
    found = mine.filter(pk=instance).first()
    if found is None:
        return
    try:
        templates.synchronise(found)
    except SendError as error:
        if error.retry or error.unknown:
            raise
        logger.info("templates of instance %s could not be read: %s", instance, error.code)


def synchronise_all_templates(timestamp: int) -> None:
    """Order the reading of every account's templates."""
    templates.synchronise_all()


def probe_waiting(timestamp: int) -> None:
    """Ask again about numbers whose provider could not be asked when they were connected."""
    connecting.probe_waiting()


def look_for_gaps(timestamp: int) -> None:
    """Have every journal read on from where it was left."""
    reconciling.order_all()


@in_its_tenant
def reconcile(instance: int, minutes: int | None = None) -> None:
    """Read what a provider kept while it, or we, were away."""
    try:
        reconciling.reconcile(instance, minutes)
    except SendError as error:
        if error.retry or error.unknown:
            raise
        logger.warning("instance %s: its journal cannot be read: %s", instance, error.code)


def synchronise_crms(timestamp: int) -> None:
    """Order a run for every tenant whose CRM is to be read, or waited for."""
    running.order_due()


@in_its_tenant
def synchronise_crm() -> None:
    """Read what changed in a tenant's CRM and tell it what waits."""
    with audit.coming_from("crm"):
        running.run()


def apply_retention(timestamp: int) -> None:
    """Remove what is older than its tenant keeps it; one tenant's trouble is not the others'."""
    for tenant in list(Tenant.objects.exclude(retention_days=None).order_by("number")):
        try:
            with context.entered(tenant), audit.coming_from("retention"):
                retention.apply(tenant.retention_days, now=timezone.now())
        except DatabaseError:
            logger.exception("tenant %s: its old messages were not removed", tenant.number)


def forget_old(timestamp: int) -> None:
    """Remove deliveries, and answers to repeated writes, that need not be kept longer; one tenant's
    trouble is not the others'."""
    inbox.forget_old(timezone.now())
    moving.forget_keys(timezone.now())
    orders.forget_failed(KEEP_FAILED_JOBS_DAYS)
    expiring.take_away_old(timezone.now())
    before = timezone.now() - REMEMBER_WRITES
    for tenant in list(Tenant.objects.order_by("number")):
        try:
            with context.entered(tenant):
                RememberedWrite.objects.filter(created_at__lt=before).delete()
                media.forget_unsent(before)
                media.recount()
                User.objects.recount()
        except DatabaseError:
            logger.exception("tenant %s: what is old there was not removed", tenant.number)
