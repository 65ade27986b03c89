"""Setting something long going: ordered as a job, its progress kept, its end written down."""

import logging
from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.utils import timezone

from tenants import audit, orders
from tenants.accounts.models import User
from tenants.models import Tenant, Undertaking

logger = logging.getLogger(__name__)

State = Undertaking.State
Progress = Callable[[int, int], None]
Work = Callable[[Undertaking, Progress], dict[str, Any]]


def begin(
    kind: str, tenant: Tenant, *, by: User | None, reason: str = "", **facts: Any
) -> Undertaking:
    """Order it: kept with its audit entry and its job, or not at all."""
    with transaction.atomic():
        made = Undertaking.objects.create(
            kind=kind,
            tenant_number=tenant.number,
            slug=tenant.slug,
            facts=facts,
            by_id=by.pk if by else None,
            by_name=by.email if by else "",
        )
        audit.record(
            f"tenant.{kind}_ordered",
            by=by,
            subject=tenant,
            tenant=tenant,
            reason=reason,
            after=facts,
        )
        # Not by the tenant's number: erasing a tenant removes its jobs.
        orders.order("undertake", "default", undertaking=made.pk)
    return made


def carry_out(pk: int, works: dict[str, Work]) -> None:
    """Do it. What fails is written down and raised: it is ordered anew by people, never by itself.

    One whose worker died is done again from its start, which repeats nothing that matters.
    """
    undertaking = Undertaking.objects.filter(pk=pk).first()
    if undertaking is None or not undertaking.is_under_way:
        return
    _note(undertaking, state=State.RUNNING)
    try:
        outcome = works[undertaking.kind](undertaking, _progress_of(undertaking))
    except Exception as exc:
        logger.exception("undertaking %s failed", pk)
        # The text may quote what people wrote.
        _note(undertaking, state=State.FAILED, error=type(exc).__name__, ended_at=timezone.now())
        return
    _note(undertaking, state=State.DONE, outcome=outcome, ended_at=timezone.now())


def _progress_of(undertaking: Undertaking) -> Progress:
    def tell(done: int, total: int) -> None:
        if done == total or done * 100 // max(total, 1) != undertaking.percent:
            _note(undertaking, done=done, total=total)

    return tell


def _note(undertaking: Undertaking, **facts: Any) -> None:
    for name, value in facts.items():
        setattr(undertaking, name, value)
    undertaking.save(update_fields=list(facts))
