"""For those who lead the team: how alerts go, and who is overloaded."""

import csv

from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from alerts import figures as drawn
from alerts.models import DurationDay, TeamHabits
from messaging.views.access import page
from tenants import audit
from tenants.permissions import Action, may


@require_GET
@page(Action.SEE_FIGURES)
def figures(request):
    """The last thirty days, drawn."""
    context = drawn.overview(timezone.localdate())
    return render(request, "alerts/figures.html", {**context, "section": "figures"})


@require_GET
@page(Action.SEE_FIGURES)
def figures_csv(request):
    """The same as a table for a spreadsheet."""
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="alerts.csv"'
    rows = csv.writer(response)
    rows.writerow(
        ["day", "opened", "resolved_by_action", "resolved_by_hand", "resolved_by_itself",
         "median_minutes_to_resolve", "median_minutes_to_first_answer"]
    )  # fmt: skip
    for each in drawn.days(timezone.localdate()):
        rows.writerow(
            [each.day.isoformat(), each.opened, each.by_action, each.by_hand, each.by_itself,
             _or_nothing(drawn.median(DurationDay.What.RESOLVED, each.day, 1)),
             _or_nothing(drawn.median(DurationDay.What.ANSWERED, each.day, 1))]
        )  # fmt: skip
    return response


@require_GET
@page(Action.SEE_FIGURES)
def team(request):
    """The team as one; person by person only where the owner switched that on."""
    habits = TeamHabits.objects.first()
    per_person = bool(habits and habits.figures_per_person_since)
    today = timezone.localdate()
    context = {
        "section": "alerts",
        "together": drawn.together(),
        "unowned": drawn.unowned(),
        "until_answered": drawn.median(DurationDay.What.ANSWERED, today),
        "since": habits.figures_per_person_since if per_person else None,
        "people": drawn.people(today) if per_person else [],
        "may_switch": may(request.user, Action.COUNT_PER_PERSON),
    }
    return render(request, "alerts/team.html", context)


@require_POST
@page(Action.COUNT_PER_PERSON)
def per_person(request):
    """The owner switches figures per person on or off; the team is told on its Today page."""
    habits = TeamHabits.objects.first() or TeamHabits()
    is_on = request.POST.get("on") == "1"
    habits.figures_per_person_since = timezone.now() if is_on else None
    with transaction.atomic():
        habits.save()
        audit.record("figures.per_person", by=request.user, after={"is_on": is_on})
    return redirect("alerts:team")


def _or_nothing(value: int | None) -> int | str:
    return "" if value is None else value
