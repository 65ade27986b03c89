"""People and businesses the tenant talks to, and the ways to reach them."""

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from messaging.models.words import Joined, WithoutWords, words_of


class Lead(models.Model):
    """A person or business the tenant talks to.

    A sender nobody of the team has recognised yet is a lead, too: one without `recognised_at`.
    """

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
    recognised_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)
    words = words_of("name", "note", Joined("name"))

    objects = WithoutWords()

    class Meta:
        verbose_name = _("lead")
        verbose_name_plural = _("leads")
        indexes = [
            models.Index(fields=["-id"], name="lead_list"),
            GinIndex(fields=["words"], name="lead_search"),
            # Senders nobody has recognised, newest first; and whose name they may share.
            models.Index(
                fields=["-id"],
                name="lead_unknown",
                condition=models.Q(recognised_at__isnull=True, merged_into__isnull=True),
            ),
            models.Index(Lower("name"), name="lead_by_name"),
        ]

    def __str__(self) -> str:
        return self.name or f"#{self.pk}"


class LeadIdentity(models.Model):
    """One way to reach a lead; no two leads of a tenant share one.

    `told_beside` is the identity it was told with, when the lead was known by that one already:
    they are one person, whatever becomes of the lead.

    Who opts out at an address gets nothing there, whichever way it would travel.
    """

    class Kind(models.TextChoices):
        PHONE = "phone", _("phone number")
        LID = "lid", _("WhatsApp identifier")
        BSUID = "bsuid", _("WhatsApp identifier")
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
    told_beside = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("identity")
        verbose_name_plural = _("identities")
        constraints = [models.UniqueConstraint(fields=["kind", "value"], name="identity_once")]

    def __str__(self) -> str:
        return self.value


class LeadMerge(models.Model):
    """Two leads became one: what moved, so that it can be moved back.

    `by` is nobody where a provider's news showed that the two are one person.
    """

    kept = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="+")
    merged = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="+")
    moved = models.JSONField(default=dict)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    undone_at = models.DateTimeField(null=True, blank=True)
    undone_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )

    def __str__(self) -> str:
        return f"{self.merged_id} → {self.kept_id}"
