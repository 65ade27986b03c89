"""Suspending a vendor: what arrives is still stored; sending and signing in say why."""

from django.db import transaction
from django.utils import timezone

from tenants import audit, context, directory
from tenants.accounts.models import User
from tenants.models import Tenant


def suspend(tenant: Tenant, reason: str, *, by: User | None) -> Tenant:
    """Close a tenant to everybody but its owners, who are shown the reason."""
    facts = {
        "state": Tenant.State.SUSPENDED,
        "suspended_at": timezone.now(),
        "suspended_reason": reason.strip(),
    }
    return _move(tenant, "tenant.suspended", facts, by, reason.strip())


def resume(tenant: Tenant, *, by: User | None) -> Tenant:
    """Open a suspended tenant again."""
    facts = {"state": Tenant.State.ACTIVE, "suspended_at": None, "suspended_reason": ""}
    return _move(tenant, "tenant.resumed", facts, by, "")


def _move(tenant: Tenant, act: str, facts: dict, by: User | None, reason: str) -> Tenant:
    with context.entered_public(), transaction.atomic():
        found = Tenant.objects.select_for_update().get(number=tenant.number)
        if found.state == facts["state"]:
            return found
        for name, value in facts.items():
            setattr(found, name, value)
        found.save(update_fields=list(facts))
        audit.record(act, by=by, subject=found, tenant=found, reason=reason)
        directory.changed()
    directory.forget()
    return found
