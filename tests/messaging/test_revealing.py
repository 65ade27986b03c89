"""The number behind a LID is asked for once, and counts as if an event had brought both."""

import pytest
from django.db import connection
from django.utils import timezone

from messaging.models import Conversation, Lead, LeadIdentity, LeadMerge, Message
from tenants import context
from tenants.models import ProviderInstance
from tests import factories
from tests.fakes import wasender
from tests.fakes.serving import Limits, beside
from tests.messaging.test_erasing import run_jobs
from tests.messaging.test_ingest import T0, deliver, drain, received

pytestmark = pytest.mark.django_db

LID, PHONE = "88001122334455@lid", "+221771112233"


@pytest.fixture
def provider(monkeypatch, tenant):
    """A fake of Wasender's servers, at which the tenant's number is a session."""
    state = wasender.State()
    monkeypatch.setattr(wasender, "STATE", state)
    key = factories.secrets_of(tenant)["api_key"]
    state.sessions["instance_1"] = wasender.session(1, api_key=key)
    with beside(state, wasender.answer) as url:
        ProviderInstance.objects.of(tenant).update(
            settings={"api_url": f"{url}/api", "signature": "secret"}
        )
        yield state


def hidden(key="A", at=T0, **key_facts) -> dict:
    """A text of somebody who is known by a LID only."""
    return received(key, f"said {key}", at, remoteJid=LID, cleanedSenderPn="", **key_facts)


def waiting(tenant) -> list[tuple[dict, object]]:
    """The questions that are ordered: their arguments, and when."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT args, scheduled_at FROM public.procrastinate_jobs"
            " WHERE status = 'todo' AND task_name = 'amda.find_phone' AND args->>'tenant' = %s",
            [str(tenant.number)],
        )
        return cursor.fetchall()


def identities() -> dict[str, int]:
    return dict(LeadIdentity.objects.values_list("value", "lead"))


def test_new_sender_behind_a_lid_gets_the_number_beside_it(tenant, other_tenant, provider):
    provider.phones["88001122334455"] = PHONE.removeprefix("+")
    deliver(tenant, hidden("A"))
    deliver(tenant, hidden("B"))
    drain(tenant)
    with context.entered(tenant):
        before = Conversation.objects.get()
        assert before.peer == LID

    assert run_jobs(tenant, "find_phone") == 1

    with context.entered(tenant):
        after = Conversation.objects.get()
        assert (after.pk, after.peer) == (before.pk, PHONE)
        assert identities() == {LID: before.lead_id, PHONE: before.lead_id}
        assert after.messages.count() == 2
    with context.entered(other_tenant):
        assert not LeadIdentity.objects.filter(value__in=[LID, PHONE]).exists()


def test_number_of_a_known_lead_makes_the_two_one(tenant, provider):
    provider.phones["88001122334455"] = PHONE.removeprefix("+")
    with context.entered(tenant):
        known = factories.make_conversation(tenant, name="Binta", phone=PHONE, text="before")
    deliver(tenant, hidden())
    drain(tenant)

    run_jobs(tenant, "find_phone")

    with context.entered(tenant):
        assert identities() == {LID: known.lead_id, PHONE: known.lead_id}
        said = Message.objects.filter(conversation=known, lead=known.lead_id)
        assert set(said.values_list("text", flat=True)) == {"before", "said A"}
        assert LeadMerge.objects.get(undone_at=None).kept_id == known.lead_id
        assert Conversation.objects.filter(folded_into=None).get() == known


def test_two_whom_a_person_keeps_apart_stay_so(tenant, owner, provider):
    provider.phones["88001122334455"] = PHONE.removeprefix("+")
    with context.entered(tenant):
        known = factories.make_conversation(tenant, name="Binta", phone=PHONE)
    deliver(tenant, hidden())
    drain(tenant)
    with context.entered(tenant):
        other = Lead.objects.get(identities__value=LID)
        now = timezone.now()
        LeadMerge.objects.create(kept=known.lead, merged=other, undone_at=now, undone_by=owner)

    run_jobs(tenant, "find_phone")

    with context.entered(tenant):
        assert identities() == {LID: other.pk, PHONE: known.lead_id}
        assert set(Conversation.objects.values_list("peer", flat=True)) == {LID, PHONE}


@pytest.mark.parametrize(
    "body",
    [
        received("A"),
        received("A", remoteJid="120363000000000001@g.us", participant=LID, cleanedSenderPn=""),
        hidden("A", senderPn="221771112233@s.whatsapp.net"),
    ],
    ids=["number", "group", "both"],
)
def test_nothing_is_asked_where_no_number_hides(tenant, body):
    deliver(tenant, body)
    drain(tenant)

    assert waiting(tenant) == []


def test_number_that_stays_hidden_is_asked_for_once(tenant, provider):
    deliver(tenant, hidden("A"))
    drain(tenant)
    run_jobs(tenant, "find_phone")
    deliver(tenant, hidden("B"))
    drain(tenant)

    assert waiting(tenant) == []
    with context.entered(tenant):
        assert list(identities()) == [LID]


def test_number_learned_meanwhile_is_not_asked_for(tenant, provider):
    deliver(tenant, hidden("A"))
    deliver(tenant, hidden("B", senderPn="221771112233@s.whatsapp.net"))
    drain(tenant)
    provider.limits = Limits({"pn-from-lid": 0})

    assert run_jobs(tenant, "find_phone") == 1

    assert waiting(tenant) == []


def test_question_too_many_waits_and_is_given_up_in_the_end(tenant, provider):
    provider.limits = Limits({"pn-from-lid": 0})
    deliver(tenant, hidden())
    drain(tenant)
    waits = []

    while run_jobs(tenant, "find_phone"):
        waits += [round((at - timezone.now()).total_seconds(), -1) for _args, at in waiting(tenant)]

    assert waits == [30, 120, 480, 1920, 7680]
    with context.entered(tenant):
        assert list(identities()) == [LID]


def test_question_that_the_provider_refuses_is_not_repeated(tenant, provider):
    provider.sessions.clear()
    deliver(tenant, hidden())
    drain(tenant)

    assert run_jobs(tenant, "find_phone") == 1

    assert waiting(tenant) == []
