"""A lead's history on its page: follow-ups, open alerts, and what people write into it."""

from datetime import timedelta

from django.http import Http404, HttpResponseBadRequest
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from alerts import cards, resolving
from alerts.forms import AlertForm, CallForm, PlanForm
from alerts.queries import Wanted
from alerts.rules import BY_HAND
from messaging import activities, followups, handling
from messaging.models import Activity, FollowUp, Lead, Message, Stage
from messaging.queries import Cursor, timeline
from messaging.views.access import page
from messaging.views.showing import numbers
from tenants.permissions import Action


@require_GET
@page(Action.READ)
def history(request, pk: int):
    """A lead's history, follow-ups and open alerts, to be put into its page."""
    lead = _lead_or_404(pk)
    written = request.GET.get("before")
    try:
        before = Cursor.read(written) if written else None
    except ValueError:
        return HttpResponseBadRequest("before")
    found = timeline(request.user, lead, before)
    context = {"lead": lead, "rows": found.rows, "next": found.next}
    if before:
        return render(request, "alerts/timeline.html", context)
    now = timezone.now()
    context |= {
        "cards": cards.deck(request.user, Wanted(lead=pk), now, numbers(request)),
        "follow_ups": lead.follow_ups.filter(closed_at=None).select_related("who"),
        "call": CallForm(auto_id="call-%s"),
        "plan": PlanForm(auto_id="plan-%s", initial=_tomorrow(request)),
        "alert": AlertForm(auto_id="alert-%s"),
        "stages": Stage.objects.order_by("position", "id"),
        "stage": lead.stage,
    }
    return render(request, "alerts/history.html", context)


@require_POST
@page(Action.EDIT_LEADS)
def log(request, pk: int):
    """Log a call or a note, plan a follow-up, be done with one, change the stage, flag."""
    lead = _lead_or_404(pk)
    problem = _logged(request, lead)
    if problem:
        return HttpResponseBadRequest(problem)
    return redirect("alerts:history", pk)


def _logged(request, lead: Lead) -> str:
    acts = {"by": request.user, "now": timezone.now()}
    match request.POST.get("is"):
        case "call":
            form = CallForm(request.POST)
            if form.is_valid():
                activities.record(
                    lead,
                    channel=Activity.Channel.CALL,
                    direction=Message.Direction.OUT,
                    status=form.cleaned_data["status"],
                    snippet=form.cleaned_data["note"],
                    **acts,
                )
            return _first_error(form)
        case "note":
            text = request.POST.get("note", "").replace("\x00", "").strip()
            if text:
                activities.note(lead, text, **acts)
            return "" if text else str(_("Write something first."))
        case "plan":
            form = PlanForm(request.POST)
            if form.is_valid():
                followups.plan(lead, **form.cleaned_data, **acts)
            return _first_error(form)
        case "done":
            wanted = request.POST.get("follow_up", "")
            found = _follow_up(lead, wanted)
            if found is not None:
                followups.close(found, outcome=FollowUp.Outcome.DONE, **acts)
            return "" if found else str(_("This is no longer there."))
        case "stage":
            wanted = request.POST.get("stage", "")
            stage = Stage.objects.filter(pk=int(wanted)).first() if _is_id(wanted) else None
            if stage is not None:
                handling.move(lead, to=stage, **acts)
            return "" if stage else str(_("This is no longer there."))
        case "alert":
            form = AlertForm(request.POST)
            if form.is_valid():
                resolving.make(type=BY_HAND, lead=lead, **form.made(), **acts)
            return _first_error(form)
    return "is"


def _follow_up(lead: Lead, written: str) -> FollowUp | None:
    return lead.follow_ups.filter(pk=int(written)).first() if _is_id(written) else None


def _is_id(written: str) -> bool:
    return written.isdecimal() and len(written) < 19


def _first_error(form) -> str:
    return "" if form.is_valid() else str(next(iter(form.errors.values()))[0])


def _tomorrow(request) -> dict:
    tomorrow = timezone.localtime() + timedelta(days=1)
    return {"due_at": tomorrow.replace(hour=9, minute=0), "who": request.user}


def _lead_or_404(pk: int) -> Lead:
    found = Lead.objects.select_related("stage").filter(pk=pk, merged_into=None).first()
    if found is None:
        raise Http404("no such lead")
    return found
