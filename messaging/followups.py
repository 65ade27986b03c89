"""What a person promised to do for a lead: planning it, moving it, being done with it."""

from datetime import datetime

from django.db import transaction

from messaging import activities
from messaging.models import FollowUp, Lead


def plan(lead: Lead, *, what: str, due_at: datetime, who, by, now: datetime) -> FollowUp:
    """Promise to do something for a lead."""
    with transaction.atomic():
        follow_up = FollowUp.objects.create(
            lead=lead, what=what, due_at=due_at, who=who, by=by, created_at=now
        )
        activities.follow_up_changed(follow_up, "planned", by=by, now=now)
        activities.touched([lead.pk], now=now)
    return follow_up


def move(follow_up: FollowUp, *, due_at: datetime, by, now: datetime) -> FollowUp:
    """Put it off, or bring it forward."""
    if follow_up.closed_at or follow_up.due_at == due_at:
        return follow_up
    with transaction.atomic():
        follow_up.due_at = due_at
        follow_up.save(update_fields=["due_at"])
        activities.follow_up_changed(follow_up, "moved", by=by, now=now)
        activities.touched([follow_up.lead_id], now=now)
    return follow_up


def close(follow_up: FollowUp, *, outcome: str, by, now: datetime) -> FollowUp:
    """It was done, or it is not needed any more; twice is once."""
    with transaction.atomic():
        closed = FollowUp.objects.filter(pk=follow_up.pk, closed_at=None).update(
            closed_at=now, outcome=outcome
        )
        follow_up.refresh_from_db()
        if closed:
            activities.follow_up_changed(follow_up, outcome, by=by, now=now)
            activities.touched([follow_up.lead_id], now=now)
    return follow_up
