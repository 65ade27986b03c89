"""Several at once: one alert, no send delayed, nothing lost that a crash swallowed."""

import threading
from datetime import timedelta

from django.db import close_old_connections, connection
from django.utils import timezone

from alerts import evaluate, resolving, tasks
from alerts.models import Alert, AlertDay, DurationDay
from messaging import activities, outbox
from messaging.models import Activity, Lead, Message
from tenants import context
from tests import factories
from tests.alerts.conftest import MONDAY, after


def test_thirty_evaluations_and_sweeps_at_once_leave_one_alert(committed):
    tenant = committed("alert_race")
    with context.entered(tenant):
        conversation = factories.make_conversation(tenant)
        Lead.objects.update(created_at=timezone.now() - timedelta(days=20))
        lead = conversation.lead_id
        messages = list(Message.objects.values_list("pk", flat=True))
    problems = []

    def run(number: int) -> None:
        try:
            with context.entered(tenant):
                activities.keep(messages)
            if number % 3:
                tasks.evaluate_leads(tenant.number, [lead])
            else:
                tasks.sweep_alerts(tenant.number)
        except Exception as exc:
            problems.append(exc)
        finally:
            connection.set_schema_to_public()
            close_old_connections()
            connection.close()

    workers = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert problems == []
    with context.entered(tenant):
        found = Alert.objects.filter(type="CustomerWaiting")
        assert found.count() == 1
        assert AlertDay.objects.get(type="CustomerWaiting").opened == 1
        assert Activity.objects.filter(kind="message").count() == 1


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


def test_figures_equal_a_count_over_the_same_history(history):
    for day in range(5):
        history.says(after(days=day))
        history.at(after(days=day, hours=1))
        if day % 2:
            alert = Alert.objects.filter(type="CustomerWaiting", resolved_at=None).first()
            resolving.resolve(alert, by=None, now=after(days=day, hours=2))
        history.hears(after(days=day, hours=3))
        history.at(after(days=day, hours=3))
    opened = sum(AlertDay.objects.values_list("opened", flat=True))
    by_hand = sum(AlertDay.objects.values_list("by_hand", flat=True))
    by_itself = sum(AlertDay.objects.values_list("by_itself", flat=True))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), count(*) FILTER (WHERE resolution = 'hand'),"
            " count(*) FILTER (WHERE resolution = 'itself'), percentile_disc(0.5) WITHIN GROUP"
            " (ORDER BY floor(extract(epoch FROM resolved_at - opened_at) / 60))"
            " FILTER (WHERE resolved_at IS NOT NULL) FROM alerts_alert"
        )
        counted = cursor.fetchone()

    from alerts import figures

    median = figures.median(DurationDay.What.RESOLVED, after(days=6).date())
    assert (opened, by_hand, by_itself, median) == counted
    # Written to on Monday morning, answered three hours later.
    assert figures.median(DurationDay.What.ANSWERED, MONDAY.date()) == 180
