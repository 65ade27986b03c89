"""Managers of shared tables, where a forgotten filter would cross tenants."""

from django.db import models
from django.db.models.manager import BaseManager


class SharedRows(BaseManager):
    """Offers no `all()`: every reader says whose rows it wants."""

    _queryset_class = models.QuerySet

    def of(self, tenant) -> models.QuerySet:
        """The rows of one tenant, given as a Tenant or its number."""
        number = getattr(tenant, "number", tenant)
        return self.get_queryset().filter(tenant_id=number)

    def across_tenants(self) -> models.QuerySet:
        """The rows of everybody: for platform staff, operators and the way in only."""
        return self.get_queryset()

    def all(self):
        """Refused: say `of(tenant)` or `across_tenants()`."""
        raise TypeError(f"{self.model.__name__}: say of(tenant) or across_tenants().")
