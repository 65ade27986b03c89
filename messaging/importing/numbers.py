"""Which of a tenant's numbers a row of history means."""

from messaging.importing.rows import BadRow, Row
from messaging.providers import get as provider_of
from messaging.providers.base import Medium
from tenants.models import ProviderInstance, Tenant


class Numbers:
    """A tenant's instances; `default` is meant by rows that name none."""

    def __init__(self, tenant: Tenant, default: ProviderInstance | None) -> None:
        self._mine = list(ProviderInstance.objects.serving(tenant).order_by("pk"))
        self._default = default
        self._found: dict[tuple[str, str, str], ProviderInstance] = {}

    def meant_by(self, row: Row) -> ProviderInstance:
        """The one instance that a row's number, provider and medium allow."""
        asked = (row["number"], row["provider"].lower(), row["medium"].lower())
        if asked not in self._found:
            self._found[asked] = self._one(*asked)
        return self._found[asked]

    def _one(self, number: str, provider: str, medium: str) -> ProviderInstance:
        if self._default and not (number or provider or medium):
            return self._default
        found = [each for each in self._mine if _is_meant(each, number, provider, medium)]
        if self._default in found:
            found = [self._default]
        column = "number" if number else "provider" if provider else "medium"
        if not found:
            raise BadRow(column, "this vendor has no such number; connect_instance makes one")
        if len(found) > 1:
            told = ", ".join(f"{each.pk} ({each})" for each in found)
            raise BadRow("number", f"several may be meant: {told}; say which, or use --number")
        return found[0]


def _is_meant(instance: ProviderInstance, number: str, provider: str, medium: str) -> bool:
    if number and number not in (str(instance.pk), instance.address, instance.reference):
        return False
    if provider and provider != instance.provider:
        return False
    known = [each.value for each in Medium]
    if medium and medium not in known:
        raise BadRow("medium", f"{medium[:20]!r} is none of {', '.join(known)}")
    return not medium or medium == provider_of(instance.provider).medium
