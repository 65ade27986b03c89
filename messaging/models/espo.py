"""What is known of the leads of the tenant's EspoCRM, and what is on its way there."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from messaging.models.conversations import Message
from messaging.models.leads import Lead


class EspoRecord(models.Model):
    """A lead of the CRM, the lead it is here, and what both sides last agreed on.

    Whoever differs from what was agreed has changed since: `owner_here` and `stage_here` are ours
    at that moment, `owner_there` and `status_there` theirs. `phones` are the numbers that the CRM
    has or once had; `told` is what its list of leads last said of it.
    """

    record_id = models.CharField(max_length=40, unique=True)
    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="espo_records")
    name = models.CharField(max_length=200, blank=True)
    owner_here = models.BigIntegerField(null=True)
    owner_there = models.CharField(max_length=40, blank=True)
    stage_here = models.BigIntegerField(null=True)
    status_there = models.CharField(max_length=100, blank=True)
    phones = models.JSONField(default=list)
    main_phone = models.CharField(max_length=40, blank=True)
    main_phone_since = models.DateTimeField(null=True)
    told = models.JSONField(default=dict)
    modified_at = models.DateTimeField(null=True)
    notes_since = models.DateTimeField()
    seen_at = models.DateTimeField()
    gone_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        indexes = [
            # Which of them were not looked for the longest.
            models.Index(fields=["seen_at", "id"], name="espo_record_to_look_for"),
        ]

    def __str__(self) -> str:
        return self.record_id


class EspoPush(models.Model):
    """Something the CRM is to be told: a message, a correction of one, a change of a lead.

    It commits with what it tells of, and is done in order for each record. `is_unsure` says that
    an earlier try may have arrived: the CRM is searched for it before it is told again. What was
    told of a message stays, so that the message can be corrected there later.
    """

    class Kind(models.TextChoices):
        NOTE = "note", _("note of a message")
        EMAIL = "email", _("e-mail")
        CORRECTION = "correction", _("correction of a message")
        LEAD = "lead", _("change of a lead")

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        SENDING = "sending", _("on its way")
        DONE = "done", _("done")
        DROPPED = "dropped", _("no longer needed")
        FAILED = "failed", _("failed")

    record = models.ForeignKey(EspoRecord, on_delete=models.CASCADE, related_name="pushes")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    message = models.ForeignKey(
        Message, on_delete=models.CASCADE, null=True, related_name="espo_pushes"
    )
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    is_unsure = models.BooleanField(default=False)
    attempts = models.PositiveSmallIntegerField(default=0)
    not_before = models.DateTimeField(null=True)
    remote_id = models.CharField(max_length=40, blank=True)
    error_code = models.CharField(max_length=60, blank=True)
    error_detail = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField()
    tried_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["message"],
                condition=models.Q(kind__in=["note", "email"]),
                name="espo_message_told_once",
            ),
            models.UniqueConstraint(
                fields=["message"],
                condition=models.Q(kind="correction", state="waiting"),
                name="espo_correction_waits_once",
            ),
            models.UniqueConstraint(
                fields=["record"],
                condition=models.Q(kind="lead", state="waiting"),
                name="espo_change_waits_once",
            ),
        ]
        indexes = [
            models.Index(
                fields=["record", "id"],
                name="espo_to_tell",
                condition=models.Q(state__in=["waiting", "sending"]),
            ),
            models.Index(fields=["-id"], name="espo_failed", condition=models.Q(state="failed")),
        ]

    def __str__(self) -> str:
        return f"{self.kind} #{self.pk}"
