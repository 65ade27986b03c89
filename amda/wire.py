"""A process's connections for LISTEN and NOTIFY, which live through any outage of the database."""

import asyncio
import atexit
import concurrent.futures
import logging
import random
import threading
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import sql

logger = logging.getLogger(__name__)

CONNECT_WITHIN_SECONDS = 5
ANSWER_WITHIN_SECONDS = 5
PROBE_EVERY_SECONDS = 5
FIRST_BACKOFF_SECONDS = 0.2
LONGEST_BACKOFF_SECONDS = 5

NOTIFY = "SELECT pg_notify(%s, %s)"

CONNECTION_OPTIONS: dict[str, Any] = {
    "autocommit": True,
    "prepare_threshold": None,
    "application_name": "amda-live",
    "connect_timeout": CONNECT_WITHIN_SECONDS,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


class Wire:
    """A process's connections to PostgreSQL, one that listens and one that publishes.

    They live in a thread and an event loop of their own, so that they outlive any loop of the
    callers, and a busy loop of sockets never makes them look dead. The callbacks run there.
    """

    def __init__(
        self,
        dsn: str | Callable[[], str],
        channel: str,
        *,
        on_listening: Callable[[], None],
        on_payload: Callable[[str], None],
        on_probe: Callable[[], None],
    ):
        self._dsn = dsn
        self._channel = channel
        self._on_listening = on_listening
        self._on_payload = on_payload
        self._on_probe = on_probe
        self._failures = 0
        self._publisher: psycopg.AsyncConnection | None = None
        self._publishing = asyncio.Lock()
        self._starting = threading.Lock()
        self._listening = False
        self._first_attempt: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._stopped = asyncio.Event()
        runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = runner.get_loop()
        self._thread = threading.Thread(
            target=self._run, args=(runner,), name="amda-live", daemon=True
        )
        self._thread.start()
        atexit.register(self.stop)

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    async def listen(self) -> None:
        """Listen from now on. Returns once the first attempt has ended, whichever way.

        So a publish that follows is heard when the database is there, and an outage, which ends in
        a resync anyway, keeps nobody waiting.
        """
        with self._starting:
            if not self._listening:
                self._listening = True
                asyncio.run_coroutine_threadsafe(self._listen_for_ever(), self._loop)
        if not self._first_attempt.done():
            first_attempt = asyncio.wrap_future(self._first_attempt)
            await asyncio.wait({first_attempt}, timeout=CONNECT_WITHIN_SECONDS)

    async def publish(self, payload: str) -> None:
        """Send one notification; returns when the database has taken it."""
        publishing = asyncio.run_coroutine_threadsafe(self._publish(payload), self._loop)
        # A caller that is cancelled leaves alone: the statement it began ends on its own, and the
        # connection stays fit for the next.
        await asyncio.shield(asyncio.wrap_future(publishing))

    def stop(self) -> None:
        """Close the connections and end the thread; used once, and at the end of the process."""
        atexit.unregister(self.stop)
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join(ANSWER_WITHIN_SECONDS)

    def _run(self, runner: asyncio.Runner) -> None:
        with runner:
            runner.run(self._until_stopped())

    async def _until_stopped(self) -> None:
        await self._stopped.wait()
        if self._publisher:
            await self._publisher.close()

    async def _listen_for_ever(self) -> None:
        while True:
            try:
                await self._listen_until_lost()
            except psycopg.Error as error:
                self._failures += 1
                # The first failure of an outage is news; its repetitions are not.
                level = logging.WARNING if self._failures == 1 else logging.DEBUG
                logger.log(level, "live: the listener lost the database: %s", _reason(error))
            except Exception:
                # Whatever it was, a process that stopped listening would be deaf until its restart.
                self._failures += 1
                logger.exception("live: the listener failed")
            self._end_first_attempt()
            await asyncio.sleep(_backoff(self._failures))

    async def _listen_until_lost(self) -> None:
        connection = await self._connect()
        try:
            await _execute(connection, sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
            if self._failures:
                logger.warning("live: listening again after %d failures", self._failures)
            self._failures = 0
            self._on_listening()
            self._end_first_attempt()
            while True:
                async for notification in connection.notifies(timeout=PROBE_EVERY_SECONDS):
                    self._on_payload(notification.payload)
                # A connection whose other end vanished stays silent for ever, unless it is asked.
                await _execute(connection, "SELECT 1")
                self._on_probe()
        finally:
            await connection.close()

    def _end_first_attempt(self) -> None:
        if not self._first_attempt.done():
            self._first_attempt.set_result(None)

    async def _publish(self, payload: str) -> None:
        await self._take_turn()
        try:
            await self._notify(payload)
        finally:
            self._publishing.release()

    async def _take_turn(self) -> None:
        try:
            async with asyncio.timeout(ANSWER_WITHIN_SECONDS):
                await self._publishing.acquire()
        except TimeoutError:
            message = "earlier publishes still wait for the database"
            raise psycopg.OperationalError(message) from None

    async def _notify(self, payload: str) -> None:
        idle = self._publisher
        if idle and not idle.closed:
            try:
                return await _execute(idle, NOTIFY, [self._channel, payload])
            except psycopg.OperationalError:
                # A connection that idled through a restart fails at its next use, although the
                # database is back: that is worth a second try on a new one.
                if not idle.closed:
                    raise
        self._publisher = await self._connect()
        await _execute(self._publisher, NOTIFY, [self._channel, payload])

    async def _connect(self) -> psycopg.AsyncConnection:
        dsn = self._dsn() if callable(self._dsn) else self._dsn
        return await psycopg.AsyncConnection.connect(dsn, **CONNECTION_OPTIONS)


async def _execute(connection: psycopg.AsyncConnection, query, params=None) -> None:
    """Run one statement; a database that stays silent costs the connection: OperationalError."""
    statement = asyncio.ensure_future(connection.execute(query, params))
    await asyncio.wait({statement}, timeout=ANSWER_WITHIN_SECONDS)
    if not statement.done():
        logger.warning("live: no answer from the database in %s seconds", ANSWER_WITHIN_SECONDS)
        # Closing ends the statement at once; cancelling it would first ask the silent database.
        await connection.close()
    await statement


def _reason(error: psycopg.Error) -> str:
    # The words of an operational error are the server's or the socket's. Those of the others may
    # quote the connection string, and with it the password.
    return str(error) if isinstance(error, psycopg.OperationalError) else type(error).__name__


def _backoff(failures: int) -> float:
    """Seconds to wait after so many failures, spread: all processes lost the database together."""
    longest = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** min(failures, 10))
    return random.uniform(longest / 2, longest)  # noqa: S311 (it keeps no secret)
