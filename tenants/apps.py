from datetime import UTC

from django.apps import AppConfig


class TenantsConfig(AppConfig):
    name = "tenants"
    verbose_name = "AMDA"

    def ready(self) -> None:
        from rest_framework.serializers import DateTimeField

        from tenants import checks  # noqa: F401  registers the system checks

        # Programs read and write UTC, in whichever zone people are shown the time.
        DateTimeField.timezone = UTC
