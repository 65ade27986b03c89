"""How fast each instance sends: one row that every worker shares."""

from django.db import models
from django.utils import timezone

from tenants.managers import SharedRows


class Pace(models.Model):
    """An instance's bucket of sends, what it sent today, until when its provider wants peace."""

    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, related_name="+")
    instance = models.OneToOneField(
        "tenants.ProviderInstance", on_delete=models.CASCADE, primary_key=True, related_name="+"
    )
    tokens = models.FloatField()
    filled_at = models.DateTimeField(default=timezone.now)
    paused_until = models.DateTimeField(null=True, blank=True)
    # Halvings of the pace, after the provider said that it was too fast.
    slowed = models.PositiveSmallIntegerField(default=0)
    day = models.DateField()
    sent = models.PositiveIntegerField(default=0)

    objects = SharedRows()

    def __str__(self) -> str:
        return f"#{self.pk}"
