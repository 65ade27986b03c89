"""Who leaves the team looks after nothing any more."""

from typing import Any

from django.utils import timezone

from messaging import activities, realtime
from messaging.models import Conversation, FollowUp, Lead
from tenants.accounts.models import person_removed


def let_go(sender, user_id: int, **kwargs: Any) -> None:
    """What this person looked after is nobody's; what they said and did stays theirs."""
    looked_after = Conversation.objects.filter(assignee=user_id)
    ids = list(looked_after.values_list("pk", flat=True))
    looked_after.update(assignee=None)
    for pk in ids:
        realtime.publish("conversation", conversation=pk)
    owned = Lead.objects.filter(owner=user_id)
    leads = list(owned.values_list("pk", flat=True))
    now = timezone.now()
    owned.update(owner=None, owner_since=now)
    FollowUp.objects.filter(who=user_id, closed_at=None).update(who=None)
    activities.touched(leads, now=now)


person_removed.connect(let_go, dispatch_uid="let_go")
