"""Alerts, the tenant's settings of each kind, and the counters that figures are drawn from."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from messaging.models import Lead


class Severity(models.TextChoices):
    """How bad it is, from the mildest on."""

    LOW = "low", _("Low")
    MEDIUM = "medium", _("Medium")
    HIGH = "high", _("High")
    CRITICAL = "critical", _("Critical")


LEVELS = list(Severity.values)


class Alert(models.Model):
    """One open or closed occurrence about a subject.

    What the engine opens, it closes; what is made by hand (`is_manual`, which is what a plain
    INSERT makes) it leaves alone. `facts` say why, so that the text can be written in the
    reader's language.
    """

    class Subject(models.TextChoices):
        NOTHING = "", _("nothing in particular")
        LEAD = "lead", _("lead")
        INSTANCE = "instance", _("number")

    class Resolution(models.TextChoices):
        OPEN = "", _("open")
        HAND = "hand", _("by hand")
        ACTION = "action", _("by the suggested action")
        ITSELF = "itself", _("by itself")
        SUPERSEDED = "superseded", _("superseded")

    type = models.CharField(_("kind"), max_length=40)
    severity = models.CharField(
        _("severity"), max_length=10, choices=Severity.choices, default=Severity.MEDIUM
    )
    level = models.GeneratedField(
        expression=models.Case(
            *(
                models.When(severity=name, then=models.Value(number))
                for number, name in enumerate(LEVELS, start=1)
            ),
            default=models.Value(0),
        ),
        output_field=models.SmallIntegerField(),
        db_persist=True,
    )
    message = models.TextField(_("message"), blank=True, db_default="")
    suggested_action = models.JSONField(default=dict, blank=True, db_default={})
    is_manual = models.BooleanField(default=True, db_default=True)
    subject_kind = models.CharField(
        max_length=10, choices=Subject.choices, blank=True, db_default=""
    )
    subject_id = models.BigIntegerField(null=True, blank=True)
    lead = models.ForeignKey(
        Lead, on_delete=models.CASCADE, null=True, blank=True, related_name="alerts"
    )
    since = models.DateTimeField(null=True, blank=True)
    facts = models.JSONField(default=dict, blank=True, db_default={})
    batch = models.UUIDField(null=True, blank=True)
    opened_at = models.DateTimeField(db_default=Now())
    raised_at = models.DateTimeField(null=True, blank=True)
    announced_at = models.DateTimeField(null=True, blank=True)
    escalated_at = models.DateTimeField(null=True, blank=True)
    snoozed_at = models.DateTimeField(null=True, blank=True)
    snoozed_until = models.DateTimeField(null=True, blank=True)
    snoozed_until_reply = models.BooleanField(default=False, db_default=False)
    acted_at = models.DateTimeField(null=True, blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolution = models.CharField(
        max_length=12, choices=Resolution.choices, blank=True, db_default=""
    )
    resolved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )

    class Meta:
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        constraints = [
            # At most one open alert per subject and kind, whoever evaluates at the same time.
            models.UniqueConstraint(
                fields=["type", "subject_kind", "subject_id"],
                condition=models.Q(resolved_at__isnull=True, is_manual=False),
                name="alert_once_while_open",
            ),
            models.CheckConstraint(
                condition=models.Q(severity__in=LEVELS), name="alert_severity_known"
            ),
        ]
        indexes = [
            # What is open, the worst first, then the oldest.
            models.Index(
                fields=["-level", "opened_at", "id"],
                name="alert_active",
                condition=models.Q(resolved_at__isnull=True),
            ),
            models.Index(fields=["lead", "-opened_at"], name="alert_by_lead"),
            # What somebody resolved by hand stays quiet for a day.
            models.Index(
                fields=["type", "subject_id", "-resolved_at"],
                name="alert_quieted",
                condition=models.Q(resolution="hand"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} #{self.pk}"

    @property
    def resolved_by_name(self) -> str:
        """Who closed it: a person's id, `auto`, `superseded`; nothing while it is open."""
        if self.resolution == self.Resolution.HAND or self.resolved_by_id:
            return str(self.resolved_by_id or "user")
        if self.resolution == self.Resolution.SUPERSEDED:
            return "superseded"
        return "auto" if self.resolution else ""


class AlertRule(models.Model):
    """A tenant's settings of a kind of alert; what it does not say is the kind's own default.

    `thresholds` are seconds by severity, null where that severity is never reached;
    `stage_thresholds` the same by the id of a stage.
    """

    code = models.CharField(max_length=40, unique=True)
    is_on = models.BooleanField(_("on"), default=True)
    in_opening_hours = models.BooleanField(_("counted in opening hours"), null=True)
    thresholds = models.JSONField(default=dict, blank=True)
    stage_thresholds = models.JSONField(default=dict, blank=True)

    def __str__(self) -> str:
        return self.code


class AlertDay(models.Model):
    """How many alerts of a kind a day saw opened, and closed in which way."""

    day = models.DateField()
    type = models.CharField(max_length=40)
    opened = models.PositiveIntegerField(default=0, db_default=0)
    by_action = models.PositiveIntegerField(default=0, db_default=0)
    by_hand = models.PositiveIntegerField(default=0, db_default=0)
    by_itself = models.PositiveIntegerField(default=0, db_default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["day", "type"], name="alert_day_once")]

    def __str__(self) -> str:
        return f"{self.day} {self.type}"


class DurationDay(models.Model):
    """How often something took so many minutes on a day: medians are read from these counts."""

    class What(models.TextChoices):
        RESOLVED = "resolved", _("until resolved")
        ANSWERED = "answered", _("until the first answer")

    day = models.DateField()
    what = models.CharField(max_length=10, choices=What.choices)
    user_id = models.BigIntegerField(default=0, db_default=0)
    minutes = models.PositiveIntegerField()
    times = models.PositiveIntegerField(default=0, db_default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["day", "what", "user_id", "minutes"], name="duration_day_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.what} {self.minutes} min"


class AwayInstance(models.Model):
    """A number that is not connected, and since when it has not been.

    A provider tells again and again that a number waits to be scanned; the instance itself knows
    only the last of that.
    """

    instance_id = models.BigIntegerField(primary_key=True)
    since = models.DateTimeField()

    def __str__(self) -> str:
        return f"#{self.instance_id}"


class AnsweredLead(models.Model):
    """The first answer to this lead has been counted."""

    lead = models.OneToOneField(Lead, on_delete=models.CASCADE, primary_key=True, related_name="+")

    def __str__(self) -> str:
        return f"#{self.lead_id}"


class Watching(models.Model):
    """Somebody looked at the alerts on a day: what adoption is counted from."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    day = models.DateField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "day"], name="watching_once")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.day}"


class Habits(models.Model):
    """How one person wants to hear of alerts, and until when they have."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="habits"
    )
    digest_hour = models.PositiveSmallIntegerField(_("hour of the daily mail"), null=True)
    digest_sent_on = models.DateField(null=True)

    def __str__(self) -> str:
        return f"{self.user_id}"


class TeamHabits(models.Model):
    """What the tenant decided for everybody; one row."""

    figures_per_person_since = models.DateTimeField(null=True)
    adoption_sent_on = models.DateField(null=True)

    def __str__(self) -> str:
        return f"#{self.pk}"
