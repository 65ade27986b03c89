"""Deliveries become leads, conversations and messages, each told once."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from messaging import inbox
from messaging.models import Conversation, Lead, LeadIdentity, LeadMerge, Message, MessageEvent
from tenants import context, secrets
from tenants.models import ProviderInstance, WebhookDelivery
from tests import factories

T0 = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def deliver(tenant, body, **facts) -> WebhookDelivery:
    """A stored delivery, as the intake leaves it."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    instance = ProviderInstance.objects.of(tenant).order_by("pk").first()
    delivery = WebhookDelivery(
        tenant=tenant,
        instance=instance,
        provider="wasender",
        body=secrets.seal(raw),
        size=len(raw),
        received_at=timezone.now(),
        **facts,
    )
    delivery.save()
    return delivery


def received(key="3EB0A1", text="Bonjour", at=T0, phone="221701112233", **key_facts):
    """A `messages.received` body with one text."""
    return {
        "event": "messages.received",
        "timestamp": int(at.timestamp()),
        "data": {
            "messages": {
                "key": {
                    "id": key,
                    "fromMe": False,
                    "remoteJid": f"{phone}@s.whatsapp.net",
                    "cleanedSenderPn": phone,
                    **key_facts,
                },
                "pushName": "Awa Diop",
                "messageTimestamp": int(at.timestamp()),
                "messageBody": text,
                "message": {"conversation": text},
            }
        },
    }


def echo(key="3EB0B1", text="Oui", at=T0, phone="221701112233", number=None):
    """A `message.sent` body: what we sent, as the provider shows it."""
    facts = {"id": key, "fromMe": True, "remoteJid": f"{phone}@s.whatsapp.net"}
    if number is not None:
        facts["msgId"] = number
    return {
        "event": "message.sent",
        "timestamp": int(at.timestamp()),
        "data": {"key": facts, "message": {"conversation": text}},
    }


def deleted(key, phone="221701112233"):
    """A `messages.delete` body."""
    return {
        "event": "messages.delete",
        "timestamp": int(T0.timestamp()) + 5,
        "data": {"keys": [{"id": key, "fromMe": False, "remoteJid": f"{phone}@s.whatsapp.net"}]},
    }


def edited(key="A", text="corrected", at=T0 + timedelta(minutes=1), phone="221701112233"):
    """A `messages.received` body that tells an edit of an earlier message."""
    body = received(f"EDIT{at.minute}", text, at, phone)
    body["data"]["messages"]["message"] = {
        "protocolMessage": {
            "type": 14,
            "key": {"id": key, "fromMe": False, "remoteJid": f"{phone}@s.whatsapp.net"},
            "editedMessage": {"conversation": text},
        }
    }
    return body


def update(key, status, at=T0, phone="221701112233"):
    """A `messages.update` body with a status number."""
    return {
        "event": "messages.update",
        "timestamp": int(at.timestamp() * 1000),
        "data": {
            "update": {"status": status},
            "key": {"id": key, "fromMe": True, "remoteJid": f"{phone}@s.whatsapp.net"},
        },
    }


def drain(tenant) -> None:
    """Read the tenant's inbox as the worker does."""
    inbox.drain(tenant.number)


def outgoing(conversation, **facts) -> Message:
    """A message of ours, queued."""
    defaults = {"direction": "out", "origin": "person", "status": "queued", "external_id": ""}
    return factories.make_message(conversation, at=T0, **{**defaults, **facts})


def test_received_message_makes_lead_conversation_and_message(tenant, other_tenant):
    deliver(tenant, received())

    drain(tenant)

    with context.entered(tenant):
        message = Message.objects.get()
        assert (message.text, message.direction, message.sent_at) == ("Bonjour", "in", T0)
        assert message.lead.name == "Awa Diop"
        conversation = message.conversation
        assert conversation.unread_count == 1
        assert conversation.last_message_snippet == "Bonjour"
        assert conversation.last_message_at == T0
        assert [str(each) for each in message.lead.identities.all()] == ["+221701112233"]
    with context.entered(other_tenant):
        assert list(Message.objects.values_list("text", flat=True)) == ["leak me"]


def test_received_message_told_three_times_stays_one(tenant):
    for body in (received(), received(), {**received(), "event": "messages.upsert"}):
        deliver(tenant, body)

    drain(tenant)

    with context.entered(tenant):
        assert Message.objects.count() == 1
        assert Conversation.objects.get().unread_count == 1
    states = WebhookDelivery.objects.of(tenant).values_list("state", flat=True)
    assert set(states) == {"done"}


def test_late_message_is_ordered_by_the_providers_time(tenant):
    deliver(tenant, received("B", "second", T0 + timedelta(minutes=5)))
    deliver(tenant, received("A", "first", T0))

    drain(tenant)

    with context.entered(tenant):
        texts = list(Message.objects.order_by("sent_at", "id").values_list("text", flat=True))
        assert texts == ["first", "second"]
        assert Conversation.objects.get().last_message_snippet == "second"


def test_message_from_the_future_counts_as_arrived_now(tenant):
    deliver(tenant, received(at=timezone.now() + timedelta(days=3)))

    drain(tenant)

    with context.entered(tenant):
        message = Message.objects.get()
        assert message.sent_at == message.received_at


def test_unreadable_delivery_is_kept_and_stops_nobody(tenant):
    bad = deliver(tenant, b"{not json")
    deliver(tenant, received())

    drain(tenant)

    bad.refresh_from_db()
    assert bad.state == WebhookDelivery.State.UNREADABLE
    assert bad.error
    with context.entered(tenant):
        assert Message.objects.count() == 1


def test_failing_delivery_is_tried_again_then_parked_and_can_be_replayed(tenant, monkeypatch):
    delivery = deliver(tenant, received())
    from messaging import ingest

    def explode(*args):
        raise RuntimeError("boom")

    monkeypatch.setattr(ingest.Batch, "_receive", explode)

    for attempt in (1, 2):
        drain(tenant)
        delivery.refresh_from_db()
        assert (delivery.state, delivery.attempts) == ("waiting", attempt)
        assert delivery.not_before > timezone.now()
        WebhookDelivery.objects.of(tenant).update(not_before=None)
    drain(tenant)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts, delivery.error) == ("failed", 3, "RuntimeError")
    monkeypatch.undo()
    assert inbox.replay(WebhookDelivery.objects.of(tenant)) == 1
    drain(tenant)

    with context.entered(tenant):
        assert Message.objects.get().text == "Bonjour"


def test_echo_of_our_message_links_it_instead_of_doubling_it(tenant):
    with context.entered(tenant):
        conversation = factories.make_conversation(tenant, phone="+221701112233", at=T0)
        ours = outgoing(conversation, text="Oui", status="sent", provider_number="100")

    deliver(tenant, echo(number=100))
    drain(tenant)

    with context.entered(tenant):
        ours.refresh_from_db()
        assert ours.external_id == "3EB0B1"
        assert Message.objects.filter(direction="out").count() == 1


def test_echo_corrects_a_message_whose_outcome_was_unknown(tenant):
    with context.entered(tenant):
        conversation = factories.make_conversation(tenant, phone="+221701112233", at=T0)
        ours = outgoing(conversation, text="Oui", status="unknown")

    deliver(tenant, echo())
    deliver(tenant, update("3EB0B1", 3))
    drain(tenant)

    with context.entered(tenant):
        ours.refresh_from_db()
        assert (ours.status, ours.external_id) == ("delivered", "3EB0B1")


def test_message_written_on_the_phone_is_kept_as_such(tenant):
    deliver(tenant, echo(text="Je vous rappelle"))

    drain(tenant)

    with context.entered(tenant):
        message = Message.objects.get()
        assert (message.direction, message.origin, message.status) == ("out", "phone", "sent")
        assert Conversation.objects.get().unread_count == 0


@pytest.mark.parametrize(
    "order", [(2, 3, 4), (4, 3, 2), (3, 2, 4), (4, 2, 3), (2, 4, 3), (3, 4, 2)]
)
def test_status_never_falls_whatever_the_order(tenant, order):
    with context.entered(tenant):
        conversation = factories.make_conversation(tenant, phone="+221701112233", at=T0)
        ours = outgoing(conversation, text="Oui", status="sent", external_id="K1")

    for status in order:
        deliver(tenant, update("K1", status))
    drain(tenant)

    with context.entered(tenant):
        ours.refresh_from_db()
        assert ours.status == "read"


def test_status_before_its_message_is_adopted(tenant):
    with context.entered(tenant):
        conversation = factories.make_conversation(tenant, phone="+221701112233", at=T0)
        ours = outgoing(conversation, text="Oui", status="sent", provider_number="7")

    deliver(tenant, update("3EB0B1", 4))
    deliver(tenant, echo(number=7))
    drain(tenant)

    with context.entered(tenant):
        ours.refresh_from_db()
        assert ours.status == "read"
        assert not MessageEvent.objects.filter(kind="status", message=None).exists()


def test_failure_after_delivery_changes_nothing_and_delivery_overrules_failure(tenant):
    with context.entered(tenant):
        conversation = factories.make_conversation(tenant, phone="+221701112233", at=T0)
        delivered = outgoing(conversation, text="1", status="delivered", external_id="K1")
        failed = outgoing(conversation, text="2", status="failed", external_id="K2")

    deliver(tenant, update("K1", 0))
    deliver(tenant, update("K2", 3))
    drain(tenant)

    with context.entered(tenant):
        delivered.refresh_from_db()
        failed.refresh_from_db()
        assert (delivered.status, failed.status) == ("delivered", "delivered")


def test_event_naming_two_known_leads_merges_them_into_the_one_with_the_phone(tenant):
    with context.entered(tenant):
        with_phone = factories.make_lead("Awa", "+221701112233")
        with_lid = Lead.objects.create(name="LID only")
        LeadIdentity.objects.create(lead=with_lid, kind="lid", value="555@lid")

    deliver(tenant, received(senderLid="555@lid"))
    drain(tenant)

    with context.entered(tenant):
        with_lid.refresh_from_db()
        assert with_lid.merged_into == with_phone
        assert Message.objects.get().lead == with_phone
        record = LeadMerge.objects.get()
        assert (record.kept, record.merged) == (with_phone, with_lid)


def test_sender_known_by_lid_only_gets_a_lead_and_keeps_it_when_the_number_is_told(tenant):
    lid_only = received("A", remoteJid="555@lid", senderLid="555@lid")
    del lid_only["data"]["messages"]["key"]["cleanedSenderPn"]
    deliver(tenant, lid_only)
    deliver(tenant, received("B", senderLid="555@lid"))

    drain(tenant)

    with context.entered(tenant):
        lead = Lead.objects.get()
        assert sorted(lead.identities.values_list("kind", flat=True)) == ["lid", "phone"]
        assert Conversation.objects.get().peer == "+221701112233"


def test_message_of_a_closed_conversation_reopens_it(tenant):
    with context.entered(tenant):
        conversation = factories.make_conversation(tenant, phone="+221701112233", at=T0)
        Conversation.objects.update(state="closed", closed_at=T0)

    deliver(tenant, received())
    drain(tenant)

    with context.entered(tenant):
        conversation.refresh_from_db()
        assert (conversation.state, conversation.closed_at) == ("open", None)


def test_session_status_moves_the_instance_and_an_older_one_does_not(tenant, instance):
    deliver(tenant, _session("connected", T0 + timedelta(minutes=1)))
    deliver(tenant, _session("disconnected", T0))

    drain(tenant)

    instance.refresh_from_db()
    assert instance.state == ProviderInstance.State.CONNECTED


def test_same_state_without_time_is_believed_each_time(tenant, instance):
    for state in ("disconnected", "connected", "disconnected"):
        deliver(tenant, {"event": "session.status", "data": {"status": state}})

    drain(tenant)

    instance.refresh_from_db()
    assert instance.state == ProviderInstance.State.DISCONNECTED


def test_replaced_systems_body_without_id_stays_one_message(tenant):
    body = {"event": "message", "data": {"from": "221701112233", "message": "Test"}}
    deliver(tenant, body)
    deliver(tenant, body)

    drain(tenant)

    with context.entered(tenant):
        assert list(Message.objects.values_list("text", flat=True)) == ["Test"]


def test_odd_text_is_kept_in_a_storable_form(tenant):
    deliver(tenant, received("A", "nul \x00 and \ud800 lone"))
    deliver(tenant, received("B", "\u202etxet LTR"))

    drain(tenant)

    with context.entered(tenant):
        assert Message.objects.count() == 2
        assert "\x00" not in Message.objects.get(external_id="A").text


def test_deleted_message_leaves_a_tombstone(tenant):
    deliver(tenant, received("A", "secret"))
    deliver(tenant, deleted("A"))

    drain(tenant)

    with context.entered(tenant):
        message = Message.objects.get()
        assert (message.text, message.deleted_at is None) == ("", False)
        assert Conversation.objects.get().last_message_snippet == ""


def test_deliveries_of_another_tenant_are_left_alone(tenant, other_tenant):
    deliver(other_tenant, received())

    drain(tenant)

    assert WebhookDelivery.objects.of(other_tenant).get().state == "waiting"


def _session(state, at):
    return {
        "event": "session.status",
        "timestamp": int(at.timestamp()),
        "data": {"status": state, "session_id": "s"},
    }
