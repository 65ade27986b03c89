"""What a tenant may still do. The other apps ask here; billing fills the answers in.

A counted thing is taken in the transaction that makes its row, so that both commit or neither.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection
from django.db.models import TextChoices
from django.template.defaultfilters import filesizeformat
from django.utils import formats, timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tenants import directory, orders
from tenants.models import Allowance, Tenant, UsageCounter

TOLD_AT_PERCENT = (80, 100)


class Kind(TextChoices):
    """What is limited."""

    MESSAGES = "messages", gettext_lazy("Messages this month")
    USERS = "users", gettext_lazy("People in the team")
    INSTANCES = "instances", gettext_lazy("Connected numbers")
    STORAGE = "storage", gettext_lazy("Files kept")
    SCHEDULED = "scheduled", gettext_lazy("Messages planned for later")
    API_RATE = "api_rate", gettext_lazy("API requests in a minute")


class Feature(TextChoices):
    """What a plan has or has not."""

    API = "api", gettext_lazy("API for programs")
    AUTOMATION = "automation", gettext_lazy("Automatic answers")
    CAMPAIGNS = "campaigns", gettext_lazy("Campaigns")


class LimitReached(Exception):
    """Refused: why, in the reader's language, and which limit, where one was reached."""

    def __init__(self, code: str, message: Any, **facts: Any) -> None:
        super().__init__(code)
        self.code = code
        self.message = message
        self.facts = facts


@dataclass(frozen=True)
class Meter:
    """How much of a limit is used; `limit` is None where there is none."""

    kind: Kind
    used: int
    limit: int | None
    reset_at: datetime | None = None

    @property
    def left(self) -> int | None:
        return None if self.limit is None else max(self.limit - self.used, 0)

    @property
    def percent(self) -> int:
        """0 to 100, rounded down, so that 100 means that nothing is left."""
        if self.limit is None:
            return 0
        return min(self.used * 100 // self.limit, 100) if self.limit else 100


UNLIMITED = Allowance()


def allowance_of(number: int) -> Allowance:
    """What a tenant may do: its own row, else everybody's; without billing, everything.

    What staff gave by hand counts even where nothing can be bought.
    """
    own = directory.kept(("allowance", number), lambda: _load(number))
    if own is not None and (own.by_hand or settings.STRIPE_SECRET_KEY):
        return own
    if not settings.STRIPE_SECRET_KEY:
        return UNLIMITED
    return directory.kept(("allowance", None), lambda: _load(None)) or UNLIMITED


def closed_reason(number: int, now: datetime | None = None) -> str:
    """Why a tenant may only read at the moment; "" while it may do everything."""
    if directory.tenant_numbered(number).state == Tenant.State.SUSPENDED:
        return "suspended"
    allowed = allowance_of(number)
    if not allowed.closed_reason:
        return ""
    begun = allowed.closed_from is None or allowed.closed_from <= (now or timezone.now())
    return allowed.closed_reason if begun else ""


def closed_sentence(number: int) -> Any:
    """Why a tenant may only read at the moment, for people to read; "" while it may do all."""
    reason = closed_reason(number)
    why = directory.tenant_numbered(number).suspended_reason if reason == "suspended" else ""
    if not why:
        return CLOSED.get(reason, "")
    return _("%(sentence)s The reason: %(why)s") % {"sentence": CLOSED[reason], "why": why}


def closes_at(number: int) -> datetime | None:
    """From when on a tenant may only read if nothing is done; None while nothing threatens."""
    allowed = allowance_of(number)
    return allowed.closed_from if allowed.closed_reason else None


def require_may_send(number: int) -> None:
    """Raise `LimitReached` while the tenant may not send."""
    _refuse_while_closed(number)


def require_may_add(number: int) -> None:
    """Raise `LimitReached` while the tenant may not add people, numbers or files."""
    _refuse_while_closed(number)


def require_feature(number: int, feature: Feature) -> None:
    """Raise `LimitReached` where the tenant's plan lacks a feature."""
    if feature.value in allowance_of(number).features_off:
        message = _(
            "Your plan does not have this: %(feature)s. The owner can change it under Subscription."
        ) % {"feature": feature.label}
        raise LimitReached("feature_missing", message, feature=feature.value)


def take(number: int, kind: Kind, amount: int = 1, *, now: datetime | None = None) -> None:
    """Count something in, or raise `LimitReached` and count nothing.

    Call it last in the transaction that makes the row: whoever else counts for this tenant
    waits until its end.
    """
    now = now or timezone.now()
    limit = getattr(allowance_of(number), kind.value)
    period = period_of(number, kind, now)
    used = _count_in(number, kind, period, amount, limit)
    if used is None:
        raise _reached(_read_meter(number, kind, period, now))
    _tell_when_passed(number, kind, period, used - amount, used, limit)


def count(number: int, kind: Kind, amount: int) -> None:
    """Count something that came in and is never refused; below nothing there is nothing."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, [number, kind.value, amount, amount])


def set_used(number: int, kind: Kind, used: int) -> None:
    """Put a counter right after everything was counted anew."""
    UsageCounter.objects.of(number).update_or_create(
        tenant_id=number, kind=kind.value, period="", defaults={"used": used}
    )


def require_room(number: int, kind: Kind, in_use: Callable[[], int], adding: int = 1) -> None:
    """Refuse one more of something that can be counted, in the transaction that adds it.

    Two that are added at once wait for each other, so that the limit holds.
    """
    require_may_add(number)
    limit = getattr(allowance_of(number), kind.value)
    if limit is None:
        return
    _lock(number, kind)
    used = in_use()
    if used + adding > limit:
        raise _reached(Meter(kind, used, limit))


def meter(number: int, kind: Kind, *, now: datetime | None = None) -> Meter:
    """How much of a counted kind is used now."""
    now = now or timezone.now()
    return _read_meter(number, kind, period_of(number, kind, now), now)


def months(number: int, kind: Kind, periods: Iterable[str]) -> dict[str, int]:
    """What was used in each of these months; those without any are left out."""
    rows = UsageCounter.objects.of(number).filter(kind=kind.value, period__in=list(periods))
    return dict(rows.values_list("period", "used"))


def period_of(number: int, kind: Kind, now: datetime) -> str:
    """The period a thing counts for: the tenant's calendar month, the minute, or all time."""
    match kind:
        case Kind.MESSAGES:
            return f"{_local(number, now):%Y-%m}"
        case Kind.API_RATE:
            return f"{now.astimezone(ZoneInfo('UTC')):%Y-%m-%dT%H:%M}"
    return ""


def reset_at(number: int, kind: Kind, now: datetime) -> datetime | None:
    """When a counter starts again; None for what does not."""
    match kind:
        case Kind.MESSAGES:
            month = _local(number, now).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
            return (month + timedelta(days=32)).replace(day=1)
        case Kind.API_RATE:
            return now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    return None


def forget_old(now: datetime) -> None:
    """Remove the counters of minutes that are over; months are kept to be looked at."""
    minute = f"{now.astimezone(ZoneInfo('UTC')) - timedelta(minutes=2):%Y-%m-%dT%H:%M}"
    UsageCounter.objects.across_tenants().filter(
        kind=Kind.API_RATE.value, period__lt=minute
    ).delete()


def shown(kind: Kind, amount: int) -> str:
    """An amount as the reader's language writes it: bytes as sizes, the rest as numbers."""
    if kind == Kind.STORAGE:
        return filesizeformat(amount)
    return formats.number_format(amount, use_l10n=True, force_grouping=True)


def _refuse_while_closed(number: int) -> None:
    reason = closed_reason(number)
    if reason:
        code = "tenant_suspended" if reason == "suspended" else f"subscription_{reason}"
        raise LimitReached(code, closed_sentence(number))


CLOSED = {
    "suspended": gettext_lazy(
        "This account is suspended: receiving goes on, sending and adding do not. "
        "Please contact your provider."
    ),
    "past_due": gettext_lazy(
        "The last payment failed and the days of grace are over: you can read and export "
        "everything, but not send or add. The owner can pay under Subscription."
    ),
    "unpaid": gettext_lazy(
        "The subscription is unpaid: you can read and export everything, but not send or add. "
        "The owner can pay under Subscription."
    ),
    "canceled": gettext_lazy(
        "The subscription has ended: you can read and export everything, but not send or add. "
        "The owner can choose a plan under Subscription."
    ),
    "paused": gettext_lazy(
        "The subscription is paused: you can read and export everything, but not send or add. "
        "The owner can resume it under Subscription."
    ),
}


def _reached(meter: Meter) -> LimitReached:
    at = meter.reset_at
    facts = {"limit": meter.limit, "used": meter.used, "left": meter.left, "reset_at": at}
    return LimitReached(
        f"limit_{meter.kind.value}", _sentence(meter), kind=meter.kind.value, **facts
    )


def _sentence(meter: Meter) -> str:
    numbers = {"limit": meter.limit, "used": meter.used, "left": meter.left}
    facts = {name: shown(meter.kind, amount or 0) for name, amount in numbers.items()}
    match meter.kind:
        case Kind.MESSAGES:
            said = _("Your plan has %(limit)s messages a month: %(used)s used, %(left)s left.")
        case Kind.USERS:
            said = _("Your plan has room for %(limit)s people: %(used)s used, %(left)s left.")
        case Kind.INSTANCES:
            said = _("Your plan has room for %(limit)s numbers: %(used)s used, %(left)s left.")
        case Kind.STORAGE:
            said = _("Your plan keeps %(limit)s of files: %(used)s used, %(left)s left.")
        case Kind.SCHEDULED:
            said = _("Your plan keeps %(limit)s planned messages: %(used)s used, %(left)s left.")
        case _:
            said = _("Your plan has %(limit)s API requests a minute: %(used)s used, none left.")
    return " ".join((said % facts, *_way_out(meter)))


def _way_out(meter: Meter) -> Iterable[str]:
    """When it returns, and who can change it."""
    if meter.kind == Kind.API_RATE:
        yield _("It starts again within a minute.")
        return
    if meter.reset_at is not None:
        yield _("It starts again on %(day)s.") % {
            "day": formats.date_format(meter.reset_at, "DATE_FORMAT")
        }
    yield _("The owner can change the plan under Subscription.")


def _load(number: int | None) -> Allowance | None:
    return Allowance.objects.across_tenants().filter(tenant_id=number).first()


def _read_meter(number: int, kind: Kind, period: str, now: datetime) -> Meter:
    found = UsageCounter.objects.of(number).filter(kind=kind.value, period=period)
    used = found.values_list("used", flat=True).first() or 0
    limit = getattr(allowance_of(number), kind.value)
    return Meter(kind, used, limit, reset_at(number, kind, now))


def _local(number: int, now: datetime) -> datetime:
    return now.astimezone(ZoneInfo(directory.tenant_numbered(number).time_zone))


def _count_in(number: int, kind: Kind, period: str, amount: int, limit: int | None) -> int | None:
    """The new count, or None where it would pass the limit."""
    if limit is not None and amount > limit:
        return None
    with connection.cursor() as cursor:
        cursor.execute(
            _TAKE,
            {
                "tenant": number,
                "kind": kind.value,
                "period": period,
                "amount": amount,
                "limit": limit,
            },
        )
        row = cursor.fetchone()
    return row[0] if row else None


# Whoever comes second waits for the first one's commit and then sees its count.
_TAKE = """
INSERT INTO public.tenants_usagecounter AS counter (tenant_id, kind, period, used)
VALUES (%(tenant)s, %(kind)s, %(period)s, %(amount)s)
ON CONFLICT (tenant_id, kind, period) DO UPDATE SET used = counter.used + EXCLUDED.used
WHERE %(limit)s::bigint IS NULL OR counter.used + EXCLUDED.used <= %(limit)s::bigint
RETURNING used
"""

_COUNT = """
INSERT INTO public.tenants_usagecounter AS counter (tenant_id, kind, period, used)
VALUES (%s, %s, '', greatest(%s, 0))
ON CONFLICT (tenant_id, kind, period) DO UPDATE SET used = greatest(counter.used + %s, 0)
"""


def _lock(number: int, kind: Kind) -> None:
    if not connection.in_atomic_block:
        raise RuntimeError("room is asked for in the transaction that uses it")
    with connection.cursor() as cursor:
        cursor.execute(
            _TAKE,
            {"tenant": number, "kind": kind.value, "period": "lock", "amount": 0, "limit": None},
        )


def _tell_when_passed(
    number: int, kind: Kind, period: str, before: int, used: int, limit: int | None
) -> None:
    """Order a mail to the owners when 80 % or all of a limit is used, once it is committed."""
    if not limit or kind == Kind.API_RATE:
        return
    for percent in TOLD_AT_PERCENT:
        mark = -(-limit * percent // 100)
        if before < mark <= used:
            orders.order(
                "tell_usage",
                "default",
                tenant=number,
                kind=kind.value,
                period=period,
                percent=percent,
            )
