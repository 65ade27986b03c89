"""The group-commit writer: requests that arrive together share one INSERT and one commit.

A request is answered only after its row is committed. The writer owns its task, so that a
request that is cancelled never cancels the commit it shares with others.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg

from amda import crashpoints
from tenants import orders, secrets

logger = logging.getLogger(__name__)

LARGEST_BATCH_ROWS = 200
LARGEST_BATCH_BYTES = 16 * 1024 * 1024
LARGEST_BACKLOG_BYTES = 64 * 1024 * 1024
BELL_SECONDS = 0.05
STATEMENT_SECONDS = 10
# Sealing a larger body in the loop would make every other request wait for it.
SEAL_IN_LOOP_BYTES = 64 * 1024


class StorageAway(Exception):
    """The delivery could not be stored; whoever posted it should come again."""


class Post(ABC):
    """One post on its way into the database.

    Those of one class that arrive together are stored by one `statement`, which takes `columns`.
    """

    statement: str
    body: bytes
    sealed: bytes
    stored: asyncio.Future | None

    @staticmethod
    @abstractmethod
    def columns(batch: Sequence[Any]) -> tuple[list, ...]:
        """A list for each column, in the order of the statement's."""

    @property
    def rings_for(self) -> int | None:
        """The tenant whose inbox is to be read; None where the statement itself orders a job."""
        return None


# Bodies and times go in binary: writing an array of bytes as text costs fifty times as much, and
# the event loop waits for it.
INSERT = """
INSERT INTO public.tenants_webhookdelivery
    (tenant_id, instance_id, provider, route, content_type, body, size, received_at,
     query, post, state, attempts, error)
SELECT *, 'waiting', 0, '' FROM unnest(
    %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[], %b::bytea[], %s::int[],
    %b::timestamptz[], %s::text[], %s::uuid[])
"""


@dataclass
class Arrival(Post):
    """A provider's post for one tenant."""

    statement = INSERT

    tenant_number: int
    instance_id: int | None
    provider: str
    route: str
    content_type: str
    body: bytes
    query: str = ""
    post: UUID | None = None
    received_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    sealed: bytes = b""
    stored: asyncio.Future | None = None

    @staticmethod
    def columns(batch: Sequence["Arrival"]) -> tuple[list, ...]:
        return (
            [arrival.tenant_number for arrival in batch],
            [arrival.instance_id for arrival in batch],
            [arrival.provider for arrival in batch],
            [arrival.route for arrival in batch],
            [arrival.content_type for arrival in batch],
            [arrival.sealed for arrival in batch],
            [len(arrival.body) for arrival in batch],
            [arrival.received_at for arrival in batch],
            [arrival.query for arrival in batch],
            [arrival.post for arrival in batch],
        )

    @property
    def rings_for(self) -> int:
        return self.tenant_number


class Writer:
    """Stores arrivals through one connection of its own, in the event loop that uses it."""

    def __init__(self, dsn: Callable[[], str]) -> None:
        self._dsn = dsn
        self._waiting: deque[Post] = deque()
        self._backlog = 0
        self._something = asyncio.Event()
        self._room = asyncio.Condition()
        self._task: asyncio.Task | None = None
        self._connection: psycopg.AsyncConnection | None = None
        self._bell: psycopg.AsyncConnection | None = None
        self._bell_task: asyncio.Task | None = None
        self._to_ring: set[int] = set()
        self._closing = False

    async def store(self, arrivals: Sequence[Post]) -> None:
        """Return once every arrival is committed; `StorageAway` when that cannot be."""
        futures = [await self._enqueue(arrival) for arrival in arrivals]
        for future in futures:
            await asyncio.shield(future)

    async def close(self) -> None:
        """Commit and answer what is held, then let go of the connection."""
        self._closing = True
        self._something.set()
        if self._task:
            await self._task
        if self._bell_task:
            await self._bell_task
        await self._disconnect()
        await _let_go(self._bell)

    async def _enqueue(self, arrival: Post) -> asyncio.Future:
        async with self._room:
            await self._room.wait_for(lambda: self._backlog < LARGEST_BACKLOG_BYTES)
            self._backlog += len(arrival.body)
        try:
            arrival.sealed = await _sealed(arrival.body)
        except BaseException:
            # Also a request cancelled meanwhile, which nobody will write and take off again.
            await self._make_room([arrival])
            raise
        arrival.stored = asyncio.get_running_loop().create_future()
        # Nobody may be left to hear of a failure; it is logged where it happens.
        arrival.stored.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._waiting.append(arrival)
        self._something.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write_for_ever(), name="intake-writer")
        return arrival.stored

    async def _write_for_ever(self) -> None:
        while self._waiting or not self._closing:
            if not self._waiting:
                self._something.clear()
                await self._something.wait()
                continue
            batch = self._next_batch()
            await self._write(batch)
            await self._make_room(batch)

    async def _make_room(self, arrivals: Sequence[Post]) -> None:
        async with self._room:
            self._backlog -= sum(len(arrival.body) for arrival in arrivals)
            self._room.notify_all()

    def _next_batch(self) -> list[Post]:
        batch: list[Post] = []
        size = 0
        while self._waiting and len(batch) < LARGEST_BATCH_ROWS:
            size += len(self._waiting[0].sealed)
            if batch and size > LARGEST_BATCH_BYTES:
                break
            if batch and type(self._waiting[0]) is not type(batch[0]):
                break
            batch.append(self._waiting.popleft())
        return batch

    async def _write(self, batch: list[Post]) -> None:
        """Store a batch with one commit; row by row when the database refuses it as a whole."""
        try:
            await self._insert(batch)
        except (psycopg.DataError, psycopg.IntegrityError) as exc:
            if len(batch) == 1:
                self._refuse(batch, exc)
                return
            for arrival in batch:
                await self._write([arrival])
            return
        except Exception as exc:
            # Whatever it was: these are told to come again, and the next batch is written.
            await self._disconnect()
            self._refuse(batch, exc)
            return
        crashpoints.reached("after_commit_before_doorbell")
        for arrival in batch:
            if arrival.stored and not arrival.stored.done():
                arrival.stored.set_result(None)
        self._ring({arrival.rings_for for arrival in batch if arrival.rings_for is not None})

    def _refuse(self, batch: list[Post], exc: Exception) -> None:
        logger.error("%d deliveries could not be stored: %s", len(batch), type(exc).__name__)
        for arrival in batch:
            if arrival.stored and not arrival.stored.done():
                arrival.stored.set_exception(StorageAway())

    async def _insert(self, batch: list[Post]) -> None:
        await self._execute(batch[0].statement, batch[0].columns(batch))

    async def _execute(self, statement: str, params: tuple) -> None:
        async with asyncio.timeout(STATEMENT_SECONDS):
            if self._connection is None or self._connection.closed:
                self._connection = await self._connect()
                await self._connection.execute(statement, params)
                return
            try:
                await self._connection.execute(statement, params)
            except psycopg.OperationalError:
                # The connection had died unnoticed. Nothing was committed by it unless the
                # answer got lost on the way: then the delivery is stored twice, and ingest
                # tells it once.
                await self._disconnect()
                self._connection = await self._connect()
                await self._connection.execute(statement, params)

    async def _connect(self) -> psycopg.AsyncConnection:
        return await psycopg.AsyncConnection.connect(
            self._dsn(), autocommit=True, prepare_threshold=1
        )

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        await _let_go(connection)

    def _ring(self, numbers: set[int]) -> None:
        """Ring for these tenants: at once, then at most every 50 ms while more comes in."""
        self._to_ring |= numbers
        if self._bell_task is None or self._bell_task.done():
            self._bell_task = asyncio.create_task(self._keep_ringing(), name="intake-doorbell")

    async def _keep_ringing(self) -> None:
        while self._to_ring:
            numbers, self._to_ring = sorted(self._to_ring), set()
            try:
                await self._ring_for(numbers)
            except (psycopg.Error, OSError) as exc:
                # The sweep rings for whatever has waited a few seconds.
                logger.warning("the doorbell did not ring: %s", type(exc).__name__)
            if not self._closing:
                await asyncio.sleep(BELL_SECONDS)

    async def _ring_for(self, numbers: list[int]) -> None:
        if self._bell is None or self._bell.closed:
            self._bell = await self._connect()
        try:
            await self._bell.execute(orders.RING, (numbers,))
        except psycopg.OperationalError:
            self._bell = await self._connect()
            await self._bell.execute(orders.RING, (numbers,))


async def _sealed(body: bytes) -> bytes:
    if len(body) > SEAL_IN_LOOP_BYTES:
        return await asyncio.to_thread(secrets.seal, body)
    return secrets.seal(body)


async def _let_go(connection: psycopg.AsyncConnection | None) -> None:
    if connection is not None:
        with suppress(psycopg.Error, OSError):
            await connection.close()
