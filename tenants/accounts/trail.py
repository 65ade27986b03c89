"""The audit: rows that are written once. The database refuses to change or remove them."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class AuditEntry(models.Model):
    """Somebody changed something: who, what, when, from where, before and after.

    `public` holds what platform staff did, a tenant's schema what was done there. People and
    things are kept by id and name, without foreign keys: the row outlives them. Written by
    `tenants.audit` only.
    """

    at = models.DateTimeField(_("when"), db_default=Now())
    act = models.CharField(_("what"), max_length=60)
    by_id = models.BigIntegerField(null=True)
    by_name = models.CharField(_("who"), max_length=254, blank=True)
    by_role = models.CharField(max_length=20, blank=True)
    subject_kind = models.CharField(max_length=40, blank=True)
    subject_id = models.BigIntegerField(null=True)
    subject_name = models.CharField(_("on what"), max_length=254, blank=True)
    tenant_number = models.BigIntegerField(null=True)
    before = models.JSONField(_("before"), default=dict)
    after = models.JSONField(_("after"), default=dict)
    reason = models.CharField(_("reason"), max_length=500, blank=True)
    door = models.CharField(_("through"), max_length=40, blank=True)
    address = models.GenericIPAddressField(_("from"), null=True)
    user_agent = models.CharField(max_length=300, blank=True)

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit")
        indexes = [
            models.Index(fields=["by_id", "-id"], name="audit_by_person"),
            models.Index(fields=["act", "-id"], name="audit_by_act"),
            models.Index(fields=["subject_kind", "subject_id", "-id"], name="audit_by_subject"),
            models.Index(fields=["tenant_number", "-id"], name="audit_by_tenant"),
        ]

    def __str__(self) -> str:
        return f"{self.act} #{self.pk}"
