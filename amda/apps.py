from django.apps import AppConfig


class AmdaConfig(AppConfig):
    name = "amda"

    def ready(self) -> None:
        from amda import checks  # noqa: F401  registers the system checks
