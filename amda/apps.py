from typing import ClassVar

from django.apps import AppConfig
from django.contrib.staticfiles.apps import StaticFilesConfig


class AmdaConfig(AppConfig):
    name = "amda"
    default = True

    def ready(self) -> None:
        from amda import checks  # noqa: F401  registers the system checks


class StaticFiles(StaticFilesConfig):
    """Django's, without files of packages that we do not serve and whose imports lead nowhere."""

    ignore_patterns: ClassVar[list[str]] = [*StaticFilesConfig.ignore_patterns, "ext"]
