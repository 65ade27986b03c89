"""Answers a team gives often, written once."""

from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _


class CannedReply(models.Model):
    """A text under a short word; what stands in braces is filled in where it is used."""

    shortcut = models.CharField(_("short word"), max_length=30)
    text = models.TextField(_("text"))

    class Meta:
        verbose_name = _("canned reply")
        verbose_name_plural = _("canned replies")
        ordering = [Lower("shortcut")]
        constraints = [models.UniqueConstraint(Lower("shortcut"), name="reply_shortcut_once")]

    def __str__(self) -> str:
        return f"/{self.shortcut}"
