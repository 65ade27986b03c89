"""An instance as its adapter sees it, and the addresses its provider posts to."""

from django.conf import settings
from django.db import connection

from amda import http
from messaging.providers import get as provider_of
from messaging.providers.base import Provider, Via
from tenants.models import ProviderInstance, Tenant


def open_via(instance: ProviderInstance) -> Via:
    """The instance with a client to call its provider with; whoever asked closes the client."""
    return Via(
        instance_id=instance.pk,
        reference=instance.reference,
        address=instance.address,
        settings=instance.settings,
        secrets=instance.secrets,
        http=http.client(),
        webhooks=webhooks(instance.tenant, provider_of(instance.provider)),
        dial=http.dial,
    )


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
