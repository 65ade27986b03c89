"""Contacts see that what they wrote was read: once, later, and only where that is wanted."""

import pytest

from messaging import conversing, optouts, receipts, tasks
from messaging.addressing import Address, Kind
from messaging.models import Conversation, Message
from messaging.providers import get as provider_of
from messaging.providers.base import SendError
from tenants import context, settling
from tenants.accounts.models import AuditEntry
from tenants.models import ProviderInstance, Tenant
from tests import factories
from tests.conftest import NOW
from tests.messaging.files import ordered

pytestmark = pytest.mark.django_db


@pytest.fixture
def conversation(inside) -> Conversation:
    return factories.make_conversation(inside)


@pytest.fixture
def told(monkeypatch) -> list:
    """What the Wasender adapter was asked to show as read."""
    asked: list = []

    def mark_read(known, via):
        asked.append((known.external_id, known.chat))

    monkeypatch.setattr(provider_of("wasender"), "mark_read", mark_read)
    return asked


def read(conversation) -> list[dict]:
    """Somebody reads the conversation, and the worker does what that ordered."""
    conversing.mark_read(conversation)
    jobs = ordered("show_read")
    for job in jobs:
        receipts.show(job["message"], job["attempt"])
    return jobs


def test_reading_tells_of_the_newest_message_once(inside, conversation, told):
    newest = factories.make_message(conversation, at=NOW.replace(hour=10))
    factories.make_message(conversation, at=NOW.replace(hour=11), direction="out")

    jobs = read(conversation)
    conversing.mark_read(conversation)

    assert jobs == [{"tenant": inside.number, "message": newest.pk, "attempt": 1}]
    assert ordered("show_read") == jobs
    assert told == [(newest.external_id, conversation.peer)]


def test_job_enters_its_own_tenant(tenant, other_tenant, told):
    with context.entered(tenant):
        mine = factories.make_conversation(tenant).messages.get()
    with context.entered(other_tenant):
        Message.objects.update(external_id="leak-me")

    tasks.show_read(tenant.number, mine.pk, 1)

    assert told == [(mine.external_id, mine.peer)]


def test_looking_at_a_conversation_calls_nobody_while_one_waits(client_for, tenant, agent, told):
    with context.entered(tenant):
        conversation = factories.make_conversation(tenant)

    client_for(tenant, agent).post(f"/inbox/{conversation.pk}/read/")

    assert told == []
    assert len(ordered("show_read")) == 1


@pytest.mark.parametrize(
    "facts", [{"is_group": True}, {"provider": "unipile"}, {"provider": "twilio"}]
)
def test_group_or_provider_without_receipts_orders_nothing(inside, conversation, facts):
    Conversation.objects.filter(pk=conversation.pk).update(**facts)
    conversation.refresh_from_db()

    conversing.mark_read(conversation)

    assert ordered("show_read") == []


def test_tenant_that_does_not_want_it_tells_nobody(inside, conversation, owner, told):
    settling.change(inside.number, {"shows_read": False}, by=owner)

    assert read(conversation) == []
    receipts.show(conversation.messages.get().pk, 1)

    assert told == []
    assert AuditEntry.objects.get().after == {"shows_read": False}


def test_contact_who_wants_nothing_is_not_told(inside, conversation, told):
    address = Address(Kind.PHONE, conversation.peer)
    optouts.change([address], opted_out=True, by=optouts.Source.MESSAGE, at=NOW)

    assert len(read(conversation)) == 1
    assert told == []


@pytest.mark.parametrize("state", ["disconnected", "pending"])
def test_number_that_is_away_tells_nobody(inside, conversation, instance, told, state):
    ProviderInstance.objects.of(inside).filter(pk=instance.pk).update(state=state)

    read(conversation)

    assert told == []


def test_suspended_tenant_tells_nobody(inside, conversation, told):
    Tenant.objects.filter(pk=inside.pk).update(state=Tenant.State.SUSPENDED)

    read(conversation)

    assert told == []


def test_withdrawn_message_is_not_told_of(inside, conversation, told):
    conversation.messages.update(deleted_at=NOW)

    read(conversation)

    assert told == []


@pytest.mark.parametrize(("retry", "tries"), [(True, receipts.TRIES), (False, 1)])
def test_failure_is_tried_a_few_times_and_dropped(
    inside, conversation, monkeypatch, caplog, retry, tries
):
    caplog.set_level("INFO")

    def refuse(known, via):
        raise SendError("server_error", retry=retry)

    monkeypatch.setattr(provider_of("wasender"), "mark_read", refuse)

    conversing.mark_read(conversation)
    for attempt in range(5):
        jobs = ordered("show_read")
        if attempt < len(jobs):
            receipts.show(jobs[attempt]["message"], jobs[attempt]["attempt"])

    assert [job["attempt"] for job in ordered("show_read")] == [*range(1, tries + 1)]
    assert caplog.text.count("is not shown as read: server_error") == tries
