"""Who asked for no more messages gets none, whichever way they would leave, until they undo it."""

from datetime import timedelta

import pytest

from messaging import addressing, events, ingest, optouts, outbox
from messaging.models import LeadIdentity, Message, MessageEvent
from messaging.providers.base import SendError
from tenants import context
from tenants.models import ProviderInstance, WebhookDelivery
from tests import factories
from tests.conftest import NOW
from tests.messaging.test_api import Caller
from tests.messaging.test_ingest import deliver
from tests.messaging.test_outbox import drain, provider

PHONE = "+221701111111"
__all__ = ["provider"]


@pytest.fixture
def conversation(inside):
    return factories.make_conversation(inside, phone=PHONE)


def told(tenant, *, opted_out, at=NOW, by_provider=False, phone=PHONE) -> None:
    """A provider tells what somebody wants."""
    delivery = deliver(tenant, b"{}", state=WebhookDelivery.State.DONE)
    event = events.ConsentChanged(
        event_id=f"consent:{delivery.pk}",
        instance_ref="reference",
        at=at,
        person=events.Person(phone=phone),
        opted_out=opted_out,
        by_provider=by_provider,
    )
    batch = ingest.Batch(tenant)
    batch.apply([event], delivery)
    batch.finish()


def identity() -> LeadIdentity:
    return LeadIdentity.objects.get(value=PHONE)


@pytest.mark.parametrize("origin", Message.Origin.values)
def test_opted_out_contact_is_not_written_to_whatever_the_origin(inside, conversation, origin):
    told(inside, opted_out=True)

    with pytest.raises(outbox.Refused) as refused:
        outbox.queue(conversation, "Oui", origin=origin)

    assert refused.value.code == "opted_out"
    assert "START" in str(refused.value.message)
    assert Message.objects.filter(direction="out").count() == 0


def test_opt_out_is_undone_by_the_contact(inside, conversation):
    told(inside, opted_out=True)
    told(inside, opted_out=False, at=NOW + timedelta(minutes=1))

    assert outbox.queue(conversation, "Oui", origin="person").status == "queued"
    assert list(MessageEvent.objects.values_list("kind", "detail").order_by("id")) == [
        ("consent", "opted out"),
        ("consent", "opted in"),
    ]


def test_what_was_said_last_counts_whatever_is_told_first(inside, conversation):
    told(inside, opted_out=False, at=NOW + timedelta(minutes=1))
    told(inside, opted_out=True, at=NOW)

    assert not identity().opted_out


def test_opt_out_of_an_address_nobody_has_changes_nothing(inside, conversation):
    told(inside, opted_out=True, phone="+221709999999")

    assert list(LeadIdentity.objects.values_list("value", "opted_out")) == [(PHONE, False)]


def test_opt_out_at_one_tenant_is_not_one_at_another(inside, conversation, other_tenant):
    told(inside, opted_out=True, phone="+33199000099")

    with context.entered(other_tenant):
        assert not LeadIdentity.objects.get().opted_out


def test_what_was_queued_before_the_opt_out_does_not_leave(inside, conversation, provider):
    message = outbox.queue(conversation, "Promo", origin="campaign")
    told(inside, opted_out=True)

    drain(inside, conversation)

    message.refresh_from_db()
    assert provider.calls == []
    assert (message.status, message.error_code, message.error_blame) == (
        "failed",
        "opted_out",
        "recipient",
    )
    with pytest.raises(outbox.Refused):
        outbox.retry(message)


def test_provider_that_knows_of_an_opt_out_is_believed(inside, conversation, provider):
    message = outbox.queue(conversation, "Oui", origin="person")
    provider.answers = [SendError("21610", "unsubscribed", opted_out=True)]

    drain(inside, conversation)

    message.refresh_from_db()
    assert (message.status, message.error_code) == ("failed", "21610")
    assert (identity().opted_out, identity().consent_changed_by) == (True, "provider")


def test_api_refuses_and_shows_the_opt_out(tenant, agent):
    with context.entered(tenant):
        conversation = factories.make_conversation(tenant, phone=PHONE)
        told(tenant, opted_out=True)
    caller = Caller(tenant, agent)

    refused = caller.post(f"/api/conversations/{conversation.pk}/messages/", {"text": "Oui"})
    started = caller.post("/api/messages/", {"to": PHONE, "text": "Oui"})
    lead = caller.get(f"/api/leads/{conversation.lead_id}/").json()

    for answer in (refused, started):
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "opted_out")
    assert [(each["value"], each["opted_out"]) for each in lead["identities"]] == [(PHONE, True)]


def test_pages_show_the_opt_out_and_refuse(tenant, agent, client_for):
    with context.entered(tenant):
        conversation = factories.make_conversation(tenant, phone=PHONE)
        told(tenant, opted_out=True)
    browser = client_for(tenant, agent)
    browser.cookies["amda_language"] = "en"

    lead = browser.get(f"/leads/{conversation.lead_id}/").content.decode()
    head = browser.get(f"/inbox/{conversation.pk}/head/").content.decode()
    refused = browser.post(f"/inbox/{conversation.pk}/send/", {"text": "Oui"})

    assert "wants no messages, by a message on" in lead
    assert "asked for no more messages at this number" in head
    assert refused.status_code == 422
    assert "asked for no more messages" in refused.content.decode()


def test_email_address_has_a_sentence_of_its_own(inside):
    lead = factories.make_lead()
    address = addressing.Address(addressing.Kind.EMAIL, "awa@example.org")
    LeadIdentity.objects.create(lead=lead, kind=address.kind, value=address.value)

    (changed,) = optouts.change([address], opted_out=True, by=optouts.Source.LINK, at=NOW)

    assert "unsubscribed" in str(optouts.why_refused(changed.kind))
    assert ProviderInstance.objects.of(inside).count() == 1
