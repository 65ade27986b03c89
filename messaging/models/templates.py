"""Templates: texts that a provider lets an account send at any time."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class MessageTemplate(models.Model):
    """A template as the provider has it; numbers of one account share it.

    Places in the texts are written {{1}} or {{name}}; `examples` has a value for some of them by
    "header.1", "body.name". `unsupported` names what in it cannot be sent from here.
    """

    APPROVED = "approved"

    provider = models.CharField(_("provider"), max_length=40)
    account = models.CharField(_("account"), max_length=160)
    external_id = models.CharField(max_length=100, blank=True)
    name = models.CharField(_("name"), max_length=512)
    language = models.CharField(_("language"), max_length=20)
    category = models.CharField(_("category"), max_length=30, blank=True)
    status = models.CharField(_("state"), max_length=30)
    quality = models.CharField(_("quality"), max_length=20, blank=True)
    reason = models.CharField(_("reason"), max_length=300, blank=True)
    header_kind = models.CharField(max_length=20, blank=True)
    header = models.TextField(blank=True)
    body = models.TextField(blank=True)
    footer = models.TextField(blank=True)
    buttons = models.JSONField(default=list)
    examples = models.JSONField(default=dict)
    unsupported = models.CharField(max_length=100, blank=True)
    # What the provider told earlier than this is no news any more.
    changed_at = models.DateTimeField()

    class Meta:
        verbose_name = _("template")
        verbose_name_plural = _("templates")
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "account", "name", "language"], name="template_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.language})"

    @property
    def may_be_sent(self) -> bool:
        """Whether it can be sent now, from here."""
        return self.status == self.APPROVED and not self.unsupported

    @property
    def title(self) -> str:
        """Its name, as people read it."""
        return self.name.replace("_", " ").capitalize()
