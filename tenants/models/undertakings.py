"""What staff set going and what takes a while: how far it is, and what came of it."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Undertaking(models.Model):
    """An export, an erasure or a replay, done by a job.

    It names its vendor by number and slug and no more: of an erased one nothing else is left.
    """

    class Kind(models.TextChoices):
        EXPORT = "export", _("export")
        ERASURE = "erasure", _("erasure")
        REPLAY = "replay", _("replay")

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        RUNNING = "running", _("running")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")

    kind = models.CharField(_("kind"), max_length=12, choices=Kind.choices)
    tenant_number = models.BigIntegerField(_("number of the vendor"))
    slug = models.CharField(_("slug"), max_length=63)
    facts = models.JSONField(default=dict)
    by_id = models.BigIntegerField(null=True)
    by_name = models.CharField(_("asked for by"), max_length=254, blank=True)
    state = models.CharField(
        _("state"), max_length=12, choices=State.choices, default=State.WAITING
    )
    done = models.BigIntegerField(_("done"), default=0)
    total = models.BigIntegerField(_("of"), default=0)
    outcome = models.JSONField(_("outcome"), default=dict)
    path = models.CharField(max_length=300, blank=True)
    error = models.CharField(_("error"), max_length=300, blank=True)
    asked_at = models.DateTimeField(_("asked for"), auto_now_add=True)
    ended_at = models.DateTimeField(_("ended"), null=True)

    class Meta:
        verbose_name = _("undertaking")
        verbose_name_plural = _("undertakings")
        indexes = [models.Index(fields=["tenant_number", "-id"], name="undertaking_by_tenant")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.slug}"

    @property
    def percent(self) -> int:
        """How far it is, 0 to 100."""
        if self.state == self.State.DONE:
            return 100
        return min(self.done * 100 // self.total, 99) if self.total else 0

    @property
    def is_under_way(self) -> bool:
        return self.state in {self.State.WAITING, self.State.RUNNING}
