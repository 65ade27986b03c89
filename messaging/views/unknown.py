"""Senders nobody has recognised yet: looked through, kept as leads, linked to known ones."""

from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBadRequest
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from messaging import merging, recognising
from messaging.forms import LinkForm
from messaging.models import Lead
from messaging.templatetags.saying import lead_named
from messaging.views.access import page
from tenants.permissions import Action


@require_GET
@page(Action.READ)
def unknown(request):
    """Unknown senders, newest first, each with whom they may be; what was linked lately."""
    try:
        after = int(request.GET["after"]) if request.GET.get("after") else None
    except ValueError:
        return HttpResponseBadRequest("after")
    found = recognising.unknown(request.user, after)
    suggested = recognising.suggestions(found.rows)
    context = {
        "section": "leads",
        "rows": [(lead, suggested.get(lead.pk, [])) for lead in found.rows],
        "next": found.next,
        "is_first_page": after is None,
        "kept": _kept(request),
        "correlation": None if request.htmx else recognising.correlation(timezone.now()),
        "lately": [] if request.htmx else list(recognising.lately(timezone.now())),
    }
    template = "leads/unknown_rows.html" if request.htmx else "leads/unknown.html"
    return render(request, template, context)


@require_POST
@page(Action.EDIT_LEADS)
def keep(request, pk: int):
    """This sender is a lead of its own."""
    lead = _lead_or_404(pk)
    recognising.keep(lead, now=timezone.now())
    if request.htmx:
        return HttpResponse()
    return _back(request, lead, kept=lead.pk)


@require_POST
@page(Action.EDIT_LEADS)
def forget(request, pk: int):
    """Nobody knows this sender after all."""
    lead = _lead_or_404(pk)
    recognising.forget(lead)
    return _back(request, lead)


@require_POST
@page(Action.EDIT_LEADS)
def link(request, pk: int):
    """This sender is a lead we know: everything of theirs becomes that lead's."""
    lead = _lead_or_404(pk)
    form = LinkForm(request.POST)
    try:
        if not form.is_valid():
            raise merging.NotMerged("lead_unknown", form.first_error())
        merging.merge(form.cleaned_data["other"], lead, by=request.user)
    except merging.NotMerged as refusal:
        messages.error(request, refusal.message)
        return _back(request, lead)
    known = lead_named(form.cleaned_data["other"])
    said = _("%(sender)s is linked to %(lead)s.") % {"sender": lead_named(lead), "lead": known}
    messages.success(request, said)
    return redirect("messaging:unknown")


def _back(request, lead: Lead, **said):
    if request.POST.get("view") == "lead":
        return redirect("messaging:lead", lead.pk)
    return redirect(f"{reverse('messaging:unknown')}{'?' if said else ''}{urlencode(said)}")


def _kept(request) -> Lead | None:
    """The sender that was just kept as a lead, for a way back."""
    pk = request.GET.get("kept", "")
    if not pk.isdecimal() or len(pk) > 18:
        return None
    return Lead.objects.filter(pk=int(pk), merged_into=None, recognised_at__isnull=False).first()


def _lead_or_404(pk: int) -> Lead:
    return get_object_or_404(Lead, pk=pk, merged_into=None)
