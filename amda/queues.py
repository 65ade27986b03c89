"""How the queues are doing: what waits and since when, what failed, which workers are alive."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.utils import timezone

from amda.jobs import QUEUES

# A worker says every five seconds that it is there.
SILENT_AFTER = timedelta(seconds=30)


@dataclass(frozen=True)
class Queue:
    """One queue. `waiting_since` is when its oldest job could first have been done."""

    name: str
    waiting: int = 0
    later: int = 0
    doing: int = 0
    failed: int = 0
    waiting_since: datetime | None = None

    def age(self, now: datetime) -> int:
        """For how many seconds its oldest job has been waiting."""
        return int((now - self.waiting_since).total_seconds()) if self.waiting_since else 0


@dataclass(frozen=True)
class Worker:
    """One worker of one process, and how many jobs it has in hand."""

    number: int
    heard_at: datetime
    doing: int
    is_alive: bool


@dataclass(frozen=True)
class State:
    """Every queue there is, every worker, at one moment."""

    at: datetime
    queues: list[Queue]
    workers: list[Worker]

    @property
    def is_well(self) -> bool:
        """Whether anybody works."""
        return any(worker.is_alive for worker in self.workers)


def state() -> State:
    """The state now; two statements, whatever waits."""
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(_QUEUES, {"now": now})
        found = {row[0]: Queue(*row) for row in cursor.fetchall()}
        cursor.execute(_WORKERS)
        workers = [
            Worker(number, heard_at, doing, now - heard_at < SILENT_AFTER)
            for number, heard_at, doing in cursor.fetchall()
        ]
    names = [*QUEUES, *sorted(found.keys() - QUEUES.keys())]
    return State(now, [found.get(name, Queue(name)) for name in names], workers)


# When a job was ordered stands in its first event only.
_QUEUES = """
SELECT job.queue_name,
    count(*) FILTER (WHERE job.status = 'todo'
        AND coalesce(job.scheduled_at, %(now)s) <= %(now)s),
    count(*) FILTER (WHERE job.status = 'todo' AND job.scheduled_at > %(now)s),
    count(*) FILTER (WHERE job.status = 'doing'),
    count(*) FILTER (WHERE job.status IN ('failed', 'aborted')),
    min(coalesce(job.scheduled_at, ordered.at)) FILTER (WHERE job.status = 'todo'
        AND coalesce(job.scheduled_at, %(now)s) <= %(now)s)
FROM public.procrastinate_jobs job
LEFT JOIN LATERAL (
    SELECT min(event.at) AS at FROM public.procrastinate_events event
    WHERE event.job_id = job.id AND job.status = 'todo') ordered ON true
WHERE job.status IN ('todo', 'doing', 'failed', 'aborted')
GROUP BY job.queue_name
"""

_WORKERS = """
SELECT worker.id, worker.last_heartbeat,
    (SELECT count(*) FROM public.procrastinate_jobs job
     WHERE job.worker_id = worker.id AND job.status = 'doing')
FROM public.procrastinate_workers worker ORDER BY worker.id
"""
