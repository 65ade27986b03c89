"""What was missed during a gap is read from the provider's journal, and told once."""

import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command

from messaging import inbox, reconciling, tasks
from messaging.models import Message, MessageEvent
from messaging.providers import get as provider_of
from messaging.providers.base import SendError
from tenants import context
from tenants.models import ProviderInstance, WebhookDelivery
from tests import factories
from tests.conftest import NOW, at
from tests.messaging.files import ordered
from tests.messaging.test_outbox import jobs_waiting

T0 = 1760000000


def line(message_id="G1", text="Bonjour", **more) -> dict:
    """A line of lastIncomingMessages."""
    return {
        "type": "incoming",
        "idMessage": message_id,
        "timestamp": T0,
        "typeMessage": "textMessage",
        "chatId": "33612345678@c.us",
        "senderId": "33612345678@c.us",
        "senderName": "Awa",
        "textMessage": text,
        **more,
    }


def ours(message_id="G30", text="Oui", status="delivered") -> dict:
    """A line of lastOutgoingMessages."""
    facts = {"type": "outgoing", "statusMessage": status, "sendByApi": True}
    return line(message_id, text, **facts)


def posted(message_id="G1", text="Bonjour") -> dict:
    """The notification that tells the same as a line."""
    return {
        "typeWebhook": "incomingMessageReceived",
        "instanceData": {"idInstance": 1101000001},
        "timestamp": T0,
        "idMessage": message_id,
        "senderData": {"chatId": "33612345678@c.us", "sender": "33612345678@c.us"},
        "messageData": {"typeMessage": "textMessage", "textMessageData": {"textMessage": text}},
    }


@pytest.fixture
def green(inside) -> ProviderInstance:
    """The tenant's instance at Green-API."""
    return factories.make_instance(
        inside, provider="greenapi", address="+221700000777", reference="1101000001"
    )


@pytest.fixture
def journal(monkeypatch):
    """What Green-API keeps; the one outgoing call is replaced."""
    kept: list[dict] = []

    def read_journal(via, *, minutes):
        return [json.dumps(each).encode() for each in kept]

    monkeypatch.setattr(provider_of("greenapi"), "read_journal", read_journal)
    return kept


@pytest.fixture
def asks(monkeypatch):
    """For how many minutes Green-API was asked."""
    asked: list[int] = []

    def read_journal(via, *, minutes):
        asked.append(minutes)
        return []

    monkeypatch.setattr(provider_of("greenapi"), "read_journal", read_journal)
    return asked


def hear(tenant, instance, body) -> None:
    """Take in one post."""
    from tenants import secrets

    raw = json.dumps(body).encode()
    WebhookDelivery(
        tenant=tenant,
        instance=instance,
        provider="greenapi",
        body=secrets.seal(raw),
        size=len(raw),
        received_at=datetime.now(UTC),
    ).save()
    inbox.drain(tenant.number)


def texts() -> list[str]:
    return list(Message.objects.order_by("sent_at", "id").values_list("text", flat=True))


def test_what_was_missed_is_taken_in_once(inside, green, journal):
    hear(inside, green, posted("G1", "Bonjour"))
    journal += [line("G1", "Bonjour"), line("G2", "Vous êtes là ?")]

    assert reconciling.reconcile(green.pk, 60) == 1
    inbox.drain(inside.number)
    assert reconciling.reconcile(green.pk, 60) == 0

    assert texts() == ["Bonjour", "Vous êtes là ?"]
    late = Message.objects.get(external_id="G2")
    assert late.sent_at == datetime.fromtimestamp(T0, UTC)
    assert late.received_at > late.sent_at


def test_a_post_that_comes_after_its_line_is_the_same_message(inside, green, journal):
    journal += [line("G1", "Bonjour")]
    reconciling.reconcile(green.pk, 60)
    inbox.drain(inside.number)

    hear(inside, green, posted("G1", "Bonjour"))

    assert texts() == ["Bonjour"]
    assert MessageEvent.objects.filter(external_id="G1", kind="message").count() == 1


def test_a_status_that_was_missed_moves_the_message(inside, green, journal):
    conversation = factories.make_conversation(inside, phone="+33612345678")
    message = factories.make_message(
        conversation,
        text="Oui",
        direction="out",
        origin="person",
        status="sent",
        external_id="G30",
    )
    Message.objects.filter(pk=message.pk).update(instance_id=green.pk, provider="greenapi")
    journal += [ours("G30", "Oui", "read")]

    reconciling.reconcile(green.pk, 60)
    inbox.drain(inside.number)

    message.refresh_from_db()
    assert (message.status, Message.objects.filter(external_id="G30").count()) == ("read", 1)


def test_a_line_that_cannot_be_read_is_kept_once(inside, green, journal):
    journal += [{"type": "incoming"}]

    assert reconciling.reconcile(green.pk, 60) == 1
    inbox.drain(inside.number)
    assert reconciling.reconcile(green.pk, 60) == 0

    [delivery] = WebhookDelivery.objects.of(inside)
    assert (delivery.state, delivery.route) == ("unreadable", "journal")


def test_another_tenants_instance_has_no_journal_here(inside, other_tenant, journal):
    with context.entered(other_tenant):
        theirs = factories.make_instance(other_tenant, provider="greenapi", reference="7")
    journal += [line("G9", "leak me")]

    assert reconciling.reconcile(theirs.pk, 60) == 0
    tasks.reconcile(inside.number, theirs.pk, 60)

    assert not WebhookDelivery.objects.across_tenants().exists()


def test_a_provider_without_journal_is_not_asked(inside, instance, journal):
    reconciling.order_after_absence(instance, NOW, NOW)

    assert reconciling.reconcile(instance.pk, 60) == 0
    assert ordered("reconcile") == []


@pytest.mark.parametrize(
    ("read_until", "asked"),
    [
        (None, 60 + 10),
        (NOW - timedelta(minutes=15), 15 + 10),
        (NOW - timedelta(hours=5), 5 * 60 + 10),
        (NOW - timedelta(days=60), 7 * 24 * 60),
        (NOW + timedelta(days=1), 1),
    ],
)
def test_a_journal_is_read_on_from_where_it_was_left(inside, green, asks, read_until, asked):
    ProviderInstance.objects.of(inside).filter(pk=green.pk).update(
        journal_read_at=read_until, created_at=NOW - timedelta(minutes=60)
    )

    with at(NOW):
        reconciling.reconcile(green.pk)

    green.refresh_from_db()
    assert (asks, green.journal_read_at) == ([asked], NOW)


def test_a_journal_that_could_not_be_read_stays_where_it_was(inside, green, monkeypatch, journal):
    def refuse(via, *, minutes):
        raise SendError("unauthorized")

    monkeypatch.setattr(provider_of("greenapi"), "read_journal", refuse)

    with pytest.raises(SendError):
        reconciling.reconcile(green.pk)

    green.refresh_from_db()
    assert green.journal_read_at is None


def test_every_connected_journal_is_ordered_once(inside, other_tenant, green):
    theirs = factories.make_instance(other_tenant, provider="greenapi", reference="7")
    factories.make_instance(inside, provider="greenapi", reference="8", state="disconnected")

    tasks.look_for_gaps(0)
    tasks.look_for_gaps(0)

    assert ordered("reconcile") == [
        {"tenant": inside.number, "instance": green.pk},
        {"tenant": other_tenant.number, "instance": theirs.pk},
    ]


def test_an_instance_that_is_back_is_asked_what_was_said_meanwhile(inside, green):
    away = NOW - timedelta(hours=3)
    ProviderInstance.objects.of(inside).filter(pk=green.pk).update(
        state="disconnected", state_changed_at=away
    )
    body = {
        "typeWebhook": "stateInstanceChanged",
        "instanceData": {"idInstance": 1101000001},
        "timestamp": int(NOW.timestamp()),
        "stateInstance": "authorized",
    }

    hear(inside, green, body)
    hear(inside, green, body | {"timestamp": int(NOW.timestamp()) + 1})

    [order] = [
        (json.loads(args), when) for task, args, when in jobs_waiting() if task == "amda.reconcile"
    ]
    asked = {"tenant": inside.number, "instance": green.pk, "minutes": 180 + 3 + 10}
    assert order == (asked, NOW + timedelta(minutes=3))


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (SendError("rate_limited", retry=True), True),
        (SendError("ReadTimeout", unknown=True), True),
        (SendError("unauthorized"), False),
    ],
)
def test_a_journal_that_cannot_be_read_now_is_read_later(
    inside, green, monkeypatch, journal, error, again
):
    def refuse(via, *, minutes):
        raise error

    monkeypatch.setattr(provider_of("greenapi"), "read_journal", refuse)

    if again:
        with pytest.raises(SendError):
            tasks.reconcile(inside.number, green.pk)
    else:
        tasks.reconcile(inside.number, green.pk)

    assert not WebhookDelivery.objects.across_tenants().exists()


def run(*arguments) -> str:
    output = io.StringIO()
    call_command("reconcile", *arguments, stdout=output)
    return output.getvalue()


def test_the_command_says_how_much_was_missed(inside, green, journal):
    journal += [line("G1"), line("G2")]

    assert run("vendor_001", str(green.pk), "--minutes", "60") == "missed: 2\n"


def test_the_command_refuses_what_has_no_journal(inside, instance, other_tenant, green):
    theirs = factories.make_instance(other_tenant, provider="greenapi", reference="7")

    for arguments, words in (
        (("vendor_001", str(instance.pk)), "keeps nothing"),
        (("vendor_001", str(theirs.pk)), "has no instance"),
        (("vendor_001", str(green.pk), "--minutes", "0"), "minutes"),
        (("nobody", str(green.pk)), "no vendor"),
    ):
        with pytest.raises(CommandError, match=words):
            run(*arguments)
