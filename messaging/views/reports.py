"""For those who lead the team: what became of messages, fact by fact and day by day."""

from datetime import timedelta

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from messaging import arrivals, told, told_csv
from messaging.told_forms import FactsOfLeadsForm
from messaging.views.access import page
from tenants import spreadsheets
from tenants.permissions import Action

_PLACE = {"section": "figures", "here": "figures"}


@require_safe
@page(Action.SEE_FIGURES)
def facts(request):
    """What was told about messages, newest first."""
    form = _form(request)
    if not form.is_valid():
        return render(request, "figures/facts.html", {**_PLACE, "form": form}, status=400)
    found = told.page(form.narrowed(), form.cleaned_data["before"])
    kept = {name: value for name, value in request.GET.items() if name != "before" and value}
    context = {
        **_PLACE,
        "form": form,
        "rows": found.rows,
        "days": form.cleaned_data["days"],
        "lead": form.of_lead(),
        "kept": urlencode(kept),
        "without_lead": urlencode({name: value for name, value in kept.items() if name != "lead"}),
        "is_narrowed": bool(kept),
        "more": urlencode({**kept, "before": found.next}) if found.next else "",
    }
    return render(request, "figures/facts.html", context)


@require_safe
@page(Action.SEE_FIGURES)
def facts_csv(request):
    """The same as a file."""
    form = _form(request)
    if not form.is_valid():
        return HttpResponse(next(iter(form.errors.values()))[0], status=400)
    found, _rest = told_csv.read(form.narrowed(), form.cleaned_data["before"])
    return told_csv.for_people(found, f"message-events-{request.tenant.slug}")


@require_safe
@page(Action.SEE_FIGURES)
def arrived(request):
    """How many of each day's messages arrived, drawn for each medium."""
    days = _last_days()
    lines = arrivals.by_medium(days)
    context = {**_PLACE, "lines": lines, "total": arrivals.together(lines), "days": days}
    return render(request, "figures/arrived.html", context)


@require_safe
@page(Action.SEE_FIGURES)
def arrived_csv(request):
    """The same as a table for a spreadsheet."""
    headings = ("day", "medium", "sent", "arrived", "failed", "percent")
    rows = [
        (day.isoformat(), line.medium, *_numbers(tally))
        for line in arrivals.by_medium(_last_days())
        for day, tally in line.days
    ]
    return spreadsheets.answer(f"arrived-{request.tenant.slug}", headings, rows)


def _form(request) -> FactsOfLeadsForm:
    zone = timezone.get_current_timezone()
    return FactsOfLeadsForm(request.GET, today=timezone.localdate(), zone=zone)


def _last_days() -> told.Days:
    today = timezone.localdate()
    first = today - timedelta(days=arrivals.DAYS - 1)
    return told.Days(first, today, timezone.get_current_timezone())


def _numbers(tally: arrivals.Tally) -> tuple[str, str, str, str]:
    percent = "" if tally.percent is None else str(tally.percent)
    return str(tally.sent), str(tally.arrived), str(tally.failed), percent
