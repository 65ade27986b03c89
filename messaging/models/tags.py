"""Words a team puts on its leads, to find them by."""

from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from messaging.models.leads import Lead
from tenants.models import Tenant


class Tag(models.Model):
    """A word that leads can carry, in one of the tenant's colours."""

    name = models.CharField(_("name"), max_length=40)
    colour = models.CharField(
        _("colour"), max_length=12, choices=Tenant.Colour.choices, blank=True, default=""
    )
    leads: models.ManyToManyField = models.ManyToManyField(
        Lead, through="LeadTag", related_name="tags"
    )

    class Meta:
        verbose_name = _("tag")
        verbose_name_plural = _("tags")
        ordering = [Lower("name")]
        constraints = [models.UniqueConstraint(Lower("name"), name="tag_name_once")]

    def __str__(self) -> str:
        return self.name


class LeadTag(models.Model):
    """A lead carries a tag."""

    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="+")
    tag = models.ForeignKey(Tag, on_delete=models.CASCADE, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["lead", "tag"], name="tag_once_on_lead")]

    def __str__(self) -> str:
        return f"{self.lead_id}: {self.tag_id}"
