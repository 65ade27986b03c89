"""Where a conversation opens, how it goes on both ways, and what the list is narrowed to."""

from datetime import timedelta

import pytest

from messaging import queries
from messaging.models import Conversation, Message
from tenants import context
from tests import factories
from tests.conftest import NOW

pytestmark = pytest.mark.django_db


@pytest.fixture
def conversation(tenant) -> Conversation:
    """A hundred messages, one a minute, all read."""
    with context.entered(tenant):
        made = factories.make_conversation(tenant, text="0", at=NOW)
        for minute in range(1, 100):
            factories.make_message(made, text=str(minute), at=NOW + timedelta(minutes=minute))
        Conversation.objects.update(unread_count=0, last_message_at=NOW + timedelta(minutes=99))
        made.refresh_from_db()
        return made


LAST = list(range(100 - queries.PAGE, 100))


def texts(answer) -> list[int]:
    return [int(bubble.message.text) for bubble in answer.context["entries"]]


def numbered(tenant, number: int) -> Message:
    with context.entered(tenant):
        return Message.objects.get(text=str(number))


def test_conversation_opens_at_its_end(browser, conversation):
    opened = browser.get(f"/inbox/{conversation.pk}/")

    assert texts(opened) == LAST
    assert opened.context["newer"] is None


def test_message_that_was_asked_for_stands_in_the_middle(browser, tenant, conversation):
    target = numbered(tenant, 40)

    opened = browser.get(f"/inbox/{conversation.pk}/pane/", {"message": target.pk})

    assert texts(opened) == list(range(41 - queries.AROUND, 41 + queries.AROUND))
    assert f'data-target="message-{target.pk}"' in opened.content.decode()


def test_scrolling_both_ways_shows_every_message_once(browser, tenant, conversation):
    opened = browser.get(f"/inbox/{conversation.pk}/pane/", {"message": numbered(tenant, 40).pk})
    seen, path = texts(opened), f"/inbox/{conversation.pk}/messages/"
    older, newer = opened.context["older"], opened.context["newer"]

    while older:
        answer = browser.get(path, {"before": str(older)})
        seen, older = texts(answer) + seen, answer.context["older"]
    while newer:
        answer = browser.get(path, {"after": str(newer)})
        seen, newer = seen + texts(answer), answer.context["newer"]

    assert seen == list(range(100))


def test_messages_of_the_same_moment_are_neither_lost_nor_doubled(browser, tenant, conversation):
    with context.entered(tenant):
        Message.objects.update(sent_at=NOW)
    path = f"/inbox/{conversation.pk}/messages/"
    opened = browser.get(f"/inbox/{conversation.pk}/pane/", {"message": numbered(tenant, 40).pk})

    before = browser.get(path, {"before": str(opened.context["older"])})
    after = browser.get(path, {"after": str(opened.context["newer"])})

    shown = texts(before) + texts(opened) + texts(after)
    aside = queries.AROUND + queries.PAGE
    assert shown == list(range(41 - aside, 41 + aside))


def test_conversation_opens_at_the_first_unread_message(browser, tenant, conversation):
    with context.entered(tenant):
        Conversation.objects.update(unread_count=50)

    opened = browser.get(f"/inbox/{conversation.pk}/")

    assert opened.context["first_unread"] == numbered(tenant, 50).pk
    assert texts(opened) == list(range(51 - queries.AROUND, 51 + queries.AROUND))
    assert opened.content.decode().count("data-unread-line") == 1


def test_few_unread_messages_show_with_the_end(browser, tenant, conversation):
    with context.entered(tenant):
        Conversation.objects.update(unread_count=3)

    opened = browser.get(f"/inbox/{conversation.pk}/")

    assert opened.context["first_unread"] == numbered(tenant, 97).pk
    assert texts(opened) == LAST


def test_message_of_another_conversation_is_not_jumped_to(browser, tenant, conversation):
    with context.entered(tenant):
        other = factories.make_conversation(tenant, phone="+221701111112", text="7000")

    opened = browser.get(f"/inbox/{conversation.pk}/", {"message": other.last_message_id})

    assert texts(opened) == LAST


@pytest.mark.parametrize("query", ["after=nonsense", "before=2026-01-01~5", "count=many"])
def test_place_that_cannot_be_read_is_refused(browser, conversation, query):
    assert browser.get(f"/inbox/{conversation.pk}/messages/?{query}").status_code == 400


@pytest.fixture
def mixed(tenant, agent) -> dict[str, int]:
    """Conversations that differ in what filters look at."""
    number = factories.make_instance(tenant, label="Second")
    with context.entered(tenant):
        made = {
            name: factories.make_conversation(tenant, phone=f"+22170111112{place}", **facts).pk
            for place, (name, facts) in enumerate(
                {"plain": {}, "of_agent": {"assignee": agent}, "closed": {}, "read": {}}.items()
            )
        }
        Conversation.objects.filter(pk=made["closed"]).update(state="closed")
        Conversation.objects.filter(pk=made["read"]).update(unread_count=0, instance_id=number.pk)
    return {**made, "its number": number.pk, "the agent": agent.pk}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, {"plain", "of_agent", "read"}),
        ({"view": "mine"}, {"of_agent"}),
        ({"view": "closed"}, {"closed"}),
        ({"unread": "1"}, {"plain", "of_agent"}),
        ({"number": "its number"}, {"read"}),
        ({"person": "the agent", "unread": "1"}, {"of_agent"}),
        ({"number": "nonsense", "view": "nonsense"}, {"plain", "of_agent", "read"}),
    ],
)
def test_filters_of_the_address_narrow_list_and_rows_alike(browser, mixed, asked, expected):
    ids = {name: mixed[name] for name in ("its number", "the agent")}
    asked = {name: ids.get(value, value) for name, value in asked.items()}
    wanted = {mixed[name] for name in expected}

    listed = {each.conversation.pk for each in browser.get("/", asked).context["rows"]}
    rows = {
        mixed[name]
        for name in ("plain", "of_agent", "closed", "read")
        if browser.get(f"/inbox/{mixed[name]}/row/", asked).status_code == 200
    }

    assert listed == rows == wanted


def test_filters_stay_in_every_address_of_the_page(browser, mixed):
    page = browser.get("/", {"number": mixed["its number"], "unread": "0", "view": "all"})

    text = page.content.decode()
    assert f'href="/inbox/{mixed["read"]}/?number={mixed["its number"]}"' in text
    assert f'data-dialog="/inbox/filter/?number={mixed["its number"]}"' in text
    assert 'class="narrowed"' in text


def test_filter_dialog_offers_numbers_and_people_of_this_tenant(browser, mixed, other_tenant):
    page = browser.get("/inbox/filter/", {"person": mixed["the agent"]}).content.decode()

    assert f'<option value="{mixed["the agent"]}" selected>' in page
    assert "Second" in page
    assert other_tenant.slug not in page


@pytest.mark.parametrize(
    ("kind", "said"),
    [("image", "Photo"), ("voice", "Message vocal"), ("deleted", "Message supprimé")],
)
def test_row_says_what_a_message_without_words_is(browser, tenant, conversation, kind, said):
    with context.entered(tenant):
        Conversation.objects.update(last_message_snippet="", last_message_kind=kind)

    page = browser.get("/").content.decode()

    assert said in page
    assert "Message sans texte" not in page
