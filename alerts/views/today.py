"""What one person has to do now, in order, and at which hour they want it by mail."""

from django.http import HttpResponseBadRequest
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from alerts import adoption, cards
from alerts.models import Habits, TeamHabits
from alerts.queries import Wanted
from alerts.views.watching import tell_count
from messaging.models import FollowUp
from messaging.views.access import page
from messaging.views.showing import numbers
from tenants.permissions import Action

MOST_STEPS = 100
HOURS = range(24)


@require_GET
@page(Action.READ)
def today(request):
    """What is worst first, then what was promised for today, then the rest."""
    now = timezone.now()
    if not request.htmx:
        # What a page fetches by itself is nobody looking.
        adoption.seen(request.user, timezone.localdate())
    mine = cards.deck(request.user, Wanted(owner=request.user.pk), now, numbers(request))
    urgent = [card for card in mine if card.severity in ("critical", "high")]
    nobodys = cards.deck(request.user, Wanted(unowned=True), now, numbers(request))
    context = {
        "section": "today",
        "urgent": urgent,
        "steps": _steps(request.user, now),
        "later": [card for card in mine if card not in urgent],
        "nobodys": nobodys[:10],
        "hours": HOURS,
        "habits": Habits.objects.filter(user=request.user).first(),
        "team_habits": TeamHabits.objects.first(),
    }
    return tell_count(render(request, "alerts/today.html", context), request.user)


@require_POST
@page(Action.READ)
def digest(request):
    """At which hour the daily mail comes, or not at all."""
    hour = request.POST.get("hour", "")
    if hour and not (hour.isdecimal() and int(hour) in HOURS):
        return HttpResponseBadRequest("hour")
    chosen = int(hour) if hour else None
    Habits.objects.update_or_create(user=request.user, defaults={"digest_hour": chosen})
    return redirect("alerts:today")


def _steps(user, now):
    end_of_day = timezone.localtime(now).replace(hour=23, minute=59, second=59)
    due = FollowUp.objects.filter(
        who=user, closed_at=None, due_at__lte=end_of_day, lead__merged_into=None
    )
    return [
        {"follow_up": each, "is_late": each.due_at <= now}
        for each in due.select_related("lead")
        .prefetch_related("lead__identities")
        .order_by("due_at", "id")[:MOST_STEPS]
    ]
