"""Whose turn it is: one run reads and tells what is due, then says when the next one is.

A run claims the link first, so that several workers do it once; a claim that was never finished
ends by itself. While the CRM is away, runs come less and less often, up to a few minutes apart.
"""

import logging
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone

from messaging.espo.client import Because, EspoError
from tenants.context import current_number
from tenants.models import CrmLink

logger = logging.getLogger(__name__)

EVERY = timedelta(minutes=5)
FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(minutes=5)
# Longer than a handful of calls can take.
CLAIM = timedelta(minutes=5)
MOST_DUE = 500


def due(now: datetime) -> list[int]:
    """The tenants whose turn it is, by number."""
    waits = Q(wait_until__isnull=False, wait_until__lte=now)
    reads = Q(wait_until__isnull=True, pull_at__lte=now)
    found = CrmLink.objects.across_tenants().filter(waits | reads).order_by("pull_at", "pk")
    return list(found.values_list("tenant_id", flat=True)[:MOST_DUE])


def mine() -> CrmLink | None:
    """The link of the tenant one is in."""
    return CrmLink.objects.of(current_number()).first()


def claim(now: datetime) -> CrmLink | None:
    """The tenant's link, claimed; None where there is none, another run has it or it waits."""
    free = Q(claimed_until__isnull=True) | Q(claimed_until__lte=now)
    ready = Q(wait_until__isnull=True) | Q(wait_until__lte=now)
    link = CrmLink.objects.of(current_number()).filter(free & ready)
    if not link.update(claimed_until=now + CLAIM):
        return None
    return mine()


def require_linked(link: CrmLink) -> None:
    """Refuse what was read through a link that was ended meanwhile; inside a transaction, whose
    end the end of the link waits for."""
    still = CrmLink.objects.of(link.tenant_id).select_for_update(no_key=True)
    if not still.filter(pk=link.pk).exists():
        raise EspoError(Because.AWAY, "unlinked")


def stay(link: CrmLink) -> None:
    """Keep the claim while there is something to do."""
    change(link, claimed_until=timezone.now() + CLAIM)


def give_back(link: CrmLink) -> None:
    """End the claim."""
    change(link, claimed_until=None)


def went_well(link: CrmLink, *, has_read: bool) -> None:
    """The CRM answered: no pause any more, and when it is read next."""
    now = timezone.now()
    facts: dict[str, Any] = {"tries": 0, "wait_until": None}
    if link.state != CrmLink.State.LINKED:
        facts |= {
            "state": CrmLink.State.LINKED,
            "state_code": "",
            "state_detail": "",
            "state_since": now,
        }
    if has_read:
        facts |= {"pulled_at": now, "pull_at": now if link.is_behind else now + EVERY}
    change(link, **facts)


def went_wrong(link: CrmLink, error: EspoError) -> None:
    """The CRM cannot be spoken to now: wait, longer each time."""
    now = timezone.now()
    away = error.because in (Because.AWAY, Because.UNKNOWN)
    state = CrmLink.State.AWAY if away else CrmLink.State.REFUSED
    pause = min(FIRST_PAUSE * 2 ** min(link.tries, 10), LONGEST_PAUSE)
    facts: dict[str, Any] = {
        "state": state,
        "state_code": error.code,
        "state_detail": error.detail,
        "tries": min(link.tries + 1, 1000),
        "wait_until": now + pause,
    }
    if link.state != state:
        facts["state_since"] = now
    change(link, **facts)
    logger.info("tenant %s: the CRM is %s: %s", link.tenant_id, state, error.code)


def change(link: CrmLink, **facts: Any) -> None:
    """Write these facts of a link; one that was ended meanwhile stays so."""
    for name, value in facts.items():
        setattr(link, name, value)
    CrmLink.objects.of(link.tenant_id).filter(pk=link.pk).update(**facts)
