"""A group's messages say who wrote them, and nothing writes there by itself."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messaging import outbox
from messaging.models import Conversation, Message
from tenants import context
from tests import factories
from tests.conftest import NOW
from tests.messaging.test_erasing import take_out
from tests.messaging.test_ingest import T0, deleted, deliver, drain, received

pytestmark = pytest.mark.django_db

GROUP = "120363000000000001@g.us"
AWA, MODOU = "+221701111111", "+221702222222"
HIDDEN = "88001122334455@lid"


@pytest.fixture
def group(tenant) -> Conversation:
    """A group in which nothing was said yet."""
    with context.entered(tenant):
        lead = factories.make_lead("Wedding", "+221703333333")
        return factories.open_conversation(tenant, lead, peer=GROUP, is_group=True)


def in_group(key: str, minute: int = 0, **key_facts) -> dict:
    """A text that somebody wrote in the group."""
    body = received(key, f"said {key}", T0 + timedelta(minutes=minute), remoteJid=GROUP)
    told = body["data"]["messages"]
    told["pushName"] = key_facts.pop("name", "")
    told["key"] |= {"cleanedSenderPn": "", **key_facts}
    return body


def said(conversation, text: str, *, author=AWA, name="Awa", minutes=0, **facts) -> Message:
    at = NOW + timedelta(minutes=minutes)
    return factories.make_message(
        conversation, text=text, author=author, author_name=name, at=at, **facts
    )


def page_of(browser, conversation) -> str:
    return browser.get(f"/inbox/{conversation.pk}/pane/").content.decode()


# Kept


def test_message_of_a_group_keeps_who_wrote_it(tenant, other_tenant):
    deliver(tenant, in_group("A", 0, participant=HIDDEN, participantPn=AWA, name="Awa"))
    deliver(tenant, in_group("B", 1, participant=HIDDEN))
    deliver(tenant, in_group("C", 2, fromMe=True))
    deliver(tenant, received("D"))

    drain(tenant)

    with context.entered(tenant):
        kept = Message.objects.values_list("external_id", "peer", "author", "author_name")
        assert sorted(kept) == [
            ("A", GROUP, AWA, "Awa"),
            ("B", GROUP, HIDDEN, ""),
            ("C", GROUP, "", ""),
            ("D", "+221701112233", "", ""),
        ]


def test_withdrawn_message_of_a_group_names_nobody(tenant):
    deliver(tenant, in_group("A", participant=HIDDEN, participantPn=AWA, name="Awa"))
    drain(tenant)

    deliver(tenant, deleted("A"))
    drain(tenant)
    take_out(tenant)

    with context.entered(tenant):
        left = Message.objects.get()
        assert (left.author, left.author_name, left.text) == ("", "", "")
        assert left.deleted_at is not None


# Drawn


def test_each_participant_begins_a_group_of_bubbles(browser, tenant, group):
    with context.entered(tenant):
        for minute, (author, name) in enumerate([(AWA, "Awa"), (AWA, "Awa"), (MODOU, "")]):
            said(group, f"said {minute}", author=author, name=name, minutes=minute)

    items = page_of(browser, group).split("<li ")[1:]

    begun = [item.partition('"')[2].partition('"')[0] for item in items if "data-message" in item]
    assert [" begins" in look for look in begun] == [True, False, True]


def test_bubble_of_a_group_says_the_name_else_the_number(browser, tenant, group):
    with context.entered(tenant):
        said(group, "named")
        said(group, "numbered", author=MODOU, name="", minutes=1)
        said(group, "hidden", author=HIDDEN, name="", minutes=2)

    page = page_of(browser, group)

    assert '<bdi title="+221 70 111 11 11">Awa</bdi>' in page
    assert ">+221 70 222 22 22</bdi>" in page
    assert " …4455</bdi>" in page


def test_quote_in_a_group_says_whom_it_quotes(browser, tenant, group):
    with context.entered(tenant):
        quoted = said(group, "Who comes?")
        said(group, "Me", author=MODOU, name="Modou", minutes=1, reply_to=quoted.external_id)

    page = page_of(browser, group)

    assert "<cite><bdi>Awa</bdi></cite>Who comes?" in page


def test_conversation_of_two_names_no_participant(browser, tenant):
    with context.entered(tenant):
        conversation = factories.make_conversation(tenant)
        quoted = conversation.messages.get().external_id
        factories.make_message(conversation, text="And?", reply_to=quoted, at=NOW)

    page = page_of(browser, conversation)

    assert "participant" not in page
    assert "<cite>" not in page


def test_group_costs_the_same_however_many_write_in_it(browser, tenant, group):
    with context.entered(tenant):
        first = said(group, "first")
        said(group, "me too", minutes=1, reply_to=first.external_id)
    page_of(browser, group)
    few = _queries_of(browser, group)
    with context.entered(tenant):
        for minute in range(2, 9):
            author = f"+22170444444{minute}"
            said(group, "me too", author=author, minutes=minute, reply_to=first.external_id)

    assert _queries_of(browser, group) == few <= 10


def _queries_of(browser, conversation) -> int:
    with CaptureQueriesContext(connection) as queries:
        page_of(browser, conversation)
    return len(queries)


def test_found_message_of_a_group_has_the_groups_face_and_its_author(browser, tenant, group):
    with context.entered(tenant):
        said(group, "chandeliers", author=MODOU, name="Modou")

    page = browser.get("/inbox/rows/", {"q": "chandeliers"}).content.decode()

    assert "#group" in page
    assert "<bdi>Modou</bdi>: " in page
    assert '<span class="avatar" aria-hidden="true">W</span>' not in page


# Told to programs


def test_api_tells_the_author_of_a_groups_message_only(client_for, tenant, agent, group):
    with context.entered(tenant):
        message = said(group, "hello")
        between_two = factories.make_conversation(tenant).messages.get()
    caller = client_for(tenant, agent)

    told = caller.get(f"/api/messages/{message.pk}/").json()

    assert told["author"] == {"name": "Awa", "address": AWA}
    assert caller.get(f"/api/messages/{between_two.pk}/").json()["author"] is None


# Never answered automatically


@pytest.mark.parametrize("origin", [Message.Origin.AUTOMATION, Message.Origin.CAMPAIGN])
def test_nothing_writes_to_a_group_by_itself(tenant, group, origin):
    with context.entered(tenant):
        with pytest.raises(outbox.Refused) as refused:
            outbox.queue(group, "We are closed", origin=origin)

        assert refused.value.code == "group"
        assert not Message.objects.filter(conversation=group).exists()


def test_a_person_answers_in_a_group(tenant, agent, group):
    with context.entered(tenant):
        message = outbox.queue(group, "We are open", origin=Message.Origin.PERSON, by=agent)

        assert (message.status, message.peer) == ("queued", GROUP)
