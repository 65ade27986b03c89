"""The files of messages."""

import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from messaging import sniffing
from messaging.models.conversations import Message


class MessageFile(models.Model):
    """A file that a message brings, or one waiting to be sent with the next message.

    `reference` is how to ask the provider for it, kept only until the file is here. `path` is
    shared by files of the same content; `key` names the place of this one alone.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("on its way")
        STORED = "stored", _("stored")
        FAILED = "failed", _("failed")
        GONE = "gone", _("no longer available")

    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="files", null=True)
    key = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    kind = models.CharField(max_length=12)
    mime_type = models.CharField(max_length=120, blank=True)
    file_name = models.CharField(max_length=255, blank=True)
    size = models.BigIntegerField(null=True)
    sha256 = models.CharField(max_length=64, blank=True)
    path = models.CharField(max_length=200, blank=True)
    preview_path = models.CharField(max_length=200, blank=True)
    width = models.PositiveIntegerField(null=True)
    height = models.PositiveIntegerField(null=True)
    is_showable = models.BooleanField(default=False)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    error = models.CharField(max_length=60, blank=True)
    reference = models.JSONField(default=dict, blank=True)
    expires_at = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("file of a message")
        verbose_name_plural = _("files of messages")
        ordering = ["id"]
        indexes = [
            # Whether a content is here already, and whose a place is.
            models.Index(
                fields=["sha256"], name="file_by_content", condition=models.Q(state="stored")
            ),
            models.Index(fields=["path"], name="file_by_path", condition=~models.Q(path="")),
            # Uploads that no message took.
            models.Index(
                fields=["created_at"],
                name="file_without_message",
                condition=models.Q(message__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"

    @property
    def display(self) -> sniffing.Display:
        """How a page shows it; what could harm or confuse a browser is a download."""
        if not self.is_showable:
            return sniffing.Display.FILE
        return sniffing.display_of(self.mime_type)

    @property
    def may_be_retried(self) -> bool:
        """Whether asking the provider again could help."""
        return self.state == self.State.FAILED and self.error != "too_large"
