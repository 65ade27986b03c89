"""Ordering jobs: plain INSERTs into the job queue, on Django's connection or another."""

import json
from datetime import datetime
from typing import Any

from django.db import connection

# Two-part advisory locks: who holds (this, tenant) is the one that reads the tenant's inbox.
INBOX_LOCK = 7_260_003


# What somebody was promised soon goes before what only has to be done.
SOON = 10


def order(
    task: str, queue: str, *, at: datetime | None = None, priority: int = 0, **args: Any
) -> None:
    """Order a job; it commits or vanishes with the open transaction.

    Of what waits in a queue, the highest priority goes first, then what was ordered first.
    """
    _insert(queue, task, None, args, at, priority)


def order_once(task: str, queue: str, *, key: str, at: datetime | None = None, **args: Any) -> None:
    """Order a job unless one with this key already waits; never inside `atomic`.

    Where one waits for a later moment, it is moved to the earlier one.
    """
    _insert(queue, task, key, args, at)


def ring(tenant_number: int) -> None:
    """Order the reading of a tenant's inbox; never inside `atomic`."""
    order_once("drain_inbox", "inbox", key=inbox_key(tenant_number), tenant=tenant_number)


def hold_inbox(tenant_number: int) -> None:
    """Nobody else takes anything into a tenant's inbox until the open transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [INBOX_LOCK, tenant_number])


def inbox_key(tenant_number: int) -> str:
    """The queueing lock under which at most one order to read an inbox waits."""
    return f"inbox:{tenant_number}"


def forget_failed(days: int) -> None:
    """Remove jobs that ended badly more than this many days ago."""
    with connection.cursor() as cursor:
        cursor.execute(FORGET_FAILED, [f"{days} days"])


def _insert(
    queue: str, task: str, key: str | None, args: dict, at: datetime | None, priority: int = 0
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(ORDER, [queue, f"amda.{task}", key, json.dumps(args), at, priority])


# The job library's own function raises where a queueing lock is taken, which would abort the
# transaction; its table, triggers and events are the same for a plain INSERT.
ORDER = """
INSERT INTO public.procrastinate_jobs
    (queue_name, task_name, queueing_lock, args, scheduled_at, priority)
VALUES (%s, %s, %s, %s::jsonb, %s, %s)
ON CONFLICT (queueing_lock) WHERE status = 'todo'
DO UPDATE SET scheduled_at = EXCLUDED.scheduled_at
WHERE procrastinate_jobs.scheduled_at IS NOT NULL
  AND (EXCLUDED.scheduled_at IS NULL
       OR EXCLUDED.scheduled_at < procrastinate_jobs.scheduled_at)
"""

# One statement for every tenant of a commit.
RING = """
INSERT INTO public.procrastinate_jobs (queue_name, task_name, queueing_lock, args)
SELECT 'inbox', 'amda.drain_inbox', 'inbox:' || number, jsonb_build_object('tenant', number)
FROM unnest(%s::bigint[]) AS number
ON CONFLICT (queueing_lock) WHERE status = 'todo' DO NOTHING
"""

FORGET_FAILED = """
DELETE FROM public.procrastinate_jobs job
WHERE status IN ('failed', 'cancelled', 'aborted')
  AND NOT EXISTS (
    SELECT 1 FROM public.procrastinate_events event
    WHERE event.job_id = job.id AND event.at > now() - %s::interval)
"""
