"""Several at once: one alert, no send delayed, nothing lost that a crash swallowed."""

import threading
from concurrent.futures import ThreadPoolExecutor

from django.db import connection
from django.test import Client
from django.utils import timezone

from alerts import evaluate, tasks
from alerts.models import Alert, AlertDay, AlertRule
from messaging import activities, outbox
from messaging.models import Activity, Message
from tenants import context
from tenants.accounts.models import Role, User
from tenants.api import tokens
from tests import factories
from tests.alerts.conftest import MONDAY
from tests.conftest import host_of

POSTS, WORKERS = 30, 2


def test_thirty_posts_and_two_workers_at_once_leave_one_alert(committed):
    tenant = committed("alert_race")
    with context.entered(tenant):
        conversation = factories.make_conversation(tenant, at=timezone.now())
        lead = conversation.lead_id
        messages = list(Message.objects.values_list("pk", flat=True))
        at_once = {"medium": 0, "high": None, "critical": None}
        AlertRule.objects.create(code="CustomerWaiting", thresholds=at_once, in_opening_hours=False)
        access = tokens.pair_for(User.objects.get(role=Role.OWNER))["access"]
    body = {"leadId": lead, "channel": "whatsapp", "direction": "in", "status": "replied"}
    start, posted = threading.Barrier(POSTS + WORKERS), threading.Event()

    def post(number: int) -> int:
        client = Client(headers={"host": host_of(tenant), "authorization": f"Bearer {access}"})
        start.wait(30)
        while True:
            answer = client.post("/api/activities/log", body, content_type="application/json")
            # Thirty are more than there are connections; who does not get one asks again.
            if answer.status_code != 503:
                return answer.status_code

    def work(number: int) -> int:
        rounds = 0
        start.wait(30)
        while not posted.is_set() or not rounds:
            with context.entered(tenant):
                activities.keep(messages)
            tasks.evaluate_leads(tenant.number, [lead])
            tasks.sweep_alerts(tenant.number)
            rounds += 1
        return rounds

    with ThreadPoolExecutor(POSTS + WORKERS) as threads:
        working = [threads.submit(_alone, work, number) for number in range(WORKERS)]
        posting = [threads.submit(_alone, post, number) for number in range(POSTS)]
        answered = [each.result(60) for each in posting]
        posted.set()
        worked = [each.result(60) for each in working]

    assert answered == [200] * POSTS
    assert min(worked) >= 1
    with context.entered(tenant):
        assert Alert.objects.filter(type="CustomerWaiting").count() == 1
        assert AlertDay.objects.get(type="CustomerWaiting").opened == 1
        assert Activity.objects.filter(kind="message").count() == 1
        assert Activity.objects.filter(kind="contact").count() == POSTS


def _alone(act, number: int) -> int:
    """In a thread that gives its connection back."""
    try:
        return act(number)
    finally:
        connection.set_schema_to_public()
        connection.close()


def test_send_goes_out_while_history_and_alerts_are_locked(committed, monkeypatch):
    tenant = committed("alert_locked")
    with context.entered(tenant):
        conversation = factories.make_conversation(tenant)
    locked, release = threading.Event(), threading.Event()

    def hold() -> None:
        with context.entered(tenant), connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute(
                "LOCK TABLE messaging_activity, messaging_standing, alerts_alert"
                " IN ACCESS EXCLUSIVE MODE"
            )
            locked.set()
            release.wait(20)
            cursor.execute("ROLLBACK")
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    assert locked.wait(10)
    try:
        with context.entered(tenant), connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = '5s'")
            message = outbox.queue(conversation, "Bonjour", origin="person")
            cursor.execute("RESET statement_timeout")
    finally:
        release.set()
        holder.join()

    assert message.status == "queued"
    with context.entered(tenant):
        assert activities.keep([message.pk]) == [conversation.lead_id]


def test_order_that_fails_breaks_no_send(inside, monkeypatch, django_capture_on_commit_callbacks):
    def fail(*args, **kwargs):
        raise RuntimeError("no jobs today")

    conversation = factories.make_conversation(inside)
    monkeypatch.setattr(activities, "_order", fail)

    with django_capture_on_commit_callbacks(execute=True):
        message = outbox.queue(conversation, "Bonjour", origin="person")

    assert message.status == "queued"


def test_sweep_writes_down_what_no_job_did(inside):
    factories.make_conversation(inside)
    assert Activity.objects.count() == 0

    evaluate.sweep(inside, now=timezone.now())

    assert Activity.objects.get().heard is True


def test_messages_history_follows_its_status_and_its_words(inside):
    conversation = factories.make_conversation(inside)
    message = factories.make_message(
        conversation, direction="out", origin="person", status="sent", text="Bonjour"
    )
    activities.keep([message.pk])
    Message.objects.filter(pk=message.pk).update(status="failed", text="", deleted_at=MONDAY)
    activities.keep([message.pk])

    line = Activity.objects.get(message=message)
    assert (line.status, line.snippet, line.spoke) == ("failed", "", False)
