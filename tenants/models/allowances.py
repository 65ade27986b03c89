"""What tenants may still do, and how much of it they have done."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from tenants.managers import SharedRows


class Allowance(models.Model):
    """What a tenant may do. Billing writes it; `tenants.limits` is the only reader.

    The row without a tenant is everybody's who has none of their own. A number that is not set
    means no limit.
    """

    tenant = models.ForeignKey(
        "tenants.Tenant", on_delete=models.CASCADE, null=True, related_name="+"
    )
    by_hand = models.BooleanField(default=False)
    users = models.PositiveIntegerField(null=True)
    instances = models.PositiveIntegerField(null=True)
    messages = models.PositiveBigIntegerField(null=True)
    storage = models.PositiveBigIntegerField(null=True)
    scheduled = models.PositiveIntegerField(null=True)
    api_rate = models.PositiveIntegerField(null=True)
    features_off = models.JSONField(default=list)
    closed_reason = models.CharField(max_length=20, blank=True)
    closed_from = models.DateTimeField(null=True)

    objects = SharedRows()

    class Meta:
        constraints = [
            # Also of the row without a tenant there is one.
            models.UniqueConstraint(fields=["tenant"], nulls_distinct=False, name="allowance_once")
        ]

    def __str__(self) -> str:
        return f"tenant {self.tenant_id}" if self.tenant_id else "everybody"


class UsageCounter(models.Model):
    """How much of one kind a tenant used in one period; "" is the period of what lasts."""

    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(_("kind"), max_length=12)
    period = models.CharField(_("period"), max_length=16, blank=True)
    used = models.BigIntegerField(_("used"), default=0)

    objects = SharedRows()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "kind", "period"], name="usage_counted_once")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.period}"
