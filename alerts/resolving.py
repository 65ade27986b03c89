"""What people do with an alert: make one, resolve it, let it sleep."""

from datetime import date, datetime
from typing import Any

from django.db import transaction
from django.db.models import F

from alerts.models import Alert, AlertDay, DurationDay
from messaging import realtime
from messaging.models import Lead
from tenants import directory
from tenants.context import current_number
from tenants.hours import opening_hours_of

Resolution = Alert.Resolution
COUNTED_AS = {Resolution.HAND.value: "by_hand", Resolution.ACTION.value: "by_action"}


def make(
    *,
    type: str,
    severity: str,
    message: str,
    action: dict[str, Any],
    lead: Lead | None,
    by,
    now: datetime,
) -> Alert:
    """Make an alert by hand; the engine never closes it."""
    with transaction.atomic():
        alert = Alert.objects.create(
            type=type,
            severity=severity,
            message=message,
            suggested_action=action,
            lead=lead,
            subject_kind="lead" if lead else "",
            subject_id=lead.pk if lead else None,
            by=by,
            opened_at=now,
            announced_at=now,
        )
        _count(alert, now, opened=1)
        realtime.publish("alerts", alert=alert.pk)
    return alert


def resolve(alert: Alert, *, by, now: datetime) -> Alert:
    """Close an alert by hand, in every browser at once; twice is once."""
    return _close(alert, Resolution.HAND, by=by, now=now)


def snooze(alert: Alert, *, until: datetime | None, until_reply: bool, by, now: datetime) -> Alert:
    """Let an alert sleep until a time, or until the lead writes, whichever comes first."""
    slept = Alert.objects.filter(pk=alert.pk, resolved_at=None).update(
        snoozed_at=now, snoozed_until=until, snoozed_until_reply=until_reply
    )
    alert.refresh_from_db()
    if slept:
        realtime.publish("alerts", alert=alert.pk)
    return alert


def acted(alert: Alert, *, by, now: datetime) -> None:
    """Somebody took the step it proposed: if it closes now, that is why.

    What was made by hand no engine closes: the step itself does.
    """
    Alert.objects.filter(pk=alert.pk, resolved_at=None).update(acted_at=now)
    if alert.is_manual:
        _close(alert, Resolution.ACTION, by=by, now=now)


def _close(alert: Alert, resolution: str, *, by, now: datetime) -> Alert:
    with transaction.atomic():
        closed = Alert.objects.filter(pk=alert.pk, resolved_at=None).update(
            resolved_at=now, resolution=resolution, resolved_by=by
        )
        alert.refresh_from_db()
        if closed:
            _count(alert, now, **{COUNTED_AS[resolution]: 1})
            _time(alert, now)
            realtime.publish("alerts", alert=alert.pk)
    return alert


def _count(alert: Alert, now: datetime, **by: int) -> None:
    day = _day(now)
    AlertDay.objects.get_or_create(day=day, type=alert.type)
    AlertDay.objects.filter(day=day, type=alert.type).update(
        **{name: F(name) + count for name, count in by.items()}
    )


def _time(alert: Alert, now: datetime) -> None:
    minutes = int((now - alert.opened_at).total_seconds() // 60)
    key: dict[str, Any] = {
        "day": _day(now),
        "what": DurationDay.What.RESOLVED,
        "user_id": 0,
        "minutes": minutes,
    }
    DurationDay.objects.get_or_create(**key)
    DurationDay.objects.filter(**key).update(times=F("times") + 1)


def _day(now: datetime) -> date:
    tenant = directory.tenant_numbered(current_number())
    return now.astimezone(opening_hours_of(tenant).zone).date()
