"""Two leads that are one person: finding the other, seeing what will happen, taking it back."""

from django.contrib import messages
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from messaging import merging, searching
from messaging.forms import MergeForm
from messaging.models import Lead, LeadMerge
from messaging.templatetags.saying import lead_named
from messaging.views.access import page
from tenants.permissions import Action

MOST_FOUND = 20


@require_http_methods(["GET", "POST"])
@page(Action.EDIT_LEADS)
def merge(request, pk: int):
    """Find the other lead, look at what merging does, and do it."""
    lead = _lead_or_404(pk)
    asked = request.POST if request.method == "POST" else request.GET
    form = MergeForm(asked or None, lead=lead)
    if not form.is_valid():
        status = 422 if request.method == "POST" else 200
        return render(request, "leads/merge.html", _search(request, lead, form), status=status)
    kept, other = form.direction()
    try:
        if request.method == "POST":
            merging.merge(kept, other, by=request.user)
            said = _("%(other)s is now a part of this lead.") % {"other": lead_named(other)}
            messages.success(request, said)
            return redirect("messaging:lead", kept.pk)
        preview = merging.preview(kept, other)
    except merging.NotMerged as refusal:
        context = {**_search(request, lead, form), "problem": refusal.message}
        return render(request, "leads/merge.html", context, status=_refused(request))
    return render(request, "leads/preview.html", {**_base(lead), "preview": preview})


@require_POST
@page(Action.EDIT_LEADS)
def undo(request, pk: int):
    """Make two leads of one again, and go back to where that was asked for."""
    record = get_object_or_404(LeadMerge.objects.select_related("kept", "merged"), pk=pk)
    try:
        merging.undo(record, by=request.user, now=timezone.now())
    except merging.NotMerged as refusal:
        messages.error(request, refusal.message)
    else:
        said = _("%(other)s is a lead of its own again.") % {"other": lead_named(record.merged)}
        messages.success(request, said)
    if request.POST.get("view") == "unknown":
        return redirect("messaging:unknown")
    return redirect("messaging:lead", record.kept_id)


def _search(request, lead: Lead, form: MergeForm) -> dict:
    text = request.GET.get("q", "").strip()[:100]
    found = searching.leads(text, size=MOST_FOUND + 1).rows if text else []
    others = [each for each in found if each.pk != lead.pk][:MOST_FOUND]
    return {**_base(lead), "text": text, "found": others, "problem": form.problem()}


def _base(lead: Lead) -> dict:
    return {"section": "leads", "lead": lead}


def _refused(request) -> int:
    return 422 if request.method == "POST" else 200


def _lead_or_404(pk: int) -> Lead:
    found = Lead.objects.filter(pk=pk, merged_into=None).first()
    if found is None:
        raise Http404("no such lead")
    return found
