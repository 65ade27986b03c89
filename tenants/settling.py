"""What a tenant's owners decide about it: checked, kept, told to everybody, in the audit."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from tenants import audit, directory
from tenants.accounts.models import User, tell_rights_changed
from tenants.models import Tenant
from tenants.permissions import GIVEN_BY_TENANT

NAMES = (
    "name",
    "language",
    "time_zone",
    "default_country",
    "colour",
    "logo",
    "opening_hours",
    "holidays",
    "retention_days",
    "agents_see_all",
)


def change(number: int, values: Mapping[str, Any], *, by: User | None) -> Tenant:
    """Keep these settings of the tenant one is in; only what differs is written and recorded."""
    with transaction.atomic():
        tenant = Tenant.objects.select_for_update().get(number=number)
        had = {name: getattr(tenant, name) for name in values}
        before, after = audit.difference(had, values)
        if after:
            for name, value in after.items():
                setattr(tenant, name, value)
            tenant.save(update_fields=list(after))
            audit.record("tenant.changed", by=by, subject=tenant, before=before, after=after)
            directory.changed()
        if after.keys() & set(GIVEN_BY_TENANT.values()):
            tell_rights_changed()
    directory.forget()
    return tenant
