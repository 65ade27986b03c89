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
import copy
import json
import logging
import secrets
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from typing import ClassVar

from asgiref.sync import async_to_sync
from channels.layers import BaseChannelLayer, get_channel_layer
from django.db import connection as django_connection

from amda.wire import NOTIFY, Wire

logger = logging.getLogger(__name__)

RESYNC = {"type": "resync"}

PAYLOAD_LIMIT_BYTES = 8000  # PostgreSQL's own: a payload must be shorter than this
CHANNEL_LIMIT_BYTES = 64  # and so must the name of a notification channel


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
        self._wire: Wire | None = None

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

    def _open_wire(self) -> Wire:
        with self._guard:
            if self._wire is None or not self._wire.is_alive():
                self._wire = Wire(
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
