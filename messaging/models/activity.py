"""A lead's history, line by line, and how things stand with it."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from messaging.models.conversations import Message
from messaging.models.leads import FollowUp, Lead, Stage, StageChange


class Activity(models.Model):
    """One line of a lead's history.

    `spoke` says that we were in touch with the lead, `heard` that the lead was with us; an
    answered call is both. Automatic messages, notes, what never arrived and what was imported as
    history (its `meta` says so) are neither.
    """

    class Kind(models.TextChoices):
        MESSAGE = "message", _("message")
        CONTACT = "contact", _("contact")
        NOTE = "note", _("note")
        STAGE = "stage", _("stage")
        FOLLOW_UP = "follow_up", _("follow-up")
        VIP = "vip", _("VIP")

    class Channel(models.TextChoices):
        WHATSAPP = "whatsapp", "WhatsApp"
        SMS = "sms", _("SMS")
        EMAIL = "email", _("e-mail")
        CALL = "call", _("call")
        OTHER = "other", _("other")

    class Direction(models.TextChoices):
        IN = "in", _("received")
        OUT = "out", _("sent")

    class Status(models.TextChoices):
        QUEUED = "queued", _("waiting to be sent")
        SENT = "sent", _("sent")
        DELIVERED = "delivered", _("delivered")
        FAILED = "failed", _("failed")
        REPLIED = "replied", _("replied")
        NO_ANSWER = "no_answer", _("no answer")

    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="activities")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    channel = models.CharField(max_length=20, choices=Channel.choices)
    direction = models.CharField(max_length=3, choices=Direction.choices, blank=True)
    status = models.CharField(max_length=12, choices=Status.choices, blank=True)
    snippet = models.CharField(max_length=200, blank=True)
    meta = models.JSONField(default=dict, blank=True)
    at = models.DateTimeField()
    created_at = models.DateTimeField()
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    message = models.OneToOneField(
        Message, on_delete=models.CASCADE, null=True, related_name="activity"
    )
    follow_up = models.ForeignKey(
        FollowUp, on_delete=models.CASCADE, null=True, related_name="activities"
    )
    stage_change = models.OneToOneField(
        StageChange, on_delete=models.CASCADE, null=True, related_name="activity"
    )
    spoke = models.BooleanField(default=False)
    heard = models.BooleanField(default=False)

    class Meta:
        verbose_name = _("activity")
        verbose_name_plural = _("activities")
        indexes = [
            # A lead's history, newest first.
            models.Index(fields=["lead", "-at", "-id"], name="activity_by_lead"),
            # What happened lately, whoever it was with.
            models.Index(fields=["-created_at", "-id"], name="activity_created"),
            # When we, and when they, last said something.
            models.Index(
                fields=["lead", "at"], name="activity_spoke", condition=models.Q(spoke=True)
            ),
            models.Index(
                fields=["lead", "at"], name="activity_heard", condition=models.Q(heard=True)
            ),
            models.Index(
                fields=["lead", "-at", "-id"],
                name="activity_sent",
                condition=models.Q(direction="out", kind__in=("message", "contact")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.channel} {self.direction} #{self.pk}"


class Standing(models.Model):
    """How things stand with a lead: one narrow row, drawn from its history.

    Only `messaging.standing` writes it. A lead is watched while somebody should care: neither
    won nor lost, opted out, erased, merged away, a group, nor asleep since it was imported.
    """

    lead = models.OneToOneField(
        Lead, on_delete=models.CASCADE, primary_key=True, related_name="standing"
    )
    is_watched = models.BooleanField(default=False)
    has_history = models.BooleanField(default=False, db_default=False)
    stage = models.ForeignKey(
        Stage, on_delete=models.DO_NOTHING, null=True, db_constraint=False, related_name="+"
    )
    owner_id = models.BigIntegerField(null=True)
    created_at = models.DateTimeField()
    stage_since = models.DateTimeField()
    owner_since = models.DateTimeField()
    first_heard_at = models.DateTimeField(null=True)
    last_heard_at = models.DateTimeField(null=True)
    last_spoke_at = models.DateTimeField(null=True)
    answered_at = models.DateTimeField(null=True)
    waiting_since = models.DateTimeField(null=True)
    failed_since = models.DateTimeField(null=True)
    undelivered_since = models.DateTimeField(null=True)
    overdue_since = models.DateTimeField(null=True)
    planned_until = models.DateTimeField(null=True)
    step_ended_at = models.DateTimeField(null=True)
    refreshed_at = models.DateTimeField()

    class Meta:
        indexes = [
            # Each names what one kind of alert looks for, where only few leads have it.
            models.Index(
                fields=["waiting_since"],
                name="standing_waiting",
                condition=models.Q(is_watched=True, waiting_since__isnull=False),
            ),
            models.Index(
                fields=["overdue_since"],
                name="standing_overdue",
                condition=models.Q(is_watched=True, overdue_since__isnull=False),
            ),
            models.Index(
                fields=["owner_since"],
                name="standing_unassigned",
                condition=models.Q(is_watched=True, owner_id__isnull=True),
            ),
            models.Index(
                fields=["lead"],
                name="standing_undelivered",
                condition=models.Q(is_watched=True)
                & (
                    models.Q(failed_since__isnull=False) | models.Q(undelivered_since__isnull=False)
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.lead_id}"


class InstanceDay(models.Model):
    """How many messages an instance received on a day, and how many of them from senders who were
    known by then: what is usual, without counting rows."""

    instance_id = models.BigIntegerField()
    day = models.DateField()
    received = models.PositiveIntegerField(default=0)
    known = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["instance_id", "day"], name="instance_day_once")
        ]

    def __str__(self) -> str:
        return f"{self.instance_id} {self.day}"
