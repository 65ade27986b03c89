"""What is said between a lead and an instance, and every fact about it."""

import uuid

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.utils.translation import gettext_lazy as _

from messaging.models.leads import Lead
from messaging.models.words import WithoutWords, words_of


class Conversation(models.Model):
    """What is said between one lead and one instance.

    The last message, the unread count and the window are kept here, so that a list of
    conversations reads one table. `instance_id` means a row of `public`, without a foreign key.
    One that is `folded_into` another gave it its messages when two leads became one; it stays, so
    that its address leads there and the merge can be undone.
    """

    class State(models.TextChoices):
        OPEN = "open", _("open")
        CLOSED = "closed", _("closed")

    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="conversations")
    instance_id = models.BigIntegerField()
    provider = models.CharField(max_length=40)
    medium = models.CharField(max_length=20)
    peer = models.CharField(_("reached at"), max_length=254)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.OPEN)
    is_group = models.BooleanField(default=False)
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="conversations",
        verbose_name=_("assigned to"),
    )
    folded_into = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="folded"
    )
    last_message_at = models.DateTimeField(null=True, blank=True)
    last_message_id = models.BigIntegerField(null=True, blank=True)
    last_message_snippet = models.CharField(max_length=200, blank=True)
    last_message_kind = models.CharField(max_length=12, blank=True)
    last_message_direction = models.CharField(max_length=3, blank=True)
    last_message_status = models.CharField(max_length=12, blank=True)
    last_received_at = models.DateTimeField(null=True, blank=True)
    unread_count = models.PositiveIntegerField(default=0)
    window_ends_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")
        constraints = [
            models.UniqueConstraint(
                fields=["lead", "instance_id", "peer"], name="conversation_once"
            )
        ]
        indexes = [
            # The inbox: all or closed, mine, unassigned; newest first, paged by (time, id).
            models.Index(fields=["state", "-last_message_at", "-id"], name="conversation_by_state"),
            models.Index(
                fields=["assignee", "state", "-last_message_at", "-id"],
                name="conversation_by_assignee",
            ),
            # The number on the inbox icon.
            models.Index(
                fields=["assignee"],
                name="conversation_unread",
                condition=models.Q(state="open", unread_count__gt=0),
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"


class Message(models.Model):
    """One thing said.

    `sent_at` is when it was said, by the provider's clock where it tells; `received_at` is when
    we heard it. A conversation is read in the order of (sent_at, id). `peer` is the address it
    came from or went to; in a group that is the group's, and `author` the one of who wrote it,
    under the name they go by there.
    """

    class Direction(models.TextChoices):
        IN = "in", _("received")
        OUT = "out", _("sent")

    class Status(models.TextChoices):
        RECEIVED = "received", _("received")
        QUEUED = "queued", _("queued")
        SENDING = "sending", _("sending")
        UNKNOWN = "unknown", _("perhaps sent")
        SENT = "sent", _("sent")
        DELIVERED = "delivered", _("delivered")
        READ = "read", _("read")
        PLAYED = "played", _("played")
        FAILED = "failed", _("failed")

    class Origin(models.TextChoices):
        CONTACT = "contact", _("the contact")
        PERSON = "person", _("a person of the team")
        AUTOMATION = "automation", _("an automation")
        CAMPAIGN = "campaign", _("a campaign")
        API = "api", _("the API")
        PHONE = "phone", _("the phone")
        CRM = "crm", _("the CRM")

    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="messages"
    )
    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="messages")
    instance_id = models.BigIntegerField()
    peer = models.CharField(max_length=254, blank=True, default="", db_default="")
    author = models.CharField(max_length=254, blank=True, default="", db_default="")
    author_name = models.CharField(max_length=200, blank=True, default="", db_default="")
    provider = models.CharField(max_length=40)
    medium = models.CharField(max_length=20)
    direction = models.CharField(max_length=3, choices=Direction.choices)
    origin = models.CharField(max_length=12, choices=Origin.choices)
    kind = models.CharField(max_length=12, default="text")
    text = models.TextField(blank=True)
    subject = models.CharField(max_length=250, blank=True)
    reply_to = models.CharField(max_length=200, blank=True)
    # What it has besides its text: the template it was made of, answers to tap.
    parts = models.JSONField(default=dict, blank=True)
    # Who put which emoji on it, and when; one that was taken back is empty.
    reactions = models.JSONField(default=dict, blank=True)
    status = models.CharField(max_length=12, choices=Status.choices)
    reference = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    external_id = models.CharField(max_length=200, blank=True)
    provider_number = models.CharField(max_length=40, blank=True)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    sent_at = models.DateTimeField()
    received_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True, blank=True)
    edited_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    not_before = models.DateTimeField(null=True, blank=True)
    claimed_at = models.DateTimeField(null=True, blank=True)
    error_code = models.CharField(max_length=60, blank=True)
    error_detail = models.CharField(max_length=500, blank=True)
    error_blame = models.CharField(max_length=12, blank=True)
    words = words_of("text", "subject")

    objects = WithoutWords()

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        constraints = [
            models.UniqueConstraint(
                fields=["instance_id", "external_id"],
                condition=~models.Q(external_id=""),
                name="message_external_id_once",
            ),
            models.UniqueConstraint(
                fields=["instance_id", "provider_number"],
                condition=~models.Q(provider_number=""),
                name="message_provider_number_once",
            ),
        ]
        indexes = [
            # A conversation, newest first, paged by (sent_at, id).
            models.Index(
                fields=["conversation", "-sent_at", "-id"], name="message_by_conversation"
            ),
            # What the outbox has to send, by instance, in order.
            models.Index(
                fields=["instance_id", "id"],
                name="message_to_send",
                condition=models.Q(status__in=["queued", "sending"]),
            ),
            GinIndex(fields=["words"], name="message_search"),
            # What we sent in some days, and how far it got.
            models.Index(
                fields=["sent_at"],
                name="message_out_by_time",
                include=["medium", "provider", "origin", "status"],
                condition=models.Q(direction="out"),
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"


class MessageEvent(models.Model):
    """One fact told by a provider, or by us; told twice, it is kept once."""

    provider = models.CharField(max_length=40)
    instance_id = models.BigIntegerField()
    event_id = models.CharField(max_length=250)
    kind = models.CharField(max_length=20)
    message = models.ForeignKey(Message, on_delete=models.CASCADE, null=True, related_name="events")
    external_id = models.CharField(max_length=200, blank=True)
    status = models.CharField(max_length=12, blank=True)
    detail = models.CharField(max_length=500, blank=True)
    at = models.DateTimeField()
    delivery_id = models.BigIntegerField(null=True, blank=True)
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "instance_id", "event_id"], name="event_told_once"
            )
        ]
        indexes = [
            # A status that came before its message waits here to be adopted.
            models.Index(
                fields=["instance_id", "external_id"],
                name="event_without_message",
                condition=models.Q(message__isnull=True) & ~models.Q(external_id=""),
            ),
            # All facts, newest first, paged by (at, id); and those of one status.
            models.Index(fields=["-at", "-id"], name="event_by_time"),
            models.Index(
                fields=["status", "-at", "-id"],
                name="event_by_status",
                condition=~models.Q(status=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.event_id}"
