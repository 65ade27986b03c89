"""A lead's history: messages write themselves into it, people add calls, notes and contacts.

Messages are written down by a job of their own after they are committed, so that no send and
no webhook ever waits for it or fails with it.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from messaging import signals, standing
from messaging.espo import queueing
from messaging.models import Activity, FollowUp, Lead, StageChange
from tenants import orders
from tenants.context import current_number

SNIPPET = 200
# Two-part advisory locks: who holds (this, tenant) writes down what became of messages.
HISTORY_LOCK = 7_260_005
# How far back, in ids of messages, one looks for messages whose job was lost in a crash.
LOOK_BACK = 5_000
# What `meta` says of a message that was imported long after it was said.
HISTORY = '{"history": true}'
Kind = Activity.Kind
Channel = Activity.Channel
Direction = Activity.Direction
Status = Activity.Status


def order(message_ids: Iterable[int]) -> None:
    """Have these messages written down once they are committed; a failure harms nobody.

    What is lost between the commit and the order is found by the sweep.
    """
    ids, tenant = sorted(set(message_ids)), current_number()

    def place() -> None:
        _order(tenant, ids)

    if ids:
        transaction.on_commit(place, robust=True)


def keep(message_ids: Iterable[int], *, now: datetime | None = None) -> list[int]:
    """Write these messages into their leads' history, or bring it up to date; whose it was."""
    ids = sorted(set(message_ids))
    if not ids:
        return []
    now = now or timezone.now()
    with transaction.atomic():
        leads = _write_down(ids, now, "{}")
        queueing.tell_of(ids, now=now)
        touched(leads, now=now)
    return leads


def keep_imported(message_ids: Iterable[int], *, now: datetime, is_history: bool) -> None:
    """Write imported messages into their leads' history without telling anybody: the sweep judges
    them within a minute. `is_history` says that nobody waits for an answer to them any more.
    """
    ids = sorted(set(message_ids))
    if ids:
        with transaction.atomic():
            leads = _write_down(ids, now, HISTORY if is_history else "{}")
            standing.refresh(leads, now=now)


def _write_down(ids: list[int], now: datetime, meta: str) -> list[int]:
    with connection.cursor() as cursor:
        # Whoever comes later sees the later status; without it, an older one could win.
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [HISTORY_LOCK, current_number()])
        cursor.execute(_KEEP, {"messages": ids, "now": now, "meta": meta})
        rows = cursor.fetchall()
        cursor.execute(_COUNT, {"messages": [pk for pk, _lead, is_new in rows if is_new]})
    return sorted({lead for _pk, lead, _is_new in rows})


def unkept(limit: int = 1000) -> list[int]:
    """The latest messages that no job has written down."""
    with connection.cursor() as cursor:
        cursor.execute(_UNKEPT, [LOOK_BACK, limit])
        return [pk for (pk,) in cursor.fetchall()]


def record(
    lead: Lead,
    *,
    channel: str,
    direction: str,
    status: str,
    snippet: str = "",
    meta: dict[str, Any] | None = None,
    by=None,
    at: datetime | None = None,
    now: datetime | None = None,
) -> Activity:
    """Write down that somebody was in touch with a lead, or tried to be."""
    now = now or timezone.now()
    spoke, heard = meaning(channel, direction, status)
    with transaction.atomic():
        activity = Activity.objects.create(
            lead=lead,
            kind=Kind.CONTACT,
            channel=channel,
            direction=direction,
            status=status,
            snippet=snippet[:SNIPPET],
            meta=meta or {},
            at=at or now,
            created_at=now,
            by=by,
            spoke=spoke,
            heard=heard,
        )
        touched([lead.pk], now=now)
    return activity


def note(lead: Lead, text: str, *, by, now: datetime) -> Activity:
    """Write a remark into a lead's history; it is no contact."""
    return Activity.objects.create(
        lead=lead,
        kind=Kind.NOTE,
        channel=Channel.OTHER,
        snippet=text[:SNIPPET],
        at=now,
        created_at=now,
        by=by,
    )


def stage_changed(change: StageChange) -> None:
    """Write a change of stage into the lead's history."""
    Activity.objects.create(
        lead_id=change.lead_id,
        kind=Kind.STAGE,
        channel=Channel.OTHER,
        at=change.at,
        created_at=change.at,
        by=change.by,
        stage_change=change,
    )


def follow_up_changed(follow_up: FollowUp, status: str, *, by, now: datetime) -> None:
    """Write what became of a follow-up into the lead's history."""
    Activity.objects.create(
        lead_id=follow_up.lead_id,
        kind=Kind.FOLLOW_UP,
        channel=Channel.OTHER,
        meta={"is": status},
        snippet=follow_up.what[:SNIPPET],
        at=now,
        created_at=now,
        by=by,
        follow_up=follow_up,
    )


def vip_changed(lead: Lead, *, by, now: datetime) -> None:
    """Write into the lead's history that it became a VIP, or is none any more."""
    Activity.objects.create(
        lead=lead,
        kind=Kind.VIP,
        channel=Channel.OTHER,
        meta={"is": lead.is_vip},
        at=now,
        created_at=now,
        by=by,
    )


def touched(lead_ids: Iterable[int], *, now: datetime | None = None) -> None:
    """Something about these leads changed: draw how they stand, and tell after commit."""
    leads, now = sorted(set(lead_ids)), now or timezone.now()
    standing.refresh(leads, now=now)
    queueing.tell_changes(leads, now=now)
    signals.leads_touched(leads)


def meaning(channel: str, direction: str, status: str) -> tuple[bool, bool]:
    """Whether we spoke and whether they were heard, in a contact that somebody logged."""
    failed = status in (Status.FAILED, Status.NO_ANSWER)
    if direction == Direction.IN:
        # Who calls and finds nobody has been heard all the same, and waits.
        answered = channel == Channel.CALL and not failed
        return answered, status != Status.FAILED
    return not failed, status == Status.REPLIED


def _order(tenant: int, ids: list[int]) -> None:
    orders.order("keep_history", "history", tenant=tenant, messages=ids)


_KEEP = """
INSERT INTO messaging_activity AS kept
    (lead_id, kind, channel, direction, status, snippet, meta, at, created_at, by_id, message_id,
     spoke, heard)
SELECT message.lead_id, 'message', message.medium, message.direction,
       CASE WHEN message.direction = 'in' THEN 'replied'
            WHEN message.status = 'failed' THEN 'failed'
            WHEN message.status IN ('delivered', 'read', 'played') THEN 'delivered'
            WHEN message.status = 'sent' THEN 'sent'
            ELSE 'queued' END,
       CASE WHEN message.deleted_at IS NULL THEN left(message.text, 200) ELSE '' END,
       %(meta)s::jsonb, message.sent_at,
       CASE WHEN %(meta)s::jsonb ? 'history' THEN message.received_at ELSE %(now)s END,
       message.by_id, message.id,
       NOT %(meta)s::jsonb ? 'history' AND message.direction = 'out' AND message.status <> 'failed'
           AND message.origin NOT IN ('automation', 'campaign') AND message.kind <> 'reaction',
       NOT %(meta)s::jsonb ? 'history' AND message.direction = 'in' AND message.kind <> 'reaction'
FROM messaging_message message
WHERE message.id = ANY(%(messages)s)
ORDER BY message.id
ON CONFLICT (message_id) DO UPDATE SET
    lead_id = excluded.lead_id, status = excluded.status, snippet = excluded.snippet,
    at = excluded.at, spoke = excluded.spoke AND NOT kept.meta ? 'history',
    heard = excluded.heard AND NOT kept.meta ? 'history'
RETURNING kept.message_id, kept.lead_id, xmax = 0
"""

_COUNT = """
INSERT INTO messaging_instanceday AS counted (instance_id, day, received, known)
SELECT message.instance_id, (message.received_at AT TIME ZONE 'UTC')::date, count(*),
       count(*) FILTER (WHERE lead.recognised_at IS NOT NULL)
FROM messaging_message message JOIN messaging_lead lead ON lead.id = message.lead_id
WHERE message.id = ANY(%(messages)s) AND message.direction = 'in'
GROUP BY 1, 2 ORDER BY 1, 2
ON CONFLICT (instance_id, day) DO UPDATE SET received = counted.received + excluded.received,
    known = counted.known + excluded.known
"""

_UNKEPT = """
SELECT message.id FROM messaging_message message
LEFT JOIN messaging_activity activity ON activity.message_id = message.id
WHERE message.id > (SELECT coalesce(max(id), 0) FROM messaging_message) - %s
  AND activity.id IS NULL
ORDER BY message.id LIMIT %s
"""
