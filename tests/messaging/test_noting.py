"""Notes, mentions, drafts: the team's own, kept between the messages and sent to nobody."""

import json
import uuid
from datetime import timedelta

import pytest

from messaging import folding, merging, noting, queries, realtime
from messaging.models import Conversation, Draft, Mention, Message, Note
from tenants import context
from tenants.accounts.models import Role
from tests import factories
from tests.conftest import NOW, user_of

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}


@pytest.fixture
def conversation(tenant) -> Conversation:
    with context.entered(tenant):
        return factories.make_conversation(tenant)


@pytest.fixture
def told(monkeypatch) -> list[dict]:
    """What open pages were told."""
    heard: list[dict] = []
    monkeypatch.setattr(
        realtime, "publish", lambda kind, **ids: heard.append({"kind": kind, **ids})
    )
    return heard


def write(browser, conversation, text, **fields):
    return browser.post(f"/inbox/{conversation.pk}/notes/", {"text": text, **fields}, headers=HTMX)


def test_note_is_kept_between_the_messages_and_never_sent(browser, tenant, agent, conversation):
    answer = write(browser, conversation, "Il a déjà eu un geste commercial")

    with context.entered(tenant):
        note = Note.objects.get()
        assert (note.text, note.by) == ("Il a déjà eu un geste commercial", agent)
        assert Message.objects.count() == 1
    page = browser.get(f"/inbox/{conversation.pk}/").content.decode()
    assert answer.status_code == 201
    assert f'data-entry="note-{note.pk}"' in page


def test_note_written_twice_is_one(browser, tenant, conversation):
    reference = uuid.uuid4()

    for _attempt in range(2):
        write(browser, conversation, "Une fois", reference=reference)

    with context.entered(tenant):
        assert Note.objects.count() == 1


def test_whoever_is_named_is_told_live_and_in_a_list(
    browser, client_for, tenant, owner, assistant, conversation, told
):
    write(browser, conversation, f"@{owner} peux-tu rappeler ?", named=[owner.pk, assistant.pk])

    theirs = client_for(tenant, owner)
    with context.entered(tenant):
        [mention] = Mention.objects.all()
    assert mention.user_id == owner.pk
    assert {
        "kind": "mention",
        "user": owner.pk,
        "conversation": conversation.pk,
        "note": mention.note_id,
    } in told
    assert theirs.get("/unread/")["X-Mentions"] == "1"
    listed = theirs.get("/mentions/")
    assert "peux-tu rappeler ?" in listed.content.decode()
    assert f'href="/inbox/{conversation.pk}/?note={mention.note_id}"' in listed.content.decode()
    assert theirs.get("/unread/")["X-Mentions"] == "0"
    assert "peux-tu" not in client_for(tenant, assistant).get("/mentions/").content.decode()


def test_note_that_was_asked_for_is_on_the_page_that_opens(browser, tenant, agent, conversation):
    with context.entered(tenant):
        for minute in range(1, 60):
            factories.make_message(conversation, at=NOW + timedelta(minutes=minute))
        note = noting.write(conversation, "Ici", by=agent, now=NOW + timedelta(minutes=5))

    page = browser.get(f"/inbox/{conversation.pk}/pane/", {"note": note.pk}).content.decode()

    assert f'data-target="note-{note.pk}"' in page
    assert f'data-entry="note-{note.pk}"' in page


def test_every_note_stands_in_exactly_one_stretch(tenant, agent, conversation):
    with context.entered(tenant):
        for minute in range(1, 80):
            factories.make_message(conversation, at=NOW + timedelta(minutes=minute))
        for minute in range(-1, 81):
            noting.write(conversation, str(minute), by=agent, now=NOW + timedelta(minutes=minute))
        seen: list[int] = []
        stretch = queries.newest(conversation)
        while True:
            seen = [int(note.text) for note in noting.beside(conversation, stretch)] + seen
            if stretch.older is None:
                break
            stretch = queries.newest(conversation, stretch.older)
        middle = queries.around(conversation, queries.Cursor(NOW + timedelta(minutes=40), 0))
        both, stretch = noting.beside(conversation, middle), middle
        while stretch.newer is not None:
            stretch = queries.newer(conversation, stretch.newer)
            both += noting.beside(conversation, stretch)

    assert seen == list(range(-1, 81))
    numbers = [int(note.text) for note in both]
    assert numbers == list(range(numbers[0], 81))


def test_note_can_be_removed_by_whoever_wrote_it_only(
    browser, client_for, tenant, owner, conversation
):
    write(browser, conversation, "À retirer")
    with context.entered(tenant):
        note = Note.objects.get()

    refused = client_for(tenant, owner).post(f"/notes/{note.pk}/remove/", headers=HTMX)
    removed = browser.post(f"/notes/{note.pk}/remove/", headers=HTMX)

    assert (refused.status_code, removed.status_code) == (422, 200)
    assert f'"undo": "/inbox/{conversation.pk}/notes/"' in removed["HX-Trigger"]
    with context.entered(tenant):
        assert not Note.objects.exists()


def test_assistant_reads_notes_and_writes_none(client_for, tenant, assistant, conversation):
    answer = write(client_for(tenant, assistant), conversation, "Non")

    assert answer.status_code == 403


def test_removed_note_names_the_same_people_when_it_is_written_again(
    browser, tenant, owner, conversation
):
    write(browser, conversation, f"@{owner} ici", named=[owner.pk])
    with context.entered(tenant):
        note = Note.objects.get()

    removed = browser.post(f"/notes/{note.pk}/remove/", headers=HTMX)

    again = json.loads(removed["HX-Trigger"])["toast"]["values"]
    assert again == {"text": f"@{owner} ici", "named": [owner.pk]}


def test_colleagues_are_offered_by_their_beginning(
    browser, tenant, owner, other_tenant, conversation
):
    page = browser.get(f"/inbox/{conversation.pk}/people/", {"q": "adm"}).content.decode()

    assert "admin one" in page
    assert "agent one" not in page


def test_names_in_a_note_stand_out_and_the_rest_is_text(browser, tenant, owner, conversation):
    page = write(browser, conversation, f"<b>@{owner}</b>", named=[owner.pk]).content.decode()

    assert f'<strong class="named">@{owner}</strong>' in page
    assert "&lt;b&gt;" in page


def test_draft_is_kept_for_one_person_in_one_conversation(
    browser, client_for, tenant, owner, conversation
):
    browser.post(f"/inbox/{conversation.pk}/draft/", {"text": "Bonjour Awa,"})

    mine = browser.get(f"/inbox/{conversation.pk}/").content.decode()
    theirs = client_for(tenant, owner).get(f"/inbox/{conversation.pk}/").content.decode()
    assert ">Bonjour Awa,</textarea>" in mine
    assert '<span class="draft">' in mine
    assert "Bonjour Awa," not in theirs


@pytest.mark.parametrize(("sent", "left"), [("Bonjour", 0), ("Autre chose", 1)])
def test_draft_goes_with_the_message_it_became(browser, tenant, conversation, sent, left):
    browser.post(f"/inbox/{conversation.pk}/draft/", {"text": "Bonjour"})

    browser.post(f"/inbox/{conversation.pk}/send/", {"text": sent}, headers=HTMX)

    with context.entered(tenant):
        assert Draft.objects.count() == left


def test_emptied_draft_is_gone(browser, tenant, conversation):
    for text in ("Bonjour", "  "):
        browser.post(f"/inbox/{conversation.pk}/draft/", {"text": text})

    with context.entered(tenant):
        assert not Draft.objects.exists()


def test_notes_and_drafts_go_along_when_conversations_are_folded(tenant, agent, conversation):
    with context.entered(tenant):
        other = factories.make_conversation(tenant, phone="+221701111119")
        noting.write(other, "Avec", by=agent, now=NOW)
        merging.merge(conversation.lead, other.lead)
        other.refresh_from_db()

        note = Note.objects.get()

    assert note.conversation_id == (other.folded_into_id or other.pk)
    assert "messaging.draft.conversation" in folding.ALONG


def test_answering_is_told_to_colleagues_with_ids_only(browser, tenant, agent, conversation, told):
    answer = browser.post(f"/inbox/{conversation.pk}/answering/")

    sentence = browser.get(f"/inbox/{conversation.pk}/answering/", {"user": agent.pk})
    assert answer.status_code == 204
    assert told == [{"kind": "answering", "conversation": conversation.pk, "user": agent.pk}]
    assert f"{agent} répond" in sentence.content.decode()


@pytest.mark.parametrize("path", ["/inbox/{}/notes/", "/inbox/{}/draft/", "/inbox/{}/answering/"])
def test_nobody_writes_beside_another_tenants_conversation(browser, other_tenant, path):
    with context.entered(other_tenant):
        factories.make_far_conversation(other_tenant)

    assert browser.post(path.format(900_001), {"text": "hello"}).status_code == 404


def test_note_of_another_tenant_does_not_exist(browser, other_tenant):
    with context.entered(other_tenant):
        owner = user_of(other_tenant, Role.OWNER)
        note = noting.write(Conversation.objects.get(), "leak", by=owner, now=NOW)
        Note.objects.filter(pk=note.pk).update(id=900_004)

    answers = [
        browser.get("/notes/900004/"),
        browser.post("/notes/900004/remove/"),
        browser.get("/notes/900004/notice/"),
    ]

    assert [answer.status_code for answer in answers] == [404, 404, 404]
