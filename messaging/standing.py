"""How things stand with leads, drawn from their history in one statement.

Every fact is a first or a last of the history, so the order in which it became known is the
same for all of them: shuffled, doubled or late news end in the same row.
"""

from collections.abc import Iterable
from datetime import datetime

from django.db import connection, transaction


def refresh(lead_ids: Iterable[int], *, now: datetime) -> None:
    """Draw these leads' rows again."""
    ids = sorted(set(lead_ids))
    if not ids:
        return
    with transaction.atomic(), connection.cursor() as cursor:
        # Two who refresh the same lead take turns: the later one sees what the earlier one saw.
        cursor.execute(_MAKE.format(which=_THESE), {"leads": ids, "now": now})
        cursor.execute(_LOCK, {"leads": ids})
        cursor.execute(_DRAW.format(which=_THESE), {"leads": ids, "now": now})


def refresh_changed(*, now: datetime) -> int:
    """Draw the rows of leads that were changed since, or made; how many there were.

    Looks back two days: every row is drawn again each night.
    """
    with connection.cursor() as cursor:
        cursor.execute(_CHANGED)
        ids = [pk for (pk,) in cursor.fetchall()]
    refresh(ids, now=now)
    return len(ids)


def refresh_all(*, now: datetime) -> None:
    """Draw every lead's row again, in two statements however many there are."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_MAKE.format(which="TRUE"), {"now": now})
        cursor.execute(_DRAW.format(which="TRUE"), {"now": now})


_THESE = "lead.id = ANY(%(leads)s)"

_MAKE = """
INSERT INTO messaging_standing
    (lead_id, is_watched, created_at, stage_since, owner_since, refreshed_at)
SELECT lead.id, false, lead.created_at, lead.created_at, lead.created_at, %(now)s
FROM messaging_lead lead WHERE {which}
ORDER BY lead.id
ON CONFLICT (lead_id) DO NOTHING
"""

_LOCK = """
SELECT 1 FROM messaging_standing WHERE lead_id = ANY(%(leads)s) ORDER BY lead_id FOR UPDATE
"""

_CHANGED = """
SELECT lead.id FROM messaging_lead lead
LEFT JOIN messaging_standing standing ON standing.lead_id = lead.id
WHERE lead.updated_at > now() - interval '2 days'
  AND (standing.lead_id IS NULL OR standing.refreshed_at < lead.updated_at)
LIMIT 100000
"""

_DRAW = """
UPDATE messaging_standing standing SET
    is_watched = lead.merged_into_id IS NULL
        AND lead.erased_at IS NULL
        AND coalesce(stage.kind, 'open') = 'open'
        AND NOT EXISTS (
            SELECT 1 FROM messaging_conversation conversation
            WHERE conversation.lead_id = lead.id AND conversation.is_group)
        AND NOT consent.opted_out
        -- One that was imported sleeps until something happens with it here.
        AND (lead.imported_at IS NULL
             OR coalesce(lead.owner_since > lead.imported_at, false)
             OR EXISTS (
            SELECT 1 FROM messaging_activity activity
            WHERE activity.lead_id = lead.id AND NOT activity.meta ? 'history')),
    has_history = EXISTS (
        SELECT 1 FROM messaging_activity activity
        WHERE activity.lead_id = lead.id AND activity.meta ? 'history'),
    stage_id = lead.stage_id,
    owner_id = lead.owner_id,
    created_at = lead.created_at,
    stage_since = coalesce(lead.stage_since, lead.created_at),
    owner_since = coalesce(lead.owner_since, lead.created_at),
    first_heard_at = first_heard.at,
    last_heard_at = last_heard.at,
    last_spoke_at = last_spoke.at,
    answered_at = (
        SELECT min(activity.at) FROM messaging_activity activity
        WHERE activity.lead_id = lead.id AND activity.spoke AND activity.at >= first_heard.at),
    waiting_since = (
        SELECT min(activity.at) FROM messaging_activity activity
        WHERE activity.lead_id = lead.id AND activity.heard
          AND activity.at > coalesce(last_spoke.at, '-infinity')),
    failed_since = CASE WHEN last_sent.status = 'failed' THEN last_sent.at END,
    undelivered_since = CASE
        WHEN last_sent.status IN ('queued', 'sent') AND last_sent.message_id IS NOT NULL
             AND last_sent.channel <> 'email'
        THEN last_sent.at END,
    overdue_since = steps.overdue_since,
    planned_until = steps.planned_until,
    step_ended_at = steps.ended_at,
    refreshed_at = greatest(%(now)s, lead.updated_at)
FROM messaging_lead lead
LEFT JOIN messaging_stage stage ON stage.id = lead.stage_id
-- Opted out, and neither a number nor an e-mail address is left to write to.
LEFT JOIN LATERAL (
    SELECT coalesce(bool_or(identity.opted_out), false) AND NOT coalesce(bool_or(
        identity.kind IN ('phone', 'email') AND NOT identity.opted_out), false) AS opted_out
    FROM messaging_leadidentity identity WHERE identity.lead_id = lead.id) consent ON true
LEFT JOIN LATERAL (
    SELECT min(activity.at) AS at FROM messaging_activity activity
    WHERE activity.lead_id = lead.id AND activity.heard) first_heard ON true
LEFT JOIN LATERAL (
    SELECT max(activity.at) AS at FROM messaging_activity activity
    WHERE activity.lead_id = lead.id AND activity.heard) last_heard ON true
LEFT JOIN LATERAL (
    SELECT max(activity.at) AS at FROM messaging_activity activity
    WHERE activity.lead_id = lead.id AND activity.spoke) last_spoke ON true
LEFT JOIN LATERAL (
    SELECT activity.at, activity.status, activity.message_id, activity.channel
    FROM messaging_activity activity
    WHERE activity.lead_id = lead.id AND activity.direction = 'out'
      AND activity.kind IN ('message', 'contact') AND activity.channel <> 'call'
      AND NOT activity.meta ? 'history'
    ORDER BY activity.at DESC, activity.id DESC LIMIT 1) last_sent ON true
LEFT JOIN LATERAL (
    SELECT min(follow_up.due_at) FILTER (WHERE follow_up.closed_at IS NULL) AS overdue_since,
           max(follow_up.due_at) FILTER (WHERE follow_up.closed_at IS NULL) AS planned_until,
           max(follow_up.closed_at) AS ended_at
    FROM messaging_followup follow_up WHERE follow_up.lead_id = lead.id) steps ON true
WHERE lead.id = standing.lead_id AND {which}
"""
