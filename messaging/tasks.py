"""Jobs: load, enter the tenant, call the verb."""

from django.utils import timezone

from messaging import delivering, inbox
from tenants import context, directory
from tenants.models import Tenant


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


def forget_old(timestamp: int) -> None:
    """Remove deliveries that are older than they may be kept."""
    inbox.forget_old(timezone.now())
