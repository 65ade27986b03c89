"""What may leave, in which order, and what a failed send becomes."""

from datetime import timedelta

import pytest
from django.utils import timezone

from messaging import claiming, delivering, outbox
from messaging.models import Conversation, Lead, Message
from messaging.providers import get as provider_of
from messaging.providers.base import Blame, SendError, Sent
from tenants import context, directory
from tenants.limits import LimitReached
from tenants.models import Tenant
from tests import factories


@pytest.fixture
def conversation(inside):
    return factories.make_conversation(inside)


@pytest.fixture
def provider(monkeypatch):
    """The Wasender adapter with its one outgoing call replaced; answers are set by the test."""
    adapter = provider_of("wasender")
    adapter.calls = []
    adapter.answers = []

    def send(outgoing, via):
        adapter.calls.append(outgoing)
        answer = (
            adapter.answers.pop(0)
            if adapter.answers
            else Sent(provider_number=str(len(adapter.calls)))
        )
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(adapter, "send", send)
    return adapter


def drain(tenant, conversation) -> None:
    """Send as the worker does, then read the rows again."""
    delivering.drain(tenant.number, conversation.instance_id)
    conversation.refresh_from_db()


def jobs_waiting() -> list[tuple]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT task_name, args, scheduled_at FROM public.procrastinate_jobs"
            " WHERE status = 'todo' ORDER BY id"
        )
        return cursor.fetchall()


def test_queue_keeps_the_message_and_orders_one_drain(inside, conversation, agent):
    message = outbox.queue(conversation, "  Oui  ", origin="person", by=agent)

    assert (message.text, message.status, message.by) == ("Oui", "queued", agent)
    conversation.refresh_from_db()
    assert conversation.last_message_id == message.pk
    assert conversation.unread_count == 0
    assert [job[0] for job in jobs_waiting()] == ["amda.drain_outbox"]


def test_queue_with_the_same_reference_is_the_same_message(inside, conversation):
    reference = "7b0c1b7e-2f0a-4a53-9d2b-0d8f3b5a9c11"

    first = outbox.queue(conversation, "Oui", origin="person", reference=reference)
    second = outbox.queue(conversation, "Oui", origin="person", reference=reference)

    assert first == second
    assert len(jobs_waiting()) == 1


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "text_empty"),
        (" \n ", "text_empty"),
        ("x" * 20_001, "text_too_long"),
        ("\ud800", "text_invalid"),
    ],
)
def test_queue_refuses_what_cannot_be_sent(inside, conversation, text, code):
    with pytest.raises(outbox.Refused) as refusal:
        outbox.queue(conversation, text, origin="person")

    assert (refusal.value.code, refusal.value.field) == (code, "text")
    assert Message.objects.filter(direction="out").count() == 0


def test_queue_refuses_for_a_suspended_tenant(inside, conversation):
    Tenant.objects.filter(pk=inside.pk).update(state=Tenant.State.SUSPENDED)
    directory.changed()

    with pytest.raises(LimitReached):
        outbox.queue(conversation, "Oui", origin="person")


def test_start_writes_to_a_number_as_people_type_it(inside, other_tenant):
    message = outbox.start("70 111 22 33", "Bonjour", origin="person")

    assert message.conversation.peer == "+221701112233"
    assert [str(each) for each in message.lead.identities.all()] == ["+221701112233"]
    assert outbox.start("+221701112233", "Encore", origin="api").lead == message.lead


def test_start_refuses_what_is_no_address(inside):
    with pytest.raises(outbox.Refused) as refusal:
        outbox.start("abc", "Bonjour", origin="person")

    assert (refusal.value.code, refusal.value.field) == ("recipient_invalid", "to")
    assert Lead.objects.count() == 0


def test_start_asks_which_number_where_there_are_several(inside):
    factories.make_instance(inside, address="+221700000000")

    with pytest.raises(outbox.Refused) as refusal:
        outbox.start("+221701112233", "Bonjour", origin="person")

    assert refusal.value.code == "instance_ambiguous"


def test_start_refuses_an_instance_of_another_tenant(inside, other_tenant):
    from tenants.models import ProviderInstance

    foreign = ProviderInstance.objects.of(other_tenant).get()

    with pytest.raises(outbox.Refused) as refusal:
        outbox.start("+221701112233", "Bonjour", origin="person", instance_id=foreign.pk)

    assert refusal.value.code == "instance_unknown"


def test_drain_sends_in_the_order_of_the_conversation(inside, conversation, provider):
    for text in ("1", "2", "3"):
        outbox.queue(conversation, text, origin="person")

    drain(inside, conversation)

    assert [call.text for call in provider.calls] == ["1", "2", "3"]
    assert provider.calls[0].to == conversation.peer
    statuses = Message.objects.filter(direction="out").values_list("status", flat=True)
    assert set(statuses) == {"sent"}
    assert conversation.last_message_status == "sent"


def test_drain_sends_what_a_person_typed_before_automatic_messages(inside, conversation, provider):
    second = factories.make_conversation(inside, name="Ben", phone="+221701112299")
    outbox.queue(conversation, "bulk", origin="campaign")
    outbox.queue(second, "typed", origin="person")

    drain(inside, conversation)

    assert [call.text for call in provider.calls] == ["typed", "bulk"]


def test_claim_is_not_taken_twice(inside, conversation):
    outbox.queue(conversation, "1", origin="person")
    outbox.queue(conversation, "2", origin="person")
    now = timezone.now()

    first = claiming.claim(conversation.instance_id, now)
    second = claiming.claim(conversation.instance_id, now)

    assert first.text == "1"
    assert second is None


def test_failure_that_may_pass_is_tried_again_later(inside, conversation, provider):
    message = outbox.queue(conversation, "Oui", origin="person")
    provider.answers = [SendError("503", "busy", retry=True)]

    drain(inside, conversation)

    message.refresh_from_db()
    assert (message.status, message.attempts) == ("queued", 1)
    assert message.not_before > timezone.now()
    later = [job for job in jobs_waiting() if job[2] is not None]
    assert len(later) == 1


def test_rate_limit_pauses_the_instance_and_loses_nothing(inside, conversation, provider):
    for text in ("1", "2"):
        outbox.queue(conversation, text, origin="person")
    provider.answers = [SendError("429", "slow down", retry=True, retry_after=30)]

    drain(inside, conversation)

    assert len(provider.calls) == 1
    assert set(Message.objects.filter(direction="out").values_list("status", flat=True)) == {
        "queued"
    }


def test_final_failure_says_code_and_blame(inside, conversation, provider):
    message = outbox.queue(conversation, "Oui", origin="person")
    provider.answers = [SendError("422", "no such number", blame=Blame.RECIPIENT)]

    drain(inside, conversation)

    message.refresh_from_db()
    assert (message.status, message.error_code, message.error_blame) == (
        "failed",
        "422",
        "recipient",
    )
    assert conversation.last_message_status == "failed"
    assert outbox.retry(message).status == "queued"


def test_unknown_outcome_is_never_sent_again(inside, conversation, provider):
    message = outbox.queue(conversation, "Oui", origin="person")
    provider.answers = [SendError("timeout", unknown=True)]

    drain(inside, conversation)
    drain(inside, conversation)

    message.refresh_from_db()
    assert message.status == "unknown"
    assert len(provider.calls) == 1


def test_claim_whose_worker_died_is_shown_as_unknown(inside, conversation, provider):
    message = outbox.queue(conversation, "Oui", origin="person")
    long_ago = timezone.now() - timedelta(seconds=delivering.CLAIM_SECONDS + 1)
    Message.objects.filter(pk=message.pk).update(status="sending", claimed_at=long_ago)

    drain(inside, conversation)

    message.refresh_from_db()
    assert (message.status, message.error_code) == ("unknown", "outcome_unknown")
    assert provider.calls == []


def test_drain_of_another_tenants_instance_sends_nothing(tenant, other_tenant, provider):
    with context.entered(other_tenant):
        conversation = Conversation.objects.get()
        outbox.queue(conversation, "Oui", origin="person")

    with context.entered(tenant):
        delivering.drain(tenant.number, conversation.instance_id)

    assert provider.calls == []
