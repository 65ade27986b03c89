"""Several conversations at once, and how a person is told of what comes in."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from messaging.models import Conversation
from tenants import context
from tenants.accounts.models import Role
from tests import factories
from tests.conftest import user_of

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}


@pytest.fixture
def three(tenant) -> list[int]:
    """Three open, unread conversations that nobody looks after."""
    with context.entered(tenant):
        return [
            factories.make_conversation(tenant, phone=f"+22170111112{place}").pk
            for place in range(3)
        ]


def act(browser, ids, action, **fields):
    conversations = ",".join(map(str, ids))
    posted = {"action": action, "conversations": conversations, **fields}
    return browser.post("/inbox/several/", posted, headers=HTMX)


def column(tenant, name) -> list:
    with context.entered(tenant):
        return list(Conversation.objects.order_by("pk").values_list(name, flat=True))


def toast(answer) -> dict:
    return json.loads(answer["HX-Trigger"])["toast"]


def test_selected_conversations_are_closed_and_reopened(browser, tenant, three):
    closed = act(browser, three[:2], "close")
    states = column(tenant, "state")
    undone = browser.post(toast(closed)["undo"], toast(closed)["values"], headers=HTMX)

    assert states == ["closed", "closed", "open"]
    assert toast(closed)["text"] == "2 conversations fermées"
    assert undone.status_code == 204
    assert column(tenant, "state") == ["open", "open", "open"]


def test_selected_conversations_are_assigned_and_given_back(browser, tenant, agent, three):
    assigned = act(browser, three, "assign", to=agent.pk)
    assignees = column(tenant, "assignee")
    browser.post(toast(assigned)["undo"], toast(assigned)["values"], headers=HTMX)

    assert assignees == [agent.pk] * 3
    assert column(tenant, "assignee") == [None] * 3


def test_selected_conversations_are_marked_read(browser, tenant, three):
    answer = act(browser, three, "read")

    assert column(tenant, "unread_count") == [0, 0, 0]
    assert answer["X-Unread"] == "0"


@pytest.mark.parametrize(
    ("ids", "action", "status"),
    [("900002", "close", 404), ("1,x", "close", 422), ("1", "delete", 422), ("", "close", 422)],
)
def test_what_makes_no_sense_is_refused(browser, three, ids, action, status):
    posted = {"action": action, "conversations": ids}

    assert browser.post("/inbox/several/", posted, headers=HTMX).status_code == status


def test_more_than_fit_on_a_screen_are_refused_with_the_limit(browser, three):
    answer = act(browser, range(1, 102), "close")

    assert answer.status_code == 422
    assert "100" in answer.content.decode()


def test_another_tenants_conversations_are_left_alone(browser, other_tenant, three):
    with context.entered(other_tenant):
        factories.make_far_conversation(other_tenant)

    answer = act(browser, [900_001, three[0]], "close")

    assert toast(answer)["text"] == "1 conversation fermée"
    assert column(other_tenant, "state") == ["open", "open"]


@pytest.mark.parametrize("action", ["assign", "close", "reopen", "read"])
def test_assistant_does_nothing_to_several(client_for, tenant, assistant, three, action):
    assert act(client_for(tenant, assistant), three, action).status_code == 403


@pytest.fixture
def news(tenant):
    """A message that has just come in, and its conversation."""
    now = timezone.now()
    with context.entered(tenant):
        conversation = factories.make_conversation(tenant, name="Awa", text="Bonjour !", at=now)
        return conversation.messages.get()


def liking(tenant, user, **likes):
    with context.entered(tenant):
        type(user).objects.filter(pk=user.pk).update(**likes)


def test_news_are_told_with_name_words_and_address(browser, news):
    told = browser.get(f"/messages/{news.pk}/notice/").json()

    assert told == {
        "title": "Awa",
        "body": "Bonjour !",
        "url": f"/inbox/{news.conversation_id}/?message={news.pk}",
        "tag": f"message-{news.pk}",
    }


def test_words_are_left_out_where_a_person_likes_it_so(browser, tenant, agent, news):
    liking(tenant, agent, told_in_words=False)

    assert browser.get(f"/messages/{news.pk}/notice/").json()["body"] == ""


@pytest.mark.parametrize(
    ("told_of", "assignee", "status"),
    [
        ("mine", None, 200),
        ("mine", "agent", 200),
        ("mine", "owner", 204),
        ("all", "owner", 200),
        ("mentions", None, 204),
    ],
)
def test_person_is_told_of_what_they_like(browser, tenant, agent, news, told_of, assignee, status):
    liking(tenant, agent, told_of=told_of)
    people = {"agent": agent, "owner": user_of(tenant, Role.OWNER), None: None}
    with context.entered(tenant):
        Conversation.objects.update(assignee=people[assignee])

    assert browser.get(f"/messages/{news.pk}/notice/").status_code == status


def test_old_and_own_messages_are_no_news(browser, tenant, news):
    with context.entered(tenant):
        ours = factories.make_message(
            news.conversation, direction="out", origin="person", status="sent", at=timezone.now()
        )
        old = factories.make_message(news.conversation, at=timezone.now() - timedelta(hours=1))

    statuses = [browser.get(f"/messages/{each.pk}/notice/").status_code for each in (ours, old)]
    assert statuses == [204, 204]


def test_preferences_are_saved_and_reach_every_page(browser, tenant, agent):
    saved = browser.post("/preferences/", {"told_of": "all", "told_on_desktop": "on"})

    page = browser.get("/leads/").content.decode()
    assert saved.status_code == 302
    assert 'data-told-of="all"' in page
    assert "data-told-on-desktop" in page
    assert "data-told-by-sound" not in page
