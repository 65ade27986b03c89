"""Whose turn it is: the next message of an instance that is due, taken by one worker alone."""

# ruff: noqa: S608  every piece of the statements is written here

from datetime import datetime

from django.db import connection

from messaging.models import Message


def claim(instance_id: int, now: datetime) -> Message | None:
    """Take the next message that is due, or None.

    Never one whose conversation has an earlier one on its way. What a person typed comes first,
    then what goes to VIPs, then what a program asks for, then automatic and bulk messages; whoever
    stands before an urgent one in its conversation is as urgent.
    """
    with connection.cursor() as cursor:
        for statement in (_CLAIM_URGENT, _CLAIM_ANY):
            cursor.execute(statement, {"instance": instance_id, "now": now})
            row = cursor.fetchone()
            if row is not None:
                return Message.objects.select_related("conversation").get(pk=row[0])
    return None


_TAKE = """
UPDATE messaging_message SET status = 'sending', claimed_at = %(now)s, attempts = attempts + 1
WHERE status = 'queued' AND id = (
"""
_DUE = """
    WHERE m.instance_id = %(instance)s AND m.status = 'queued'
      AND (m.not_before IS NULL OR m.not_before <= %(now)s)
      AND NOT EXISTS (
        SELECT 1 FROM messaging_message earlier
        WHERE earlier.status IN ('queued', 'sending')
          AND earlier.conversation_id = m.conversation_id
          AND earlier.id < m.id)
"""
# The few conversations in which something urgent waits, before the many messages that do not: a
# campaign of twenty thousand is not sorted for each of its messages.
_CLAIM_URGENT = f"""
WITH urgent AS MATERIALIZED (
    SELECT conversation_id, bool_or(is_vip) AS is_vip,
           min(CASE WHEN origin = 'person' THEN 0 WHEN is_vip THEN 1 ELSE 2 END) AS urgency
    FROM (
        SELECT conversation_id, origin,
               lead_id IN (SELECT id FROM messaging_lead WHERE is_vip) AS is_vip
        FROM messaging_message
        WHERE instance_id = %(instance)s AND status = 'queued') waiting
    WHERE is_vip OR origin IN ('person', 'api')
    GROUP BY conversation_id)
{_TAKE}
    SELECT m.id FROM messaging_message m
    JOIN urgent ON urgent.conversation_id = m.conversation_id
    {_DUE}
    ORDER BY urgent.urgency, NOT urgent.is_vip, m.id
    LIMIT 1
    FOR UPDATE OF m SKIP LOCKED)
RETURNING id
"""
_CLAIM_ANY = f"""
{_TAKE}
    SELECT m.id FROM messaging_message m
    {_DUE}
    ORDER BY m.id
    LIMIT 1
    FOR UPDATE OF m SKIP LOCKED)
RETURNING id
"""
