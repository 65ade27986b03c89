"""People and businesses the tenant talks to, how to reach them, and how far they have come."""

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from messaging.models.words import Joined, WithoutWords, words_of


class Stage(models.Model):
    """A step of the tenant's pipeline. Leads without one stand at the first.

    The stages a tenant begins with have a code and no name: they are called in the reader's
    language until the tenant gives them a name of its own.
    """

    class Kind(models.TextChoices):
        OPEN = "open", _("open")
        WON = "won", _("won")
        LOST = "lost", _("lost")

    NAMES = {
        "new": _("New"),
        "qualified": _("Qualified"),
        "proposal": _("Proposal"),
        "won": _("Won"),
        "lost": _("Lost"),
    }

    code = models.CharField(max_length=20, blank=True)
    name = models.CharField(_("name"), max_length=60, blank=True)
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices, default=Kind.OPEN)
    position = models.PositiveSmallIntegerField(_("position"), default=0)
    stale_after_days = models.PositiveSmallIntegerField(_("days until it is stale"), null=True)

    class Meta:
        verbose_name = _("stage")
        verbose_name_plural = _("stages")
        ordering = ["position", "id"]

    def __str__(self) -> str:
        return self.name or str(self.NAMES.get(self.code, f"#{self.pk}"))


class Lead(models.Model):
    """A person or business the tenant talks to.

    A sender nobody of the team has recognised yet is a lead, too: one without `recognised_at`.
    One that was `imported_at` some time sleeps until something happens with it here.
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
    owner_since = models.DateTimeField(null=True, blank=True)
    stage = models.ForeignKey(
        Stage, on_delete=models.SET_NULL, null=True, blank=True, verbose_name=_("stage")
    )
    stage_since = models.DateTimeField(null=True, blank=True)
    external_id = models.CharField(_("id in the CRM"), max_length=100, blank=True)
    erased_at = models.DateTimeField(null=True, blank=True)
    note = models.TextField(_("note"), blank=True)
    is_vip = models.BooleanField(_("VIP"), default=False, db_default=False)
    merged_into = models.ForeignKey(
        "self", on_delete=models.CASCADE, null=True, blank=True, related_name="merged"
    )
    recognised_at = models.DateTimeField(null=True, blank=True)
    imported_at = models.DateTimeField(null=True, blank=True)
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
            # The few whose messages go first, newest first.
            models.Index(fields=["-id"], name="lead_vip", condition=models.Q(is_vip=True)),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["external_id"],
                condition=~models.Q(external_id=""),
                name="lead_external_id_once",
            )
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
        IMPORT = "import", _("in an imported file")

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


class StageChange(models.Model):
    """A lead went from one stage to another."""

    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="stage_changes")
    before = models.ForeignKey(Stage, on_delete=models.SET_NULL, null=True, related_name="+")
    after = models.ForeignKey(Stage, on_delete=models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField()
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )

    class Meta:
        indexes = [models.Index(fields=["lead", "-at"], name="stage_change_by_lead")]

    def __str__(self) -> str:
        return f"{self.lead_id}: {self.before_id} → {self.after_id}"


class FollowUp(models.Model):
    """Something a person promised to do for a lead: what, when, who."""

    class Outcome(models.TextChoices):
        DONE = "done", _("done")
        DROPPED = "dropped", _("dropped")

    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="follow_ups")
    what = models.CharField(_("what"), max_length=300)
    due_at = models.DateTimeField(_("when"))
    who = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="follow_ups",
        verbose_name=_("who"),
    )
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    created_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=10, choices=Outcome.choices, blank=True)

    class Meta:
        verbose_name = _("follow-up")
        verbose_name_plural = _("follow-ups")
        indexes = [
            models.Index(fields=["lead", "due_at"], name="follow_up_by_lead"),
            # What somebody has to do, in order.
            models.Index(
                fields=["who", "due_at"],
                name="follow_up_to_do",
                condition=models.Q(closed_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return self.what
