"""While a number is away another one sends; the conversation stays one."""

from datetime import timedelta

import pytest

from messaging import delivering, linking, outbox, standing_in, states
from messaging.events import Connection, Person, Received
from messaging.ingest import Batch
from messaging.models import Conversation, Message
from messaging.providers import get as provider_of
from messaging.providers.base import InstanceState, SendError, Sent
from tenants import context
from tenants.models import ProviderInstance, WebhookDelivery
from tests import factories
from tests.conftest import NOW, at

GONE = InstanceState(Connection.DISCONNECTED)
UP = InstanceState(Connection.CONNECTED)
PHONE = "+221701111111"
LATER = NOW + timedelta(minutes=2)


@pytest.fixture
def conversation(inside):
    return factories.make_conversation(inside, phone=PHONE, at=NOW)


@pytest.fixture
def sent(monkeypatch) -> list[tuple[int, str]]:
    """What left: by which instance, and the words. The one outgoing call is replaced."""
    left: list[tuple[int, str]] = []

    def send(outgoing, via):
        left.append((via.instance_id, outgoing.text))
        return Sent(external_id=f"{via.instance_id}-{len(left)}")

    for slug in ("wasender", "greenapi", "whatsapp_cloud"):
        monkeypatch.setattr(provider_of(slug), "send", send)
    return left


def another(tenant, own: ProviderInstance, **facts) -> ProviderInstance:
    """The same number at Green-API, unless told otherwise."""
    facts = {"provider": "greenapi", "address": own.address, "reference": "1101"} | facts
    return factories.make_instance(tenant, **facts)


def chosen(tenant, own: ProviderInstance, **facts) -> ProviderInstance:
    """Another number, which the team let stand in."""
    other = another(tenant, own, **{"address": "+221700000888", **facts})
    own.failover = other
    own.save(update_fields=["failover"])
    return other


def goes_away(instance: ProviderInstance, moment=NOW) -> None:
    states.enter(instance, GONE, at=moment)


def drain(*instances: ProviderInstance, moment=LATER) -> None:
    with at(moment):
        for each in instances:
            delivering.drain(each.tenant_id, each.pk)


def hears(instance: ProviderInstance, text: str, moment=LATER, event_id="in-1") -> None:
    """A message of the contact arrives at an instance."""
    event = Received(
        event_id=event_id,
        instance_ref=instance.reference,
        at=moment,
        raw={},
        external_id=event_id,
        person=Person(phone=PHONE),
        text=text,
    )
    delivery = WebhookDelivery(pk=1, instance=instance, received_at=moment)
    batch = Batch(instance.tenant)
    batch.apply([event], delivery)


def test_the_same_number_at_another_provider_sends_at_once(inside, instance, conversation, sent):
    other = another(inside, instance)
    message = outbox.queue(conversation, "Oui", origin="person", now=NOW)
    goes_away(instance)

    drain(instance, other, moment=NOW)

    message.refresh_from_db()
    assert sent == [(other.pk, "Oui")]
    assert (message.instance_id, message.provider, message.status) == (
        other.pk,
        "greenapi",
        "sent",
    )
    assert message.conversation_id == conversation.pk
    assert Conversation.objects.count() == 1


def test_a_different_number_sends_only_where_the_team_chose_it(
    inside, instance, conversation, sent
):
    another(inside, instance, address="+221700000888")
    outbox.queue(conversation, "Oui", origin="person", now=NOW)
    goes_away(instance)

    assert standing_in.hand_over(instance, LATER) == 0


def test_a_chosen_number_sends_after_a_minute_and_is_named(inside, instance, conversation, sent):
    other = chosen(inside, instance)
    message = outbox.queue(conversation, "Oui", origin="person", now=NOW)
    goes_away(instance)

    assert standing_in.hand_over(instance, NOW + timedelta(seconds=59)) == 0
    drain(instance, other)

    message.refresh_from_db()
    assert sent == [(other.pk, "Oui")]
    assert message.parts["stand_in"] == other.address


def test_the_same_number_comes_before_a_chosen_one(inside, instance, conversation, sent):
    chosen(inside, instance, reference="1102")
    same = another(inside, instance)
    goes_away(instance)

    assert standing_in.candidates(instance, LATER)[0] == same


def test_an_answer_to_the_second_number_joins_the_conversation(
    inside, instance, conversation, sent
):
    other = chosen(inside, instance)
    outbox.queue(conversation, "Oui", origin="person", now=NOW)
    goes_away(instance)
    drain(instance, other)

    hears(other, "Merci", LATER + timedelta(minutes=1))

    answer = Message.objects.get(text="Merci")
    assert answer.conversation_id == conversation.pk
    assert (answer.instance_id, answer.parts["stand_in"]) == (other.pk, other.address)
    assert Conversation.objects.count() == 1


def test_who_writes_to_the_second_number_of_themselves_has_a_conversation_of_their_own(
    inside, instance, conversation, sent
):
    other = chosen(inside, instance)

    hears(other, "Bonjour")

    assert Message.objects.get(external_id="in-1").conversation_id != conversation.pk


def test_it_goes_back_by_itself(inside, instance, conversation, sent):
    other = chosen(inside, instance)
    outbox.queue(conversation, "Un", origin="person", now=NOW)
    goes_away(instance)
    drain(instance, other)
    states.enter(instance, UP, at=LATER)

    outbox.queue(conversation, "Deux", origin="person", now=LATER)
    drain(instance, other)

    assert sent == [(other.pk, "Un"), (instance.pk, "Deux")]


def test_the_order_within_a_conversation_is_kept(inside, instance, conversation, sent):
    other = chosen(inside, instance)
    first = outbox.queue(conversation, "Un", origin="person", now=NOW)
    Message.objects.filter(pk=first.pk).update(status="sending", claimed_at=LATER)
    second = outbox.queue(conversation, "Deux", origin="person", now=NOW)
    goes_away(instance)

    drain(instance, other)

    second.refresh_from_db()
    assert (second.instance_id, second.status, sent) == (other.pk, "queued", [])


def test_the_window_is_that_of_the_number_that_sends(inside, instance, conversation, sent):
    official = chosen(inside, instance, provider="whatsapp_cloud", reference="555")
    outbox.queue(conversation, "Oui", origin="person", now=NOW)
    goes_away(instance)

    closed = standing_in.hand_over(instance, LATER)
    hears(official, "Bonjour", LATER)
    opened = standing_in.hand_over(instance, LATER)

    assert (closed, opened) == (0, 1)


def test_an_official_number_that_is_away_lets_another_write_at_any_time(
    inside, instance, monkeypatch, sent
):
    official = another(inside, instance, provider="whatsapp_cloud", address="+221700000777")
    official.failover = instance
    official.save(update_fields=["failover"])
    lead = factories.make_lead(phone="+221702222222")
    silent = factories.open_conversation(
        inside, lead, instance_id=official.pk, provider="whatsapp_cloud", peer="+221702222222"
    )
    with pytest.raises(outbox.Refused):
        outbox.queue(silent, "Oui", origin="person", now=LATER)
    goes_away(official)

    outbox.queue(silent, "Oui", origin="person", now=LATER)
    drain(official, instance)

    assert sent == [(instance.pk, "Oui")]


def test_what_was_perhaps_sent_is_not_given_away(inside, instance, conversation, sent):
    chosen(inside, instance)
    message = outbox.queue(conversation, "Oui", origin="person", now=NOW)
    Message.objects.filter(pk=message.pk).update(status="unknown")
    goes_away(instance)

    assert standing_in.hand_over(instance, LATER) == 0


def test_what_failed_elsewhere_is_retried_by_the_own_number(
    inside, instance, conversation, sent, monkeypatch
):
    other = chosen(inside, instance)
    message = outbox.queue(conversation, "Oui", origin="person", now=NOW)
    goes_away(instance)
    standing_in.hand_over(instance, LATER)
    message.refresh_from_db()
    Message.objects.filter(pk=message.pk).update(status="sending")
    delivering.record_failure(message, SendError("bad_request"), LATER)
    states.enter(instance, UP, at=LATER)

    outbox.retry(message)
    drain(instance, other)

    message.refresh_from_db()
    assert sent == [(instance.pk, "Oui")]
    assert (message.instance_id, message.parts) == (instance.pk, {})


def test_another_tenants_number_never_stands_in(inside, instance, conversation, other_tenant):
    another(other_tenant, instance, reference="foreign")
    goes_away(instance)

    assert standing_in.candidates(instance, LATER) == []


def test_the_owner_chooses_the_number_on_the_page(
    client_for, tenant, owner, instance, other_tenant
):
    second = another(tenant, instance, address="+221700000888")
    foreign = ProviderInstance.objects.of(other_tenant).first()
    client = client_for(tenant, owner)
    path = f"/numbers/{instance.pk}/stand-in/"

    refused = client.post(path, {"stand_in": foreign.pk})
    taken = client.post(path, {"stand_in": second.pk})

    instance.refresh_from_db()
    assert (refused.status_code, taken.status_code) == (404, 302)
    assert instance.failover_id == second.pk
    with context.entered(tenant):
        assert linking.may_stand_in(instance) == [second]
