"""People and businesses the tenant talks to, and the ways to reach them."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class Lead(models.Model):
    """A person or business the tenant talks to."""

    name = models.CharField(_("name"), max_length=200, blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="leads",
        verbose_name=_("owner"),
    )
    note = models.TextField(_("note"), blank=True)
    merged_into = models.ForeignKey(
        "self", on_delete=models.CASCADE, null=True, blank=True, related_name="merged"
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    class Meta:
        verbose_name = _("lead")
        verbose_name_plural = _("leads")
        indexes = [models.Index(fields=["-id"], name="lead_list")]

    def __str__(self) -> str:
        return self.name or f"#{self.pk}"


class LeadIdentity(models.Model):
    """One way to reach a lead; no two leads of a tenant share one.

    Who opts out at an address gets nothing there, whichever way it would travel.
    """

    class Kind(models.TextChoices):
        PHONE = "phone", _("phone number")
        LID = "lid", _("WhatsApp LID")
        BSUID = "bsuid", _("WhatsApp business-scoped id")
        EMAIL = "email", _("e-mail")

    class ConsentSource(models.TextChoices):
        MESSAGE = "message", _("by a message")
        LINK = "link", _("by the link in an e-mail")
        PROVIDER = "provider", _("at the message service")

    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="identities")
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    value = models.CharField(_("value"), max_length=254)
    opted_out = models.BooleanField(_("wants no messages"), default=False)
    consent_changed_at = models.DateTimeField(null=True, blank=True)
    consent_changed_by = models.CharField(
        max_length=10, choices=ConsentSource.choices, blank=True, default=""
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("identity")
        verbose_name_plural = _("identities")
        constraints = [models.UniqueConstraint(fields=["kind", "value"], name="identity_once")]

    def __str__(self) -> str:
        return self.value


class LeadMerge(models.Model):
    """Two leads became one: what moved, so that it can be moved back."""

    kept = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="+")
    merged = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="+")
    moved = models.JSONField(default=dict)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.merged_id} → {self.kept_id}"
