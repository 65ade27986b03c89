"""The default channel layer: groups in the process, fan-out over PostgreSQL's LISTEN/NOTIFY.

A publish is one `pg_notify`, however many sockets listen and wherever they are; every process
hears it on one connection and hands it to its own members. Nothing is stored: what is published
while nobody listens, or while a listener is cut off, is gone. Whoever may have missed something
is told so with `{"type": "resync"}` and fetches again what it shows.

    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "amda.channel_layer.PostgresFanoutLayer",
            "CONFIG": {"dsn": "postgresql://…", "channel": "amda_live", "capacity": 100},
        }
    }

The dsn must lead to PostgreSQL itself or to a pooler in session mode: LISTEN belongs to a session.
"""

import asyncio
import atexit
import concurrent.futures
import copy
import json
import logging
import random
import secrets
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import psycopg
from asgiref.sync import async_to_sync
from channels.layers import BaseChannelLayer, get_channel_layer
from django.db import connection as django_connection
from psycopg import sql

logger = logging.getLogger(__name__)

RESYNC = {"type": "resync"}

PAYLOAD_LIMIT_BYTES = 8000  # PostgreSQL's own: a payload must be shorter than this
CHANNEL_LIMIT_BYTES = 64  # and so must the name of a notification channel

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


class PayloadTooLarge(ValueError):
    """The message does not fit a notification: publish ids, and let the reader fetch the rest."""


def publish_sync(group: str, message: dict) -> None:
    """Publish to a group from synchronous code: a job, or a request's thread after its commit.

    On the PostgreSQL layer this is one statement on Django's own connection and needs no event
    loop. Inside a transaction the message leaves with the commit, is lost with a rollback, and
    equal messages arrive once. Any other configured layer is asked in its own way. Raises what the
    database or the layer raises.
    """
    layer = get_channel_layer()
    if isinstance(layer, PostgresFanoutLayer):
        layer.publish_sync(group, message)
    else:
        async_to_sync(layer.group_send)(group, message)


class PostgresFanoutLayer(BaseChannelLayer):
    """A channel layer whose groups live in the process and whose messages travel by `pg_notify`.

    Messages are small JSON objects (ids, not contents). Every message goes through the database,
    also one for a socket of the same process, so that one path behaves the same everywhere.
    Channels belong to the process that made them with `new_channel`; there are no channels that
    any process may read.

    It may be used from any thread and any number of event loops: a process's database connections
    live in a thread of their own, started at first use.

    `dsn` is a connection string, or a function that returns one and is asked at every connect.
    `capacity` is how many messages may wait for one socket; one more empties its queue and leaves
    it a `resync`. `expiry` and `group_expiry` are for readers that never came back: the seconds
    after which an unread channel, and an unread channel's group memberships, are forgotten.
    """

    extensions: ClassVar = ["groups", "flush"]

    def __init__(
        self,
        dsn: str | Callable[[], str],
        channel: str = "amda_live",
        capacity: int = 100,
        channel_capacity: dict | None = None,
        expiry: float = 60,
        group_expiry: float = 86400,
    ):
        super().__init__(expiry=expiry, capacity=capacity)
        if not 0 < len(channel.encode()) < CHANNEL_LIMIT_BYTES:
            raise ValueError(f"channel must be a name of 1 to {CHANNEL_LIMIT_BYTES - 1} bytes.")
        self.channel_capacity = self.compile_capacities(channel_capacity or {})
        self.group_expiry = group_expiry
        self.dsn = dsn
        self.channel = channel
        self.process = secrets.token_hex(8)
        self.groups: dict[str, dict[str, _Mailbox]] = {}
        self._mailboxes: dict[str, _Mailbox] = {}
        self._guard = threading.Lock()
        self._wire: _Wire | None = None

    async def new_channel(self, prefix: str = "specific.") -> str:
        """A new channel name, readable in this process and addressable from all."""
        await self._listen()
        channel = f"{prefix}{self.process}!{secrets.token_hex(8)}"
        self.require_valid_channel_name(channel)
        with self._guard:
            self._mailbox(channel)
        return channel

    async def send(self, channel: str, message: dict) -> None:
        """Send to one channel of any process.

        Raises psycopg.OperationalError while the database is away.
        """
        self.require_valid_channel_name(channel)
        if "!" not in channel:
            raise ValueError("This layer has no shared channels: send to one of new_channel().")
        await self._open_wire().publish(_payload({"channel": channel, "message": message}))

    async def receive(self, channel: str) -> dict:
        """The next message of a channel of this process; waits for it."""
        self._require_own(channel)
        while True:
            with self._guard:
                mailbox = self._mailbox(channel)
                if mailbox.messages:
                    # The members of a group share one parsed message; a reader may change its own.
                    return copy.deepcopy(mailbox.take())
                reader = mailbox.wait()
            try:
                await reader
            finally:
                with self._guard:
                    mailbox.stop_waiting(reader)

    async def group_add(self, group: str, channel: str) -> None:
        """Let a channel of this process receive what is published to the group from now on."""
        self.require_valid_group_name(group)
        self._require_own(channel)
        await self._listen()
        with self._guard:
            self.groups.setdefault(group, {})[channel] = self._mailbox(channel)

    async def group_discard(self, group: str, channel: str) -> None:
        """Take a channel out of a group; does nothing where it is not a member."""
        self.require_valid_group_name(group)
        self.require_valid_channel_name(channel)
        with self._guard:
            self._leave(group, channel)

    async def group_send(self, group: str, message: dict) -> None:
        """Publish to a group in all processes.

        Raises psycopg.OperationalError while the database is away.
        """
        await self._open_wire().publish(self._group_payload(group, message))

    def publish_sync(self, group: str, message: dict) -> None:
        """Like group_send, through Django's own connection: see the function of this name."""
        payload = self._group_payload(group, message)
        with django_connection.cursor() as cursor:
            cursor.execute(NOTIFY, [self.channel, payload])

    async def flush(self) -> None:
        """Forget every group and every message of this process that waits."""
        with self._guard:
            self.groups.clear()
            for mailbox in self._mailboxes.values():
                mailbox.messages.clear()

    async def close(self) -> None:
        """Give the database connections back. The next use of the layer opens new ones."""
        with self._guard:
            wire, self._wire = self._wire, None
        if wire:
            await asyncio.to_thread(wire.stop)

    def _open_wire(self) -> "_Wire":
        with self._guard:
            if self._wire is None or not self._wire.is_alive():
                self._wire = _Wire(
                    self.dsn,
                    self.channel,
                    on_listening=self._resync_groups,
                    on_payload=self._deliver,
                    on_probe=self._forget_abandoned,
                )
            return self._wire

    async def _listen(self) -> None:
        await self._open_wire().listen()

    def _group_payload(self, group: str, message: dict) -> str:
        self.require_valid_group_name(group)
        return _payload({"group": group, "message": message})

    def _require_own(self, channel: str) -> None:
        self.require_valid_channel_name(channel)
        if not channel.partition("!")[0].endswith(self.process):
            raise ValueError("Only the process that made a channel may read it or group it.")

    def _mailbox(self, channel: str) -> "_Mailbox":
        mailbox = self._mailboxes.get(channel)
        if mailbox is None:
            mailbox = self._mailboxes[channel] = _Mailbox(self.get_capacity(channel))
        return mailbox

    def _leave(self, group: str, channel: str) -> None:
        members = self.groups.get(group, {})
        members.pop(channel, None)
        if not members:
            self.groups.pop(group, None)

    def _deliver(self, payload: str) -> None:
        with self._guard:
            match _parsed(payload):
                case {"group": str(group), "message": dict(message)}:
                    readers = _put(self.groups.get(group, {}).values(), message)
                case {"channel": str(channel), "message": dict(message)}:
                    mailbox = self._mailboxes.get(channel)
                    readers = _put([mailbox] if mailbox else [], message)
                case _:
                    # Anybody with a login can notify. What it says stays out of the log.
                    logger.warning("live: skipped a notification that this layer did not write")
                    return
        _wake(readers)

    def _resync_groups(self) -> None:
        with self._guard:
            members = {mailbox for group in self.groups.values() for mailbox in group.values()}
            readers = _put(members, RESYNC)
        _wake(readers)

    def _forget_abandoned(self) -> None:
        now = time.monotonic()
        with self._guard:
            for group, members in list(self.groups.items()):
                for channel, mailbox in list(members.items()):
                    if mailbox.unread_for(now) > self.group_expiry:
                        self._leave(group, channel)
            joined = {channel for members in self.groups.values() for channel in members}
            for channel, mailbox in list(self._mailboxes.items()):
                if channel not in joined and mailbox.unread_for(now) > self.expiry:
                    del self._mailboxes[channel]


class _Mailbox:
    """What waits for one channel: filled by the wire's thread, emptied in its reader's event loop.

    Not an asyncio.Queue: that is filled through callbacks in the reader's loop, and those pile up
    without bound while the loop is busy. Every use holds the layer's guard.
    """

    __slots__ = ("capacity", "messages", "read_at", "readers")

    def __init__(self, capacity: int):
        self.capacity = capacity
        self.messages: deque[dict] = deque()
        self.readers: set[asyncio.Future] = set()
        self.read_at = time.monotonic()

    def put(self, message: dict) -> set[asyncio.Future]:
        """Keep the message, or a resync in place of everything when full; the readers to wake."""
        if len(self.messages) >= self.capacity:
            self.messages.clear()
            message = RESYNC
        self.messages.append(message)
        readers, self.readers = self.readers, set()
        if readers:
            self.read_at = time.monotonic()
        return readers

    def take(self) -> dict:
        self.read_at = time.monotonic()
        return self.messages.popleft()

    def wait(self) -> asyncio.Future:
        """A future of the running loop that ends when there may be something to take."""
        reader = asyncio.get_running_loop().create_future()
        self.readers.add(reader)
        return reader

    def stop_waiting(self, reader: asyncio.Future) -> None:
        self.readers.discard(reader)
        self.read_at = time.monotonic()

    def unread_for(self, now: float) -> float:
        return 0 if self.readers else now - self.read_at


class _Wire:
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


def _payload(envelope: dict) -> str:
    if not isinstance(envelope["message"], dict):
        raise TypeError("A message must be a dict.")
    payload = json.dumps(envelope, separators=(",", ":"))
    # json.dumps writes ASCII, so characters are bytes.
    if len(payload) >= PAYLOAD_LIMIT_BYTES:
        raise PayloadTooLarge(
            f"The message takes {len(payload)} bytes as a notification, "
            f"and fewer than {PAYLOAD_LIMIT_BYTES} fit: publish ids, not contents."
        )
    return payload


def _parsed(payload: str) -> object:
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return None


def _put(mailboxes: Iterable[_Mailbox], message: dict) -> list[asyncio.Future]:
    return [reader for mailbox in mailboxes for reader in mailbox.put(message)]


def _wake(readers: list[asyncio.Future]) -> None:
    """Wake readers in their own loops, with one call for each loop however many wait there."""
    by_loop = defaultdict(list)
    for reader in readers:
        by_loop[reader.get_loop()].append(reader)
    for loop, its_readers in by_loop.items():
        try:
            loop.call_soon_threadsafe(_finish, its_readers)
        except RuntimeError:
            # Only a closed loop refuses. Its readers are gone; those of the other loops are not.
            logger.debug("live: %d readers left with their event loop", len(its_readers))


def _finish(readers: list[asyncio.Future]) -> None:
    for reader in readers:
        if not reader.done():
            reader.set_result(None)
