"""A vendor's organisation and the names that lead to it."""

import re

from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _
from django_tenants.models import DomainMixin, TenantMixin

SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}\Z")

valid_slug = RegexValidator(
    SLUG, _("Use 1 to 63 letters, digits, hyphens or underscores; begin with a letter or digit.")
)


def host_label(slug: str) -> str:
    """The host label a slug asks for: `vendor_001` becomes `vendor-001`."""
    return slug.lower().replace("_", "-").strip("-")


def nine_to_six() -> list[list[list[str]]]:
    """The opening hours a tenant begins with: ranges for each weekday from Monday on."""
    return [[["09:00", "18:00"]] for _day in range(5)] + [[], []]


class Tenant(TenantMixin):
    """A vendor's organisation: the unit of isolation, limits and billing.

    `number` is never used twice; whatever outlives a request is bound to it.
    """

    class State(models.TextChoices):
        ACTIVE = "active", _("active")
        SUSPENDED = "suspended", _("suspended")

    class Colour(models.TextChoices):
        """What the team's pages are coloured with; each is legible by day and by night."""

        GREEN = "", _("green")
        TEAL = "teal", _("teal")
        INDIGO = "indigo", _("indigo")
        VIOLET = "violet", _("violet")
        PLUM = "plum", _("plum")
        BROWN = "brown", _("brown")
        SLATE = "slate", _("slate")

    number = models.BigAutoField(primary_key=True)
    slug = models.CharField(_("slug"), max_length=63, validators=[valid_slug])
    host_label = models.CharField(_("host label"), max_length=63, unique=True)
    name = models.CharField(_("name"), max_length=200)
    state = models.CharField(_("state"), max_length=20, choices=State.choices, default=State.ACTIVE)
    language = models.CharField(_("language"), max_length=5, default="fr")
    time_zone = models.CharField(_("time zone"), max_length=60, default="Europe/Paris")
    default_country = models.CharField(_("default country"), max_length=2, default="FR")
    agents_see_all = models.BooleanField(_("agents see every conversation"), default=True)
    colour = models.CharField(
        _("colour"), max_length=12, choices=Colour.choices, blank=True, default=""
    )
    logo = models.CharField(max_length=200, blank=True, default="")
    opening_hours = models.JSONField(_("opening hours"), default=nine_to_six)
    holidays = models.JSONField(_("holidays"), default=list)
    shows_read = models.BooleanField(_("contacts see what was read"), default=True)
    retention_days = models.PositiveIntegerField(_("days content is kept"), null=True, blank=True)
    suspended_at = models.DateTimeField(_("suspended since"), null=True, blank=True)
    suspended_reason = models.CharField(
        _("reason of the suspension"), max_length=300, blank=True, default=""
    )
    requires_mfa = models.BooleanField(_("second step required"), default=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    auto_create_schema = False

    class Meta:
        verbose_name = _("vendor")
        verbose_name_plural = _("vendors")
        constraints = [models.UniqueConstraint(Lower("slug"), name="tenant_slug_without_case")]

    def __str__(self) -> str:
        return self.name


class Domain(DomainMixin):
    """A host name that leads to a tenant, beside its host label."""

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="domains")

    class Meta:
        verbose_name = _("domain")
        verbose_name_plural = _("domains")


class SlugAlias(models.Model):
    """A slug a tenant once had: what was pasted at a provider goes on working."""

    slug = models.CharField(_("slug"), max_length=63)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="aliases")

    class Meta:
        verbose_name = _("former slug")
        verbose_name_plural = _("former slugs")
        constraints = [models.UniqueConstraint(Lower("slug"), name="alias_slug_without_case")]

    def __str__(self) -> str:
        return self.slug


class SchemaRecording(models.Model):
    """The SQL that migrating an empty tenant schema runs, kept to be replayed."""

    fingerprint = models.CharField(max_length=64, unique=True)
    sql = models.TextField()
    recorded_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.fingerprint


class TenantHistory(models.Model):
    """One row whose version rises whenever a tenant or an instance changes.

    Processes that keep the directory in memory compare it to know what they hold is stale.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    version = models.BigIntegerField(default=0)

    class Meta:
        verbose_name_plural = "tenant history"

    def __str__(self) -> str:
        return str(self.version)
