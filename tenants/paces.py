"""Buckets of sends in the database: whoever takes the last token, every other worker waits."""

# ruff: noqa: S608  every piece of the statements is written here

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db import connection

MOST_HALVINGS = 4
SLOW_FOR = timedelta(minutes=10)


@dataclass(frozen=True)
class Speed:
    """What an instance may send: in a minute, at once after a silence, in a day; None for any."""

    per_minute: int | None
    at_once: int
    per_day: int | None


@dataclass(frozen=True)
class Turn:
    """Whether one may send now; else when to ask again."""

    is_given: bool
    again_at: datetime | None = None
    is_days_end: bool = False


def take(
    tenant: int, instance: int, speed: Speed, *, now: datetime, today: date, tomorrow: datetime
) -> Turn:
    """Take one send, or learn when there is one. One statement, in autocommit or not."""
    facts = _facts(tenant, instance, speed, now, today)
    with connection.cursor() as cursor:
        cursor.execute(_MAKE, facts)
        cursor.execute(_TAKE, facts)
        if cursor.fetchone():
            return Turn(True)
        cursor.execute(_LOOK, facts)
        paused_until, missing_seconds, sent = cursor.fetchone()
    if paused_until and paused_until > now:
        return Turn(False, paused_until)
    if speed.per_day is not None and sent >= speed.per_day:
        return Turn(False, tomorrow, is_days_end=True)
    return Turn(False, now + timedelta(seconds=max(missing_seconds, 0.05)))


def give_back(instance: int) -> None:
    """Nothing was there to send after all."""
    with connection.cursor() as cursor:
        cursor.execute(_GIVE_BACK, [instance])


def slow_down(
    tenant: int, instance: int, speed: Speed, *, until: datetime, now: datetime, today: date
) -> None:
    """The provider said that this was too fast: peace until then, half as fast for ten minutes."""
    with connection.cursor() as cursor:
        facts = _facts(tenant, instance, speed, now, today)
        cursor.execute(_MAKE, facts)
        cursor.execute(_SLOW_DOWN, facts | {"until": until})


def sent_on(instance: int, day: date) -> int:
    """How many sends were taken on this day."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sent FROM public.tenants_pace WHERE instance_id = %s AND day = %s",
            [instance, day],
        )
        row = cursor.fetchone()
    return row[0] if row else 0


def _facts(tenant: int, instance: int, speed: Speed, now: datetime, today: date) -> dict:
    return {
        "tenant": tenant,
        "instance": instance,
        "rate": speed.per_minute / 60 if speed.per_minute else 1_000_000.0,
        "full": float(speed.at_once if speed.per_minute else 1_000_000),
        "per_day": speed.per_day,
        "now": now,
        "today": today,
        "slow_since": now - SLOW_FOR,
        "most": MOST_HALVINGS,
    }


_MAKE = """
INSERT INTO public.tenants_pace (instance_id, tenant_id, tokens, filled_at, slowed, day, sent)
VALUES (%(instance)s, %(tenant)s, %(full)s, %(now)s, 0, %(today)s, 0)
ON CONFLICT (instance_id) DO NOTHING
"""

_HALVINGS = "CASE WHEN paused_until > %(slow_since)s THEN slowed ELSE 0 END"
_PACE = f"(%(rate)s / power(2, {_HALVINGS}))"
# A clock that goes back fills nothing.
_TOKENS = (
    f"least(%(full)s, tokens + {_PACE} * greatest(extract(epoch FROM %(now)s - filled_at), 0))"
)
_SENT = "CASE WHEN day = %(today)s THEN sent ELSE 0 END"

_TAKE = f"""
UPDATE public.tenants_pace
SET tokens = {_TOKENS} - 1, filled_at = greatest(filled_at, %(now)s),
    slowed = {_HALVINGS}, day = %(today)s, sent = {_SENT} + 1
WHERE instance_id = %(instance)s
  AND (paused_until IS NULL OR paused_until <= %(now)s)
  AND {_TOKENS} >= 1
  AND (%(per_day)s::int IS NULL OR {_SENT} < %(per_day)s)
RETURNING sent
"""

_LOOK = f"""
SELECT paused_until, (1 - {_TOKENS}) / {_PACE}, {_SENT}
FROM public.tenants_pace WHERE instance_id = %(instance)s
"""

_GIVE_BACK = """
UPDATE public.tenants_pace SET tokens = tokens + 1, sent = greatest(sent - 1, 0)
WHERE instance_id = %s
"""

_SLOW_DOWN = f"""
UPDATE public.tenants_pace
SET paused_until = greatest(paused_until, %(until)s), tokens = least(tokens, 0),
    slowed = least({_HALVINGS} + 1, %(most)s)
WHERE instance_id = %(instance)s
"""
