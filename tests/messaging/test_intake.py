"""The group-commit writer on a real database: what it answers is committed, and nothing else."""

import asyncio
from contextlib import suppress

import psycopg
import pytest
from django.db import connection

from amda import database
from tenants import intake, secrets
from tenants.intake import Arrival, StorageAway, Writer
from tenants.models import ProviderInstance, WebhookDelivery

NOWHERE = "host=/nonexistent dbname=amda"


@pytest.fixture
def arrival(committed):
    """Makes arrivals of one tenant: `arrival(body)`; the tenant is `arrival.tenant`."""
    tenant = committed("vendor_intake")
    instance = ProviderInstance.objects.of(tenant).get()

    def make(body: bytes, **facts) -> Arrival:
        given = {
            "tenant_number": tenant.number,
            "instance_id": instance.pk,
            "provider": "wasender",
            "route": "",
            "content_type": "application/json",
            "body": body,
        }
        return Arrival(**{**given, **facts})

    make.tenant = tenant
    return make


def stored(tenant) -> list[bytes]:
    """The bodies that are committed, in the order of their rows."""
    deliveries = WebhookDelivery.objects.of(tenant).order_by("id")
    return [secrets.unseal(body) for body in deliveries.values_list("body", flat=True)]


def commits_of(tenant) -> int:
    """How many transactions stored the tenant's deliveries."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(DISTINCT xmin::text) FROM public.tenants_webhookdelivery"
            " WHERE tenant_id = %s",
            [tenant.number],
        )
        return cursor.fetchone()[0]


def orders_of(tenant) -> int:
    """How many orders to read the tenant's inbox wait."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM public.procrastinate_jobs"
            " WHERE status = 'todo' AND queueing_lock = %s",
            [f"inbox:{tenant.number}"],
        )
        return cursor.fetchone()[0]


def with_writer(scenario, dsn=database.dsn):
    """Run a scenario with a writer that is closed afterwards; what the scenario returned."""

    async def run():
        writer = Writer(dsn)
        try:
            async with asyncio.timeout(30):
                return await scenario(writer)
        finally:
            await writer.close()

    return asyncio.run(run())


async def rung(writer: Writer) -> None:
    """Return once the doorbell rang."""
    while writer._bell_task and not writer._bell_task.done():
        await asyncio.sleep(0.01)


async def outcomes(*storing):
    """What became of each: None where it was stored, else the error."""
    return await asyncio.gather(*storing, return_exceptions=True)


def bodies(count: int) -> list[bytes]:
    return [b"body %d" % number for number in range(count)]


def test_arrivals_of_one_moment_share_a_commit(arrival):
    async def scenario(writer):
        await outcomes(*(writer.store([arrival(body)]) for body in bodies(150)))

    with_writer(scenario)

    assert sorted(stored(arrival.tenant)) == sorted(bodies(150))
    assert commits_of(arrival.tenant) <= 3


def test_answer_comes_after_the_commit(arrival):
    async def scenario(writer):
        await writer.store([arrival(b"one"), arrival(b"two")])
        return await asyncio.to_thread(rows_seen_by_another)

    def rows_seen_by_another() -> int:
        with psycopg.connect(database.dsn()) as other:
            count = "SELECT count(*) FROM public.tenants_webhookdelivery WHERE tenant_id = %s"
            return other.execute(count, [arrival.tenant.number]).fetchone()[0]

    seen = with_writer(scenario)

    assert seen == 2


def test_stored_body_is_encrypted_and_comes_back_byte_for_byte(arrival):
    body = bytes(range(256)) + "\u202eسلام".encode()

    with_writer(lambda writer: writer.store([arrival(body)]))

    row = WebhookDelivery.objects.of(arrival.tenant).get()
    assert body not in bytes(row.body)
    assert secrets.unseal(row.body) == body
    assert row.size == len(body)


def test_refused_batch_is_stored_row_by_row(arrival):
    async def scenario(writer):
        refused = [arrival(b"no such instance", instance_id=2**40), arrival(b"", route="\x00")]
        good = [arrival(body) for body in bodies(5)]
        every = [good[0], refused[0], *good[1:3], refused[1], *good[3:]]
        return await outcomes(*(writer.store([each]) for each in every))

    answers = with_writer(scenario)

    assert [isinstance(each, StorageAway) for each in answers] == [
        False, True, False, False, True, False, False,
    ]  # fmt: skip
    assert stored(arrival.tenant) == bodies(5)


def test_cancelled_request_does_not_cancel_the_commit_it_shares(arrival):
    async def scenario(writer):
        tasks = [asyncio.create_task(writer.store([arrival(body)])) for body in bodies(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        return await outcomes(*tasks)

    answers = with_writer(scenario)

    assert isinstance(answers[1], asyncio.CancelledError)
    assert (answers[0], answers[2]) == (None, None)
    assert set(bodies(3)) - set(stored(arrival.tenant)) <= {b"body 1"}


def test_request_cancelled_once_it_waits_for_the_commit_is_stored_all_the_same(arrival):
    async def scenario(writer):
        task = asyncio.create_task(writer.store([arrival(b"kept")]))
        while not writer._waiting:
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    with_writer(scenario)

    assert stored(arrival.tenant) == [b"kept"]


def test_request_cancelled_while_its_body_is_sealed_leaves_its_room_to_others(arrival, monkeypatch):
    body = b"x" * (intake.SEAL_IN_LOOP_BYTES + 1)
    monkeypatch.setattr(intake, "LARGEST_BACKLOG_BYTES", len(body))

    async def scenario(writer):
        task = asyncio.create_task(writer.store([arrival(body)]))
        await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        async with asyncio.timeout(5):
            await writer.store([arrival(b"the next one")])

    with_writer(scenario)

    assert stored(arrival.tenant)[-1] == b"the next one"


def test_full_backlog_makes_the_next_wait_and_loses_none(arrival, monkeypatch):
    monkeypatch.setattr(intake, "LARGEST_BACKLOG_BYTES", 20)

    async def scenario(writer):
        return await outcomes(*(writer.store([arrival(body)]) for body in bodies(30)))

    answers = with_writer(scenario)

    assert answers == [None] * 30
    assert sorted(stored(arrival.tenant)) == sorted(bodies(30))


def test_missing_database_is_said_and_found_again(arrival):
    where = [NOWHERE]

    async def scenario(writer):
        away = await outcomes(*(writer.store([arrival(body)]) for body in bodies(3)))
        where[0] = database.dsn()
        await writer.store([arrival(b"after")])
        return away

    answers = with_writer(scenario, lambda: where[0])

    assert all(isinstance(answer, StorageAway) for answer in answers)
    assert stored(arrival.tenant) == [b"after"]


def test_connection_that_died_unnoticed_costs_nobody_an_error(arrival):
    async def scenario(writer):
        await writer.store([arrival(b"before")])
        await rung(writer)
        for ended in (writer._connection, writer._bell):
            await asyncio.to_thread(end_backend, ended.info.backend_pid)
        await writer.store([arrival(b"after")])

    def end_backend(pid: int) -> None:
        with psycopg.connect(database.dsn(), autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

    with_writer(scenario)

    assert stored(arrival.tenant) == [b"before", b"after"]


def test_close_commits_and_answers_what_is_held(arrival):
    async def scenario():
        writer = Writer(database.dsn)
        storing = [asyncio.create_task(writer.store([arrival(body)])) for body in bodies(50)]
        await asyncio.sleep(0)
        await writer.close()
        return await outcomes(*storing)

    answers = asyncio.run(scenario())

    assert answers == [None] * 50
    assert sorted(stored(arrival.tenant)) == sorted(bodies(50))
    assert orders_of(arrival.tenant) == 1


def test_closed_writer_without_work_ends_at_once(arrival):
    async def scenario():
        writer = Writer(database.dsn)
        async with asyncio.timeout(5):
            await writer.close()
            await writer.close()

    asyncio.run(scenario())

    assert stored(arrival.tenant) == []


def test_doorbell_leaves_one_order_however_many_posts_come(arrival):
    async def scenario(writer):
        for body in bodies(10):
            await writer.store([arrival(body)])

    with_writer(scenario)

    assert orders_of(arrival.tenant) == 1


def test_doorbell_that_cannot_ring_breaks_no_answer(arrival, monkeypatch, caplog):
    monkeypatch.setattr("tenants.orders.RING", "SELECT no_such_function(%s)")

    with_writer(lambda writer: writer.store([arrival(b"kept")]))

    assert stored(arrival.tenant) == [b"kept"]
    assert "the doorbell did not ring" in caplog.text
