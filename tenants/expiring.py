"""Exports go again: after a day, and as soon as something they may hold is removed.

A zip is a copy of everything at one moment. Nothing is taken out of it: it goes as a whole, and
staff order another.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from django.core.files.storage import default_storage
from django.db import transaction
from django.utils import timezone

from tenants import orders
from tenants.models import Undertaking

KEPT = timedelta(days=1)


def until(undertaking: Undertaking) -> datetime | None:
    """Until when a finished export can be taken away; None where there is none."""
    is_there = undertaking.state == Undertaking.State.DONE and undertaking.path
    return undertaking.ended_at + KEPT if is_there and undertaking.ended_at else None


def may_be_fetched(undertaking: Undertaking) -> bool:
    """Whether its zip may still be handed out."""
    last = until(undertaking)
    return last is not None and timezone.now() < last


def take_away(tenant_number: int) -> None:
    """Something of a tenant was removed: so are its exports, those being written included."""
    _remove(Undertaking.objects.filter(tenant_number=tenant_number))


def take_away_old(now: datetime) -> None:
    """Remove every tenant's exports that were kept long enough."""
    _remove(Undertaking.objects.filter(ended_at__lte=now - KEPT))


def discard(tenant: int, paths: Collection[str]) -> None:
    """Delete zips that no export names any more."""
    for path in paths:
        if not Undertaking.objects.filter(tenant_number=tenant, path=path).exists():
            default_storage.delete(path)


@transaction.atomic
def _remove(undertakings) -> None:
    """Forget where the zips lie and order their removal, both or neither."""
    exports = undertakings.filter(kind=Undertaking.Kind.EXPORT).exclude(path="")
    for each in exports.order_by("pk").select_for_update():
        orders.order(
            "discard_exports",
            "removals",
            priority=orders.SOON,
            tenant=each.tenant_number,
            paths=[each.path],
        )
        Undertaking.objects.filter(pk=each.pk).update(path="")
