"""Processes killed in the middle of their work: nothing is lost, nothing is doubled."""

import os
import shutil
import signal
import threading
import time
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psutil
import psycopg
import pytest
from django.db import connection

from amda import embedded
from messaging import delivering, outbox
from messaging.models import Message
from tenants import context, directory
from tenants.models import ProviderInstance, WebhookDelivery
from tests import factories
from tests.environment import own_data_dir
from tests.messaging.test_ingest import echo, received, update
from tests.processes import Poster, Processes, until

pytestmark = pytest.mark.processes

PHONE = "221701112233"
SLUG = "vendor_crash"
SECRET = "secret-of-a-crash"
# From a restart to the next message on the screen.
VISIBLE_SECONDS = 10
State = WebhookDelivery.State
Status = Message.Status


@pytest.fixture
def vendor(committed):
    return committed(SLUG)


@pytest.fixture
def processes(vendor):
    """Everything the test starts; ended before the vendor is removed."""
    with Processes() as started:
        yield started


def poster_of(vendor, web) -> Poster:
    return Poster(web.url, vendor.slug, factories.secrets_of(vendor)["webhook_secret"])


def texts_of(vendor) -> Counter[str]:
    with context.entered(vendor):
        return Counter(Message.objects.values_list("text", flat=True))


def said(count: int, first: int = 0) -> dict[str, dict]:
    """Posts of one lead by their text."""
    start = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    return {
        f"word {number}": received(
            f"3EB0{number:06X}", f"word {number}", start + timedelta(seconds=number), PHONE
        )
        for number in range(first, first + count)
    }


def test_web_killed_between_commit_and_doorbell_loses_and_doubles_nothing(vendor, processes):
    posts = said(20)
    web = processes.web("intake", crash_at="after_commit_before_doorbell")
    processes.worker()

    answers = poster_of(vendor, web).post_all(posts.values(), at_once=20)

    assert answers == [0] * 20
    assert web.ended_by_kill()
    committed_count = WebhookDelivery.objects.of(vendor).count()
    assert committed_count > 0
    # Nobody rang: the sweep finds them.
    until(lambda: texts_of(vendor).total() == committed_count, VISIBLE_SECONDS, "the sweep rings")

    again = poster_of(vendor, processes.web("intake", port=web.port))
    again.post_until_taken([*posts.values(), received("NEXT", "next")])

    until(lambda: texts_of(vendor)["next"], VISIBLE_SECONDS, "the next message")
    until(lambda: len(texts_of(vendor)) == 21, VISIBLE_SECONDS, "all messages")
    assert texts_of(vendor) == Counter([*posts, "next"])


@pytest.mark.parametrize("server", ["uvicorn", "daphne"])
def test_web_killed_at_any_moment_keeps_what_it_answered(vendor, processes, server):
    posts = said(150)
    processes.worker()
    web = processes.web("intake", server=server)
    poster = poster_of(vendor, web)
    answers: dict[str, int] = {}

    with posting(poster, posts, answers):
        until(lambda: WebhookDelivery.objects.of(vendor).count() > 20, 10, "posts come in")
        web.kill()
    taken = [text for text, answer in answers.items() if answer == 200]

    assert set(answers.values()) == {0, 200}
    stored = WebhookDelivery.objects.of(vendor).count()
    assert stored >= len(taken)
    until(lambda: texts_of(vendor).total() == stored, VISIBLE_SECONDS * 2, "what was answered")
    assert Counter(taken) <= texts_of(vendor)

    again = poster_of(vendor, processes.web("intake", server=server, port=web.port))
    again.post_until_taken([*posts.values(), received("NEXT", "next")])

    # The next message may be read in a batch before the last of those that came with it.
    everything = Counter([*posts, "next"])
    until(lambda: texts_of(vendor).total() >= everything.total(), VISIBLE_SECONDS, "all of it")
    assert texts_of(vendor) == everything


@contextmanager
def posting(poster: Poster, posts: dict[str, dict], answers: dict[str, int]):
    """Meanwhile the posts are sent, eight at a time; afterwards `answers` has them all."""

    def post() -> None:
        answers.update(zip(posts, poster.post_all(posts.values(), at_once=8), strict=True))

    thread = threading.Thread(target=post)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def test_worker_killed_inside_a_batch_leaves_it_to_the_next_one(vendor, processes):
    posts = said(30)
    web = processes.web("intake")
    poster = poster_of(vendor, web)
    poster.post_until_taken([*posts.values(), *posts.values()])

    first = processes.worker(crash_at="mid_batch")
    assert first.ended_by_kill()
    half_done = texts_of(vendor)
    processes.worker()
    assert poster.post(received("NEXT", "next")) == 200

    assert half_done == Counter()
    until(lambda: texts_of(vendor)["next"], VISIBLE_SECONDS, "the next message")
    assert texts_of(vendor) == Counter([*posts, "next"])
    with context.entered(vendor):
        conversation = Message.objects.first().conversation
        assert conversation.unread_count == 31
    states = WebhookDelivery.objects.of(vendor).values_list("state", flat=True)
    assert set(states) == {State.DONE}


def test_dead_workers_jobs_that_wait_already_do_not_stop_the_next_worker(vendor, processes):
    with connection.cursor() as cursor:
        for status in ("doing", "doing", "todo"):
            cursor.execute(
                "INSERT INTO public.procrastinate_jobs"
                " (queue_name, task_name, queueing_lock, args, status, scheduled_at)"
                " VALUES ('inbox', 'amda.drain_inbox', %s, %s, %s, now() + interval '1 hour')",
                [f"inbox:{vendor.number}", f'{{"tenant": {vendor.number}}}', status],
            )
    worker = processes.worker()

    until(lambda: count_of_jobs(vendor, "doing") == 0, 20, "the dead workers' jobs are freed")

    assert not worker.has_ended
    assert "the database is away" not in worker.said()


def count_of_jobs(vendor, status: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM public.procrastinate_jobs"
            " WHERE status::text = %s AND args->>'tenant' = %s",
            [status, str(vendor.number)],
        )
        return cursor.fetchone()[0]


@pytest.fixture
def provider(vendor, processes):
    """A provider that the vendor's instance sends through."""
    fake = processes.provider()
    ProviderInstance.objects.of(vendor).update(
        settings={"api_url": fake.api_url, "signature": "secret"}
    )
    directory.changed()
    return fake


def write(vendor, text: str) -> int:
    """What a person of the team does: the id of the queued message."""
    with context.entered(vendor):
        person = f"+{PHONE}"
        return outbox.start(person, text, origin="person").pk


def status_of(vendor, message: int) -> str:
    with context.entered(vendor):
        return Message.objects.get(pk=message).status


def let_time_pass(vendor, message: int) -> None:
    """The message was claimed, and the worker last heard of, longer ago than is forgiven."""
    long_ago = timedelta(seconds=delivering.CLAIM_SECONDS + 60)
    with context.entered(vendor):
        claimed_at = Message.objects.get(pk=message).claimed_at
        Message.objects.filter(pk=message).update(claimed_at=claimed_at - long_ago)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE public.procrastinate_workers SET last_heartbeat = last_heartbeat - %s",
            [long_ago],
        )


def test_worker_killed_after_the_provider_took_it_says_so_and_never_sends_again(
    vendor, processes, provider
):
    message = write(vendor, "Votre commande est prête")
    assert processes.worker(crash_at="after_provider_took_message").ended_by_kill()
    assert status_of(vendor, message) == Status.SENDING
    let_time_pass(vendor, message)
    processes.worker()

    until(lambda: status_of(vendor, message) == Status.UNKNOWN, VISIBLE_SECONDS, "it says so")
    after = write(vendor, "À bientôt")
    until(lambda: status_of(vendor, after) == Status.SENT, VISIBLE_SECONDS, "the next one leaves")

    assert provider.calls() == {
        (f"+{PHONE}", "Votre commande est prête"): 1,
        (f"+{PHONE}", "À bientôt"): 1,
    }
    poster = poster_of(vendor, processes.web("intake"))
    now = datetime.now(UTC)
    posts = [
        update("3EB0C1", 3, now, PHONE),
        echo("3EB0C1", "Votre commande est prête", now, PHONE),
    ]
    assert poster.post_all(posts, at_once=1) == [200, 200]
    until(lambda: status_of(vendor, message) == Status.DELIVERED, VISIBLE_SECONDS, "the truth")
    assert texts_of(vendor) == Counter(["Votre commande est prête", "À bientôt"])
    assert provider.calls().total() == 2


def test_worker_killed_while_the_provider_takes_its_time_calls_it_once(vendor, processes, provider):
    provider.answer_after(60)
    message = write(vendor, "Lentement")
    worker = processes.worker()
    until(lambda: provider.calls().total() == 1, VISIBLE_SECONDS, "the call is on its way")
    worker.kill()
    provider.answer_after(0)
    let_time_pass(vendor, message)
    processes.worker()

    until(lambda: status_of(vendor, message) == Status.UNKNOWN, VISIBLE_SECONDS, "it says so")

    assert provider.calls() == {(f"+{PHONE}", "Lentement"): 1}


class Installation:
    """A whole installation of its own: its database may be killed."""

    def __init__(self, data_dir, processes: Processes) -> None:
        self.data_dir = data_dir
        self.processes = processes

    def prepare(self) -> None:
        # Held until the end, or the first command would stop the server behind it.
        self.processes.start("-c", HOLD, str(self.data_dir))
        self.processes.run("manage.py", "shell", "-v", "0", "-c", PREPARE)

    def kill_database(self) -> None:
        """End the server and all its backends as a power cut would."""
        pid_file = self.data_dir / "postgres" / "data" / "postmaster.pid"
        postmaster = psutil.Process(int(pid_file.read_text().split()[0]))
        family = [postmaster, *postmaster.children(recursive=True)]
        for process in family:
            os.kill(process.pid, signal.SIGKILL)
        psutil.wait_procs(family, timeout=10)

    def restore_database(self) -> None:
        """What the runner does once it sees that the server died."""
        self.processes.run("-c", ENSURE_UP, str(self.data_dir))

    def texts(self) -> Counter[str]:
        return Counter(text for (text,) in self._rows("SELECT text FROM t_1.messaging_message"))

    def deliveries(self) -> int:
        return len(self._rows("SELECT FROM public.tenants_webhookdelivery"))

    def _rows(self, query: str) -> list[tuple]:
        known = embedded.connection_settings(self.data_dir)
        with psycopg.connect(
            host=known["HOST"], port=known["PORT"], dbname=known["NAME"], user=known["USER"]
        ) as direct:
            return direct.execute(query).fetchall()


ENSURE_UP = """
import pathlib, sys
from amda import embedded
embedded.ensure_up(pathlib.Path(sys.argv[1]))
"""
PREPARE = f"""
from django.core.management import call_command
call_command("migrate_schemas", "--shared", verbosity=0)
call_command("createcachetable")
call_command(
    "create_tenant", "{SLUG}", "--name", "Crash", "--owner-email", "owner@crash.test",
    "--owner-password", "correct horse battery staple",
)
call_command(
    "connect_instance", "{SLUG}", "wasender", "--phone", "+221701100001",
    "--set", "api_key=key-crash", "--set", "webhook_secret={SECRET}",
)
"""
HOLD = ENSURE_UP + "import signal; signal.pause()"


@pytest.fixture
def installation():
    data_dir = own_data_dir()
    try:
        with Processes(data_dir) as processes:
            yield Installation(data_dir, processes)
        embedded.stop(data_dir)
    finally:
        shutil.rmtree(data_dir, ignore_errors=True)


def test_database_killed_during_posts_costs_nothing_that_was_answered(installation):
    installation.prepare()
    processes = installation.processes
    processes.worker()
    poster = Poster(processes.web("application").url, SLUG, SECRET)
    posts = said(150)
    answers: dict[str, int] = {}

    with posting(poster, posts, answers):
        until(lambda: installation.deliveries() > 30, 20, "posts come in")
        installation.kill_database()
        installation.restore_database()
        restored_at = time.monotonic()
        poster.post_until_taken([received("NEXT", "next")])
        until(lambda: installation.texts()["next"], VISIBLE_SECONDS, "the next message")
        seconds = time.monotonic() - restored_at
    taken = Counter(text for text, answer in answers.items() if answer == 200)

    assert set(answers.values()) == {200, 503}
    assert seconds < VISIBLE_SECONDS
    until(lambda: taken <= installation.texts(), 20, "what was answered")
    poster.post_until_taken(posts.values())
    until(lambda: len(installation.texts()) == 151, 20, "all messages")
    assert installation.texts() == Counter([*posts, "next"])
