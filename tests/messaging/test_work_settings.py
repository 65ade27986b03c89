"""Stages, tags and canned replies: used on leads, in lists and where one writes."""

import html
import re

import pytest
from django.core.cache import cache

from messaging import canned, merging, pipeline, tagging
from messaging.canned import WrongReply
from messaging.models import CannedReply, Lead, Stage, StageChange, Tag
from tenants import context
from tenants.accounts.models import AuditEntry, Role
from tests import factories
from tests.conftest import user_of


@pytest.fixture(autouse=True)
def _no_attempts_so_far(db):
    cache.clear()


@pytest.fixture
def browser(tenant, owner, client_for):
    return client_for(tenant, owner)


def stages():
    return [(str(each), each.kind) for each in Stage.objects.all()]


def test_stages_are_added_renamed_moved_and_recorded(browser, tenant, other_tenant):
    browser.post("/settings/stages/", {"name": "Visit", "kind": "open", "stale_after_days": "5"})
    with context.entered(tenant):
        visit, first = Stage.objects.get(name="Visit"), Stage.objects.get(code="new")
    browser.post(f"/settings/stages/{visit.pk}/move/", {"way": "up"})
    browser.post(f"/settings/stages/{first.pk}/", {"name": "Prospect", "kind": "open"})

    with context.entered(tenant):
        assert [name for name, _kind in stages()] == [
            "Prospect", "Qualifié", "Visit", "Proposition", "Gagné", "Perdu",
        ]  # fmt: skip
        assert Stage.objects.get(pk=visit.pk).stale_after_days == 5
        told = list(AuditEntry.objects.order_by("id").values_list("act", "subject_name"))
    assert told[-3:] == [
        ("stage.added", "Visit"),
        ("stage.moved", "Visit"),
        ("stage.changed", "Prospect"),
    ]
    with context.entered(other_tenant):
        assert not Stage.objects.exclude(name="").exists()


def test_stage_shown_in_the_readers_language_stays_so_when_it_is_saved(browser, tenant):
    with context.entered(tenant):
        first = Stage.objects.get(code="new")

    browser.post(
        f"/settings/stages/{first.pk}/",
        {"name": "Nouveau", "kind": "open", "stale_after_days": "3"},
    )

    with context.entered(tenant):
        first.refresh_from_db()
    assert (first.name, first.stale_after_days) == ("", 3)


def test_removed_stage_hands_its_leads_on(browser, tenant):
    with context.entered(tenant):
        first, second = Stage.objects.filter(kind="open")[:2]
        lead = factories.make_lead(stage=second)

    browser.post(f"/settings/stages/{second.pk}/remove/", {"into": first.pk})

    with context.entered(tenant):
        lead.refresh_from_db()
        assert (lead.stage, Stage.objects.filter(pk=second.pk).exists()) == (first, False)
        assert lead.standing.stage_id == first.pk


def test_last_open_stage_stays(browser, tenant):
    with context.entered(tenant):
        won = Stage.objects.get(kind="won")
        opened = list(Stage.objects.filter(kind="open"))
    answers = [
        browser.post(f"/settings/stages/{each.pk}/remove/", {"into": won.pk}) for each in opened
    ]

    assert [each.status_code for each in answers] == [302, 302, 400]
    assert "alert" in answers[-1].content.decode()
    with context.entered(tenant):
        assert Stage.objects.filter(kind="open").count() == 1


def test_tag_is_put_on_a_lead_and_narrows_the_lists(browser, tenant, other_tenant):
    browser.post("/settings/tags/", {"name": "VIP", "colour": "plum"})
    with context.entered(tenant):
        tag = Tag.objects.get()
        tagged = factories.make_conversation(tenant, name="Tagged Tina")
        factories.make_conversation(tenant, name="Plain Paul", phone="+221701111112")

    answer = browser.post(f"/leads/{tagged.lead_id}/tags/", {"tags": [tag.pk]})
    leads = browser.get(f"/leads/?tag={tag.pk}").content.decode()
    inbox = browser.get(f"/?tag={tag.pk}").content.decode()
    page = browser.get(f"/leads/{tagged.lead_id}/").content.decode()

    assert answer.status_code == 200
    assert ("Tagged Tina" in leads, "Plain Paul" in leads) == (True, False)
    assert ("Tagged Tina" in inbox, "Plain Paul" in inbox) == (True, False)
    assert 'data-colour="plum"' in page
    with context.entered(other_tenant):
        assert not Tag.objects.exists()


def test_stage_narrows_the_lists_and_leads_without_one_stand_at_the_first(browser, tenant):
    with context.entered(tenant):
        first, second = Stage.objects.filter(kind="open")[:2]
        new = factories.make_conversation(tenant, name="New Nora")
        far = factories.make_conversation(tenant, name="Far Fanny", phone="+221701111112")
        Lead.objects.filter(pk=far.lead_id).update(stage=second)

    shown = [
        browser.get(path).content.decode()
        for path in (f"/leads/?stage={first.pk}", f"/?stage={first.pk}", f"/?stage={second.pk}")
    ]

    with context.entered(tenant):
        assert Lead.objects.get(pk=new.lead_id).stage is None
    assert [("New Nora" in each, "Far Fanny" in each) for each in shown] == [
        (True, False),
        (True, False),
        (False, True),
    ]


def test_second_tag_of_a_name_and_an_empty_one_are_refused(browser, tenant):
    browser.post("/settings/tags/", {"name": "VIP"})

    answers = [browser.post("/settings/tags/", {"name": name}) for name in ("vip", " ")]

    assert [each.status_code for each in answers] == [400, 400]
    with context.entered(tenant):
        assert [each.name for each in Tag.objects.all()] == ["VIP"]


def test_tags_go_along_with_a_merge_and_come_back(inside, owner):
    shared, theirs = tagging.add("shared", by=owner), tagging.add("theirs", by=owner)
    kept, other = factories.make_lead("A"), factories.make_lead("B", "+221701111112")
    tagging.put_on(kept, [shared])
    tagging.put_on(other, [shared, theirs])

    record = merging.merge(kept, other, by=owner)
    merged = {each.name for each in kept.tags.all()}
    merging.undo(record, by=owner, now=factories.NOW)

    assert merged == {"shared", "theirs"}
    assert {each.name for each in kept.tags.all()} == {"shared"}
    assert {each.name for each in other.tags.all()} == {"shared", "theirs"}


FILLED = [
    ("Bonjour {prénom}, ici {moi}.", "Awa Diop", "Bonjour Awa, ici Jean."),
    ("Bonjour {first_name|Madame, Monsieur} !", "", "Bonjour Madame, Monsieur !"),
    ("Bonjour {prénom}, merci.", "", "Bonjour, merci."),
    ("{nom} – {organisation} – {adresse}", "Awa Diop", "Awa Diop – Shop – +221701111111"),
]


@pytest.mark.parametrize(("text", "name", "sent"), FILLED)
def test_braces_are_filled_in_for_whom_one_writes_to(inside, tenant, owner, text, name, sent):
    conversation = factories.make_conversation(tenant, name=name)
    owner.name, tenant.name = "Jean", "Shop"
    reply = CannedReply(shortcut="x", text=text)

    assert canned.filled_in(reply, conversation, by=owner, tenant=tenant) == sent


def test_unknown_braces_are_refused_by_name(inside, owner):
    with pytest.raises(WrongReply) as refusal:
        canned.add("prix", "Le prix est {prix}.", by=owner)

    assert (refusal.value.field, "{prix}" in str(refusal.value.message)) == ("text", True)
    assert not CannedReply.objects.exists()


REFUSED_CHANGES = [
    ("replies", {"shortcut": "prix", "text": "Bonjour {prenom}, un long texte."}, "text"),
    ("replies", {"shortcut": "a b", "text": "Un autre long texte."}, "shortcut"),
    ("stages", {"name": "Un nom bien réfléchi", "kind": "open", "stale_after_days": "0"}, "stale"),
    ("tags", {"name": "un nom bien trop long pour être une étiquette", "colour": "plum"}, "name"),
    ("tags", {"name": "Other", "colour": "plum"}, None),
]


@pytest.mark.parametrize(("tab", "typed", "field"), REFUSED_CHANGES)
def test_refused_change_keeps_what_was_typed_and_says_what_is_wrong_beside_it(
    browser, tenant, owner, tab, typed, field
):
    with context.entered(tenant):
        tagging.add("Other", by=owner)
        made = {
            "replies": canned.add("kept", "Kept text", by=owner),
            "tags": tagging.add("Kept", by=owner),
            "stages": Stage.objects.get(code="new"),
        }[tab]

    answer = browser.post(f"/settings/{tab}/{made.pk}/", typed)

    page = answer.content.decode()
    [form] = [
        each for each in page.split("<form") if f'action="/settings/{tab}/{made.pk}/"' in each
    ]
    assert answer.status_code == 400
    for value in typed.values():
        assert html.escape(value) in form
    assert form.count('class="problem"') == page.count('class="problem"') == 1
    assert form.count("autofocus") == page.count("autofocus") == 1
    if field:
        assert re.search(rf'id="\w+-{made.pk}-{field}\w*_error" role="alert"', form)


def test_replies_are_offered_where_one_writes(browser, tenant, other_tenant, assistant, client_for):
    browser.post("/settings/replies/", {"shortcut": "/horaires", "text": "Bonjour {prénom}, 9 h."})
    with context.entered(tenant):
        conversation = factories.make_conversation(tenant, name="Awa Diop")
    with context.entered(other_tenant):
        canned.add("leak", "leak me", by=user_of(other_tenant, Role.OWNER))

    found = browser.get(f"/inbox/{conversation.pk}/replies/?q=ho").content.decode()
    everything = browser.get(f"/inbox/{conversation.pk}/replies/").content.decode()

    assert 'data-text="Bonjour Awa, 9 h."' in found
    assert "leak" not in everything
    reader = client_for(tenant, assistant)
    assert reader.get(f"/inbox/{conversation.pk}/replies/").status_code == 403


def test_lead_is_staged_and_tagged_in_the_api(browser, tenant, other_tenant):
    with context.entered(tenant):
        lead = factories.make_lead()
        stage = Stage.objects.filter(kind="won").get()
        tag = Tag.objects.create(name="VIP", colour="plum")

    def change(body):
        return browser.patch(f"/api/leads/{lead.pk}/", body, content_type="application/json")

    changed = change({"stage": stage.pk, "tags": [tag.pk]}).json()
    refused = [change({"tags": [999_999]}), change({"stage": 999_999})]

    assert changed["stage"]["kind"] == "won"
    assert changed["tags"] == [{"id": tag.pk, "name": "VIP", "colour": "plum"}]
    assert [(each.status_code, each.json()["error"]["field"]) for each in refused] == [
        (404, "tags"),
        (404, "stage"),
    ]
    listed = browser.get(f"/api/leads/?tag={tag.pk}&stage={stage.pk}").json()["results"]
    assert [each["id"] for each in listed] == [lead.pk]
    assert browser.get("/api/tags/").json() == changed["tags"]
    assert [each["position"] for each in browser.get("/api/stages/").json()] == [1, 2, 3, 4, 5]
    with context.entered(tenant):
        assert StageChange.objects.get().after == stage


def test_pipeline_keeps_open_stages_before_won_and_lost(inside, owner):
    pipeline.add("Signed", Stage.Kind.WON, None, by=owner)
    pipeline.add("Visit", Stage.Kind.OPEN, None, by=owner)

    assert [kind for _name, kind in stages()] == ["open"] * 4 + ["won"] * 2 + ["lost"]
