"""What became of one vendor's messages, as staff may see it: never who, nor what was said."""

from zoneinfo import ZoneInfo

from django.http import HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from messaging import told, told_csv
from messaging.told_forms import FactsForm
from tenants import context
from tenants.models import Tenant


def show(request, tenant: Tenant, facts: dict) -> TemplateResponse:
    """The newest facts about a vendor's messages that fit; `facts` are those of every page."""
    form = _form(request, tenant)
    facts |= {"form": form, "original": tenant, "zone": ZoneInfo(tenant.time_zone)}
    if not form.is_valid():
        return TemplateResponse(request, _TEMPLATE, facts, status=400)
    with context.entered(tenant):
        found = told.page(form.narrowed(), form.cleaned_data["before"], with_content=False)
    kept = {name: value for name, value in request.GET.items() if name != "before" and value}
    facts |= {
        "rows": found.rows,
        "days": form.cleaned_data["days"],
        "kept": urlencode(kept),
        "more": urlencode({**kept, "before": found.next}) if found.next else "",
    }
    return TemplateResponse(request, _TEMPLATE, facts)


def export(request, tenant: Tenant) -> HttpResponse:
    """The same as a file."""
    form = _form(request, tenant)
    if not form.is_valid():
        return HttpResponse(next(iter(form.errors.values()))[0], status=400)
    with context.entered(tenant), timezone.override(ZoneInfo(tenant.time_zone)):
        found, _rest = told_csv.read(
            form.narrowed(), form.cleaned_data["before"], with_content=False
        )
        return told_csv.for_people(found, f"message-events-{tenant.slug}", told_csv.METADATA)


def title() -> str:
    """What the page is called."""
    return _("Message events")


_TEMPLATE = "admin/vendors/told.html"


def _form(request, tenant: Tenant) -> FactsForm:
    zone = ZoneInfo(tenant.time_zone)
    return FactsForm(request.GET, today=timezone.localdate(timezone=zone), zone=zone)
