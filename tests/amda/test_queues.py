"""What waits, what failed, who works: on the admin's page and for staff's programs."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from amda import queues
from tenants import context, orders
from tenants.api import tokens
from tests.conftest import host_of

LIST = "/admin/procrastinate/procrastinatejob/"
API = "/api/admin/queues"


@pytest.fixture(autouse=True)
def _nothing_yet(db):
    cache.clear()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM public.procrastinate_jobs")
        cursor.execute("DELETE FROM public.procrastinate_workers")


@pytest.fixture
def as_staff(staff, client_for):
    client = client_for(None, staff)
    client.cookies["amda_language"] = "en"
    return client


def set_status(status, queue):
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE public.procrastinate_jobs SET status = %s WHERE queue_name = %s",
            [status, queue],
        )


def known_worker(silent_for):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO public.procrastinate_workers (last_heartbeat) VALUES (%s) RETURNING id",
            [timezone.now() - silent_for],
        )
        return cursor.fetchone()[0]


def ordered_ago(minutes):
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE public.procrastinate_events SET at = now() - %s", [timedelta(minutes=minutes)]
        )


def test_state_counts_what_waits_is_late_failed_and_comes_later(tenant):
    orders.ring(tenant.number)
    ordered_ago(3)
    orders.order("drain_outbox", "outbox", tenant=tenant.number, instance=1)
    set_status("failed", "outbox")
    later = timezone.now() + timedelta(hours=1)
    orders.order("forget", "media", at=later, tenant=tenant.number)

    state = queues.state()

    known = {queue.name: queue for queue in state.queues}
    assert (known["inbox"].waiting, known["inbox"].age(state.at) // 60) == (1, 3)
    assert (known["outbox"].waiting, known["outbox"].failed) == (0, 1)
    assert (known["media"].waiting, known["media"].later, known["media"].age(state.at)) == (0, 1, 0)
    assert known["default"] == queues.Queue("default")


def test_state_costs_the_same_for_one_job_and_for_many(tenant):
    orders.ring(tenant.number)
    with CaptureQueriesContext(connection) as few:
        queues.state()
    for _ in range(30):
        orders.order("drain_outbox", "outbox", tenant=tenant.number, instance=1)

    with CaptureQueriesContext(connection) as many:
        queues.state()

    assert len(many) == len(few) == 2


def test_worker_that_is_silent_is_not_alive():
    alive, silent = known_worker(timedelta(seconds=3)), known_worker(timedelta(minutes=2))

    found = {worker.number: worker.is_alive for worker in queues.state().workers}

    assert found == {alive: True, silent: False}


def test_page_warns_where_nobody_works_and_lists_what_failed(tenant, as_staff):
    orders.order("drain_outbox", "outbox", tenant=tenant.number, instance=1)
    set_status("failed", "outbox")

    shown = as_staff.get(LIST).content.decode()

    assert "Nobody works" in shown
    assert f"{LIST}" in as_staff.get("/admin/").content.decode()
    assert "drain_outbox" in shown


def test_failed_job_is_done_again_and_a_waiting_one_is_left(tenant, as_staff):
    orders.ring(tenant.number)
    set_status("failed", "inbox")
    orders.order("drain_outbox", "outbox", tenant=tenant.number, instance=1)
    jobs = _jobs()

    as_staff.post(LIST, {"action": "retry", "_selected_action": [pk for pk, *_rest in jobs]})

    assert sorted((queue, status) for _pk, queue, status in _jobs()) == [
        ("inbox", "todo"),
        ("outbox", "todo"),
    ]


def _jobs():
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, queue_name, status::text FROM public.procrastinate_jobs")
        return cursor.fetchall()


def bearer(user, tenant=None):
    with context.entered(tenant) if tenant else context.entered_public():
        return {"authorization": f"Bearer {tokens.pair_for(user)['access']}"}


def test_api_tells_staff_the_same(tenant, staff, client_for):
    orders.ring(tenant.number)
    number = known_worker(timedelta(seconds=1))

    answer = client_for(None).get(API, headers=bearer(staff))

    told = answer.json()
    assert answer.status_code == 200
    assert told["ok"] is True
    assert [worker["id"] for worker in told["workers"] if worker["alive"]] == [number]
    inbox = next(queue for queue in told["queues"] if queue["name"] == "inbox")
    assert inbox == {
        "name": "inbox",
        "waiting": 1,
        "later": 0,
        "doing": 0,
        "failed": 0,
        "oldest_seconds": 0,
    }


def test_api_of_queues_is_closed_to_everybody_else(tenant, owner, staff, as_staff, client_for):
    from_owner = bearer(owner, tenant)

    assert client_for(None).get(API).status_code == 401
    assert as_staff.get(API).status_code == 401
    assert client_for(None).get(API, headers=from_owner).status_code in {401, 403}
    with_header = {**from_owner, "x-tenant": tenant.slug}
    assert client_for(None).get(API, headers=with_header).status_code == 404
    assert client_for(tenant).get(API, headers=bearer(staff)).status_code in {401, 404}
    assert client_for(tenant, owner).get(API).status_code == 404
    assert host_of(tenant)
