"""What has to be told to the CRM is written down in the transaction of what it tells of.

Where a tenant has no CRM there are no records, and every statement here ends at an empty table.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from tenants import orders
from tenants.context import current_number

# Of one lead that was just found in the CRM: how many of its messages are told at once.
MOST_CAUGHT_UP = 500


def tell_of(message_ids: Iterable[int], *, now: datetime) -> None:
    """Have these messages noted in the CRM: those that arrived, or left, and that it has a lead
    of. Told once, however often this is called."""
    ids = sorted(set(message_ids))
    if ids:
        _insert(_MESSAGES.format(which="message.id = ANY(%(messages)s)"), messages=ids, now=now)


def catch_up(record_id: int, *, now: datetime) -> None:
    """Have noted what was said with a lead before it was found in the CRM, since the link."""
    statement = _MESSAGES.format(which="record.id = %(record)s") + f" LIMIT {MOST_CAUGHT_UP}"
    _insert(statement, record=record_id, now=now)


def tell_changes(lead_ids: Iterable[int], *, now: datetime) -> None:
    """Have the CRM told of what differs from what it and we last agreed on."""
    ids = sorted(set(lead_ids))
    if ids:
        _insert(_CHANGES.format(which="lead.id = ANY(%(leads)s)"), leads=ids, now=now)


def tell_all_changes(*, now: datetime) -> None:
    """The same for every lead, but for those that were refused and wait for a person: what no
    event told of is found here."""
    _insert(_CHANGES.format(which=_NOT_REFUSED), now=now)


def correct(message_id: int, *, now: datetime) -> None:
    """Have the note of a withdrawn or edited message say so; one that still waits needs nothing,
    since it is worded when it leaves."""
    _insert(_CORRECTION, message=message_id, now=now)


def ring(tenant_number: int) -> None:
    """Order a run; never inside `atomic`."""
    orders.order_once("synchronise_crm", "crm", key=f"crm:{tenant_number}", tenant=tenant_number)


def _insert(statement: str, **facts: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"{statement} ON CONFLICT DO NOTHING", facts)
        inserted = cursor.rowcount
    if inserted:
        tenant = current_number()
        # A lost order is made up for by the next run.
        transaction.on_commit(lambda: ring(tenant), robust=True)


# A message is told to one record, the oldest of its lead's.
_MESSAGES = """
INSERT INTO messaging_espopush
    (record_id, kind, message_id, state, is_unsure, attempts, remote_id, error_code, error_detail,
     created_at)
SELECT record.id, CASE WHEN message.medium = 'email' THEN 'email' ELSE 'note' END, message.id,
       'waiting', false, 0, '', '', '', %(now)s
FROM messaging_message message
JOIN messaging_esporecord record ON record.lead_id = message.lead_id AND record.gone_at IS NULL
WHERE {which}
  AND NOT EXISTS (
    SELECT 1 FROM messaging_esporecord elder
    WHERE elder.lead_id = record.lead_id AND elder.gone_at IS NULL AND elder.id < record.id)
  AND message.sent_at >= record.notes_since
  AND message.kind <> 'reaction' AND message.deleted_at IS NULL
  AND (message.direction = 'in' OR message.status IN ('sent', 'delivered', 'read', 'played'))
ORDER BY message.id"""

_CHANGES = """
INSERT INTO messaging_espopush
    (record_id, kind, state, is_unsure, attempts, remote_id, error_code, error_detail, created_at)
SELECT record.id, 'lead', 'waiting', false, 0, '', '', '', %(now)s
FROM messaging_esporecord record JOIN messaging_lead lead ON lead.id = record.lead_id
WHERE {which} AND record.gone_at IS NULL
  AND lead.erased_at IS NULL AND lead.merged_into_id IS NULL
  AND (lead.owner_id IS DISTINCT FROM record.owner_here
    OR lead.stage_id IS DISTINCT FROM record.stage_here
    OR EXISTS (
      SELECT 1 FROM messaging_leadidentity identity
      WHERE identity.lead_id = lead.id AND identity.kind = 'phone'
        AND NOT record.phones ? identity.value))
ORDER BY record.id"""

_NOT_REFUSED = """NOT EXISTS (
    SELECT 1 FROM messaging_espopush failed
    WHERE failed.record_id = record.id AND failed.kind = 'lead' AND failed.state = 'failed')"""

_CORRECTION = """
INSERT INTO messaging_espopush
    (record_id, kind, message_id, state, is_unsure, attempts, remote_id, error_code, error_detail,
     created_at)
SELECT told.record_id, 'correction', told.message_id, 'waiting', false, 0, '', '', '', %(now)s
FROM messaging_espopush told
WHERE told.message_id = %(message)s AND told.kind IN ('note', 'email')
  AND (told.state IN ('sending', 'done') OR told.is_unsure)"""
