"""What the team keeps for itself beside a conversation: notes, mentions, unsent drafts."""

import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from messaging.models.conversations import Conversation


class Note(models.Model):
    """Something the team says among itself, between the messages. It is never sent to anybody."""

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="notes")
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    text = models.TextField()
    # As they stand in the text, so that a name that changes later is still marked there.
    names = models.JSONField(default=list)
    reference = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = _("note")
        verbose_name_plural = _("notes")
        indexes = [
            # A stretch of a conversation, by time.
            models.Index(fields=["conversation", "created_at"], name="note_by_conversation"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"


class Mention(models.Model):
    """Somebody is named in a note and told so; seen once they looked at the list."""

    note = models.ForeignKey(Note, on_delete=models.CASCADE, related_name="mentions")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="mentions"
    )
    seen_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["note", "user"], name="mention_once")]
        indexes = [
            # A person's mentions, latest first; and the count beside the icon.
            models.Index(fields=["user", "-id"], name="mention_by_user"),
            models.Index(
                fields=["user"], name="mention_unseen", condition=models.Q(seen_at__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"


class Draft(models.Model):
    """What a person has typed in a conversation and not sent. The latest one counts."""

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="drafts")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    text = models.TextField()
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        indexes = [models.Index(fields=["conversation", "user", "-id"], name="draft_of_person")]

    def __str__(self) -> str:
        return f"#{self.pk}"
