"""Jobs: load, enter the tenant, call the verb."""

import logging
from datetime import timedelta

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


def drain_inbox(tenant: int) -> None:
    """Read what providers posted for a tenant."""
    inbox.drain(tenant)


def drain_outbox(tenant: int, instance: int) -> None:
    """Send what a tenant queued at one of its instances."""
    try:
        found = directory.tenant_numbered(tenant)
    except Tenant.DoesNotExist:
        return
    with context.entered(found):
        delivering.drain(tenant, instance)


def keep_history(tenant: int, messages: list[int]) -> None:
    """Write messages, or what became of them, into their leads' history."""
    try:
        found = directory.tenant_numbered(tenant)
    except Tenant.DoesNotExist:
        return
    with context.entered(found):
        activities.keep(messages)


def fetch_media(tenant: int, file: int) -> None:
    """Get a file of a message from its provider."""
    try:
        found = directory.tenant_numbered(tenant)
    except Tenant.DoesNotExist:
        return
    with context.entered(found):
        media.fetch(file)


def find_phone(tenant: int, instance: int, identity: int, attempt: int) -> None:
    """Ask a provider for the number behind a LID."""
    try:
        found = directory.tenant_numbered(tenant)
    except Tenant.DoesNotExist:
        return
    with context.entered(found):
        revealing.reveal(identity, instance, attempt)


def discard_files(tenant: int, paths: list[str]) -> None:
    """Remove from storage what no message holds any more."""
    try:
        found = directory.tenant_numbered(tenant)
    except Tenant.DoesNotExist:
        return
    with context.entered(found):
        media.discard(paths)


def show_read(tenant: int, message: int, attempt: int) -> None:
    """Show a contact that what they wrote was read."""
    try:
        found = directory.tenant_numbered(tenant)
    except Tenant.DoesNotExist:
        return
    with context.entered(found):
        receipts.show(message, attempt)


def revise(tenant: int, message: int, attempt: int) -> None:
    """Withdraw a message of ours, or give it another text, at its provider."""
    try:
        found = directory.tenant_numbered(tenant)
    except Tenant.DoesNotExist:
        return
    with context.entered(found):
        revising.carry_out(message, attempt)


def react(tenant: int, message: int, attempt: int) -> None:
    """Tell a provider of an emoji of ours."""
    try:
        found = directory.tenant_numbered(tenant)
    except Tenant.DoesNotExist:
        return
    with context.entered(found):
        reacting.carry_out(message, attempt)


def take_out(tenant: int, instance: int, messages: list[str]) -> None:
    """Take what was withdrawn or edited out of every place it was copied to."""
    try:
        found = directory.tenant_numbered(tenant)
    except Tenant.DoesNotExist:
        return
    with context.entered(found):
        for external_id in messages:
            with transaction.atomic():
                erasing.take_out(tenant, instance, external_id)


def look_after(tenant: int, instance: int) -> None:
    """Ask how an instance is; connect it again where it went away."""
    try:
        found = directory.tenant_numbered(tenant)
    except Tenant.DoesNotExist:
        return
    with context.entered(found):
        looking_after.look_after(instance)


def synchronise_templates(tenant: int, instance: int) -> None:
    """Read an account's templates from its provider."""
    found = ProviderInstance.objects.across_tenants().filter(pk=instance, tenant=tenant).first()
    if found is None:
        return
    with context.entered(directory.tenant_numbered(tenant)):
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


def reconcile(tenant: int, instance: int, minutes: int | None = None) -> None:
    """Read what a provider kept while it, or we, were away."""
    try:
        found = directory.tenant_numbered(tenant)
    except Tenant.DoesNotExist:
        return
    with context.entered(found):
        try:
            reconciling.reconcile(instance, minutes)
        except SendError as error:
            if error.retry or error.unknown:
                raise
            logger.warning("instance %s: its journal cannot be read: %s", instance, error.code)


def synchronise_crms(timestamp: int) -> None:
    """Order a run for every tenant whose CRM is to be read, or waited for."""
    running.order_due()


def synchronise_crm(tenant: int) -> None:
    """Read what changed in a tenant's CRM and tell it what waits."""
    try:
        found = directory.tenant_numbered(tenant)
    except Tenant.DoesNotExist:
        return
    with context.entered(found), audit.coming_from("crm"):
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
    """Remove deliveries, and answers to repeated writes, that need not be kept longer."""
    inbox.forget_old(timezone.now())
    moving.forget_keys(timezone.now())
    orders.forget_failed(KEEP_FAILED_JOBS_DAYS)
    expiring.take_away_old(timezone.now())
    before = timezone.now() - REMEMBER_WRITES
    for tenant in list(Tenant.objects.order_by("number")):
        with context.entered(tenant):
            RememberedWrite.objects.filter(created_at__lt=before).delete()
            media.forget_unsent(before)
            media.recount()
            User.objects.recount()
