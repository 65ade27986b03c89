"""The dialog of an alert's next step, and taking it."""

import uuid
from datetime import timedelta

from django import forms
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods
from django_htmx.http import trigger_client_event

from alerts import acting, cards, rules, wording
from alerts.forms import CallForm, PlanForm, SettleForm, StageForm, WriteForm
from alerts.models import Alert
from alerts.views.watching import alert_or_404, tell_count
from messaging import outbox
from messaging.models import Conversation, FollowUp, LeadIdentity
from messaging.queries import visible_conversations
from messaging.views.access import page
from messaging.views.showing import numbers, with_toast
from tenants import limits
from tenants.permissions import Action

FORMS = {
    "message": WriteForm,
    "call": CallForm,
    "plan": PlanForm,
    "follow_up": SettleForm,
    "stage": StageForm,
}
# Where the button that takes the step says something else than the one that opens the dialog.
SUBMITS = {
    "message": gettext_lazy("Send"),
    "call": gettext_lazy("Log the call"),
    "follow_up": gettext_lazy("Save"),
}


@require_http_methods(["GET", "POST"])
@page(Action.HANDLE_ALERTS)
def act(request, pk: int):
    """Show what the step needs, then take it."""
    alert = alert_or_404(request, pk)
    action = wording.suggested_action(alert)["action"]
    if not acting.can(alert, action):
        return _dialog(request, alert, action, None)
    form = _form(request, alert, action)
    if request.method == "GET":
        return _dialog(request, alert, action, form)
    if form is not None and not form.is_valid():
        return _dialog(request, alert, action, form, next(iter(form.errors.values()))[0])
    doing = acting.Doing(request.tenant, alert, request.user, timezone.now())
    try:
        said = _take(doing, action, form.cleaned_data if form else {})
    except (outbox.Refused, limits.LimitReached) as refusal:
        return _dialog(request, alert, action, form, refusal.message)
    except acting.NothingToDo:
        return _dialog(request, alert, action, form, _("This is no longer there."))
    if not request.htmx:
        return redirect("alerts:dashboard")
    response = tell_count(HttpResponse(status=200), request.user)
    return with_toast(trigger_client_event(response, "acted", {}), said)


def _form(request, alert: Alert, action: str) -> forms.Form | None:
    form_class = FORMS.get(action)
    if form_class is None:
        return None
    facts: dict = {"initial": _initial(request, alert, action)}
    if form_class is WriteForm and acting.last_conversation(alert.lead) is None:
        facts["numbers"] = list(numbers(request).values())
    return form_class(request.POST if request.method == "POST" else None, **facts)


def _take(doing: acting.Doing, action: str, typed: dict) -> str:
    match action:
        case "message":
            acting.write(doing, typed["text"], typed["reference"], typed.get("instance"))
            return _("Message queued")
        case "call":
            acting.log_call(doing, typed["status"], typed["note"])
            return _("Call logged")
        case "plan":
            acting.plan(doing, typed["what"], typed["due_at"], typed["who"])
            return _("Follow-up planned")
        case "follow_up":
            acting.settle(doing, typed["due_at"])
            return _("Follow-up put off") if typed["due_at"] else _("Follow-up done")
        case "assign":
            acting.take(doing)
            return _("The lead is yours")
        case "stage":
            acting.move(doing, typed["stage"])
            return _("Stage changed")
        case "retry":
            acting.send_again(doing)
            return _("Message queued again")
        case rules.CHECK_NUMBER:
            instance = acting.check_number(doing)
            return _("Connection checked: %(state)s") % {"state": instance.get_state_display()}
    raise acting.NothingToDo


def _initial(request, alert: Alert, action: str) -> dict:
    tomorrow = timezone.localtime() + timedelta(days=1)
    return {
        "text": wording.suggested_action(alert)["template"],
        "reference": uuid.uuid4(),
        "due_at": tomorrow.replace(hour=9, minute=0) if action == "plan" else None,
        "who": request.user,
        "status": "replied",
    }


def _dialog(request, alert: Alert, action: str, form, problem="") -> HttpResponse:
    context = {
        "alert": alert,
        "card": cards.one(alert, numbers(request)),
        "action": action,
        "form": form,
        "problem": problem,
        "overdue": _overdue(alert) if action == "follow_up" else [],
        "said": _said_last(request.user, alert) if action == "message" else None,
        "phones": _phones(alert) if action == "call" else [],
        "submit": SUBMITS.get(action) or wording.suggested_action(alert)["label"],
        "can_act": acting.can(alert, action),
    }
    return render(request, "alerts/act.html", context)


def _said_last(user, alert: Alert) -> Conversation | None:
    """The conversation an answer goes to, where this person may see it."""
    if alert.lead is None:
        return None
    channel = wording.suggested_action(alert)["channel"]
    last = acting.last_conversation(alert.lead, channel)
    return visible_conversations(user).filter(pk=last.pk).first() if last else None


def _phones(alert: Alert) -> list[str]:
    known = LeadIdentity.objects.filter(lead=alert.lead, kind=LeadIdentity.Kind.PHONE)
    return list(known.order_by("pk").values_list("value", flat=True)[:3])


def _overdue(alert: Alert):
    return FollowUp.objects.filter(
        lead=alert.lead, closed_at=None, due_at__lte=timezone.now()
    ).order_by("due_at")[:20]
