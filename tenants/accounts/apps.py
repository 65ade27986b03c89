from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "tenants.accounts"
    label = "accounts"
    verbose_name = _("Platform staff")

    def ready(self) -> None:
        from tenants.accounts import (  # noqa: F401  they listen to signals
            addresses,
            second_step_trail,
            sessions,
        )
