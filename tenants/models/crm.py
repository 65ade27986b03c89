"""A tenant's link to its CRM."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from tenants import secrets
from tenants.managers import SharedRows


class CrmLink(models.Model):
    """A tenant's EspoCRM: where it is, the key to it, how far it was read and when it is next.

    It is in `public`, so that whose turn it is can be told without entering any tenant. What is
    known of the CRM's records is in the tenant's schema.
    """

    class State(models.TextChoices):
        LINKED = "linked", _("linked")
        AWAY = "away", _("cannot be reached")
        REFUSED = "refused", _("refuses us")

    tenant = models.OneToOneField("tenants.Tenant", on_delete=models.CASCADE, related_name="+")
    url = models.CharField(_("address"), max_length=300)
    sealed_key = models.BinaryField(default=bytes)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.LINKED)
    state_code = models.CharField(max_length=60, blank=True)
    state_detail = models.CharField(max_length=300, blank=True)
    state_since = models.DateTimeField(_("state since"))
    # What the CRM has to choose from: the statuses of a lead in its order, its users.
    statuses = models.JSONField(default=list)
    users = models.JSONField(default=list)
    # Status there → id of the stage here; a status that is not in it changes nothing.
    stages = models.JSONField(default=dict)
    # The last change that was read, by its time and id; read again from a little earlier,
    # unless there is more to read than was read.
    read_at = models.DateTimeField(null=True)
    read_id = models.CharField(max_length=40, blank=True)
    is_behind = models.BooleanField(default=True)
    pulled_at = models.DateTimeField(_("last read"), null=True)
    pull_at = models.DateTimeField()
    tries = models.PositiveSmallIntegerField(default=0)
    wait_until = models.DateTimeField(null=True)
    claimed_until = models.DateTimeField(null=True)
    linked_at = models.DateTimeField(_("linked"))

    objects = SharedRows()

    class Meta:
        verbose_name = _("link to a CRM")
        verbose_name_plural = _("links to CRMs")

    def __str__(self) -> str:
        return self.url

    @property
    def key(self) -> str:
        """The decrypted API key; never to be logged."""
        return secrets.unseal(self.sealed_key).decode()

    @key.setter
    def key(self, value: str) -> None:
        self.sealed_key = secrets.seal(value.encode())
