from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AlertsConfig(AppConfig):
    name = "alerts"
    verbose_name = _("Alerts")

    def ready(self) -> None:
        from alerts import receivers  # noqa: F401  listens to messaging
        from messaging.merging import MOVES, Move
        from tenants import audit

        audit.name_acts(
            {
                "alert_rule.changed": _("Rule of alerts changed"),
                "figures.per_person": _("Figures per person switched"),
            }
        )
        # What is known of a lead goes along when it is merged; what was counted stays.
        MOVES["alerts.alert.lead"] = Move.ROWS
        MOVES["alerts.answeredlead.lead"] = Move.STAY
