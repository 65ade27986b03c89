"""The engine: opens, raises and closes alerts until they say what is true.

One statement for each kind does all three, for the leads that something happened to or for
the whole tenant. Evaluations of a tenant take turns, so that a sweep never opens what an
event has just closed.
"""

import logging
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from alerts import channels
from alerts.models import TeamHabits
from alerts.rules import CHANNEL_DOWN, FOLD_FROM, LEAD_RULES, QUIET_AFTER_HAND, Rule
from alerts.thresholds import Tuning
from messaging import activities, realtime, standing
from tenants.models import Tenant

logger = logging.getLogger(__name__)

# Two-part advisory locks: who holds (this, tenant) evaluates the tenant's alerts.
EVALUATION_LOCK = 7_260_006
__all__ = ["Outcome", "cases", "draw_again", "instances", "leads", "sweep"]


@dataclass
class Outcome:
    """What an evaluation did: how many alerts opened, closed, and stayed as they were."""

    created: int = 0
    resolved: int = 0
    raised: int = 0
    unchanged: int = 0
    opened_ids: list[int] = field(default_factory=list)

    def add(self, created: int, resolved: int, raised: int, true: int, opened: list[int]) -> None:
        self.created += created
        self.resolved += resolved
        self.raised += raised
        self.unchanged += max(true - created, 0)
        self.opened_ids += opened

    @property
    def changed(self) -> bool:
        return bool(self.created or self.resolved or self.raised)


def leads(tenant: Tenant, lead_ids: Iterable[int], *, now: datetime) -> Outcome:
    """Make the alerts of these leads say what is true now."""
    ids = sorted(set(lead_ids))
    outcome = Outcome()
    if not ids:
        return outcome
    standing.refresh(ids, now=now)
    with transaction.atomic():
        _take_turn(tenant)
        tuning = Tuning.of(tenant, now)
        for rule in LEAD_RULES:
            outcome.add(*_apply(rule, tuning, ids))
        _wake_answered(ids)
        _count_first_answers(tuning, ids)
    _tell(outcome)
    return outcome


def instances(tenant: Tenant, *, now: datetime) -> Outcome:
    """Make the alerts of the tenant's numbers say what is true now."""
    outcome = Outcome()
    tuning = Tuning.of(tenant, now)
    down = channels.down(tenant, tuning) if tuning.is_on(CHANNEL_DOWN) else []
    with transaction.atomic():
        _take_turn(tenant)
        outcome.add(*_apply_given(CHANNEL_DOWN, tuning, down))
    _tell(outcome)
    return outcome


def sweep(tenant: Tenant, *, now: datetime) -> Outcome:
    """The same for the whole tenant; how many statements it takes does not depend on leads."""
    activities.keep(activities.unkept(), now=now)
    standing.refresh_changed(now=now)
    outcome = instances(tenant, now=now)
    tuning = Tuning.of(tenant, now)
    for rule in LEAD_RULES:
        with transaction.atomic():
            _take_turn(tenant)
            outcome.add(*_apply(rule, tuning, None))
    with transaction.atomic():
        _take_turn(tenant)
        woken = _wake_answered(None)
    if _announce(now) or woken:
        outcome.raised += 1
    _tell(outcome)
    return outcome


def draw_again(tenant: Tenant, *, now: datetime) -> None:
    """Draw how every lead stands, and count first answers that no event told of."""
    standing.refresh_all(now=now)
    with transaction.atomic():
        _take_turn(tenant)
        _count_first_answers(Tuning.of(tenant, now), None)


def _take_turn(tenant: Tenant) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [EVALUATION_LOCK, tenant.number])


def _tell(outcome: Outcome) -> None:
    if outcome.changed:
        realtime.publish("alerts")


def cases(rule: Rule, tuning: Tuning, ids: list[int] | None = None) -> tuple[str, dict[str, Any]]:
    """The statement that finds every true case of a kind, of all leads or of some."""
    found = FOUND_LEADS.format(
        since=rule.since,
        facts=rule.facts,
        bump=rule.bump,
        source=rule.source,
        condition=rule.condition if tuning.is_on(rule) else "FALSE",
        only="" if ids is None else "AND s.lead_id = ANY(%(subjects)s)",
    )
    return found, {**_values(rule, tuning), **tuning.cuts(rule), "subjects": ids}


def _apply(rule: Rule, tuning: Tuning, ids: list[int] | None) -> tuple:
    only_alerts = "" if ids is None else "AND a.subject_id = ANY(%(subjects)s)"
    found, values = cases(rule, tuning, ids)
    return _run(found, only_alerts, values)


def _apply_given(rule: Rule, tuning: Tuning, down: list[channels.Down]) -> tuple:
    values = {
        **_values(rule, tuning),
        "given": [each.instance_id for each in down],
        "given_since": [each.since for each in down],
        "given_facts": [each.facts for each in down],
    }
    return _run(FOUND_GIVEN, "", values)


def _values(rule: Rule, tuning: Tuning) -> dict[str, Any]:
    return {
        "now": tuning.now,
        "day": tuning.now.astimezone(tuning.hours.zone).date(),
        "type": rule.code,
        "kind": rule.subject,
        "is_off": not tuning.is_on(rule),
        "quiet_since": tuning.now - QUIET_AFTER_HAND,
        "fold_from": FOLD_FROM,
        "batch": uuid.uuid4(),
    }


def _run(found: str, only: str, values: dict[str, Any]) -> tuple:
    with connection.cursor() as cursor:
        cursor.execute(APPLY.format(found=found, only=only), values)
        created, resolved, raised, true, opened = cursor.fetchone()
    return created, resolved, raised, true, opened or []


def _wake_answered(ids: list[int] | None) -> int:
    """Alerts that slept until the lead writes are awake once it has written."""
    only = "" if ids is None else "AND s.lead_id = ANY(%(leads)s)"
    with connection.cursor() as cursor:
        cursor.execute(WAKE.format(only=only), {"leads": ids})
        return cursor.rowcount


def _count_first_answers(tuning: Tuning, ids: list[int] | None) -> None:
    only = "" if ids is None else "AND s.lead_id = ANY(%(leads)s)"
    per_person = TeamHabits.objects.filter(figures_per_person_since__isnull=False).exists()
    with connection.cursor() as cursor:
        cursor.execute(
            COUNT_ANSWERS.format(only=only),
            {"leads": ids, "zone": tuning.hours.zone.key, "per_person": per_person},
        )


def _announce(now: datetime) -> int:
    """Alerts that nobody pushed yet: made by a plain INSERT, or awake since a moment ago."""
    with connection.cursor() as cursor:
        cursor.execute(ANNOUNCE, {"now": now})
        return cursor.rowcount


# Every case of a kind: the subject, how bad it is, since when, and why.
FOUND_LEADS = """
    SELECT subject, since,
           least(reached + bump, 4) AS level,
           facts || jsonb_build_object(
               'since', since, 'threshold_seconds', cut.spans::jsonb -> (reached - 1)) AS facts
    FROM (
        SELECT s.lead_id AS subject, {since} AS since, {bump} AS bump,
               jsonb_build_object({facts}) AS facts,
               CASE WHEN s.stage_id = ANY(%(cut_stages)s::bigint[]) THEN s.stage_id ELSE 0 END
                   AS stage
        FROM {source}
        WHERE s.is_watched AND {condition} AND {since} <= %(latest)s::timestamptz {only}
    ) candidate
    JOIN unnest(
        %(cut_stages)s::bigint[], %(cut_low)s::timestamptz[], %(cut_medium)s::timestamptz[],
        %(cut_high)s::timestamptz[], %(cut_critical)s::timestamptz[], %(cut_spans)s::text[]
    ) AS cut(stage, low, medium, high, critical, spans) ON cut.stage = candidate.stage
    CROSS JOIN LATERAL (
        SELECT CASE WHEN since <= cut.critical THEN 4 WHEN since <= cut.high THEN 3
                    WHEN since <= cut.medium THEN 2 WHEN since <= cut.low THEN 1 END AS reached
    ) AS severity
    WHERE reached IS NOT NULL
"""

FOUND_GIVEN = """
    SELECT subject, since, 4 AS level, facts::jsonb AS facts
    FROM unnest(%(given)s::bigint[], %(given_since)s::timestamptz[], %(given_facts)s::text[])
        AS given(subject, since, facts)
"""

APPLY = """
WITH found AS MATERIALIZED ({found}),
closed AS (
    UPDATE alerts_alert a
    SET resolved_at = %(now)s,
        resolution = CASE
            WHEN %(is_off)s OR EXISTS (
                SELECT 1 FROM messaging_lead lead
                WHERE a.subject_kind = 'lead' AND lead.id = a.subject_id
                  AND lead.merged_into_id IS NOT NULL) THEN 'superseded'
            WHEN a.acted_at IS NOT NULL THEN 'action'
            ELSE 'itself' END
    WHERE a.type = %(type)s AND a.subject_kind = %(kind)s AND a.resolved_at IS NULL
      AND NOT a.is_manual {only}
      AND NOT EXISTS (SELECT 1 FROM found f WHERE f.subject = a.subject_id)
    RETURNING a.resolution, a.opened_at
),
raised AS (
    UPDATE alerts_alert a
    SET severity = (ARRAY['low', 'medium', 'high', 'critical'])[f.level],
        since = f.since, facts = f.facts, raised_at = %(now)s
    FROM found f
    WHERE a.type = %(type)s AND a.subject_kind = %(kind)s AND a.subject_id = f.subject
      AND a.resolved_at IS NULL AND NOT a.is_manual
      AND (a.level <> f.level OR a.since IS DISTINCT FROM f.since)
    RETURNING 1
),
fresh AS MATERIALIZED (
    SELECT f.* FROM found f
    WHERE NOT EXISTS (
        SELECT 1 FROM alerts_alert a
        WHERE a.type = %(type)s AND a.subject_kind = %(kind)s AND a.subject_id = f.subject
          AND NOT a.is_manual
          AND (a.resolved_at IS NULL
               OR (a.resolution = 'hand' AND a.resolved_at > %(quiet_since)s)))
),
opened AS (
    INSERT INTO alerts_alert
        (type, severity, is_manual, subject_kind, subject_id, lead_id, since, facts, batch,
         opened_at, announced_at)
    SELECT %(type)s, (ARRAY['low', 'medium', 'high', 'critical'])[level], false, %(kind)s,
           subject, CASE WHEN %(kind)s = 'lead' THEN subject END, since, facts,
           CASE WHEN (SELECT count(*) FROM fresh) >= %(fold_from)s THEN %(batch)s::uuid END,
           %(now)s, %(now)s
    FROM fresh
    ON CONFLICT (type, subject_kind, subject_id) WHERE resolved_at IS NULL AND NOT is_manual
    DO NOTHING
    RETURNING id
),
counted AS (
    INSERT INTO alerts_alertday AS counted (day, type, opened, by_action, by_hand, by_itself)
    SELECT %(day)s, %(type)s, (SELECT count(*) FROM opened),
           count(*) FILTER (WHERE resolution = 'action'), 0,
           count(*) FILTER (WHERE resolution = 'itself')
    FROM closed
    HAVING count(*) > 0 OR (SELECT count(*) FROM opened) > 0
    ON CONFLICT (day, type) DO UPDATE SET
        opened = counted.opened + excluded.opened,
        by_action = counted.by_action + excluded.by_action,
        by_itself = counted.by_itself + excluded.by_itself
),
timed AS (
    INSERT INTO alerts_durationday AS timed (day, what, user_id, minutes, times)
    SELECT %(day)s, 'resolved', 0, floor(extract(epoch FROM %(now)s - opened_at) / 60), count(*)
    FROM closed WHERE resolution <> 'superseded'
    GROUP BY 4 ORDER BY 4
    ON CONFLICT (day, what, user_id, minutes) DO UPDATE SET times = timed.times + excluded.times
)
SELECT (SELECT count(*) FROM opened), (SELECT count(*) FROM closed),
       (SELECT count(*) FROM raised), (SELECT count(*) FROM found),
       (SELECT array_agg(id) FROM (SELECT id FROM opened LIMIT 100) AS the_first)
"""

WAKE = """
UPDATE alerts_alert a SET snoozed_until_reply = false, snoozed_at = NULL
FROM messaging_standing s
WHERE a.lead_id = s.lead_id AND a.resolved_at IS NULL AND a.snoozed_until_reply
  AND s.last_heard_at > a.snoozed_at {only}
"""

COUNT_ANSWERS = """
WITH fresh AS (
    INSERT INTO alerts_answeredlead (lead_id)
    SELECT s.lead_id FROM messaging_standing s
    WHERE s.answered_at IS NOT NULL {only}
      AND NOT EXISTS (SELECT 1 FROM alerts_answeredlead known WHERE known.lead_id = s.lead_id)
    ORDER BY s.lead_id
    ON CONFLICT DO NOTHING
    RETURNING lead_id
)
INSERT INTO alerts_durationday AS timed (day, what, user_id, minutes, times)
SELECT (s.answered_at AT TIME ZONE %(zone)s)::date, 'answered',
       CASE WHEN %(per_person)s THEN coalesce(first.by_id, 0) ELSE 0 END,
       floor(extract(epoch FROM s.answered_at - s.first_heard_at) / 60), count(*)
FROM fresh JOIN messaging_standing s ON s.lead_id = fresh.lead_id
LEFT JOIN LATERAL (
    SELECT activity.by_id FROM messaging_activity activity
    WHERE activity.lead_id = s.lead_id AND activity.spoke AND activity.at = s.answered_at
    ORDER BY activity.id LIMIT 1) first ON true
GROUP BY 1, 3, 4 ORDER BY 1, 3, 4
ON CONFLICT (day, what, user_id, minutes) DO UPDATE SET times = timed.times + excluded.times
"""

ANNOUNCE = """
UPDATE alerts_alert SET
    announced_at = %(now)s,
    snoozed_until = CASE WHEN snoozed_until <= %(now)s THEN NULL ELSE snoozed_until END
WHERE resolved_at IS NULL AND (announced_at IS NULL OR snoozed_until <= %(now)s)
"""
