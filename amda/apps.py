from typing import ClassVar

import sentry_sdk
from django.apps import AppConfig, apps
from django.conf import settings
from django.contrib.staticfiles.apps import StaticFilesConfig
from django.utils.translation import gettext_lazy as _


class AmdaConfig(AppConfig):
    name = "amda"
    default = True

    def ready(self) -> None:
        _report_errors()
        from amda import checks  # noqa: F401  registers the system checks

        # In the admin's menu stands what staff look for, not the library's name.
        apps.get_app_config("procrastinate").verbose_name = _("Work under way")


def _report_errors() -> None:
    """Send errors to Sentry where one is named: places in the code, never what people wrote."""
    if settings.SENTRY_DSN:
        sentry_sdk.init(
            dsn=settings.SENTRY_DSN,
            environment=settings.ENVIRONMENT,
            release=settings.RELEASE,
            send_default_pii=False,
            include_local_variables=False,
            max_request_body_size="never",
        )


class StaticFiles(StaticFilesConfig):
    """Django's, without files of packages that we do not serve and whose imports lead nowhere."""

    ignore_patterns: ClassVar[list[str]] = [*StaticFilesConfig.ignore_patterns, "ext"]
