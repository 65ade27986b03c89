"""Mails about alerts: each once, to whom it concerns, looked at again right before."""

from datetime import timedelta

import pytest
from django.core import mail

from alerts import adoption, notify
from alerts.models import Alert, Habits
from messaging import followups
from tenants.accounts.models import Role, User
from tests.alerts.conftest import MONDAY, after

pytestmark = pytest.mark.usefixtures("other_tenant")


def test_high_alert_goes_to_the_managers_once_after_a_day(history):
    history.says(MONDAY)
    history.at(after(hours=4))
    Alert.objects.exclude(type="CustomerWaiting").delete()

    early = notify.escalate(history.tenant, now=after(hours=27))
    told = [notify.escalate(history.tenant, now=after(hours=hours)) for hours in (28, 29)]

    assert early == 0
    assert told[0] >= 1
    assert told[1] == 0 or len(mail.outbox) > 2
    managers = set(User.objects.filter(role__in=("owner", "admin")).values_list("email", flat=True))
    assert {each.to[0] for each in mail.outbox[:2]} == managers
    assert "Client en attente" in mail.outbox[0].body
    assert Alert.objects.get(type="CustomerWaiting").escalated_at == after(hours=28)


def test_who_was_answered_a_moment_ago_is_not_escalated(history):
    history.says(MONDAY)
    history.at(after(hours=4))
    history.hears(after(hours=30))

    assert notify.escalate(history.tenant, now=after(hours=31)) == 0
    assert mail.outbox == []


def test_mail_that_did_not_leave_is_due_again(history, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("the mail server is away")

    history.says(MONDAY)
    history.at(after(hours=4))
    with monkeypatch.context() as away:
        away.setattr(notify, "send_mail", refuse)
        notify.escalate(history.tenant, now=after(hours=30))

    notify.escalate(history.tenant, now=after(hours=30))

    assert len(mail.outbox) == 2


def test_digest_comes_once_a_day_from_the_chosen_hour_on(history):
    agent = User.objects.get(role=Role.AGENT)
    Habits.objects.create(user=agent, digest_hour=8)
    followups.plan(
        history.lead, what="Rappeler Awa", due_at=after(hours=2), who=agent, by=None, now=MONDAY
    )
    seven = MONDAY - timedelta(hours=3)

    sent = [
        notify.digests(history.tenant, now=now)
        for now in (seven, MONDAY, after(hours=1), after(days=1))
    ]

    # Ten in Paris is late, but it was due and not yet sent.
    assert sent == [0, 1, 0, 1]
    assert [each.to for each in mail.outbox] == [[agent.email]] * 2
    assert "Rappeler Awa" in mail.outbox[0].body


def test_nobody_hears_that_there_is_nothing(history):
    Habits.objects.create(user=User.objects.get(role=Role.OWNER), digest_hour=0)

    assert notify.digests(history.tenant, now=MONDAY) == 0
    assert mail.outbox == []


def test_owner_hears_on_monday_who_looked(history):
    adoption.seen(User.objects.get(role=Role.AGENT), (MONDAY - timedelta(days=2)).date())

    sent = [notify.weekly_adoption(history.tenant, now=now) for now in
            (MONDAY, after(hours=1), after(days=1), after(days=7))]  # fmt: skip

    assert sent == [True, False, False, True]
    assert {each.to[0] for each in mail.outbox} == {User.objects.get(role=Role.OWNER).email}
    assert "1" in mail.outbox[0].body
