"""What an account at a provider has already: seen, and taken over for a vendor.

An account is opened with the platform's own credentials, with those of one of the vendor's own
instances, or with some that were typed for this vendor; never with another vendor's. The
platform's are not stored with what is taken over.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from django.db.models import Q
from django.utils.translation import gettext as _

from messaging import calling, connecting, providers
from messaging.providers.base import (
    BadPayload,
    Blame,
    Feature,
    Found,
    Provider,
    SendError,
    Via,
    WebhookState,
)
from messaging.refusing import Refused
from tenants.accounts.models import User
from tenants.models import ProviderInstance, Tenant
from tenants.onboarding import OnboardingError

T = TypeVar("T")

PLATFORM, TYPED = "platform", "typed"


@dataclass(frozen=True)
class Account:
    """An account at a provider. `source` says whose credentials open it: the platform's, those
    that were typed, or those of the instance with this id."""

    adapter: Provider
    source: str
    values: Mapping[str, str] = field(repr=False)
    instance: ProviderInstance | None = None

    @property
    def key(self) -> str:
        """By what a page's address names it."""
        return f"{self.adapter.slug}:{self.source}"

    @property
    def lent(self) -> dict[str, str]:
        """What of its credentials an instance keeps that is taken from it: never the platform's,
        and no longer those of another account."""
        if self.source != PLATFORM:
            return dict(self.values)
        secret = self.adapter.secret_fields
        return {name: "" if name in secret else value for name, value in self.values.items()}


@dataclass(frozen=True)
class Listed:
    """An instance of an account, and which of ours it is already. `address` is "" where the
    account shows none that can be used."""

    found: Found
    address: str
    holder: ProviderInstance | None = None

    def is_free_for(self, tenant: Tenant) -> bool:
        return self.holder is None or self.holder.tenant_id == tenant.pk


@dataclass(frozen=True)
class Adopted:
    """The instance that was made or brought up to date, and which required fields the account did
    not show, by their labels."""

    instance: ProviderInstance
    lacking: tuple[Any, ...] = ()


def adapters() -> list[Provider]:
    """The providers whose accounts can be looked into."""
    return [each for each in providers.every() if Feature.MAKES_INSTANCES in each.supports]


def accounts(tenant: Tenant, typed: Mapping[str, Mapping[str, str]]) -> list[Account]:
    """The accounts that may serve this vendor, each once; `typed` are credentials by provider."""
    found: list[Account] = []
    for adapter in adapters():
        for each in _accounts_at(adapter, tenant, typed.get(adapter.slug, {})):
            is_known = any(
                each.values == other.values and each.adapter is other.adapter for other in found
            )
            if not is_known:
                found.append(each)
    return found


def choose(found: list[Account], key: str) -> Account:
    """The account of this key, the first one where none is named; `Refused` where it is none."""
    if not key and found:
        return found[0]
    chosen = next((each for each in found if each.key == key), None)
    if chosen is None:
        raise Refused("account_unknown", _("This account is not known here any more."))
    return chosen


def listed(account: Account) -> list[Listed]:
    """All that the account has, and whose it is here; `Refused` where it cannot be asked."""
    found = [each for each in ask(account, account.adapter.instances) if each.reference]
    holders = _Holders(account, found)
    return [Listed(each, address, holders.of(each, address)) for each, address in holders.read]


def look(account: Account, reference: str) -> tuple[Listed, WebhookState | None]:
    """One instance of the account with all that the account shows of it, and where it posts."""
    seen = next((each for each in listed(account) if each.found.reference == reference), None)
    if seen is None:
        raise Refused("instance_unknown", _("The account has no such number any more."))
    if Feature.SETS_WEBHOOK not in account.adapter.supports:
        return seen, None
    kept = ask(account, account.adapter.read_webhook, seen.found.values)
    whole = replace(seen.found, values={**seen.found.values, **kept.values})
    return replace(seen, found=whole), kept


def adopt(
    tenant: Tenant, account: Account, reference: str, *, address: str, label: str, by: User | None
) -> Adopted:
    """Take an instance of the account over for a vendor, with the keys that the account shows.

    `address` counts only where the account shows none. One that the vendor has already is brought
    up to date. Raises `Refused`, `OnboardingError` or `LimitReached`, and changes nothing.
    """
    seen, _webhook = look(account, reference)
    require_unclaimed(seen, tenant)
    known = seen.holder.address if seen.holder else seen.address
    return keep(tenant, account, seen.found, address=known or address, label=label, by=by)


def keep(
    tenant: Tenant, account: Account, found: Found, *, address: str, label: str, by: User | None
) -> Adopted:
    """Store as a vendor's what an account showed."""
    fields = {each.name: each for each in account.adapter.fields}
    values = {**account.lent, **found.values}
    instance = connecting.connect_instance(
        tenant,
        account.adapter.slug,
        address=address,
        values={name: value for name, value in values.items() if name in fields},
        label=label,
        # An account need not show every secret; what is missing is given on the instance's page.
        may_lack=list(fields),
        by=by,
    )
    has = {**instance.settings, **instance.secrets}
    lacking = [each.label for each in fields.values() if each.required and each.name not in has]
    return Adopted(instance, tuple(lacking))


def require_unclaimed(seen: Listed, tenant: Tenant) -> None:
    """A number and a session are one vendor's."""
    if seen.holder is not None and not seen.is_free_for(tenant):
        raise OnboardingError(
            "phone", _("%(vendor)s has this already.") % {"vendor": seen.holder.tenant.name}
        )


def holder_of(adapter: Provider, address: str) -> ProviderInstance | None:
    """Whoever works with this number at the provider already."""
    held = ProviderInstance.objects.across_tenants().filter(
        provider=adapter.slug, address=address, moved_to=None
    )
    return held.select_related("tenant").order_by("pk").first()


def ask(account: Account, call: Callable[[Via], T], values: Mapping[str, str] | None = None) -> T:
    """What the provider answers about the account, or about the instance with these fields;
    `Refused`, in words, where it does not."""
    try:
        return call_account(account, call, values)
    except SendError as error:
        raise refusal(account, error) from error


def call_account(
    account: Account, call: Callable[[Via], T], values: Mapping[str, str] | None = None
) -> T:
    """The same with the adapter's own error."""
    calling.let_go_of_the_connection()
    via = calling.open_account(account.adapter, {**account.values, **(values or {})})
    with via.http:
        try:
            return call(via)
        except BadPayload as error:
            raise SendError("unreadable_answer", str(error)) from error


def refusal(account: Account, error: SendError) -> Refused:
    """A provider's refusal in words."""
    facts = {
        "provider": account.adapter.label,
        "said": f"{error.code} {error.detail}".strip(" ."),
    }
    if error.blame is Blame.ACCOUNT:
        return Refused(
            "account_refused",
            _("%(provider)s refuses the token of this account: %(said)s.") % facts,
        )
    return Refused(
        "account_away",
        _("%(provider)s could not be asked: %(said)s. Try again in a moment.") % facts,
    )


def _accounts_at(adapter: Provider, tenant: Tenant, typed: Mapping[str, str]) -> Iterator[Account]:
    platforms = {**_opening(adapter, {}), **_platform_secrets(adapter)}
    if _opens(adapter, platforms):
        yield Account(adapter, PLATFORM, platforms)
    if _opens(adapter, typed):
        yield Account(adapter, TYPED, _opening(adapter, typed))
    mine = ProviderInstance.objects.serving(tenant).filter(provider=adapter.slug)
    for instance in mine.order_by("pk"):
        values = _opening(adapter, {**instance.settings, **instance.secrets})
        if _opens(adapter, values):
            yield Account(adapter, str(instance.pk), values, instance)


def _platform_secrets(adapter: Provider) -> Mapping[str, str]:
    via = calling.open_account(adapter, _opening(adapter, {}))
    with via.http:
        return adapter.platform_secrets(via)


def _opening(adapter: Provider, values: Mapping[str, str]) -> dict[str, str]:
    """Of these values what leads to an account, with the defaults of what is not given."""
    fields = {each.name: each for each in adapter.fields if each.name in adapter.opens_account}
    known = {name: values.get(name) or each.default for name, each in fields.items()}
    return {name: value for name, value in known.items() if value}


def _opens(adapter: Provider, values: Mapping[str, str]) -> bool:
    return all(
        values.get(each.name)
        for each in adapter.fields
        if each.secret and each.name in adapter.opens_account
    )


class _Holders:
    """Which of our instances have what an account shows: by the same fields at the same server,
    else by the same number."""

    def __init__(self, account: Account, found: list[Found]) -> None:
        adapter = account.adapter
        self._secret = set(adapter.secret_fields)
        self._server = self._shown(account.values)
        self.read = [(each, _address_of(each)) for each in found]
        wanted = Q(address__in=[address for _found, address in self.read if address])
        names = {name for each in found for name in self._shown(each.values)}
        for name in names:
            shown = [each.values[name] for each in found if name in each.values]
            wanted |= Q(**{f"settings__{name}__in": shown})
        held = ProviderInstance.objects.across_tenants().filter(
            wanted, provider=adapter.slug, moved_to=None
        )
        self._by_fields: dict[tuple, ProviderInstance] = {}
        self._by_address: dict[str, ProviderInstance] = {}
        for instance in held.select_related("tenant").order_by("pk"):
            server = self._shown(_opening(adapter, instance.settings))
            known = {name: instance.settings[name] for name in names if name in instance.settings}
            if known and server == self._server:
                self._by_fields.setdefault(_frozen(known), instance)
            self._by_address.setdefault(instance.address, instance)

    def of(self, found: Found, address: str) -> ProviderInstance | None:
        by_fields = self._by_fields.get(_frozen(self._shown(found.values)))
        return by_fields or self._by_address.get(address)

    def _shown(self, values: Mapping[str, str]) -> dict[str, str]:
        return {name: value for name, value in values.items() if name not in self._secret}


def _frozen(values: Mapping[str, Any]) -> tuple:
    return tuple(sorted(values.items()))


def _address_of(found: Found) -> str:
    """The number as we write it; accounts show it with and without what stands before it."""
    number = "+" + re.sub(r"[^0-9]", "", found.address)
    return number if connecting.E164.match(number) else ""
