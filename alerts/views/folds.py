"""Many alerts of one kind on one card: the list, and a message to those one selects."""

import uuid

from django.contrib import messages
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from alerts import cards, resolving, writing
from alerts.models import Alert
from alerts.rules import RULES, Rule
from alerts.writing import NAME, Words
from messaging import templates
from messaging.models import MessageTemplate
from messaging.views.access import page
from messaging.views.showing import numbers
from tenants.models import ProviderInstance
from tenants.permissions import Action, may

MOST = 200


@require_http_methods(["GET", "POST"])
@page(Action.READ)
def fold(request):
    """The leads behind a folded card; POST writes to, or resolves, those that are chosen."""
    rule = RULES.get(request.GET.get("type", ""))
    if rule is None:
        return redirect("alerts:dashboard")
    rows = cards.folded(request.user, rule.code, request.GET.get("fold", ""), timezone.now())
    found = list(rows[:MOST])
    known = writing.sendable(numbers(request).values())
    chosen = _template(request, known)
    if request.method == "POST" and may(request.user, Action.HANDLE_ALERTS):
        return _done(request, [each for each in found if str(each.pk) in _picked(request)], chosen)
    context = {
        "section": "alerts",
        "title": rule.label,
        "type": rule.code,
        "fold": request.GET.get("fold", ""),
        "cards": [cards.one(each, numbers(request)) for each in found],
        "can_write": rule.suggestion.action in ("message", "call"),
        "text": _proposed(rule),
        "numbers": list(numbers(request).values()),
        "templates": [template for template, _number in known],
        "chosen": chosen[0] if chosen else None,
        "places": _places(chosen[0]) if chosen else [],
        "reference": uuid.uuid4(),
    }
    return render(request, "alerts/fold.html", context)


def _done(request, alerts: list[Alert], chosen: tuple[MessageTemplate, ProviderInstance] | None):
    now = timezone.now()
    if request.POST.get("do") == "resolve":
        for alert in alerts:
            resolving.resolve(alert, by=request.user, now=now)
        said = ngettext("%(count)d alert resolved", "%(count)d alerts resolved", len(alerts))
        messages.success(request, said % {"count": len(alerts)})
        return redirect("alerts:dashboard")
    words = _words(request, chosen)
    if not alerts or not (words.text or words.template):
        messages.error(request, _("Choose somebody, and write something first."))
        return redirect(request.get_full_path())
    sent, problem = writing.to_each(request.tenant, alerts, words, by=request.user, now=now)
    if sent:
        said = ngettext("%(count)d message queued", "%(count)d messages queued", sent)
        messages.success(request, said % {"count": sent})
    if problem:
        messages.error(request, problem)
    return redirect(request.get_full_path() if problem else "alerts:dashboard")


def _words(request, chosen: tuple[MessageTemplate, ProviderInstance] | None) -> Words:
    reference = _reference(request.POST.get("reference", ""))
    if chosen is None:
        text = request.POST.get("text", "").strip()
        return Words(text=text, instance=_id(request.POST.get("instance", "")), reference=reference)
    template, number = chosen
    keys = [place.key for place in templates.places(template)]
    values = {key: request.POST.get(f"variables.{key}", "") for key in keys}
    return Words(template=template, values=values, instance=number.pk, reference=reference)


def _template(request, known) -> tuple[MessageTemplate, ProviderInstance] | None:
    wanted = _id(request.GET.get("template", ""))
    return next((each for each in known if each[0].pk == wanted), None)


def _places(template: MessageTemplate) -> list[tuple[templates.Place, str]]:
    """Each place with what is proposed: the lead's name where the first one is in the words."""
    found = templates.places(template)
    first = next((each.key for each in found if each.where == "body"), "")
    return [(each, NAME if each.key == first else "") for each in found]


def _proposed(rule: Rule) -> str:
    template = rule.suggestion.template
    return str(template) % {"name": NAME} if template else ""


def _picked(request) -> set[str]:
    return set(request.POST.getlist("alert"))


def _id(written: str) -> int | None:
    return int(written) if written.isdecimal() and len(written) < 19 else None


def _reference(written: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(written)
    except ValueError:
        return None
