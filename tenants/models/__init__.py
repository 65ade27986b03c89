"""What must be known before a tenant is: tenants, their domains, instances, deliveries, limits,
links to CRMs."""

from tenants.models.allowances import Allowance, UsageCounter
from tenants.models.crm import CrmLink
from tenants.models.deliveries import WebhookDelivery
from tenants.models.instances import ProviderInstance
from tenants.models.paces import Pace
from tenants.models.tenants import Domain, SchemaRecording, SlugAlias, Tenant, TenantHistory
from tenants.models.undertakings import Undertaking

__all__ = [
    "Allowance",
    "CrmLink",
    "Domain",
    "Pace",
    "ProviderInstance",
    "SchemaRecording",
    "SlugAlias",
    "Tenant",
    "TenantHistory",
    "Undertaking",
    "UsageCounter",
    "WebhookDelivery",
]
