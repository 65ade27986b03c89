"""The worker: runs jobs, sweeps, and starts itself again whenever the database was away."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import psycopg
import psycopg_pool
from django.db import close_old_connections
from procrastinate import App, JobContext, PsycopgConnector
from procrastinate.contrib.django import app as job_app
from procrastinate.exceptions import ConnectorException, UniqueViolation
from procrastinate.jobs import Job, Status
from procrastinate.worker import Worker

from amda import database
from amda.jobs import QUEUES
from messaging import inbox, looking_after
from tenants.context import connection

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 2
CLEAN_SECONDS = 10
# A worker is taken for dead when it has been silent this long.
DEAD_AFTER_SECONDS = 30
WATCH_SECONDS = 1
LONGEST_PAUSE_SECONDS = 5
GRACE_SECONDS = 6


async def run() -> None:
    """Work until cancelled; an outage of the database is waited out."""
    threads = sum(QUEUES.values()) + 3
    asyncio.get_running_loop().set_default_executor(
        ThreadPoolExecutor(threads, thread_name_prefix="job")
    )
    pause = 0.2
    while True:
        try:
            await _work_while_database_answers()
        except (psycopg.Error, psycopg_pool.PoolTimeout, ConnectorException, OSError) as exc:
            logger.warning("the database is away (%s); trying again", type(exc).__name__)
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        if await _database_answers():
            pause = 0.2


async def _work_while_database_answers() -> None:
    """Run everything side by side until one of them ends; then end the others too."""
    connector = PsycopgConnector(
        conninfo=database.dsn(),
        min_size=1,
        max_size=len(QUEUES) * 2 + 4,
        timeout=5,
        reconnect_timeout=2,
    )
    with job_app.replace_connector(connector) as app:
        async with app.open_async():
            workers = [_worker(app, queue, share) for queue, share in QUEUES.items()]
            await _until_one_ends(
                *(worker.run for worker in workers),
                _watch_database,
                _every(SWEEP_SECONDS, lambda: asyncio.to_thread(_in_public, inbox.sweep)),
                _look_after_instances,
                _every(CLEAN_SECONDS, lambda: _free_jobs_of_dead_workers(app)),
            )


def _worker(app: App, queue: str, share: int) -> Worker:
    return Worker(
        app,
        queues=[queue],
        name=queue,
        concurrency=share,
        fetch_job_polling_interval=1.0,
        install_signal_handlers=False,
        shutdown_graceful_timeout=GRACE_SECONDS,
        delete_jobs="successful",
        update_heartbeat_interval=5,
        stalled_worker_timeout=DEAD_AFTER_SECONDS,
        task_middleware=[_in_public_around],
    )


def _in_public_around(call_next: Callable[[], Any], context: JobContext, worker: Worker) -> Any:
    """A job starts and ends in `public`, whatever the one before left on the thread."""
    return _in_public(call_next)


def _in_public(function: Callable[[], Any]) -> Any:
    close_old_connections()
    connection.set_schema_to_public()
    try:
        return function()
    finally:
        connection.set_schema_to_public()
        close_old_connections()


async def _until_one_ends(*starters: Callable[[], Awaitable[Any]]) -> None:
    tasks = [asyncio.ensure_future(start()) for start in starters]
    try:
        done, _pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                logger.info("ended with the others: %s", type(outcome).__name__)


def _every(seconds: float, action: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[None]]:
    async def repeat() -> None:
        while True:
            await action()
            await asyncio.sleep(seconds)

    return repeat


async def _look_after_instances() -> None:
    """After a start each instance has its turn; then each whose time has come."""
    await asyncio.to_thread(_in_public, looking_after.begin)
    await _every(SWEEP_SECONDS, lambda: asyncio.to_thread(_in_public, looking_after.order_due))()


async def _watch_database() -> None:
    """Ends with the database's error: the job library's listener would stay deaf for good."""
    async with await psycopg.AsyncConnection.connect(database.dsn(), autocommit=True) as watch:
        while True:
            async with asyncio.timeout(10):
                await watch.execute("SELECT 1")
            await asyncio.sleep(WATCH_SECONDS)


async def _free_jobs_of_dead_workers(app: App) -> None:
    """What a dead worker was doing is done again; its traces are removed."""
    stalled = await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=DEAD_AFTER_SECONDS)
    for job in stalled:
        logger.warning("job %s lost its worker and is done again", job.id)
        await _free(app, job)
    await app.job_manager.prune_stalled_workers(DEAD_AFTER_SECONDS)


async def _free(app: App, job: Job) -> None:
    try:
        await app.job_manager.retry_job(job)
    except UniqueViolation:
        # The same order waits already: one of them is enough.
        await app.job_manager.finish_job(job, Status.SUCCEEDED, delete_job=True)
    except ConnectorException as exc:
        if not isinstance(exc.__cause__, psycopg.errors.RaiseException):
            raise
        logger.info("job %s was freed by another worker", job.id)


async def _database_answers() -> bool:
    with suppress(psycopg.Error, OSError):
        async with await psycopg.AsyncConnection.connect(database.dsn()):
            return True
    return False
