"""Connecting a tenant's number or address at a provider."""

import re
import uuid
from collections.abc import Collection, Mapping
from datetime import timedelta
from email.utils import parseaddr
from typing import Any

import phonenumbers
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from amda import http
from messaging import calling, delivering, providers, realtime, states, templates
from messaging.events import Connection
from messaging.providers.base import (
    Blame,
    Feature,
    Field,
    InstanceState,
    Medium,
    NotOwned,
    Provider,
    SendError,
)
from tenants import audit, context, directory, limits
from tenants.accounts.models import User
from tenants.models import ProviderInstance, Tenant
from tenants.onboarding import OnboardingError

# What was posted under the old secret is still on its way, and is sent again where it failed.
OLD_SECRETS_VALID = timedelta(hours=1)
# Longer than a provider goes on replacing a key for somebody who no longer waits for its answer.
KEY_SETTLES = timedelta(minutes=3)
LONGEST_VALUE = 2000
E164 = re.compile(r"\+[1-9][0-9]{6,14}\Z")


def connect_instance(
    tenant: Tenant,
    provider_slug: str,
    *,
    address: str,
    values: Mapping[str, str],
    label: str = "",
    may_lack: Collection[str] = (),
    replaces: ProviderInstance | None = None,
    by: User | None = None,
) -> ProviderInstance:
    """A tenant's instance for this address, made or brought up to date.

    `values` are the adapter's fields by name; what an existing instance already has may be
    left out, and required fields that `may_lack` names may come later. Raises `OnboardingError`,
    naming the field, or `LimitReached` where the tenant may not have another one beside those it
    does not replace, and changes nothing. Never call it inside `atomic`: some providers are asked
    first whether the secrets own the number.
    """
    adapter = _adapter(provider_slug)
    address = _checked_address(adapter, address, values)
    given = {name: checked_value(adapter, name, value) for name, value in values.items()}
    proof = _proof(tenant, adapter, address, given) if adapter.must_prove else None
    with transaction.atomic():
        # Two calls for one address would both find nothing and both make an instance.
        Tenant.objects.select_for_update().get(number=tenant.number)
        instance = _instance_at(tenant, adapter, address)
        before = _known(instance)
        if instance.pk is None:
            mine = ProviderInstance.objects.serving(tenant)
            if replaces is not None:
                mine = mine.exclude(pk=replaces.pk)
            limits.require_room(tenant.number, limits.Kind.INSTANCES, mine.count)
        _fill(instance, adapter, given, may_lack)
        instance.label = label[:100] or instance.label
        instance.look_again_at = timezone.now()
        if proof:
            _begin_as(instance, proof)
        if instance.key_in_doubt_since and given.keys() & set(adapter.renewed_fields):
            instance.key_in_doubt_since = None
            delivering.order(instance.tenant_id, instance.pk)
        _save(instance, adapter)
        _record(instance, before, by)
        directory.changed()
        if Feature.TEMPLATES in adapter.supports and instance.settings.get(adapter.account_field):
            templates.order(instance)
    directory.forget()
    return instance


def require_possible(
    provider_slug: str, *, address: str, values: Mapping[str, str], may_lack: Collection[str] = ()
) -> str:
    """The address as it is stored, or the `OnboardingError` that connecting a new instance would
    raise for what was written; changes nothing and asks nobody."""
    adapter = _adapter(provider_slug)
    address = _checked_address(adapter, address, values)
    given = {name: checked_value(adapter, name, value) for name, value in values.items()}
    _fill(ProviderInstance(provider=adapter.slug, address=address), adapter, given, may_lack)
    return address


def webhook_url(instance: ProviderInstance) -> str:
    """The main address the provider must post to; "" where it posts nothing."""
    return webhook_url_of(instance.tenant, instance.provider)


def webhook_url_of(tenant: Tenant, provider_slug: str) -> str:
    """Where a provider posts what concerns a tenant, known before an instance is."""
    return calling.webhooks(tenant, _adapter(provider_slug)).get("", "")


def webhook_urls(instance: ProviderInstance) -> dict[str, str]:
    """The addresses that people must give to the provider, by route; "" is the main one."""
    adapter = _adapter(instance.provider)
    every = calling.webhooks(instance.tenant, adapter)
    return {route: every[route] for route in adapter.routes_to_set if route in every}


def probe(instance: ProviderInstance) -> ProviderInstance:
    """Ask the provider how the instance is, and keep what it says as the instance's state.

    Where it cannot be asked now, nothing is known and the state stays. One that waited for this
    goes live; or it gives up its reference, so that whoever owns that can connect.
    """
    was_waiting = instance.state_reason == delivering.UNPROVEN
    adapter = _adapter(instance.provider)
    is_told, waits_for_person = True, False
    try:
        found = _asked(instance, adapter)
        end_doubt(instance)
    except NotOwned as error:
        found = InstanceState(Connection.DISCONNECTED, error.code)
        waits_for_person = True
        if was_waiting:
            _give_up_reference(instance)
    except SendError as error:
        found, is_told = _state_after(error, instance), False
        # Wrong keys stay wrong until somebody gives others.
        waits_for_person = error.blame is Blame.ACCOUNT and not error.retry and not was_waiting
    with context.entered(instance.tenant):
        states.enter(
            instance,
            found,
            at=timezone.now(),
            is_told=is_told,
            waits_for_person=waits_for_person,
        )
    if was_waiting and instance.state_reason != delivering.UNPROVEN:
        _let_live(instance)
    return instance


def _give_up_reference(instance: ProviderInstance) -> None:
    instance.reference = f"unproven-{uuid.uuid4()}"
    mine = ProviderInstance.objects.of(instance.tenant).filter(pk=instance.pk)
    mine.update(reference=instance.reference)


def end_doubt(instance: ProviderInstance) -> None:
    """The key that is kept here works: if it was to be replaced, that has not happened, and after
    a while no longer will."""
    mine = ProviderInstance.objects.of(instance.tenant_id).filter(pk=instance.pk)
    settled = mine.filter(key_in_doubt_since__lt=timezone.now() - KEY_SETTLES)
    if instance.key_in_doubt_since and settled.update(key_in_doubt_since=None):
        instance.key_in_doubt_since = None
        delivering.order(instance.tenant_id, instance.pk)


def probe_waiting() -> None:
    """Ask again about the instances whose provider could not be asked when they were connected."""
    waiting = ProviderInstance.objects.across_tenants().filter(state_reason=delivering.UNPROVEN)
    for instance in waiting.select_related("tenant").order_by("pk"):
        probe(instance)


def _let_live(instance: ProviderInstance) -> None:
    directory.changed()
    with context.entered(instance.tenant):
        delivering.order(instance.tenant_id, instance.pk)
        realtime.publish("instance", conversation=0, message=instance.pk)


def _state_after(error: SendError, instance: ProviderInstance) -> InstanceState:
    if instance.state_reason == delivering.UNPROVEN:
        return InstanceState(Connection.PENDING, delivering.UNPROVEN)
    if error.blame is Blame.ACCOUNT:
        return InstanceState(Connection.DISCONNECTED, error.code)
    return InstanceState(Connection(instance.state), error.code)


def _known(instance: ProviderInstance) -> dict[str, Any]:
    """What the audit compares: nothing of an instance that is not there yet."""
    if instance.pk is None:
        return {}
    return {**instance.settings, "label": instance.label, "secrets": instance.secrets}


def _record(instance: ProviderInstance, before: dict[str, Any], by: User | None) -> None:
    act = "instance.changed" if before else "instance.connected"
    after = _known(instance)
    secrets = [before.pop("secrets", {}), after.pop("secrets")]
    replaced = {name for name, _secret in secrets[0].items() ^ secrets[1].items()}
    before, after = audit.difference(before, after)
    after["replaced"] = sorted(replaced)
    audit.record(
        act, by=by, subject=instance, tenant=instance.tenant_id, before=before, after=after
    )


def _proof(
    tenant: Tenant, adapter: Provider, address: str, given: Mapping[str, str]
) -> InstanceState | None:
    """What the provider says of these credentials; None where they are what they were.

    A provider that cannot be asked leaves the number waiting, but only where its posts are signed
    with a secret of its own: else an unproven number would hear what the platform's app is told.
    """
    wanted = _instance_at(tenant, adapter, address)
    before = (wanted.reference, wanted.secrets, wanted.settings)
    _fill(wanted, adapter, given)
    if wanted.pk and before == (wanted.reference, wanted.secrets, wanted.settings):
        return None
    try:
        return _asked(wanted, adapter)
    except NotOwned as error:
        raise OnboardingError(
            error.field,
            _("The provider says that this does not belong together: %(detail)s")
            % {"detail": error.detail or error.code},
        ) from error
    except SendError as error:
        if any(field.or_platforms and field.name not in wanted.secrets for field in adapter.fields):
            raise OnboardingError(
                adapter.reference_field,
                _("The provider could not be asked whose number this is. Try again in a moment."),
            ) from error
        return InstanceState(Connection.PENDING, delivering.UNPROVEN)


def _asked(instance: ProviderInstance, adapter: Provider) -> InstanceState:
    via = calling.open_via(instance)
    with via.http:
        return adapter.check(via)


def _begin_as(instance: ProviderInstance, found: InstanceState) -> None:
    if instance.state != found.state.value:
        instance.state_changed_at = timezone.now()
    instance.state = found.state.value
    instance.state_reason = found.reason[:200]


def _adapter(slug: str) -> Provider:
    try:
        return providers.get(slug)
    except providers.UnknownProvider as exc:
        known = ", ".join(providers.REGISTRY)
        raise OnboardingError(
            "provider", _("Unknown provider; choose one of: %(known)s.") % {"known": known}
        ) from exc


def _checked_address(adapter: Provider, written: str, values: Mapping[str, str]) -> str:
    if adapter.medium == Medium.EMAIL:
        field = "address" if written or not adapter.address_field else adapter.address_field
        named = parseaddr(written or values.get(field, ""))[1]
        return _checked_email(named.lower(), field)
    number = re.sub(r"[\s().-]", "", written)
    if not E164.match(number) or not _has_known_country(number):
        raise OnboardingError("phone", _("Give the number as +33612345678, country code first."))
    return number


def _has_known_country(number: str) -> bool:
    # Not whether the number is in use: those kept for fiction and tests are not, and count.
    try:
        phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return False
    return True


def _checked_email(address: str, field: str) -> str:
    try:
        validate_email(address)
    except ValidationError as exc:
        raise OnboardingError(field, exc.messages[0]) from exc
    return address


def checked_value(adapter: Provider, name: str, value: str) -> str:
    """What was written for one of the adapter's fields, as it is kept; or `OnboardingError`."""
    known = {field.name: field for field in adapter.fields}
    if name not in known:
        raise OnboardingError(
            name, _("Unknown setting; there are: %(known)s.") % {"known": ", ".join(known)}
        )
    value = value.strip()
    if len(value) > LONGEST_VALUE or "\0" in value:
        raise OnboardingError(name, _("This value is too long or holds a NUL."))
    _check_choice(known[name], value)
    if value and known[name].is_host and not http.may_dial(value):
        raise OnboardingError(name, _("Name a server of the public network."))
    if value and name.endswith("_url") and not http.may_call(value):
        raise OnboardingError(name, _("Give an https:// address on the public network."))
    return value


def _check_choice(field: Field, value: str) -> None:
    if value and field.choices and value not in field.choices:
        raise OnboardingError(
            field.name, _("Choose one of: %(known)s.") % {"known": ", ".join(field.choices)}
        )


def _instance_at(tenant: Tenant, adapter: Provider, address: str) -> ProviderInstance:
    known = ProviderInstance.objects.of(tenant).filter(provider=adapter.slug, address=address)
    new = ProviderInstance(
        tenant=tenant,
        provider=adapter.slug,
        address=address,
        state_changed_at=timezone.now(),
    )
    return known.order_by("pk").first() or new


def _fill(
    instance: ProviderInstance,
    adapter: Provider,
    given: Mapping[str, str],
    may_lack: Collection[str] = (),
) -> None:
    """Merge what is given with what the instance has, and with the defaults."""
    had = {**instance.settings, **instance.secrets}
    defaults = {field.name: field.default for field in adapter.fields if field.default}
    values = {name: value for name, value in {**defaults, **had, **given}.items() if value != ""}
    platforms = settings.PLATFORM_SECRETS.get(adapter.slug, {})
    for field in adapter.fields:
        needed = field.required or (field.or_platforms and field.name not in platforms)
        if needed and field.name not in {*values, *may_lack}:
            raise OnboardingError(field.name, _("This is required."))
    for name, complaint in adapter.complaints(values).items():
        raise OnboardingError(name, str(complaint))
    secret = set(adapter.secret_fields)
    _replace_secrets(instance, {name: values[name] for name in values.keys() & secret})
    instance.settings = {name: values[name] for name in sorted(values.keys() - secret)}
    named = adapter.reference_of(instance.address, values)
    instance.reference = named or instance.reference or f"{adapter.slug}-{uuid.uuid4()}"


def _replace_secrets(instance: ProviderInstance, new: dict[str, str]) -> None:
    if new == instance.secrets:
        return
    if instance.pk:
        instance.sealed_previous_secrets = instance.sealed_secrets
        instance.previous_secrets_until = timezone.now() + OLD_SECRETS_VALID
    instance.secrets = new


def _save(instance: ProviderInstance, adapter: Provider) -> None:
    field = adapter.reference_field or "address"
    if len(instance.reference) > 200:
        raise OnboardingError(field, _("This value is too long."))
    try:
        with transaction.atomic():
            instance.save()
    except IntegrityError as exc:
        raise OnboardingError(field, _("Another instance has this value already.")) from exc
