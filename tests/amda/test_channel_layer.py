"""The PostgreSQL fan-out layer against a real server; one layer object stands for one process."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import psutil
import psycopg
import pytest
from asgiref.sync import async_to_sync
from psycopg.conninfo import make_conninfo

from amda import embedded, wire
from amda.channel_layer import PayloadTooLarge, PostgresFanoutLayer

pytestmark = pytest.mark.asyncio

RESYNC = {"type": "resync"}
ROOT = Path(__file__).resolve().parents[2]

# A process of its own, configured as an installation is: it joins a group, says which channel is
# its own, and answers the first message it hears from synchronous code, once for each way a
# transaction can end.
OTHER_PROCESS = """
import asyncio, json, sys
import django
from django.conf import settings

database = json.loads(sys.argv[1])
dsn = sys.argv[2]
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", **database}},
    CHANNEL_LAYERS={
        "default": {
            "BACKEND": "amda.channel_layer.PostgresFanoutLayer",
            "CONFIG": {"dsn": lambda: dsn, "channel": "amda_live", "capacity": 100},
        }
    },
)
django.setup()

from channels.layers import get_channel_layer
from django.db import transaction
from amda.channel_layer import publish_sync

async def hear():
    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add("there", channel)
    print(channel, flush=True)
    return await layer.receive(channel), await layer.receive(channel)

to_group, to_channel = asyncio.run(hear())
publish_sync("here", {"type": "heard", "messages": [to_group, to_channel]})
with transaction.atomic():
    publish_sync("here", {"type": "committed"})
with transaction.atomic():
    publish_sync("here", {"type": "rolled.back"})
    transaction.set_rollback(True)
publish_sync("here", {"type": "last"})
"""


@pytest.fixture(scope="module")
def data_dir():
    path = Path(tempfile.mkdtemp(prefix="amda-live-"))
    path.chmod(0o755)
    embedded.hold(path)
    yield path
    embedded.stop(path)
    shutil.rmtree(path)


@pytest.fixture
def database(data_dir):
    embedded.ensure_up(data_dir)
    return embedded.connection_settings(data_dir)


@pytest.fixture
def dsn(database):
    return make_conninfo(
        host=database["HOST"],
        port=database["PORT"],
        user=database["USER"],
        dbname=database["NAME"],
    )


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(wire, "PROBE_EVERY_SECONDS", 0.2)
    monkeypatch.setattr(wire, "ANSWER_WITHIN_SECONDS", 0.5)


@asynccontextmanager
async def processes(dsn, count=1, **config):
    async with AsyncExitStack() as stack:
        layers = [PostgresFanoutLayer(dsn=dsn, **config) for _ in range(count)]
        for layer in layers:
            stack.push_async_callback(layer.close)
        yield layers if count > 1 else layers[0]


async def member(layer, *groups):
    channel = await layer.new_channel()
    for group in groups:
        await layer.group_add(group, channel)
    return channel


async def heard(layer, channel, count=1):
    async with asyncio.timeout(20):
        messages = [await layer.receive(channel) for _ in range(count)]
    return messages if count > 1 else messages[0]


async def became(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.05)


def lives(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def ask(dsn, query, *params):
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute(query, params).fetchall()


def backends(dsn, doing="%"):
    found = ask(
        dsn,
        "SELECT pid FROM pg_stat_activity"
        " WHERE application_name = 'amda-live' AND query LIKE %s AND pid <> pg_backend_pid()",
        doing,
    )
    return [pid for (pid,) in found]


def listeners(dsn):
    # What a connection last did: the listening one listens, and asks SELECT 1 now and then.
    return backends(dsn, "LISTEN %") + backends(dsn, "SELECT 1")


async def test_group_send_reaches_the_members_of_every_process(dsn):
    async with processes(dsn, 2) as (here, there):
        a, b = await member(here, "t_1"), await member(here, "t_1")
        c = await member(there, "t_1")

        await here.group_send("t_1", {"type": "message", "id": 7})

        assert await heard(here, a) == {"type": "message", "id": 7}
        assert await heard(here, b) == {"type": "message", "id": 7}
        assert await heard(there, c) == {"type": "message", "id": 7}


async def test_group_send_reaches_no_other_group(dsn):
    async with processes(dsn, 2) as (here, there):
        ours, theirs = await member(here, "t_1"), await member(there, "t_2")

        await here.group_send("t_1", {"type": "ours"})
        await here.group_send("t_2", {"type": "theirs"})

        assert await heard(here, ours) == {"type": "ours"}
        assert await heard(there, theirs) == {"type": "theirs"}


async def test_group_discard_stops_the_messages_of_that_group_only(dsn):
    async with processes(dsn) as layer:
        channel = await member(layer, "t_1", "t_1.leads")

        await layer.group_discard("t_1", channel)
        await layer.group_discard("t_1", channel)
        await layer.group_send("t_1", {"type": "left"})
        await layer.group_send("t_1.leads", {"type": "stayed"})

        assert await heard(layer, channel) == {"type": "stayed"}
        assert set(layer.groups) == {"t_1.leads"}


async def test_send_reaches_one_channel_of_any_process(dsn):
    async with processes(dsn, 2) as (here, there):
        near, far, other = await member(here), await member(there), await member(there)

        await here.send(near, {"type": "near"})
        await here.send(far, {"type": "far"})
        await here.send(other, {"type": "other"})

        assert await heard(here, near) == {"type": "near"}
        assert await heard(there, far) == {"type": "far"}
        assert await heard(there, other) == {"type": "other"}


async def test_members_do_not_share_what_they_change(dsn):
    async with processes(dsn) as layer:
        a, b = await member(layer, "t_1"), await member(layer, "t_1")
        await layer.group_send("t_1", {"type": "message", "ids": [1]})

        (await heard(layer, a))["ids"].append(2)

        assert await heard(layer, b) == {"type": "message", "ids": [1]}


async def test_two_operating_system_processes_exchange(dsn, database):
    async with processes(dsn) as layer:
        channel = await member(layer, "here")
        other = await asyncio.create_subprocess_exec(
            sys.executable, "-c", OTHER_PROCESS, json.dumps(database), dsn,
            cwd=ROOT, stdout=subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(20):
            its_channel = (await other.stdout.readline()).decode().strip()

        await layer.group_send("there", {"type": "to.group"})
        await layer.send(its_channel, {"type": "to.channel"})

        assert await heard(layer, channel, 3) == [
            {"type": "heard", "messages": [{"type": "to.group"}, {"type": "to.channel"}]},
            {"type": "committed"},
            {"type": "last"},
        ]
        assert await other.wait() == 0


async def test_a_publish_to_a_thousand_sockets_is_one_notification(dsn):
    async with processes(dsn, 2) as (here, there):
        channels = [await member(there, "t_1") for _ in range(1000)]
        with psycopg.connect(dsn, autocommit=True) as witness:
            witness.execute("LISTEN amda_live")

            await here.group_send("t_1", {"type": "message", "id": 7})
            received = await asyncio.gather(*(heard(there, channel) for channel in channels))

            payloads = [notify.payload for notify in witness.notifies(timeout=0.5)]
        assert received == [{"type": "message", "id": 7}] * 1000
        assert payloads == ['{"group":"t_1","message":{"type":"message","id":7}}']


async def test_a_process_keeps_one_listening_connection(dsn):
    async with processes(dsn) as layer:
        channels = [await member(layer, f"t_{number}") for number in range(20)]

        for channel in channels:
            await layer.send(channel, {"type": "message"})

        assert len(backends(dsn)) == 2  # the listener and the publisher


async def test_worker_threads_publish_through_loops_of_their_own(dsn):
    async with processes(dsn) as layer:
        channel = await member(layer, "t_1")

        def publish(number):
            async_to_sync(layer.group_send)("t_1", {"type": "message", "id": number})

        threads = [threading.Thread(target=publish, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        received = await heard(layer, channel, 8)

        assert sorted(message["id"] for message in received) == list(range(8))


async def test_readers_of_several_event_loops_all_receive(dsn):
    async with processes(dsn) as layer:
        near = await member(layer, "t_1")
        joined = asyncio.Event()
        loop = asyncio.get_running_loop()

        async def read_elsewhere():
            channel = await member(layer, "t_1")
            loop.call_soon_threadsafe(joined.set)
            return await heard(layer, channel)

        elsewhere = asyncio.create_task(asyncio.to_thread(asyncio.run, read_elsewhere()))
        await joined.wait()
        await layer.group_send("t_1", {"type": "message"})

        assert await elsewhere == {"type": "message"}
        assert await heard(layer, near) == {"type": "message"}


async def test_a_loop_that_ended_keeps_nothing_from_the_others(dsn):
    async with processes(dsn) as layer:
        near = await member(layer, "t_1")

        def abandon():
            loop = asyncio.new_event_loop()
            channel = loop.run_until_complete(member(layer, "t_1"))
            reading = loop.create_task(layer.receive(channel))
            loop.run_until_complete(asyncio.sleep(0.01))
            loop.close()
            return reading

        reading = await asyncio.to_thread(abandon)
        await layer.group_send("t_1", {"type": "message"})

        assert await heard(layer, near) == {"type": "message"}
        assert not reading.done()


async def test_a_terminated_listener_comes_back_with_a_resync(dsn):
    async with processes(dsn, 2) as (here, there):
        a, b = await member(there, "t_1", "t_1.leads"), await member(there, "t_2")
        [listener] = listeners(dsn)

        ask(dsn, "SELECT pg_terminate_backend(%s)", listener)
        resyncs = [await heard(there, a), await heard(there, b)]
        await here.group_send("t_1", {"type": "after"})

        assert resyncs == [RESYNC, RESYNC]
        assert await heard(there, a) == {"type": "after"}
        assert listeners(dsn) != [listener]


async def test_a_silent_listener_is_noticed_and_replaced(dsn, impatient):
    async with processes(dsn) as layer:
        channel = await member(layer, "t_1")
        [listener] = listeners(dsn)
        os.kill(listener, signal.SIGSTOP)
        try:
            resync = await heard(layer, channel)
            await layer.group_send("t_1", {"type": "after"})

            assert resync == RESYNC
            assert await heard(layer, channel) == {"type": "after"}
        finally:
            os.kill(listener, signal.SIGCONT)


async def test_a_silent_database_is_noticed_within_fifteen_seconds():
    silence = wire.PROBE_EVERY_SECONDS + wire.ANSWER_WITHIN_SECONDS

    assert silence < 15


async def test_a_silent_publisher_is_replaced(dsn, impatient):
    async with processes(dsn) as layer:
        channel = await member(layer, "t_1")
        await layer.group_send("t_1", {"type": "before"})
        [publisher] = backends(dsn, "SELECT pg_notify%")
        os.kill(publisher, signal.SIGSTOP)
        try:
            await layer.group_send("t_1", {"type": "after"})

            assert await heard(layer, channel, 2) == [{"type": "before"}, {"type": "after"}]
        finally:
            os.kill(publisher, signal.SIGCONT)


async def test_a_killed_server_makes_publishers_fail_and_members_resync(dsn, data_dir):
    async with processes(dsn, 2) as (here, there):
        channel = await member(there, "t_1")
        await here.group_send("t_1", {"type": "before"})
        assert await heard(there, channel) == {"type": "before"}
        [listener] = listeners(dsn)

        server = psutil.Process(listener).parent()
        sessions = server.children()
        server.kill()
        await became(lambda: not any(map(lives, sessions)))
        with pytest.raises(psycopg.OperationalError):
            await here.group_send("t_1", {"type": "lost"})
        late = await member(there, "t_1")
        await asyncio.to_thread(embedded.ensure_up, data_dir)
        resyncs = [await heard(there, channel), await heard(there, late)]
        await here.group_send("t_1", {"type": "after"})

        assert resyncs == [RESYNC, RESYNC]
        assert await heard(there, channel) == {"type": "after"}
        assert await heard(there, late) == {"type": "after"}


async def test_a_publisher_that_idled_through_a_restart_publishes_at_once(dsn, data_dir):
    async with processes(dsn, 2) as (here, there):
        await here.group_send("t_1", {"type": "before"})

        await asyncio.to_thread(embedded.stop, data_dir)
        await asyncio.to_thread(embedded.ensure_up, data_dir)
        channel = await member(there, "t_1")
        await here.group_send("t_1", {"type": "after"})

        assert await heard(there, channel) == {"type": "after"}


async def test_a_socket_that_joins_before_the_database_is_there_is_told_later(dsn, tmp_path):
    places = [f"host={tmp_path}", f"host={tmp_path}", dsn]
    async with processes(lambda: places.pop(0) if len(places) > 1 else dsn) as layer:
        channel = await member(layer, "t_1")

        assert await heard(layer, channel) == RESYNC


async def test_a_full_queue_becomes_one_resync_and_delays_nobody(dsn):
    async with processes(dsn, 2, capacity=5) as (here, there):
        slow, quick = await member(there, "t_1"), await member(there, "t_1")
        for number in range(6):
            await here.group_send("t_1", {"type": "message", "id": number})
            assert await heard(there, quick) == {"type": "message", "id": number}

        await here.group_send("t_1", {"type": "after"})
        await heard(there, quick)

        assert await heard(there, slow, 2) == [RESYNC, {"type": "after"}]


async def test_a_socket_that_never_reads_takes_bounded_memory(dsn):
    async with processes(dsn, 2, channel_capacity={"slow.*": 3}) as (here, there):
        slow = await there.new_channel("slow.")
        await there.group_add("t_1", slow)
        quick = await member(there, "t_1")

        for number in range(50):
            await here.group_send("t_1", {"type": "message", "id": number})
        await heard(there, quick, 50)

        [mailbox] = [box for name, box in there.groups["t_1"].items() if name == slow]
        assert len(mailbox.messages) <= 3


async def test_a_message_must_fit_one_notification(dsn):
    async with processes(dsn) as layer:
        channel = await member(layer, "t_1")
        frame = len('{"group":"t_1","message":{"type":"x","ids":""}}')
        largest = {"type": "x", "ids": "1" * (7999 - frame)}

        await layer.group_send("t_1", largest)
        with pytest.raises(PayloadTooLarge, match="8000 bytes as a notification") as refusal:
            await layer.group_send("t_1", {**largest, "ids": largest["ids"] + "1"})
        with pytest.raises(PayloadTooLarge):
            layer.publish_sync("t_1", {**largest, "ids": "é" * 2000})

        assert await heard(layer, channel) == largest
        assert "1111" not in str(refusal.value)


async def test_notifications_of_others_are_skipped(dsn, caplog):
    async with processes(dsn) as layer:
        channel = await member(layer, "t_1")
        foreign = [
            "",
            "secret",
            "[" * 5000,
            '{"group": ["t_1"], "message": {}}',
            '{"group": "t_1"}',
        ]

        for payload in foreign:
            ask(dsn, "SELECT pg_notify('amda_live', %s)", payload)
        await layer.group_send("t_1", {"type": "ours"})

        assert await heard(layer, channel) == {"type": "ours"}
        assert len(caplog.records) == len(foreign)
        assert "secret" not in caplog.text


async def test_only_the_process_of_a_channel_reads_or_groups_it(dsn):
    async with processes(dsn, 2) as (here, there):
        channel = await member(there)

        with pytest.raises(ValueError, match="Only the process"):
            await here.receive(channel)
        with pytest.raises(ValueError, match="Only the process"):
            await here.group_add("t_1", channel)
        with pytest.raises(ValueError, match="no shared channels"):
            await here.send("tasks", {"type": "message"})
        with pytest.raises(TypeError, match="must be a dict"):
            await here.send(channel, "text")
        with pytest.raises(TypeError, match="Group name"):
            await here.group_send("t 1", {"type": "message"})


async def test_a_channel_nobody_reads_is_forgotten(dsn, impatient):
    async with processes(dsn, expiry=0.3, group_expiry=0.6) as layer:
        live = await member(layer, "t_1")
        reading = asyncio.create_task(layer.receive(live))
        await member(layer, "t_1", "t_2")
        await member(layer)

        await became(lambda: set(layer.groups) == {"t_1"})

        assert list(layer.groups["t_1"]) == [live]
        assert list(layer._mailboxes) == [live]
        await layer.group_send("t_1", {"type": "message"})
        assert await reading == {"type": "message"}


async def test_a_cancelled_receive_loses_no_message(dsn):
    async with processes(dsn) as layer:
        channel = await member(layer, "t_1")

        reading = asyncio.create_task(layer.receive(channel))
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait({reading})
        await layer.group_send("t_1", {"type": "message"})

        assert await heard(layer, channel) == {"type": "message"}


async def test_flush_forgets_groups_and_waiting_messages(dsn):
    async with processes(dsn) as layer:
        flushed, witness = await member(layer, "t_1"), await member(layer)
        await layer.group_send("t_1", {"type": "waiting"})
        await layer.send(witness, {"type": "delivered"})
        await heard(layer, witness)

        await layer.flush()
        await layer.group_send("t_1", {"type": "to.nobody"})
        await layer.send(flushed, {"type": "after"})

        assert await heard(layer, flushed) == {"type": "after"}


async def test_close_gives_the_connections_back_until_the_next_use(dsn):
    async with processes(dsn) as layer:
        channel = await member(layer, "t_1")
        await layer.group_send("t_1", {"type": "before"})
        await heard(layer, channel)

        await layer.close()
        await became(lambda: not backends(dsn))
        again = await member(layer, "t_1")
        await layer.group_send("t_1", {"type": "after"})

        assert await heard(layer, channel, 2) == [RESYNC, {"type": "after"}]
        assert await heard(layer, again) == {"type": "after"}
