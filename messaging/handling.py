"""What a person does with a lead: gives it an owner, moves it along, puts it first."""

from datetime import datetime

from django.db import transaction

from messaging import activities, realtime
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


def prefer(lead: Lead, *, is_vip: bool, by, now: datetime) -> Lead:
    """Say that a lead is a VIP, whose messages leave before those of others, or no longer one."""
    if lead.is_vip == is_vip:
        return lead
    with transaction.atomic():
        lead.is_vip = is_vip
        lead.save(update_fields=["is_vip", "updated_at"])
        activities.vip_changed(lead, by=by, now=now)
        for conversation in lead.conversations.values_list("pk", flat=True):
            realtime.publish("conversation", conversation=conversation)
    return lead
