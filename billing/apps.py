from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_delete
from django.utils.translation import gettext_lazy as _

# What each act of billing is called where people read the audit.
ACTS = {
    "billing.checkout_started": _("Payment page opened"),
    "billing.subscription_changed": _("Subscription changed"),
    "billing.plan_given": _("Plan given by hand"),
    "billing.plan_changed": _("Plan edited"),
}


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = _("Billing")

    def ready(self) -> None:
        from billing import checks  # noqa: F401  registers the system checks
        from tenants import audit
        from tenants.models import Tenant

        audit.name_acts(ACTS)
        post_migrate.connect(_make_first_plans, sender=self, dispatch_uid="make_first_plans")
        pre_delete.connect(_end_what_is_paid, sender=Tenant, dispatch_uid="end_what_is_paid")


def _make_first_plans(sender, **kwargs) -> None:
    from billing import plans
    from tenants import context

    if context.in_public():
        plans.make_first()


def _end_what_is_paid(sender, instance, **kwargs) -> None:
    """Nobody goes on paying for a vendor that is deleted: ordered in the same transaction."""
    from billing import buying

    buying.order_end(instance)
