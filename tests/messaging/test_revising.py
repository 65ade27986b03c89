"""What the team withdraws or changes: asked of the provider later, applied once it agreed."""

from datetime import timedelta

import pytest
from django.utils import timezone

from messaging import optouts, revising, tasks
from messaging.addressing import Address, Kind
from messaging.models import Conversation, Message
from messaging.providers import get as provider_of
from messaging.providers.base import SendError
from messaging.refusing import Refused
from tenants import context
from tenants.accounts.models import AuditEntry
from tests import factories
from tests.conftest import at
from tests.messaging.files import ordered

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}


@pytest.fixture
def sent(tenant) -> Message:
    """A text that left a minute ago."""
    with context.entered(tenant):
        return sent_in(factories.make_conversation(tenant))


def sent_in(conversation: Conversation, **facts) -> Message:
    known = {
        "direction": "out",
        "origin": "person",
        "status": "delivered",
        "provider_number": "100",
        "text": "Teh blue one",
        "at": timezone.now() - timedelta(minutes=1),
    }
    return factories.make_message(conversation, **{**known, **facts})


@pytest.fixture
def refusals() -> list[SendError]:
    """What the Wasender adapter answers first."""
    return []


@pytest.fixture
def asked(monkeypatch, refusals) -> list:
    """What the Wasender adapter was asked."""
    adapter, calls = provider_of("wasender"), []

    def note(*call):
        calls.append(call)
        if refusals:
            raise refusals.pop(0)

    monkeypatch.setattr(adapter, "delete", lambda known, via: note("delete", known.provider_number))
    monkeypatch.setattr(
        adapter, "edit", lambda known, text, via: note("edit", known.provider_number, text)
    )
    return calls


def work() -> None:
    """Do the waiting jobs, as the worker does."""
    done = 0
    while len(jobs := ordered("revise")) > done:
        for job in jobs[done:]:
            tasks.revise(**job)
        done = len(jobs)


def renewed(tenant, message: Message) -> Message:
    with context.entered(tenant):
        return Message.objects.get(pk=message.pk)


def test_withdrawn_message_goes_everywhere_once_the_provider_agreed(
    client_for, tenant, agent, sent, asked
):
    client = client_for(tenant, agent)

    answer = client.post(f"/messages/{sent.pk}/withdraw/", headers=HTMX)
    waiting = client.get(f"/messages/{sent.pk}/").content.decode()
    work()

    assert answer.status_code == 204
    assert "message-revised" in answer["HX-Trigger"]
    assert "retrait en cours" in waiting
    assert "Teh blue one" in waiting
    assert asked == [("delete", "100")]
    gone = renewed(tenant, sent)
    assert (gone.text, gone.parts, gone.deleted_at is not None) == ("", {}, True)
    assert [job["messages"] for job in ordered("take_out")] == [[sent.external_id]]
    with context.entered(tenant):
        entry = AuditEntry.objects.get()
    assert (entry.act, entry.by_id, entry.after) == ("message.withdrawn", agent.pk, {})


def test_changed_message_has_its_new_words_once_the_provider_agreed(
    client_for, tenant, agent, sent, asked
):
    client = client_for(tenant, agent)

    client.post(f"/messages/{sent.pk}/edit/", {"text": " The blue one "}, headers=HTMX)
    before = renewed(tenant, sent)
    work()

    assert (before.text, before.edited_at) == ("Teh blue one", None)
    assert asked == [("edit", "100", "The blue one")]
    after = renewed(tenant, sent)
    assert (after.text, after.parts, after.edited_at is not None) == ("The blue one", {}, True)


def test_message_asked_for_twice_is_asked_of_the_provider_once(client_for, tenant, agent, sent):
    client = client_for(tenant, agent)

    first, second = (client.post(f"/messages/{sent.pk}/withdraw/", headers=HTMX) for _ in "ab")

    assert (first.status_code, second.status_code) == (204, 200)
    assert "ne peut plus être retiré" in second.content.decode()
    assert len(ordered("revise")) == 1


def test_refusal_is_said_beside_the_message_which_stays(
    client_for, tenant, agent, sent, asked, refusals
):
    refusals.append(SendError("not_found"))
    client = client_for(tenant, agent)

    client.post(f"/messages/{sent.pk}/withdraw/", headers=HTMX)
    work()

    shown = client.get(f"/messages/{sent.pk}/").content.decode()
    assert "Non retiré" in shown
    assert "ne le connaît plus" in shown
    assert renewed(tenant, sent).text == "Teh blue one"
    with context.entered(tenant):
        late = timezone.now() + timedelta(days=2)
        assert revising.refusal(renewed(tenant, sent), late) is None


@pytest.mark.parametrize(("failures", "calls", "is_gone"), [(2, 3, True), (3, 3, False)])
def test_provider_that_does_not_answer_is_asked_again_a_few_times(
    client_for, tenant, agent, sent, asked, refusals, failures, calls, is_gone
):
    refusals += [SendError("timeout", retry=True)] * failures

    client_for(tenant, agent).post(f"/messages/{sent.pk}/withdraw/", headers=HTMX)
    work()

    after = renewed(tenant, sent)
    assert (len(asked), after.deleted_at is not None) == (calls, is_gone)
    assert [after.parts[name]["code"] for name in after.parts] == ([] if is_gone else ["no_answer"])


@pytest.mark.parametrize("refused", [False, True])
def test_what_is_asked_for_during_a_call_is_not_lost(
    client_for, tenant, agent, sent, asked, monkeypatch, refused
):
    def edit(known, text, via):
        """So slow that somebody had the message withdrawn before it answered."""
        with at(timezone.now() + revising.LONGEST_WAIT):
            message = Message.objects.get(pk=sent.pk)
            revising.withdraw(message, by=agent, now=timezone.now())
        if refused:
            raise SendError("not_found")

    monkeypatch.setattr(provider_of("wasender"), "edit", edit)

    client_for(tenant, agent).post(f"/messages/{sent.pk}/edit/", {"text": "New"}, headers=HTMX)
    work()

    assert asked == [("delete", "100")]
    assert renewed(tenant, sent).deleted_at is not None


@pytest.mark.parametrize(
    ("facts", "may_withdraw", "may_edit"),
    [
        ({}, True, True),
        ({"at": timezone.now() - timedelta(hours=1)}, True, False),
        ({"at": timezone.now() - timedelta(days=3)}, False, False),
        ({"direction": "in"}, False, False),
        ({"status": "queued"}, False, False),
        ({"status": "failed"}, False, False),
        ({"provider_number": ""}, False, False),
        ({"external_id": ""}, False, False),
        ({"kind": "image"}, True, False),
        ({"parts": {"template": {"name": "hello"}}}, True, False),
        ({"deleted_at": timezone.now()}, False, False),
    ],
)
def test_what_may_be_changed(inside, facts, may_withdraw, may_edit):
    message = sent_in(factories.make_conversation(inside), **facts)
    now = timezone.now()

    assert revising.may_withdraw(message, now) is may_withdraw
    assert revising.may_edit(message, now) is may_edit


@pytest.mark.parametrize(
    ("provider", "may"), [("greenapi", True), ("whatsapp_cloud", False), ("smtp", False)]
)
def test_only_providers_that_can_are_asked(inside, provider, may):
    message = sent_in(factories.make_conversation(inside))
    message.provider = provider

    assert revising.may_withdraw(message, timezone.now()) is may


def test_contact_who_wants_nothing_gets_no_other_words(inside, agent):
    message = sent_in(factories.make_conversation(inside))
    address = Address(Kind.PHONE, message.peer)
    optouts.change([address], opted_out=True, by=optouts.Source.MESSAGE, at=timezone.now())

    with pytest.raises(Refused) as refused:
        revising.edit(message, "Other words", by=agent, now=timezone.now())

    assert refused.value.code == optouts.CODE
    assert ordered("revise") == []


def test_dialog_offers_what_can_still_be_done(client_for, tenant, agent, sent):
    with context.entered(tenant):
        old = sent_in(sent.conversation, provider_number="", at=timezone.now() - timedelta(days=9))
    client = client_for(tenant, agent)

    fresh = client.get(f"/messages/{sent.pk}/acts/").content.decode()
    stale = client.get(f"/messages/{old.pk}/acts/").content.decode()

    assert [f"/messages/{sent.pk}/{act}/" in fresh for act in ("edit", "withdraw")] == [True, True]
    assert "hx-post" not in stale
    assert "ni retiré" in stale


def test_assistant_and_another_tenant_change_nothing(
    client_for, tenant, assistant, agent, sent, other_tenant
):
    with context.entered(other_tenant):
        theirs = sent_in(Conversation.objects.get(), pk=900_002, text="leak me").pk
    paths = ("acts/", "edit/", "withdraw/")

    mine = client_for(tenant, assistant)
    not_allowed = [mine.post(f"/messages/{sent.pk}/{path}").status_code for path in paths[1:]]
    stranger = client_for(tenant, agent)
    not_there = [stranger.post(f"/messages/{theirs}/{path}").status_code for path in paths[1:]]

    assert (not_allowed, not_there) == ([403, 403], [404, 404])
    assert stranger.get(f"/messages/{theirs}/acts/").status_code == 404
    assert ordered("revise") == []


def test_programs_withdraw_and_change_messages(client_for, tenant, agent, sent, asked):
    client = client_for(tenant, agent)
    address = f"/api/messages/{sent.pk}/"

    changed = client.patch(address, {"text": "The blue one"}, content_type="application/json")
    work()
    withdrawn = client.delete(address)
    work()
    late = client.delete(address)

    assert (changed.status_code, withdrawn.status_code, late.status_code) == (202, 202, 409)
    assert late.json()["error"]["code"] == "too_late"
    assert asked == [("edit", "100", "The blue one"), ("delete", "100")]
    assert renewed(tenant, sent).deleted_at is not None
