"""A tenant's connections at its providers."""

from django.core.validators import MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from tenants import secrets
from tenants.managers import SharedRows


class Instances(SharedRows):
    """Instances, with a word for those that a team works with."""

    def serving(self, tenant):
        """A tenant's instances without those whose conversations moved to another one."""
        return self.of(tenant).filter(moved_to=None)


class ProviderInstance(models.Model):
    """A tenant's connection at a provider: number or address, secrets, state.

    One that was `moved_to` another sends no more; for some days it still hears what is late.
    """

    class State(models.TextChoices):
        CONNECTED = "connected", _("connected")
        DISCONNECTED = "disconnected", _("disconnected")
        PENDING = "pending", _("pending")
        CONFLICT = "conflict", _("conflict")
        BLOCKED = "blocked", _("blocked")

    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, related_name="+")
    provider = models.CharField(_("provider"), max_length=40)
    label = models.CharField(_("label"), max_length=100, blank=True)
    address = models.CharField(
        _("number or address"), max_length=254, help_text=_("E.164 number or e-mail address")
    )
    reference = models.CharField(
        _("reference"), max_length=200, help_text=_("The provider's own id of this connection")
    )
    settings = models.JSONField(_("settings"), default=dict, blank=True)
    sealed_secrets = models.BinaryField(default=bytes)
    sealed_previous_secrets = models.BinaryField(default=bytes)
    previous_secrets_until = models.DateTimeField(null=True, blank=True)
    # Since when its provider may have replaced the key that is kept here: nothing is sent then.
    key_in_doubt_since = models.DateTimeField(_("key in doubt since"), null=True, blank=True)
    state = models.CharField(
        _("state"), max_length=20, choices=State.choices, default=State.PENDING
    )
    state_reason = models.CharField(_("reason"), max_length=200, blank=True)
    state_changed_at = models.DateTimeField(_("state since"), null=True, blank=True)
    journal_read_at = models.DateTimeField(_("journal read until"), null=True, blank=True)
    known_at = models.DateTimeField(_("state known at"), null=True, blank=True)
    # Empty: nothing is done for it until a person or the provider says something.
    look_again_at = models.DateTimeField(
        _("asked again"), null=True, blank=True, default=timezone.now
    )
    tries = models.PositiveSmallIntegerField(_("tries since it went away"), default=0)
    is_held = models.BooleanField(_("disconnected by a person"), default=False)
    last_event_at = models.DateTimeField(_("last event"), null=True, blank=True)
    failover = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, verbose_name=_("failover")
    )
    per_minute = models.PositiveIntegerField(
        _("messages in a minute"), null=True, blank=True, validators=[MinValueValidator(1)]
    )
    per_day = models.PositiveIntegerField(
        _("messages in a day"), null=True, blank=True, validators=[MinValueValidator(1)]
    )
    # Which version of the words about the risk an owner confirmed; 0 for none.
    risk_confirmed = models.PositiveSmallIntegerField(_("risk confirmed"), default=0)
    moved_to = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("moved to"),
    )
    moved_at = models.DateTimeField(_("moved"), null=True, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    objects = Instances()

    class Meta:
        verbose_name = _("instance")
        verbose_name_plural = _("instances")
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "reference"], name="instance_reference_once"
            )
        ]
        indexes = [
            models.Index(fields=["address"], name="instance_address"),
            models.Index(fields=["look_again_at"], name="instance_to_look_at"),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.address}"

    @property
    def secrets(self) -> dict[str, str]:
        """The decrypted secrets; never to be logged."""
        return secrets.unseal_dict(self.sealed_secrets)

    @secrets.setter
    def secrets(self, values: dict[str, str]) -> None:
        self.sealed_secrets = secrets.seal_dict(values)

    @property
    def previous_secrets(self) -> dict[str, str]:
        """The secrets before the last rotation, accepted until `previous_secrets_until`."""
        return secrets.unseal_dict(self.sealed_previous_secrets)
