"""The tenant's settings of each kind of alert: on or off, from when on, in which hours."""

from django.contrib import messages
from django.db import transaction
from django.http import HttpResponseBadRequest
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from alerts import wording
from alerts.models import LEVELS, AlertRule, Severity
from alerts.rules import RULES
from alerts.thresholds import NO_STAGE, Tuning
from messaging.models import Stage
from messaging.views.access import page
from tenants import audit
from tenants.permissions import Action

MINUTE = 60
LONGEST_MINUTES = 60 * 24 * 400


@require_http_methods(["GET", "POST"])
@page(Action.MANAGE_SETTINGS)
def rules(request):
    """Every kind, for all stages or for one."""
    stage = _stage(request)
    if request.method == "POST":
        problem = _save(request, stage)
        if problem:
            return HttpResponseBadRequest(problem)
        messages.success(request, _("Saved"))
        return redirect(f"{reverse('alerts:rules')}{f'?stage={stage}' if stage else ''}")
    tuning = Tuning.of(request.tenant, timezone.now())
    context = {
        "section": "alerts",
        "rules": [_shown(rule, tuning, stage) for rule in RULES.values()],
        "severities": [Severity(name).label for name in LEVELS],
        "stages": Stage.objects.filter(kind=Stage.Kind.OPEN),
        "stage": stage,
    }
    return render(request, "alerts/rules.html", context)


def _shown(rule, tuning: Tuning, stage: int) -> dict:
    thresholds = tuning.thresholds(rule, stage)
    return {
        "code": rule.code,
        "label": rule.label,
        "is_on": tuning.is_on(rule),
        "in_opening_hours": tuning.in_opening_hours(rule),
        "is_about_leads": rule.subject == "lead",
        "thresholds": [
            {
                "name": name,
                "label": Severity(name).label,
                "minutes": _minutes(thresholds.get(name)),
                "said": wording.duration(thresholds.get(name)),
            }
            for name in LEVELS
        ],
    }


def _save(request, stage: int) -> str:
    """Keep what differs from the kind's own defaults; what is wrong, or nothing."""
    code = request.POST.get("code", "")
    if code not in RULES:
        return "code"
    try:
        typed = {name: _seconds(request.POST.get(name, "")) for name in LEVELS}
    except ValueError:
        return str(_("Give whole minutes."))
    known = [each for each in typed.values() if each is not None]
    if known != sorted(known):
        return str(_("A worse severity cannot begin earlier than a milder one."))
    with transaction.atomic():
        saved, _is_new = AlertRule.objects.select_for_update().get_or_create(code=code)
        before = _facts(saved)
        if stage:
            saved.stage_thresholds = {**saved.stage_thresholds, str(stage): typed}
        else:
            saved.thresholds = typed
            saved.is_on = request.POST.get("on") == "1"
            saved.in_opening_hours = request.POST.get("hours") == "1"
        saved.save()
        old, new = audit.difference(before, _facts(saved))
        name = str(RULES[code].label)
        audit.record(
            "alert_rule.changed", by=request.user, subject_name=name, before=old, after=new
        )
    return ""


def _facts(saved: AlertRule) -> dict:
    """What the audit compares."""
    return {
        "is_on": saved.is_on,
        "in_opening_hours": saved.in_opening_hours,
        "thresholds": saved.thresholds,
        "stage_thresholds": saved.stage_thresholds,
    }


def _seconds(written: str) -> int | None:
    if not written.strip():
        return None
    minutes = int(written)
    if not 0 <= minutes <= LONGEST_MINUTES:
        raise ValueError(written)
    return minutes * MINUTE


def _minutes(seconds: int | None) -> int | str:
    return "" if seconds is None else seconds // MINUTE


def _stage(request) -> int:
    written = request.GET.get("stage", "")
    if not written.isdecimal() or len(written) > 18:
        return NO_STAGE
    found = Stage.objects.filter(pk=int(written), kind=Stage.Kind.OPEN).first()
    return found.pk if found else NO_STAGE
