"""Many alerts of one kind on one card: the list, and a message to those one selects."""

import uuid

from django.contrib import messages
from django.http import Http404
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from alerts import acting, cards, resolving, wording
from alerts.models import Alert
from alerts.rules import RULES
from messaging import outbox
from messaging.views.access import page
from messaging.views.showing import numbers
from tenants import limits
from tenants.permissions import Action, may

MOST = 200
NAME = "{name}"


@require_http_methods(["GET", "POST"])
@page(Action.READ)
def fold(request, type: str, fold: str):
    """The leads behind a folded card; POST writes to, or resolves, those that are chosen."""
    if type not in RULES:
        raise Http404("no such kind")
    rows = cards.folded(request.user, type, fold, timezone.now())
    found = list(rows.prefetch_related("lead__identities")[:MOST])
    if request.method == "POST" and may(request.user, Action.HANDLE_ALERTS):
        return _chosen(request, [each for each in found if str(each.pk) in _picked(request)])
    context = {
        "section": "alerts",
        "title": wording.label(type),
        "cards": [cards.one(each, numbers(request)) for each in found],
        "template": _template(found),
        "reference": uuid.uuid4(),
        "can_write": RULES[type].suggestion.action in ("message", "call"),
    }
    return render(request, "alerts/fold.html", context)


def _chosen(request, alerts: list[Alert]):
    if request.POST.get("do") == "resolve":
        for alert in alerts:
            resolving.resolve(alert, by=request.user, now=timezone.now())
        said = ngettext("%(count)d alert resolved", "%(count)d alerts resolved", len(alerts))
        messages.success(request, said % {"count": len(alerts)})
        return redirect("alerts:dashboard")
    sent, problem = _write_to(request, alerts)
    if sent:
        said = ngettext("%(count)d message queued", "%(count)d messages queued", sent)
        messages.success(request, said % {"count": sent})
    if problem:
        messages.error(request, problem)
    return redirect(request.path if problem else "alerts:dashboard")


def _write_to(request, alerts: list[Alert]) -> tuple[int, str]:
    """Queue the text to each lead; how many were queued, and the first refusal."""
    text = request.POST.get("text", "").strip()
    if not text or not alerts:
        return 0, str(_("Choose somebody, and write something first."))
    sent, problem, base = 0, "", request.POST.get("reference", "")
    for alert in alerts:
        doing = acting.Doing(request.tenant, alert, request.user, timezone.now())
        try:
            acting.write(doing, _said_to(text, alert), _reference(base, alert))
            sent += 1
        except (outbox.Refused, limits.LimitReached) as refusal:
            problem = problem or f"{alert.lead}: {refusal.message}"
    return sent, problem


def _said_to(text: str, alert: Alert) -> str:
    name = alert.lead.name if alert.lead else ""
    return " ".join(text.replace(NAME, name).split(" ")).replace(" ,", ",")


def _reference(base: str, alert: Alert) -> uuid.UUID | None:
    """One message for each lead, however often the form is sent."""
    try:
        return uuid.uuid5(uuid.UUID(base), str(alert.pk))
    except ValueError:
        return None


def _template(found: list[Alert]) -> str:
    if not found:
        return ""
    template = RULES[found[0].type].suggestion.template
    return str(template) % {"name": NAME} if template else ""


def _picked(request) -> set[str]:
    return set(request.POST.getlist("alert"))
