"""A number sends as fast as its provider and its team let it; all workers share what is left."""

import os
import subprocess
import sys
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest

from messaging import delivering, outbox, pacing
from messaging.models import Message
from messaging.providers import get as provider_of
from messaging.providers.base import SendError, Sent
from tenants import context, paces
from tenants.models import Pace, ProviderInstance
from tests import factories
from tests.conftest import NOW, at

TODAY = NOW.date()
TOMORROW = datetime(2026, 3, 3, tzinfo=UTC)


@pytest.fixture
def conversation(inside):
    return factories.make_conversation(inside)


@pytest.fixture
def sent(monkeypatch) -> list[str]:
    """The words that left, or the error of the next send. The one outgoing call is replaced."""
    left: list[str] = []
    adapter = provider_of("wasender")
    monkeypatch.setattr(adapter, "answers", [], raising=False)

    def send(outgoing, via):
        if adapter.answers:
            raise adapter.answers.pop(0)
        left.append(outgoing.text)
        return Sent(external_id=f"3EB0{len(left)}")

    monkeypatch.setattr(adapter, "send", send)
    return left


def limited(instance: ProviderInstance, **limits) -> ProviderInstance:
    ProviderInstance.objects.of(instance.tenant_id).filter(pk=instance.pk).update(**limits)
    instance.refresh_from_db()
    return instance


def drain(instance: ProviderInstance, moment: datetime) -> None:
    with at(moment):
        delivering.drain(instance.tenant_id, instance.pk)


def take(instance: ProviderInstance, moment: datetime, **facts) -> paces.Turn:
    speed = paces.Speed(**{"per_minute": 60, "at_once": 10, "per_day": None} | facts)
    return paces.take(
        instance.tenant_id, instance.pk, speed, now=moment, today=TODAY, tomorrow=TOMORROW
    )


def test_bucket_gives_what_it_holds_then_one_after_the_other(tenant, instance):
    given = [take(instance, NOW).is_given for _each in range(12)]
    waits = take(instance, NOW)

    assert given == [True] * 10 + [False] * 2
    assert waits.again_at == NOW + timedelta(seconds=1)
    assert take(instance, NOW + timedelta(seconds=1)).is_given
    assert not take(instance, NOW + timedelta(seconds=1)).is_given


def test_bucket_never_holds_more_than_it_may(tenant, instance):
    later = NOW + timedelta(hours=1)
    take(instance, NOW)

    assert [take(instance, later).is_given for _each in range(11)] == [True] * 10 + [False]


def test_clock_that_goes_back_fills_nothing(tenant, instance):
    for _each in range(10):
        take(instance, NOW)

    assert not take(instance, NOW - timedelta(hours=1)).is_given


def test_day_that_is_used_up_ends_at_midnight(tenant, instance):
    given = [take(instance, NOW, per_day=2) for _each in range(3)]

    assert [each.is_given for each in given] == [True, True, False]
    assert (given[2].again_at, given[2].is_days_end) == (TOMORROW, True)


def test_typed_message_leaves_within_two_intervals_of_five_hundred_waiting(
    inside, instance, conversation, sent
):
    limited(instance, per_minute=6, per_day=100_000)
    leads = [factories.make_lead(phone=f"+22170{place:07d}") for place in range(50)]
    bulk = [factories.open_conversation(inside, lead) for lead in leads]
    Message.objects.bulk_create(
        Message(
            conversation=each,
            lead_id=each.lead_id,
            instance_id=instance.pk,
            provider="wasender",
            medium="whatsapp",
            direction="out",
            origin="campaign",
            text=f"Promo {place}",
            status="queued",
            sent_at=NOW,
            received_at=NOW,
        )
        for place in range(10)
        for each in bulk
    )
    drain(instance, NOW)
    with at(NOW):
        outbox.queue(conversation, "Bonjour, je suis là", origin="person", now=NOW)

    drain(instance, NOW + timedelta(seconds=1))
    too_early = list(sent)
    drain(instance, NOW + timedelta(seconds=20))

    assert "Bonjour, je suis là" not in too_early
    assert sent[len(too_early)] == "Bonjour, je suis là"
    assert len(sent) <= len(too_early) + 2


def test_too_fast_is_no_attempt_and_slows_the_number(inside, instance, conversation, sent):
    adapter = provider_of("wasender")
    adapter.answers = [SendError("rate_limited", retry=True, retry_after=20) for _each in range(6)]
    message = outbox.queue(conversation, "Oui", origin="person", now=NOW)
    moment = NOW

    for _each in range(6):
        drain(instance, moment)
        moment += timedelta(seconds=20)
    message.refresh_from_db()
    waiting = (message.status, message.attempts, sent.copy())
    drain(instance, moment)

    message.refresh_from_db()
    assert waiting == ("queued", 0, [])
    assert (message.status, sent) == ("sent", ["Oui"])
    assert Pace.objects.of(inside).get(pk=instance.pk).slowed == paces.MOST_HALVINGS


def test_nothing_leaves_while_the_provider_wants_peace(inside, instance, conversation, sent):
    provider_of("wasender").answers = [SendError("rate_limited", retry=True, retry_after=60)]
    outbox.queue(conversation, "Un", origin="person", now=NOW)
    drain(instance, NOW)
    other = factories.make_conversation(inside, name="Binta", phone="+221709999999")
    outbox.queue(other, "Deux", origin="person", now=NOW)

    drain(instance, NOW + timedelta(seconds=59))

    assert sent == []
    drain(instance, NOW + timedelta(seconds=61))
    drain(instance, NOW + timedelta(seconds=120))
    assert sorted(sent) == ["Deux", "Un"]


def test_day_that_is_used_up_refuses_at_the_door(inside, instance, conversation, sent):
    limited(instance, per_day=2)
    outbox.queue(conversation, "Un", origin="person", now=NOW)
    drain(instance, NOW)
    outbox.queue(conversation, "Deux", origin="person", now=NOW)

    with pytest.raises(outbox.Refused) as refused:
        outbox.queue(conversation, "Trois", origin="person", now=NOW)

    assert (refused.value.code, refused.value.facts["limit"]) == ("daily_limit", 2)
    assert refused.value.facts["reset_at"] > NOW
    outbox.queue(conversation, "Quatre", origin="person", now=NOW + timedelta(days=2))


def test_limits_by_medium_and_number(client_for, tenant, owner, instance, other_tenant):
    limited(instance, per_day=1000)
    foreign = ProviderInstance.objects.of(other_tenant).first()
    with context.entered(tenant):
        conversation = factories.make_conversation(tenant)
        outbox.queue(conversation, "Un", origin="person")
    client = client_for(tenant, owner)

    told = client.get("/api/rate-limits").json()

    assert {"remaining": 999, "limit": 1000}.items() <= told["whatsapp_send"].items()
    assert told["whatsapp_send"]["reset_at"]
    assert told["whatsapp_download"] == {"remaining": None, "limit": None, "reset_at": None}
    assert [each["instance"] for each in told["instances"]] == [instance.pk]
    assert foreign.pk not in [each["instance"] for each in told["instances"]]


def test_owner_sets_the_pace_on_the_page(client_for, tenant, owner, agent, instance):
    path = f"/numbers/{instance.pk}/pace/"

    refused = client_for(tenant, agent).post(path, {"per_minute": "6", "per_day": "50"})
    wrong = client_for(tenant, owner).post(path, {"per_minute": "0", "per_day": ""})
    taken = client_for(tenant, owner).post(path, {"per_minute": "6", "per_day": "50"})

    instance.refresh_from_db()
    assert (refused.status_code, wrong.status_code, taken.status_code) == (403, 409, 302)
    assert (instance.per_minute, instance.per_day) == (6, 50)
    page = client_for(tenant, owner).get("/numbers/").content.decode()
    assert 'class="meter-used"' in page


def test_three_processes_together_never_send_more_than_the_bucket_gives(committed):
    instance = ProviderInstance.objects.of(committed("vendor_paced")).get()
    command = [sys.executable, "-m", "tests.taking", str(instance.tenant_id), str(instance.pk)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "amda.settings"}

    with ExitStack() as all_end:
        workers = [
            all_end.enter_context(subprocess.Popen(command, env=environment, **pipes))
            for _each in range(3)
        ]
        ready = [each.stdout.readline() for each in workers]
        for each in workers:
            each.stdin.close()
        given = [int(each.stdout.read()) for each in workers]

    # Ten at once, then one in each of the twenty seconds.
    assert (ready, sum(given)) == (["ready\n"] * 3, 30), given
    assert Pace.objects.of(instance.tenant_id).get(pk=instance.pk).sent == 30


def test_what_nobody_limits_is_not_counted(inside):
    mail = factories.make_instance(
        inside, provider="smtp", address="shop@example.org", reference="shop@example.org"
    )

    assert pacing.allowed(mail, NOW).remaining is None
    with at(NOW):
        assert all(pacing.turn(mail, NOW).is_given for _each in range(500))
