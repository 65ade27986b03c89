"""Who the tenant is, when it is there, what it looks like: seen and changed."""

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from tenants import context, logos, settling
from tenants.forms import HoursForm, OrganisationForm, RetentionForm
from tenants.models import Tenant
from tenants.permissions import Action
from tenants.settling import WrongSetting
from tenants.views.access import tenant_page


@require_http_methods(["GET", "HEAD", "POST"])
@tenant_page(Action.MANAGE_SETTINGS)
def organisation(request):
    """Name, language, time zone, country, colour, logo, how long content is kept."""
    tenant = Tenant.objects.get(number=context.current_number())
    before = tenant.logo
    form = OrganisationForm(request.POST or None, request.FILES or None, instance=tenant)
    if request.method == "POST" and form.is_valid() and _kept(request, form):
        after = Tenant.objects.values_list("logo", flat=True).get(number=tenant.number)
        if after != before:
            logos.discard(before)
        return _saved(request, "settings")
    return _page(request, "organisation", form)


@require_http_methods(["GET", "HEAD", "POST"])
@tenant_page(Action.MANAGE_SETTINGS)
def hours(request):
    """Opening hours and holidays."""
    tenant = Tenant.objects.get(number=context.current_number())
    form = HoursForm(request.POST or None, initial=HoursForm.initial_of(tenant))
    if request.method == "POST" and form.is_valid() and _kept(request, form):
        return _saved(request, "settings-hours")
    return _page(request, "hours", form, days=[(WEEKDAYS[day], row) for day, row in form.days()])


@require_http_methods(["GET", "HEAD", "POST"])
@tenant_page(Action.MANAGE_SETTINGS)
def retention(request):
    """How long messages are kept."""
    tenant = Tenant.objects.get(number=context.current_number())
    form = RetentionForm(request.POST or None, tenant=tenant)
    if request.method == "POST" and form.is_valid() and _kept(request, form):
        return _saved(request, "settings-retention")
    return _page(request, "retention", form)


@require_safe
@tenant_page(Action.READ)
def logo(request, digest: str):
    """The logo; its address changes with it, so that browsers may keep it."""
    tenant = request.tenant
    if f"/{digest}.png" not in tenant.logo:
        raise Http404("another logo")
    try:
        content = logos.content_of(tenant)
    except FileNotFoundError as exc:
        raise Http404("no logo") from exc
    headers = {"X-Content-Type-Options": "nosniff"}
    return HttpResponse(content, content_type=logos.TYPE, headers=headers)


def _kept(request, form) -> bool:
    """Whether what was typed could be kept; else the form says why."""
    try:
        values = form.settings()
        picture = form.cleaned_data.get("picture")
        if picture:
            values["logo"] = logos.keep(request.tenant.number, picture, picture.size)
        elif form.cleaned_data.get("without_picture"):
            values["logo"] = ""
        settling.change(request.tenant.number, values, by=request.user)
    except WrongSetting as wrong:
        field = "picture" if wrong.name == "logo" else wrong.name
        form.add_error(field if field in form.fields else None, wrong.message)
        return False
    return True


def _saved(request, name: str):
    messages.success(request, _("Saved"))
    return redirect(name)


def _page(request, tab: str, form, **more):
    facts = {"section": "settings", "tab": tab, "form": form, **more}
    status = 400 if form.is_bound and form.errors else 200
    return render(request, f"settings/{tab}.html", facts, status=status)
