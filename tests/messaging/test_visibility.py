"""Agents who see their own conversations and those of nobody: everywhere the same."""

import asyncio

import pytest
from channels.layers import get_channel_layer
from channels.testing import WebsocketCommunicator
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messaging import consumers, conversing, noting, outbox, queries, realtime, searching
from messaging.filters import Filters
from messaging.models import Lead, Mention, MessageFile, MessageTemplate, Note
from tenants import context, directory, settling
from tenants.accounts import team
from tenants.accounts.models import Role, User
from tests import factories, walking
from tests.conftest import user_of
from tests.walking import TENANT

COLLEAGUES = "the colleague's secret words"


@pytest.fixture(autouse=True)
def _no_attempts_so_far(db):
    cache.clear()


@pytest.fixture
def three(tenant, owner, agent):
    """A conversation of the agent's, one of nobody's, one of a colleague's; agents see two."""
    with context.entered(tenant):
        made = [
            factories.make_conversation(
                tenant, name=name, phone=phone, text=text, assignee=assignee
            )
            for name, phone, text, assignee in (
                ("Mine", "+221701111111", "my words", agent),
                ("Free", "+221702222222", "free words", None),
                ("Theirs", "+221703333333", COLLEAGUES, owner),
            )
        ]
        settling.change(tenant.number, {"agents_see_all": False}, by=owner)
    directory.forget()
    return made


def names(rows):
    return sorted(each.lead.name for each in rows)


def test_lists_search_and_counts_hold_what_one_may_see(tenant, three, agent, owner):
    with context.entered(tenant):
        listed = names(queries.conversations(agent).rows)
        found = [
            each.message.text for each in searching.messages(agent, Filters(text="words")).rows
        ]
        people = names(searching.conversations(agent, Filters(text="Theirs")).rows)
        everything = names(queries.conversations(owner).rows)

    assert listed == ["Free", "Mine"]
    assert sorted(found) == ["free words", "my words"]
    assert people == []
    assert everything == ["Free", "Mine", "Theirs"]


def test_pages_and_api_know_nothing_of_a_colleagues_conversation(tenant, three, agent, client_for):
    _mine, _free, theirs = three
    message = theirs.last_message_id
    client = client_for(tenant, agent)

    inbox = client.get("/", headers={"hx-request": "true"})
    unread = client.get("/unread/")
    lead = client.get(f"/leads/{theirs.lead_id}/")
    unknown = client.get("/leads/unknown/")
    listed = client.get("/api/conversations/").json()["results"]
    history = client.get(f"/api/leads/{theirs.lead_id}/activities/").json()["results"]
    gone = [
        client.get(path).status_code
        for path in (
            f"/inbox/{theirs.pk}/",
            f"/inbox/{theirs.pk}/pane/",
            f"/inbox/{theirs.pk}/row/",
            f"/inbox/{theirs.pk}/messages/",
            f"/inbox/{theirs.pk}/panel/",
            f"/messages/{message}/",
            f"/api/conversations/{theirs.pk}/",
            f"/api/conversations/{theirs.pk}/messages/",
            f"/api/messages/{message}/",
        )
    ]

    assert gone == [404] * 9
    assert unread["X-Unread"] == "2"
    assert sorted(each["lead"]["name"] for each in listed) == ["Free", "Mine"]
    assert history == []
    assert COLLEAGUES not in "".join(each.content.decode() for each in (inbox, lead, unknown))


def test_no_route_knows_anything_of_a_colleagues_conversation(
    tenant, three, agent, owner, client_for
):
    _mine, _free, theirs = three
    with context.entered(tenant):
        note = noting.write(theirs, COLLEAGUES, by=owner, now=factories.NOW)
        file = MessageFile.objects.create(
            message_id=theirs.last_message_id, kind="image", path="x", state="stored"
        )
    known = {
        "conversation": theirs.pk,
        "message": theirs.last_message_id,
        "file": file.pk,
        "team_note": note.pk,
    }
    signed_in = client_for(tenant, agent)
    wrong, asked = {}, 0

    for route in walking.routes(TENANT):
        kinds = {each.kind for each in route.parameters}
        if not kinds & known.keys():
            continue
        address = route.address({**dict.fromkeys(kinds, 1), **known})
        for method in route.methods:
            ask = getattr(signed_in, method.lower())
            written = {} if method == "GET" else {"data": {}, "content_type": "application/json"}
            status, asked = ask(address, **written).status_code, asked + 1
            if status != 404:
                wrong[f"{method} {route.shown}"] = status

    assert wrong == {}
    assert asked > 30
    with context.entered(tenant):
        theirs.refresh_from_db()
        assert (theirs.unread_count, theirs.state, theirs.assignee_id) == (1, "open", owner.pk)


def test_only_who_may_see_a_conversation_is_offered_and_named_in_its_notes(
    tenant, three, agent, assistant, owner, client_for
):
    _mine, free, theirs = three
    client = client_for(tenant, owner)

    offered = client.get(f"/inbox/{theirs.pk}/people/").content.decode()
    offered_where_free = client.get(f"/inbox/{free.pk}/people/").content.decode()
    text, named = f"@{agent} et @{assistant}", [agent.pk, assistant.pk]
    refused = client.post(f"/inbox/{theirs.pk}/notes/", {"text": text, "named": named})
    kept = client.post(f"/inbox/{free.pk}/notes/", {"text": text, "named": named})

    assert "admin one" in offered
    assert [str(each) in offered for each in (agent, assistant)] == [False, False]
    assert [str(each) in offered_where_free for each in (agent, assistant)] == [True, True]
    assert (refused.status_code, kept.status_code) == (422, 302)
    for person in (agent, assistant):
        assert str(person) in refused.content.decode()
    with context.entered(tenant):
        assert Note.objects.get().conversation_id == free.pk
        assert Mention.objects.count() == 2


def test_who_may_see_a_conversation_is_asked_once_whatever_the_team(tenant, three, agent, owner):
    with context.entered(tenant):
        everybody = list(User.objects.exclude(role=Role.STAFF))
        with CaptureQueriesContext(connection) as asked:
            told = [set(queries.who_may_see(each)) for each in three]
        expected = [
            {user for user in everybody if queries.is_visible(each, user)} for each in three
        ]

    assert told == expected
    assert len([each for each in asked if "accounts_user" in each["sql"]]) == 3


def test_file_of_a_colleagues_conversation_is_not_there(tenant, three, agent, owner):
    with context.entered(tenant):
        files = [
            MessageFile.objects.create(
                message_id=each.last_message_id, kind="image", path="x", state="stored"
            )
            for each in three
        ]
        seen = [queries.file_of(agent, each.pk) is not None for each in files]
        all_of_them = [queries.file_of(owner, each.pk) is not None for each in files]

    assert seen == [True, True, False]
    assert all_of_them == [True, True, True]


def test_writing_to_a_colleagues_lead_is_refused(tenant, three, agent, owner):
    with context.entered(tenant):
        with pytest.raises(outbox.Refused) as refusal:
            outbox.start("+221703333333", "Hello", origin="person", by=agent)
        by_owner = outbox.start("+221703333333", "Hello", origin="person", by=owner)

    assert refusal.value.code == "conversation_of_a_colleague"
    assert by_owner.conversation_id == three[2].pk


def test_template_to_a_colleagues_lead_is_refused(tenant, three, agent):
    with context.entered(tenant), pytest.raises(outbox.Refused) as refusal:
        outbox.queue_template(three[2], MessageTemplate(), {}, origin="person", by=agent)

    assert refusal.value.code == "conversation_of_a_colleague"


def test_more_rows_cost_no_more_queries(tenant, three, agent, client_for):
    client = client_for(tenant, agent)
    client.get("/")
    costs = []
    for count in (3, 30):
        with context.entered(tenant):
            for number in range(count):
                factories.make_conversation(
                    tenant, phone=f"+22170{count:02d}{number:05d}", assignee=agent
                )
        with CaptureQueriesContext(connection) as asked:
            client.get("/")
        # What is looked up once a second is not the page's.
        skipped = ("SET search_path", 'SELECT "tenants_tenant')
        costs.append([each["sql"] for each in asked if not each["sql"].startswith(skipped)])

    assert len(costs[0]) == len(costs[1]) <= 10, costs


def test_what_somebody_looked_after_is_nobodys_once_they_are_removed(
    tenant, other_tenant, owner, agent, client_for
):
    with context.entered(tenant):
        conversation = factories.make_conversation(tenant, assignee=agent)
        said = factories.make_message(conversation, direction="out", origin="person", by=agent)
        Lead.objects.update(owner=agent)
    name, email = str(agent), agent.email
    client = client_for(tenant, owner)

    client.post(f"/team/{agent.pk}/remove/", {"name": "somebody else"})
    with context.entered(tenant):
        assert User.objects.get(pk=agent.pk).removed_at is None
    client.post(f"/team/{agent.pk}/remove/", {"name": name})

    with context.entered(tenant):
        conversation.refresh_from_db()
        said.refresh_from_db()
        gone = User.objects.get(pk=agent.pk)
        assert (conversation.assignee, conversation.lead.owner) == (None, None)
        assert (str(said.by), gone.is_active, gone.has_usable_password()) == (name, False, False)
        assert not User.objects.filter(email=email).exists()
    assert email not in client.get("/team/").content.decode()
    assert client.post("/team/invite/", {"email": email, "role": "agent"}).status_code == 302


def test_only_owners_remove_people_and_never_themselves(tenant, owner, agent):
    admin = user_of(tenant, Role.ADMIN)
    with context.entered(tenant):
        for person, by in ((agent, admin), (owner, owner)):
            with pytest.raises(team.NotAllowed):
                team.remove(person.pk, by=by)
        assert User.objects.filter(removed_at=None).count() == 4


# Live


def socket_of(tenant, user, *, sees_all):
    page = WebsocketCommunicator(consumers.LiveConsumer.as_asgi(), "/ws/live/")

    async def yes() -> bool:
        return True

    async def may_see_all() -> bool:
        return sees_all[0]

    page.scope.update(tenant=tenant, user=user, still_welcome=yes, sees_all=may_see_all)
    return page


def told_about(conversation, agent, owner, tenant, act):
    """Which of two pages, an agent's and an owner's, hear of what `act` does."""

    async def listen():
        pages = [
            socket_of(tenant, agent, sees_all=[False]),
            socket_of(tenant, owner, sees_all=[True]),
        ]
        for page in pages:
            await page.connect()
        for group, event in published:
            await get_channel_layer().group_send(group, event)
        heard = [not await page.receive_nothing(0.05) for page in pages]
        for page in pages:
            await page.disconnect()
        return heard

    published = []
    send, realtime.publish_sync = realtime.publish_sync, lambda *sent: published.append(sent)
    try:
        act()
    finally:
        realtime.publish_sync = send
    return asyncio.run(listen())


def test_sockets_hear_of_what_their_person_may_see(
    tenant, three, agent, owner, settings, django_capture_on_commit_callbacks
):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    mine, free, _theirs = three

    def hearing(function):
        def act():
            with context.entered(tenant), django_capture_on_commit_callbacks(execute=True):
                function()

        return told_about(None, agent, owner, tenant, act)

    about = [
        hearing(lambda each=each: realtime.publish("conversation", conversation=each.pk))
        for each in three
    ]
    handed_on = hearing(lambda: conversing.assign(mine, to=owner, by=agent))
    taken = hearing(lambda: conversing.assign(free, to=owner, by=owner))

    assert about == [[True, True], [True, True], [False, True]]
    # It leaves the agent's list, so they are told once more.
    assert (handed_on, taken) == ([True, True], [True, True])


def test_socket_hears_more_once_its_person_may_see_more(tenant, agent, settings):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    event = {"type": "tenant.event", "kind": "conversation", "conversation": 1}

    async def listen():
        sees_all = [False]
        page = socket_of(tenant, agent, sees_all=sees_all)
        await page.connect()
        layer = get_channel_layer()
        whole, shared = realtime.group_of(tenant.number), realtime.shared_group_of(tenant.number)
        await layer.group_send(whole, event)
        before = await page.receive_nothing(0.05)
        sees_all[0] = True
        await layer.group_send(shared, {"type": "rights.changed", "user": None})
        told = await page.receive_json_from()
        await layer.group_send(whole, event)
        after = await page.receive_json_from()
        await page.disconnect()
        return before, told, after

    assert asyncio.run(listen()) == (True, {"type": "resync"}, event)
