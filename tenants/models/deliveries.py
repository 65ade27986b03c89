"""What providers posted, exactly as it arrived."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.utils.translation import gettext_lazy as _

from tenants.managers import SharedRows


class WebhookDelivery(models.Model):
    """One POST as it arrived: its body encrypted, its way through the inbox.

    `message_ids` are the provider's ids of the messages it is about or quotes, known once it was
    read. The body is empty from `erased_at` on: a message in it was withdrawn. `post` is shared by
    the deliveries of one post for several instances, where each of them has all of it.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")
        UNREADABLE = "unreadable", _("unreadable")

    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, related_name="+")
    instance = models.ForeignKey(
        "tenants.ProviderInstance", on_delete=models.CASCADE, null=True, related_name="+"
    )
    provider = models.CharField(_("provider"), max_length=40)
    route = models.CharField(_("route"), max_length=40, blank=True)
    query = models.TextField(_("query"), blank=True, default="", db_default="")
    content_type = models.CharField(_("content type"), max_length=100, blank=True)
    body = models.BinaryField()
    size = models.PositiveIntegerField(_("bytes"))
    received_at = models.DateTimeField(_("received"))
    state = models.CharField(
        _("state"), max_length=20, choices=State.choices, default=State.WAITING
    )
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    not_before = models.DateTimeField(null=True, blank=True)
    error = models.CharField(_("error"), max_length=500, blank=True)
    post = models.UUIDField(null=True, editable=False)
    message_ids = ArrayField(models.CharField(max_length=200), null=True, editable=False)
    erased_at = models.DateTimeField(_("content removed"), null=True, blank=True)
    processed_at = models.DateTimeField(_("processed"), null=True, blank=True)

    objects = SharedRows()

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        indexes = [
            # The inbox reads a tenant's waiting deliveries in order of arrival.
            models.Index(
                fields=["tenant", "id"],
                name="delivery_waiting",
                condition=models.Q(state="waiting"),
            ),
            # The sweep looks for whatever has waited too long, whoever it belongs to.
            models.Index(
                fields=["received_at"],
                name="delivery_overdue",
                condition=models.Q(state="waiting"),
            ),
            models.Index(fields=["tenant", "-received_at"], name="delivery_by_tenant"),
            models.Index(
                fields=["post"],
                name="delivery_by_post",
                condition=models.Q(post__isnull=False),
            ),
            # What carries a message that was withdrawn. What was not read yet costs it nothing.
            GinIndex(
                fields=["message_ids"],
                name="delivery_by_message",
                condition=models.Q(message_ids__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.pk}"
