"""What a person does with a lead: gives it an owner, moves it along the pipeline."""

from datetime import datetime

from django.db import transaction

from messaging import activities
from messaging.models import Lead, Stage, StageChange


def give(lead: Lead, *, to, by, now: datetime) -> Lead:
    """Make somebody of the team responsible for a lead, or nobody with `to=None`."""
    if lead.owner == to:
        return lead
    with transaction.atomic():
        lead.owner, lead.owner_since = to, now
        lead.save(update_fields=["owner", "owner_since", "updated_at"])
        activities.touched([lead.pk], now=now)
    return lead


def move(lead: Lead, *, to: Stage, by, now: datetime) -> Lead:
    """Put a lead into another stage of the pipeline."""
    if lead.stage_id == to.pk:
        return lead
    with transaction.atomic():
        change = StageChange.objects.create(lead=lead, before=lead.stage, after=to, at=now, by=by)
        lead.stage, lead.stage_since = to, now
        lead.save(update_fields=["stage", "stage_since", "updated_at"])
        activities.stage_changed(change)
        activities.touched([lead.pk], now=now)
    return lead
