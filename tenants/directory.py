"""Who owns this host, slug, number or instance? Answered from memory, fresh within a second.

Every process keeps what it looked up and drops all of it when the version row has moved.
"""

import threading
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from django.conf import settings
from django.db.models import F, Q
from django.utils import timezone

from tenants.models import Domain, ProviderInstance, SlugAlias, Tenant, TenantHistory
from tenants.models.tenants import SLUG

FRESH_SECONDS = 0.5
LARGEST = 20_000
MOST_NAMES = 20
T = TypeVar("T")


@dataclass(frozen=True)
class KnownInstance:
    """An instance with its secrets, and those that others replaced a moment ago."""

    instance_id: int
    tenant_number: int
    provider: str
    reference: str
    address: str
    settings: Mapping[str, Any]
    secrets: Mapping[str, str] = field(repr=False)
    replaced_secrets: Mapping[str, str] = field(repr=False)
    replaced_until: datetime | None

    @property
    def secret_sets(self) -> tuple[Mapping[str, str], ...]:
        """Every secret set that is valid now; what is remembered here outlives the hour."""
        if self.replaced_until and self.replaced_until > timezone.now():
            return (self.secrets, self.replaced_secrets)
        return (self.secrets,)


class _Memory:
    """What was looked up since the version row last moved."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[Any, Any] = {}
        self._version = -1
        self._checked_at = float("-inf")

    def peek(self, key: Any) -> tuple[bool, Any]:
        """(found, value) without touching the database; not found once it may be stale."""
        if time.monotonic() - self._checked_at > FRESH_SECONDS:
            return False, None
        kept = self._kept
        return (True, kept[key]) if key in kept else (False, None)

    def get(self, key: Any, load: Callable[[], T]) -> T:
        self._refresh()
        if key in self._kept:
            return self._kept[key]
        kept = self._kept
        value = load()
        with self._lock:
            if len(kept) >= LARGEST:
                kept.clear()
            kept[key] = value
        return value

    def forget(self) -> None:
        with self._lock:
            self._kept = {}
            self._version = -1
            self._checked_at = float("-inf")

    def _refresh(self) -> None:
        if time.monotonic() - self._checked_at <= FRESH_SECONDS:
            return
        asked_at = time.monotonic()
        version = TenantHistory.objects.values_list("version", flat=True).first() or 0
        with self._lock:
            if version != self._version:
                self._kept = {}
                self._version = version
            self._checked_at = asked_at


_memory = _Memory()


def changed() -> None:
    """Tell every process that tenants or instances changed; they notice within a second."""
    moved = TenantHistory.objects.filter(pk=1).update(version=F("version") + 1)
    if not moved:
        TenantHistory.objects.get_or_create(pk=1, defaults={"version": 1})
    _memory.forget()


def forget() -> None:
    """Drop what this process keeps."""
    _memory.forget()


def kept(key: tuple[Hashable, ...], load: Callable[[], T]) -> T:
    """Something else about tenants that is fresh within a second once `changed` was called."""
    return _memory.get(key, load)


def tenant_numbered(number: int) -> Tenant:
    """The tenant with this number, or `Tenant.DoesNotExist`."""
    tenant = _memory.get(("number", number), lambda: Tenant.objects.filter(number=number).first())
    if tenant is None:
        raise Tenant.DoesNotExist(f"no tenant has the number {number}")
    return tenant


def tenant_of_slug(slug: str) -> Tenant | None:
    """The tenant whose slug, or former slug, this is; case does not matter."""
    return _memory.get(("slug", slug.lower()), lambda: _load_slug(slug))


def tenant_of_host(host: str) -> Tenant | None:
    """The tenant a host name leads to: its host label below our suffix, or its own domain."""
    return _memory.get(("host", host), lambda: _load_host(host))


def instances_of_vendor(provider: str, slug: str) -> tuple[KnownInstance, ...]:
    """A vendor's instances at a provider."""
    return _memory.get(("vendor", provider, slug.lower()), lambda: _load_vendor(provider, slug))


def instances_referred(provider: str, references: frozenset[str]) -> tuple[KnownInstance, ...]:
    """The instances a provider calls by these references, each one or none; one look for all."""
    return _few(
        ("references", provider, references),
        references,
        lambda: _known(_instances().filter(provider=provider, reference__in=references)),
    )


def instances_of_accounts(
    provider: str, field: str, accounts: frozenset[str]
) -> tuple[KnownInstance, ...]:
    """The instances that belong to one of these accounts by the setting `field`."""
    return _few(
        ("accounts", provider, field, accounts),
        accounts,
        lambda: _known(
            _instances().filter(provider=provider, **{f"settings__{field}__in": list(accounts)})
        ),
    )


def instances_at(provider: str) -> tuple[KnownInstance, ...]:
    """Every instance at a provider, for the rare question that names none."""
    return _memory.get(
        ("provider", provider), lambda: _known(_instances().filter(provider=provider))
    )


def peek_vendor(provider: str, slug: str) -> tuple[bool, tuple[KnownInstance, ...]]:
    """`instances_of_vendor` from memory only: (known, instances)."""
    return _memory.peek(("vendor", provider, slug.lower()))


def whose(text: str) -> list[ProviderInstance]:
    """The instances that a number, address, reference or id means."""
    asked = text.strip()
    matches = Q(address__iexact=asked) | Q(reference=asked) | Q(address=f"+{asked.lstrip('+')}")
    if asked.isdecimal() and len(asked) < 16:
        matches |= Q(pk=int(asked))
    return list(ProviderInstance.objects.across_tenants().filter(matches).select_related("tenant"))


def _few(key: tuple, names: frozenset[str], load: Callable[[], T]) -> T:
    """Remember the answer unless it is about so many names that it will hardly be asked again."""
    return _memory.get(key, load) if len(names) <= MOST_NAMES else load()


def _load_slug(slug: str) -> Tenant | None:
    if not SLUG.match(slug):
        return None
    tenant = Tenant.objects.filter(slug__iexact=slug).first()
    if tenant:
        return tenant
    alias = SlugAlias.objects.select_related("tenant").filter(slug__iexact=slug).first()
    return alias.tenant if alias else None


def _load_host(host: str) -> Tenant | None:
    suffix = settings.TENANT_HOST_SUFFIX
    if host.endswith(suffix):
        tenant = Tenant.objects.filter(host_label=host.removesuffix(suffix)).first()
        if tenant:
            return tenant
    domain = Domain.objects.select_related("tenant").filter(domain=host).first()
    return domain.tenant if domain else None


def _load_vendor(provider: str, slug: str) -> tuple[KnownInstance, ...]:
    tenant = _load_slug(slug)
    return _known(_instances().filter(provider=provider, tenant=tenant)) if tenant else ()


def _instances():
    # One that was moved and lost its keys since is nobody's: nothing is accepted without them.
    rows = ProviderInstance.objects.across_tenants().order_by("pk")
    return rows.exclude(moved_to__isnull=False, sealed_secrets=b"")


def _known(instances) -> tuple[KnownInstance, ...]:
    return tuple(_describe(instance) for instance in instances)


def _describe(instance: ProviderInstance) -> KnownInstance:
    return KnownInstance(
        instance_id=instance.pk,
        tenant_number=instance.tenant_id,
        provider=instance.provider,
        reference=instance.reference,
        address=instance.address,
        settings=instance.settings,
        secrets=instance.secrets,
        replaced_secrets=instance.previous_secrets,
        replaced_until=instance.previous_secrets_until,
    )
