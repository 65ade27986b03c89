"""An instance as its adapter sees it, and the addresses its provider posts to."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from django.conf import settings
from django.db import connection

from amda import http
from messaging.providers import get as provider_of
from messaging.providers.base import Blame, Provider, SendError, Via
from tenants.models import ProviderInstance, Tenant


def open_via(instance: ProviderInstance, *, by_platform: bool = False) -> Via:
    """The instance with a client to call its provider with; whoever asked closes the client.

    With `by_platform` the platform's own credentials serve where the instance has none: for what
    staff do. They are never stored with it, and never lent to a tenant.
    """
    adapter = provider_of(instance.provider)
    via = Via(
        instance_id=instance.pk,
        reference=instance.reference,
        address=instance.address,
        settings=instance.settings,
        secrets=instance.secrets,
        http=http.client(),
        webhooks=webhooks(instance.tenant, adapter),
        dial=http.dial,
    )
    if not by_platform:
        return via
    return replace(via, secrets={**adapter.platform_secrets(via), **via.secrets})


def open_account(adapter: Provider, values: Mapping[str, str]) -> Via:
    """An account at a provider, opened with these fields, as `open_via` gives an instance."""
    secret = set(adapter.secret_fields)
    return Via(
        instance_id=0,
        reference="",
        address="",
        settings={name: values[name] for name in values.keys() - secret},
        secrets={name: values[name] for name in values.keys() & secret},
        http=http.client(),
        dial=http.dial,
    )


def is_of_a_former_key(error: SendError, via: Via) -> bool:
    """Whether the provider refused a key that was, or is being, replaced since `via` was opened."""
    if error.blame is not Blame.ACCOUNT or error.retry or error.unknown:
        return False
    now = ProviderInstance.objects.across_tenants().filter(pk=via.instance_id).first()
    return now is not None and bool(now.key_in_doubt_since or now.secrets != via.secrets)


@contextmanager
def forgiving_a_former_key(via: Via) -> Iterator[None]:
    """What a former key is refused for inside may be asked again, with the one that is good."""
    try:
        yield
    except SendError as error:
        if not is_of_a_former_key(error, via):
            raise
        raise SendError(error.code, error.detail, retry=True, blame=error.blame) from error


def let_go_of_the_connection() -> None:
    """A provider may take its time; the database connection is not kept waiting with it."""
    if not connection.in_atomic_block:
        connection.close()


def webhooks(tenant: Tenant, provider: Provider) -> dict[str, str]:
    """The public addresses a provider posts to for a tenant, by route."""
    return {
        route: f"{settings.PUBLIC_URL}{path}{provider.webhook_fragment}".replace(
            "{vendor}", tenant.slug
        )
        for path, route in provider.paths.items()
    }
