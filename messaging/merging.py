"""Two leads turn out to be one: what moves is written down, so that it can move back."""

from django.db import transaction

from messaging import signals
from messaging.models import (
    Activity,
    Conversation,
    FollowUp,
    Lead,
    LeadIdentity,
    LeadMerge,
    Message,
    StageChange,
)


@transaction.atomic
def merge(kept: Lead, other: Lead, *, by=None) -> LeadMerge:
    """Everything of `other` becomes `kept`'s; `other` stays as an empty lead that points there."""
    moved = {
        "identities": _move(LeadIdentity, other, kept),
        "messages": _move(Message, other, kept),
        "conversations": _move_conversations(other, kept),
        "activities": _move(Activity, other, kept),
        "follow_ups": _move(FollowUp, other, kept),
        "stage_changes": _move(StageChange, other, kept),
        "name": kept.name,
        "owner": kept.owner_id,
    }
    kept.name = kept.name or other.name
    kept.owner = kept.owner or other.owner
    kept.save(update_fields=["name", "owner", "updated_at"])
    other.merged_into = kept
    other.save(update_fields=["merged_into", "updated_at"])
    signals.leads_touched([kept.pk, other.pk])
    return LeadMerge.objects.create(kept=kept, merged=other, moved=moved, by=by)


def _move(model, source: Lead, target: Lead) -> list[int]:
    rows = model.objects.filter(lead=source)
    ids = list(rows.values_list("pk", flat=True))
    rows.update(lead=target)
    return ids


def _move_conversations(source: Lead, target: Lead) -> list[int]:
    """Conversations keep their peer, which stays unique: identities belong to one lead only."""
    return _move(Conversation, source, target)
