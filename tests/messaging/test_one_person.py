"""Linking leads on the pages and through the API: found, looked at, done, taken back."""

from datetime import timedelta

import pytest
from django.utils import timezone

from messaging import merging, queries
from messaging.models import Conversation, Lead, LeadMerge
from tenants import context
from tests import factories
from tests.messaging.test_api import Caller, refusal
from tests.messaging.test_ingest import deliver, drain, received
from tests.messaging.test_merging import by_lid, texts_of

HTMX = {"HX-Request": "true"}
SENDER = "221708889900"
MOST_QUERIES = 10


@pytest.fixture
def awa(tenant) -> Lead:
    """A lead the team knows."""
    with context.entered(tenant):
        lead = factories.make_conversation(tenant, name="Awa Diop", text="known words").lead
        Lead.objects.filter(pk=lead.pk).update(recognised_at=timezone.now())
        lead.refresh_from_db()
    return lead


@pytest.fixture
def sender(tenant, awa) -> Lead:
    """Somebody who wrote from a number nobody knows; the message says the name Awa Diop."""
    deliver(tenant, received("S1", "it is me", phone=SENDER))
    drain(tenant)
    with context.entered(tenant):
        return Lead.objects.get(identities__value=f"+{SENDER}")


def test_unknown_sender_is_listed_with_whom_they_may_be(browser, tenant, other_tenant, awa, sender):
    page = browser.get("/leads/unknown/").content.decode()

    assert "it is me" in page
    assert f'action="/leads/{sender.pk}/link/"' in page
    assert f'name="other" value="{awa.pk}"' in page
    assert "known words" not in page
    assert "Leaky Lead" not in page
    assert 'class="dot"' in browser.get("/leads/").content.decode()


def test_sender_is_linked_in_one_click_and_unlinked_again(browser, tenant, awa, sender):
    linked = browser.post(f"/leads/{sender.pk}/link/", {"other": awa.pk})

    assert (linked.status_code, linked["Location"]) == (302, "/leads/unknown/")
    page = browser.get("/leads/unknown/").content.decode()
    assert f'data-lead="{sender.pk}"' not in page
    with context.entered(tenant):
        record = LeadMerge.objects.get()
        assert texts_of(awa) == {"known words", "it is me"}
    assert f'action="/merges/{record.pk}/undo/"' in page

    unlinked = browser.post(f"/merges/{record.pk}/undo/", {"view": "unknown"})

    assert unlinked["Location"] == "/leads/unknown/"
    assert f'data-lead="{sender.pk}"' in browser.get("/leads/unknown/").content.decode()
    with context.entered(tenant):
        assert (texts_of(awa), texts_of(sender)) == ({"known words"}, {"it is me"})


def test_sender_is_kept_as_a_lead_and_put_back(browser, tenant, sender):
    kept = browser.post(f"/leads/{sender.pk}/keep/")

    page = browser.get(kept["Location"]).content.decode()
    assert f'data-lead="{sender.pk}"' not in page
    assert f'action="/leads/{sender.pk}/forget/"' in page
    browser.post(f"/leads/{sender.pk}/forget/")
    assert f'data-lead="{sender.pk}"' in browser.get("/leads/unknown/").content.decode()


def test_panel_asks_who_an_unknown_sender_is_until_that_is_said(browser, tenant, sender):
    with context.entered(tenant):
        conversation = sender.conversations.get()
    address = f"/leads/{sender.pk}/keep/"
    assert address in browser.get(f"/inbox/{conversation.pk}/panel/").content.decode()

    said = browser.post(address, headers=HTMX)

    assert (said.status_code, said.content) == (200, b"")
    assert address not in browser.get(f"/inbox/{conversation.pk}/panel/").content.decode()


def test_who_is_named_by_a_person_is_known(browser, tenant, sender):
    browser.post(f"/leads/{sender.pk}/edit/", {"name": "Awa's sister", "owner": "", "note": ""})

    with context.entered(tenant):
        sender.refresh_from_db()
        assert sender.recognised_at is not None


def test_group_is_no_unknown_sender(browser, tenant):
    body = received("G1", "in a group", remoteJid="123-456@g.us", cleanedParticipantPn=SENDER)
    deliver(tenant, body)
    drain(tenant)

    assert "data-lead=" not in browser.get("/leads/unknown/").content.decode()


def test_unknown_senders_cost_the_same_however_many(browser, tenant, django_assert_max_num_queries):
    for count in (3, 40):
        with context.entered(tenant):
            for number in range(count):
                phone = f"+2217{count:03d}{number:05d}"
                factories.make_conversation(tenant, name=f"Sender {number}", phone=phone)
        browser.get("/leads/unknown/")

        with django_assert_max_num_queries(MOST_QUERIES):
            page = browser.get("/leads/unknown/").content.decode()

        assert page.count("data-lead=") == min(count, queries.PAGE)


def test_other_lead_is_searched_previewed_and_linked(browser, tenant, awa, sender):
    found = browser.get(f"/leads/{awa.pk}/merge/?q=Awa").content.decode()
    assert f"/leads/{awa.pk}/merge/?other={sender.pk}" in found

    preview = browser.get(f"/leads/{awa.pk}/merge/?other={sender.pk}").content.decode()
    assert f'name="stays" value="{awa.pk}"' in preview
    with context.entered(tenant):
        assert LeadMerge.objects.count() == 0

    done = browser.post(f"/leads/{awa.pk}/merge/", {"other": sender.pk, "stays": awa.pk})

    assert done["Location"] == f"/leads/{awa.pk}/"
    page = browser.get(done["Location"]).content.decode()
    with context.entered(tenant):
        assert f'action="/merges/{LeadMerge.objects.get().pk}/undo/"' in page
        assert Conversation.objects.filter(folded_into=None).count() == 1
    gone = browser.get(f"/leads/{sender.pk}/")
    assert (gone.status_code, gone["Location"]) == (302, f"/leads/{awa.pk}/")


def test_known_lead_stays_unless_the_other_way_round_is_asked_for(browser, awa, sender):
    address = f"/leads/{sender.pk}/merge/?other={awa.pk}"

    offered = browser.get(address).content.decode()
    turned = browser.get(f"{address}&stays={sender.pk}").content.decode()

    assert f'name="stays" value="{awa.pk}"' in offered
    assert f'name="stays" value="{sender.pk}"' in turned


def test_merge_that_makes_no_sense_says_why(browser, tenant, awa):
    said = browser.post(f"/leads/{awa.pk}/merge/", {"other": awa.pk})

    assert said.status_code == 422
    assert "Choisissez un autre lead" in said.content.decode()


def test_separating_under_a_later_merge_says_why(browser, tenant, awa, sender):
    with context.entered(tenant):
        record = merging.merge(awa, sender)
        merging.merge(factories.make_lead("Third", "+221703334455"), awa)

    answer = browser.post(f"/merges/{record.pk}/undo/", follow=True)

    assert "fusionné de nouveau" in answer.content.decode()
    with context.entered(tenant):
        record.refresh_from_db()
        assert record.undone_at is None


@pytest.mark.parametrize("path", ["merge/", "keep/", "forget/", "link/"])
def test_assistant_may_look_and_change_nothing(client_for, tenant, assistant, awa, sender, path):
    browser = client_for(tenant, assistant)

    assert browser.post(f"/leads/{sender.pk}/{path}", {"other": awa.pk}).status_code == 403
    assert "/link/" not in browser.get("/leads/unknown/").content.decode()


def test_api_merges_and_parts_again(tenant, agent, awa, sender):
    caller = Caller(tenant, agent)

    made = caller.post(f"/api/leads/{awa.pk}/merge/", {"other": sender.pk})

    assert made.status_code == 201
    told = made.json()
    assert (told["kept"], told["merged"], told["by"]["id"]) == (awa.pk, sender.pk, agent.pk)
    assert caller.get(f"/api/leads/{sender.pk}/").json()["merged_into"] == awa.pk
    listed = caller.get(f"/api/leads/{awa.pk}/merges/").json()
    assert listed == {"results": [told], "next": None}

    undone = caller.post(f"/api/merges/{told['id']}/undo/")
    again = caller.post(f"/api/merges/{told['id']}/undo/")

    assert undone.status_code == again.status_code == 200
    assert undone.json() == again.json() == {**told, "undone_at": undone.json()["undone_at"]}
    with context.entered(tenant):
        assert texts_of(sender) == {"it is me"}


def test_api_conversation_that_was_folded_is_the_other(tenant, agent, awa, sender):
    with context.entered(tenant):
        folded, shown = sender.conversations.get(), awa.conversations.get()
        merging.merge(awa, sender)
    caller = Caller(tenant, agent)

    assert caller.get(f"/api/conversations/{folded.pk}/").json()["id"] == shown.pk
    listed = caller.get("/api/conversations/").json()["results"]
    assert [each["id"] for each in listed] == [shown.pk]


def test_api_refuses_merges_that_make_no_sense(tenant, agent, other_tenant, awa):
    caller = Caller(tenant, agent)
    with context.entered(other_tenant):
        theirs = Lead.objects.order_by("-pk").first().pk + 1000
        Lead.objects.create(pk=theirs, name="Leaky Lead")

    same = caller.post(f"/api/leads/{awa.pk}/merge/", {"other": awa.pk})
    foreign = caller.post(f"/api/leads/{awa.pk}/merge/", {"other": theirs})

    assert refusal(same) == (409, "lead_same", "other")
    assert refusal(foreign) == (404, "lead_unknown", "other")


def test_api_lists_unknown_senders_and_says_who_is_known(tenant, agent, awa, sender):
    caller = Caller(tenant, agent)
    unknown = caller.get("/api/leads/?unknown=true").json()["results"]
    assert [each["id"] for each in unknown] == [sender.pk]

    known = caller.patch(f"/api/leads/{sender.pk}/", {"recognised": True}).json()

    assert known["recognised_at"] is not None
    assert caller.get("/api/leads/?unknown=true").json()["results"] == []
    assert (
        caller.patch(f"/api/leads/{sender.pk}/", {"recognised": False}).json()["recognised_at"]
        is None
    )


def test_lid_of_a_known_person_is_linked_by_hand_and_their_news_stays_together(
    browser, tenant, awa
):
    deliver(tenant, by_lid("L1", "from my new phone"))
    drain(tenant)
    with context.entered(tenant):
        unknown = Lead.objects.get(identities__value="555@lid")
    browser.post(f"/leads/{unknown.pk}/link/", {"other": awa.pk})

    later = by_lid("L2", "again", timezone.now() - timedelta(minutes=1))
    deliver(tenant, later)
    drain(tenant)

    with context.entered(tenant):
        assert texts_of(awa) == {"known words", "from my new phone", "again"}
