"""An instance as its adapter sees it."""

from amda import http
from messaging.providers.base import Via
from tenants.models import ProviderInstance


def open_via(instance: ProviderInstance) -> Via:
    """The instance with a client to call its provider with; whoever asked closes the client."""
    return Via(
        instance_id=instance.pk,
        reference=instance.reference,
        address=instance.address,
        settings=instance.settings,
        secrets=instance.secrets,
        http=http.client(),
    )
