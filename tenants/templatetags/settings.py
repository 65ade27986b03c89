"""Words for what the settings' pages show: facts of the audit, roles."""

from django import template
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from tenants.accounts.models import Role

register = template.Library()

# What a fact in the audit is called; names that are not here are shown as they are.
FACTS = {
    "address": _("number or address"),
    "agents_see_all": _("agents see every conversation"),
    "default_country": _("country"),
    "email": _("e-mail"),
    "is_active": _("active"),
    "kind": _("kind"),
    "label": _("label"),
    "language": _("language"),
    "merged": _("merged"),
    "name": _("name"),
    "owner": _("owner"),
    "parted": _("parted"),
    "replaced": _("secrets replaced"),
    "requires_mfa": _("second step required"),
    "role": _("role"),
    "network_address": _("network address"),
    "device": _("device"),
    "shows_read": _("contacts see what was read"),
    "slug": _("slug"),
    "retention_days": _("days messages are kept"),
    "colour": _("colour"),
    "count": _("messages"),
    "holidays": _("holidays"),
    "leads_into": _("its leads go to"),
    "logo": _("logo"),
    "older_than_days": _("older than (days)"),
    "opening_hours": _("opening hours"),
    "in_opening_hours": _("in opening hours"),
    "is_on": _("switched on"),
    "plan": _("plan"),
    "position": _("position"),
    "stage_thresholds": _("thresholds by stage"),
    "thresholds": _("thresholds"),
    "shortcut": _("short word"),
    "stale_after_days": _("stale after (days)"),
    "state": _("state"),
    "text": _("text"),
    "time_zone": _("time zone"),
    "failover": _("failover"),
    "per_day": _("messages in a day"),
    "per_minute": _("messages in a minute"),
    "version": _("version"),
    "words": _("what was read"),
    "told_again": _("told again"),
}


@register.filter
def logo_address(tenant) -> str:
    """Where a tenant's logo is answered."""
    digest = tenant.logo.rpartition("/")[2].removesuffix(".png")
    return reverse("settings-logo", args=[digest])


@register.filter
def role_named(role: str) -> str:
    """A role in the reader's language."""
    return str(dict(Role.choices).get(role, role))


@register.filter
def fact_named(name: str) -> str:
    """What a fact of the audit is called."""
    return str(FACTS.get(name, name))


@register.filter
def fact_shown(value) -> str:
    """A fact of the audit for people: yes and no, roles by name, lists with commas."""
    if value is True:
        return gettext("yes")
    if value is False:
        return gettext("no")
    if value is None or value == "" or value == []:
        return "–"
    if isinstance(value, list):
        return ", ".join(fact_shown(each) for each in value)
    if isinstance(value, dict):
        return ", ".join(f"{fact_named(name)}: {fact_shown(each)}" for name, each in value.items())
    return role_named(str(value))
