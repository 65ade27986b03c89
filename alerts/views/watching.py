"""The dashboard with its widget, and what a person does with a card."""

from datetime import datetime, time, timedelta

from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from alerts import adoption, cards, queries, resolving
from alerts.models import LEVELS, Alert, Severity
from alerts.queries import Wanted
from messaging.views.access import page
from messaging.views.showing import numbers, with_toast
from tenants.permissions import Action

MOST_COUNTED = 100
HOUR = timedelta(hours=1)
# Until that many mornings from now.
MORNINGS = {"day": 1, "week": 7}
MORNING = time(8)


@require_GET
@page(Action.READ)
def dashboard(request):
    """The page with the widget on it."""
    adoption.seen(request.user, timezone.localdate())
    context = {**widget_of(request), "section": "alerts"}
    return render(request, "alerts/dashboard.html", context)


@require_GET
@page(Action.READ)
def widget(request):
    """The widget alone, for a page that shows it already."""
    response = render(request, "alerts/widget.html", widget_of(request))
    return tell_count(response, request.user)


@require_GET
@page(Action.READ)
def count(request):
    """Only how many alerts are open, in a header, for pages without the widget."""
    return tell_count(HttpResponse(status=204), request.user)


@require_POST
@page(Action.HANDLE_ALERTS)
def resolve(request, pk: int):
    """Close an alert by hand, in all browsers."""
    alert = alert_or_404(request, pk)
    resolving.resolve(alert, by=request.user, now=timezone.now())
    return _done(request, _("Alert resolved"))


@require_POST
@page(Action.HANDLE_ALERTS)
def snooze(request, pk: int):
    """Let an alert sleep for a while, or until the lead writes."""
    alert = alert_or_404(request, pk)
    wanted, now = request.POST.get("for", ""), timezone.now()
    if wanted not in ("hour", *MORNINGS, "reply"):
        return HttpResponse(status=422)
    until = None if wanted == "reply" else _awake_at(wanted, now)
    resolving.snooze(alert, until=until, until_reply=wanted == "reply", by=request.user, now=now)
    return _done(request, _("Alert put to sleep"))


def _awake_at(wanted: str, now: datetime) -> datetime:
    """An hour from now, or some morning at eight where the tenant is."""
    if wanted == "hour":
        return now + HOUR
    local = timezone.localtime(now)
    day = local.date() + timedelta(days=MORNINGS[wanted])
    return datetime.combine(day, MORNING, tzinfo=local.tzinfo)


def widget_of(request) -> dict:
    """What the widget shows."""
    wanted, now = wanted_of(request), timezone.now()
    rows = queries.active(request.user, wanted, now)
    stats = queries.stats(rows)
    return {
        "cards": cards.deck(request.user, wanted, now, numbers(request)),
        "total": stats["total"],
        "badges": [
            (name, Severity(name).label, stats["by_severity"][name]) for name in reversed(LEVELS)
        ],
        "severity": wanted.severity,
        "mine": wanted.owner is not None,
    }


def wanted_of(request) -> Wanted:
    """Which alerts an address asks for; what it cannot mean is everything."""
    severity = request.GET.get("severity", "")
    return Wanted(
        severity=severity if severity in LEVELS else "",
        owner=request.user.pk if request.GET.get("owner") == "me" else None,
    )


def alert_or_404(request, pk: int) -> Alert:
    """An alert this person may see; anything else does not exist."""
    found = queries.visible(request.user).filter(pk=pk).first()
    if found is None:
        raise Http404("no such alert")
    return found


def tell_count(response: HttpResponse, user) -> HttpResponse:
    """Say how many alerts are open beside a piece of a page; counting stops at a hundred."""
    rows = queries.active(user, Wanted(), timezone.now()).order_by()
    response["X-Alerts"] = str(len(rows.values_list("pk", flat=True)[:MOST_COUNTED]))
    return response


def _done(request, said: str):
    if not request.htmx:
        return redirect("alerts:dashboard")
    return with_toast(tell_count(HttpResponse(status=200), request.user), said)
