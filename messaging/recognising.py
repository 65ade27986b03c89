"""Senders nobody of the team has recognised yet: a lead of their own, or one that is known."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Prefetch, QuerySet, Sum
from django.db.models.functions import Lower

from messaging.models import InstanceDay, Lead, LeadMerge
from messaging.queries import PAGE, Page, visible_conversations

LATELY = timedelta(days=7)
MOST_LATELY = 10
CORRELATED_OVER = timedelta(days=30)
# Per cent of what is received; below, somebody should look at who is unknown.
GOOD_CORRELATION = 80
MOST_SUGGESTED = 3


def keep(lead: Lead, *, now: datetime) -> None:
    """Somebody of the team knows this lead, or says that it is one."""
    if lead.recognised_at is None:
        lead.recognised_at = now
        lead.save(update_fields=["recognised_at", "updated_at"])


def forget(lead: Lead) -> None:
    """Put a lead back among the senders nobody knows."""
    lead.recognised_at = None
    lead.save(update_fields=["recognised_at", "updated_at"])


def unknown(user, after: int | None = None, size: int = PAGE) -> Page:
    """A page of unknown senders, newest first, with what this person may see of them; `after`
    is the last id seen."""
    shown = visible_conversations(user).order_by("-last_message_at", "-pk")
    rows = (
        _unknown()
        .prefetch_related("identities", Prefetch("conversations", queryset=shown))
        .order_by("-id")
    )
    if after is not None:
        rows = rows.filter(id__lt=after)
    found = list(rows[: size + 1])
    return Page(found[:size], found[size - 1].pk if len(found) > size else None)


def are_there_any() -> bool:
    """Whether anybody waits to be recognised; cheap enough for every page of leads."""
    return _unknown().exists()


@dataclass(frozen=True)
class Correlation:
    """Of what was received lately, how much came from senders who were known when they wrote."""

    received: int
    known: int

    @property
    def percent(self) -> int:
        """Rounded down: all of it is 100 only where all of it is."""
        return self.known * 100 // self.received if self.received else 0

    @property
    def is_enough(self) -> bool:
        return self.percent >= GOOD_CORRELATION


def correlation(now: datetime) -> Correlation:
    """The correlation rate of the last thirty days, from the counts of the days."""
    days = InstanceDay.objects.filter(day__gt=(now - CORRELATED_OVER).date())
    summed = days.aggregate(received=Sum("received"), known=Sum("known"))
    return Correlation(summed["received"] or 0, summed["known"] or 0)


def suggestions(leads: Iterable[Lead]) -> dict[int, list[Lead]]:
    """Known leads that these may be, by the id of the unknown one: those of the same name."""
    names = {lead.pk: lead.name.lower() for lead in leads if lead.name}
    alike = Lead.objects.annotate(small=Lower("name")).filter(
        small__in=set(names.values()), merged_into=None, recognised_at__isnull=False
    )
    by_name: defaultdict[str, list[Lead]] = defaultdict(list)
    for lead in alike.prefetch_related("identities").order_by("-updated_at")[:200]:
        by_name[lead.name.lower()].append(lead)
    return {pk: by_name[name][:MOST_SUGGESTED] for pk, name in names.items()}


def lately(now: datetime) -> QuerySet[LeadMerge]:
    """What people of the team linked in the last days and may want to take back."""
    merges = LeadMerge.objects.filter(
        undone_at=None, by__isnull=False, created_at__gte=now - LATELY, kept__merged_into=None
    )
    return merges.select_related("kept", "merged", "by").order_by("-pk")[:MOST_LATELY]


def _unknown() -> QuerySet[Lead]:
    return Lead.objects.filter(recognised_at=None, merged_into=None)
