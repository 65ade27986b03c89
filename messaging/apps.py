from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

# What the audit calls what is done here.
ACTS = {
    "crm.changed": _("Key of the CRM replaced"),
    "crm.linked": _("CRM linked"),
    "crm.retried": _("Told the CRM again what failed"),
    "crm.stages_chosen": _("Stages of the CRM chosen"),
    "crm.unlinked": _("CRM unlinked"),
    "history.imported": _("History imported"),
    "leads.imported": _("Leads imported"),
    "message.edited": _("Message changed"),
    "message.withdrawn": _("Message withdrawn"),
    "messages.removed": _("Old messages removed"),
    "reply.added": _("Canned reply added"),
    "reply.changed": _("Canned reply changed"),
    "reply.removed": _("Canned reply removed"),
    "stage.added": _("Stage added"),
    "stage.changed": _("Stage changed"),
    "stage.moved": _("Stage moved"),
    "stage.removed": _("Stage removed"),
    "tag.added": _("Tag added"),
    "tag.changed": _("Tag changed"),
    "tag.removed": _("Tag removed"),
}


class MessagingConfig(AppConfig):
    name = "messaging"
    verbose_name = _("Messages")

    def ready(self) -> None:
        from messaging import leaving, realtime  # noqa: F401  they listen for who leaves
        from tenants import audit

        audit.name_acts(ACTS)
