"""What must be known before a tenant is: tenants, their domains, instances, deliveries."""

from tenants.models.deliveries import WebhookDelivery
from tenants.models.instances import ProviderInstance
from tenants.models.tenants import Domain, SchemaRecording, SlugAlias, Tenant, TenantHistory

__all__ = [
    "Domain",
    "ProviderInstance",
    "SchemaRecording",
    "SlugAlias",
    "Tenant",
    "TenantHistory",
    "WebhookDelivery",
]
