"""How far a message got is the same at the end, in whatever order a provider tells it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import permutations

import pytest
from django.db import transaction

from messaging import delivering, ingest, providers
from messaging.events import Event, Kind, Person, Received, Status, StatusChanged
from messaging.models import Message, MessageEvent
from messaging.providers.base import BadPayload, Sent
from tenants.models import ProviderInstance, WebhookDelivery
from tests import contract, factories
from tests.messaging.providers.kits import KITS

T0 = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PEER, WORDS, THEIR_ID = "+33612345678", "Oui, en bleu.", "id-of-the-provider"
MINUTES = {Status.SENT: 1, Status.DELIVERED: 2, Status.FAILED: 2, Status.READ: 3}
ARRIVED = (Status.DELIVERED, Status.READ)


@cache
def told_by(slug: str) -> dict[str, Event]:
    """What a provider can tell of a message of ours, read by its adapter, all of one message."""
    found: dict[str, Event] = {}
    for hook in contract._fixtures(providers.get(slug), KITS[slug]):
        for event in _parsed(slug, hook):
            match event:
                case StatusChanged() if event.status in MINUTES:
                    found.setdefault(event.status.value, _of_our_message(event))
                case Received(from_us=True, group="", kind=Kind.TEXT):
                    found.setdefault("echo", _our_echo(event))
    return found


def _parsed(slug: str, hook) -> list[Event]:
    try:
        return providers.get(slug).parse(hook, KITS[slug].reference)
    except BadPayload:
        return []


def _of_our_message(event: StatusChanged) -> StatusChanged:
    return replace(
        event,
        event_id=f"status {event.status}",
        external_id=THEIR_ID,
        provider_number="",
        echo="",
        at=T0 + timedelta(minutes=MINUTES[event.status]),
    )


def _our_echo(event: Received) -> Received:
    return replace(
        event,
        event_id="echo",
        external_id=THEIR_ID,
        provider_number="",
        echo="",
        at=T0,
        text=WORDS,
        person=Person(phone=PEER),
    )


class Story:
    """One message on its way, to which things are told and then untold."""

    def __init__(self, tenant, slug: str) -> None:
        self.tenant = tenant
        self.instance = ProviderInstance.objects.of(tenant).order_by("pk").first()
        self.conversation = factories.open_conversation(
            tenant, factories.make_lead(phone=PEER), peer=PEER, provider=slug
        )
        ProviderInstance.objects.of(tenant).filter(pk=self.instance.pk).update(provider=slug)

    def end_of(self, parts) -> tuple:
        """What is there after these parts, told in this order."""
        with transaction.atomic():
            message = factories.make_message(
                self.conversation, text=WORDS, at=T0, direction="out", origin="person",
                status="sending", external_id="",
            )  # fmt: skip
            for part in parts:
                self._tell(message.pk, part)
            known = Message.objects.filter(conversation=self.conversation)
            end = list(known.values_list("status", "external_id", "error_code", "error_detail"))
            waiting = MessageEvent.objects.filter(message=None).count()
            transaction.set_rollback(True)
        return (*end, waiting)

    def _tell(self, pk: int, part: Event | Sent) -> None:
        if isinstance(part, Sent):
            delivering.record_sent(Message.objects.get(pk=pk), part)
            return
        delivery = WebhookDelivery(pk=1, tenant=self.tenant, received_at=T0 + timedelta(hours=1))
        delivery.instance_id = self.instance.pk
        batch = ingest.Batch(self.tenant)
        batch.apply([part], delivery)
        batch.finish()


ANSWER = Sent(external_id=THEIR_ID)


def orders_of(told: list[Event]):
    """Every order, with the answer to our send in another place each time."""
    for number, order in enumerate(permutations(told)):
        place = number % (len(order) + 1)
        yield [*order[:place], ANSWER, *order[place:]]


@pytest.mark.parametrize("slug", providers.REGISTRY)
def test_all_orders_of_what_a_provider_tells_end_the_same(inside, slug):
    story, told = Story(inside, slug), told_by(slug)
    furthest = next((each for each in ("read", "delivered", "sent") if each in told), "sent")

    ends = {story.end_of(order) for order in orders_of(list(told.values()))}

    assert ends == {((furthest, THEIR_ID, "", ""), 0)}


@pytest.mark.parametrize("slug", providers.REGISTRY)
def test_all_orders_of_a_message_that_failed_end_with_the_providers_words(inside, slug):
    story = Story(inside, slug)
    told = {name: event for name, event in told_by(slug).items() if name not in ARRIVED}
    failed = told.get("failed")
    expected = (
        ("failed", THEIR_ID, failed.error_code, failed.error_detail)
        if failed
        else ("sent", THEIR_ID, "", "")
    )

    ends = {story.end_of(order) for order in orders_of(list(told.values()))}

    assert ends == {(expected, 0)}


def test_what_each_provider_can_tell():
    everything = {"echo", "sent", "delivered", "read", "failed"}

    assert {slug: set(told_by(slug)) for slug in providers.REGISTRY} == {
        "wasender": everything,
        "whatsapp_cloud": everything,
        "greenapi": everything,
        "unipile": everything - {"failed"},
        "twilio": everything,
        "smtp": set(),
    }


def test_status_that_knows_a_message_by_our_id_only_tells_its_own(inside):
    """The answer was lost: what is said of the message later names it by the provider's id."""
    story = Story(inside, "whatsapp_cloud")
    message = factories.make_message(
        story.conversation, direction="out", origin="person", status="unknown", external_id=""
    )
    told = told_by("whatsapp_cloud")

    story._tell(message.pk, told["read"])
    story._tell(message.pk, replace(told["delivered"], echo=str(message.reference)))

    message.refresh_from_db()
    assert (message.status, message.external_id) == ("read", THEIR_ID)


def test_echo_in_other_words_before_the_answer_is_the_same_message(inside):
    """The provider shows us our message, in its own words, before it tells us its id."""
    story = Story(inside, "wasender")
    told = told_by("wasender")
    odd = replace(told["echo"], text="Oui, en *bleu*", provider_number="77")

    ends = {
        story.end_of([odd, told["read"], ANSWER]),
        story.end_of([odd, ANSWER, told["read"]]),
        story.end_of([told["read"], odd, ANSWER]),
        story.end_of([odd, told["read"], Sent(provider_number="77")]),
        story.end_of([odd, told["read"], Sent(external_id=THEIR_ID, provider_number="77")]),
    }

    assert ends == {(("read", THEIR_ID, "", ""), 0)}


def test_row_of_a_conversation_shows_our_message_not_its_echo(inside):
    story = Story(inside, "wasender")
    message = factories.make_message(
        story.conversation, text=WORDS, at=T0, direction="out", origin="person",
        status="sending", external_id="",
    )  # fmt: skip
    story._tell(message.pk, replace(told_by("wasender")["echo"], text="Oui, en *bleu*"))

    story._tell(message.pk, ANSWER)

    story.conversation.refresh_from_db()
    shown = story.conversation
    assert (shown.last_message_id, shown.last_message_snippet) == (message.pk, WORDS)
    assert shown.last_message_status == "sent"


def test_id_that_another_message_of_the_same_words_got_goes_to_its_owner(inside):
    """Of two equal messages, the echo of the second was taken for the first, whose fate is open."""
    story = Story(inside, "wasender")
    facts = {"text": WORDS, "at": T0, "direction": "out", "origin": "person", "external_id": ""}
    first = factories.make_message(story.conversation, status="unknown", **facts)
    second = factories.make_message(story.conversation, status="sending", **facts)
    story._tell(first.pk, told_by("wasender")["echo"])
    story._tell(first.pk, told_by("wasender")["delivered"])

    story._tell(second.pk, ANSWER)

    known = Message.objects.filter(conversation=story.conversation).order_by("id")
    assert list(known.values_list("pk", "status", "external_id")) == [
        (first.pk, "unknown", ""),
        (second.pk, "delivered", THEIR_ID),
    ]
