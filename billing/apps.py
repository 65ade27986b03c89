from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = _("Billing")

    def ready(self) -> None:
        post_migrate.connect(_make_first_plans, sender=self, dispatch_uid="make_first_plans")


def _make_first_plans(sender, **kwargs) -> None:
    from billing import plans
    from tenants import context

    if context.in_public():
        plans.make_first()
