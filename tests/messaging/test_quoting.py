"""Answering one message: what may be quoted, and what its provider gets of it."""

from datetime import timedelta

import pytest
from django.utils import timezone

from messaging import outbox, quoting
from messaging.models import Conversation, Message
from messaging.providers import get as provider_of
from messaging.providers.base import Outgoing
from tenants import context
from tests import factories
from tests.messaging.test_ingest import deliver, drain, received

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}


@pytest.fixture
def asked(tenant) -> Message:
    """A question that came in a moment ago."""
    deliver(tenant, received("Q1", "And the blue one?"))
    drain(tenant)
    with context.entered(tenant):
        question = Message.objects.select_related("conversation").get(external_id="Q1")
        Message.objects.update(received_at=timezone.now())
        question.refresh_from_db()
        return question


def send(browser, conversation: int, **body):
    return browser.post(f"/inbox/{conversation}/send/", {"text": "Two left", **body})


def outgoing_of(message: Message) -> dict:
    return quoting.as_outgoing(message, provider_of(message.provider))


def test_answer_quotes_the_message_it_names_and_shows_it(browser, tenant, asked):
    answer = browser.post(
        f"/inbox/{asked.conversation_id}/send/",
        {"text": "Two left", "reply_to": "Q1"},
        headers=HTMX,
    )

    assert answer.status_code == 201
    assert "And the blue one?" in answer.content.decode()
    with context.entered(tenant):
        assert Message.objects.get(text="Two left").reply_to == "Q1"


def test_what_came_in_is_given_back_whole_to_a_provider_that_asks_for_it(tenant, asked):
    with context.entered(tenant):
        message = outbox.queue(asked.conversation, "Two left", origin="person", reply_to="Q1")
        quoted = outgoing_of(message)

    told = received("Q1", "And the blue one?")["data"]["messages"]
    assert (quoted["reply_to"], quoted["reply_to_number"]) == ("Q1", "")
    assert quoted["reply_to_raw"] == told
    assert Outgoing("r", "+33", "t", **quoted).reply_to_raw["key"]["id"] == "Q1"


def test_what_was_withdrawn_before_the_answer_left_is_not_given_back(tenant, asked):
    with context.entered(tenant):
        message = outbox.queue(asked.conversation, "Two left", origin="person", reply_to="Q1")
        Message.objects.filter(pk=asked.pk).update(deleted_at=timezone.now())

        assert outgoing_of(message)["reply_to_raw"] == {}


def test_what_we_sent_is_quoted_by_its_number(tenant, asked):
    with context.entered(tenant):
        factories.make_message(
            asked.conversation, direction="out", external_id="S1", provider_number="100"
        )
        message = outbox.queue(asked.conversation, "As I said", origin="person", reply_to="S1")
        quoted = outgoing_of(message)

    assert quoted == {"reply_to": "S1", "reply_to_number": "100", "reply_to_raw": {}}


def test_message_that_left_through_another_number_quotes_nothing(tenant, asked):
    with context.entered(tenant):
        message = factories.make_message(
            asked.conversation, direction="out", reply_to="Q1", parts={"stand_in": "+33"}
        )
        assert outgoing_of(message) == {}


@pytest.mark.parametrize("change", [{"deleted_at": timezone.now()}, {"external_id": ""}])
def test_message_that_is_gone_is_not_quoted_and_nothing_is_sent(browser, tenant, asked, change):
    with context.entered(tenant):
        Message.objects.filter(pk=asked.pk).update(**change)

    answer = send(browser, asked.conversation_id, reply_to="Q1")

    assert answer.status_code == 422
    assert "n’est plus là" in answer.content.decode()
    with context.entered(tenant):
        assert Message.objects.filter(direction="out").count() == 0


def test_another_conversations_message_is_not_quoted(browser, tenant, asked, other_tenant):
    with context.entered(tenant):
        said = factories.make_conversation(tenant, phone="+221702222222").messages.get()
        elsewhere = said.external_id
    with context.entered(other_tenant):
        leaky = Message.objects.first().external_id

    answers = [send(browser, asked.conversation_id, reply_to=name) for name in (elsewhere, leaky)]

    assert [answer.status_code for answer in answers] == [422, 422]
    assert "leak me" not in "".join(answer.content.decode() for answer in answers)


def test_button_to_answer_stands_where_the_contact_would_see_the_quote(
    browser, client_for, tenant, assistant, asked
):
    page = f"/inbox/{asked.conversation_id}/pane/"
    with context.entered(tenant):
        factories.make_message(asked.conversation, direction="out", external_id="")

    assert browser.get(page).content.decode().count('data-quote="') == 1
    assert "data-quote" not in client_for(tenant, assistant).get(page).content.decode()


@pytest.mark.parametrize(
    ("provider", "facts", "may"),
    [
        ("greenapi", {}, True),
        ("twilio", {}, False),
        ("wasender", {}, True),
        ("wasender", {"received_at": timezone.now() - timedelta(days=40)}, False),
        ("wasender", {"direction": "out"}, False),
        ("wasender", {"direction": "out", "provider_number": "7"}, True),
        ("greenapi", {"deleted_at": timezone.now()}, False),
        ("greenapi", {"instance_id": 0}, False),
    ],
)
def test_what_may_be_quoted(provider, facts, may):
    conversation = Conversation(instance_id=3, provider=provider)
    known = {"instance_id": 3, "external_id": "E1", "direction": "in"}
    message = Message(**{**known, "received_at": timezone.now(), **facts})

    assert quoting.may_be_quoted(message, conversation, timezone.now()) is may
