"""Many alerts of one kind on one card: the list, and a message to those one selects."""

import uuid

from django.contrib import messages
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from alerts import acting, cards, resolving
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
def fold(request):
    """The leads behind a folded card; POST writes to, or resolves, those that are chosen."""
    rule = RULES.get(request.GET.get("type", ""))
    if rule is None:
        return redirect("alerts:dashboard")
    rows = cards.folded(request.user, rule.code, request.GET.get("fold", ""), timezone.now())
    found = list(rows.prefetch_related("lead__identities")[:MOST])
    if request.method == "POST" and may(request.user, Action.HANDLE_ALERTS):
        return _chosen(request, [each for each in found if str(each.pk) in _picked(request)])
    context = {
        "section": "alerts",
        "title": rule.label,
        "cards": [cards.one(each, numbers(request)) for each in found],
        "template": _template(found),
        "reference": uuid.uuid4(),
        "numbers": list(numbers(request).values()),
        "can_write": rule.suggestion.action in ("message", "call"),
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
    return redirect(request.get_full_path() if problem else "alerts:dashboard")


def _write_to(request, alerts: list[Alert]) -> tuple[int, str]:
    """Queue the text to each lead; how many were queued, and the first refusal."""
    text = request.POST.get("text", "").strip()
    if not text or not alerts:
        return 0, str(_("Choose somebody, and write something first."))
    sent, problem, base = 0, "", request.POST.get("reference", "")
    instance = _instance(request)
    for alert in alerts:
        doing = acting.Doing(request.tenant, alert, request.user, timezone.now())
        try:
            acting.write(doing, _said_to(text, alert), _reference(base, alert), instance)
            sent += 1
        except (outbox.Refused, limits.LimitReached) as refusal:
            problem = problem or f"{alert.lead}: {refusal.message}"
    return sent, problem


def _instance(request) -> int | None:
    """The number to write from, where there are several; what it cannot mean is refused later."""
    written = request.POST.get("instance", "")
    return int(written) if written.isdecimal() and len(written) < 19 else None


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
