"""VIP leads: marked by the team, seen everywhere, found, and sent to before others."""

import json

from messaging import claiming, handling, merging
from messaging.models import Activity, Conversation, Lead
from tenants import context
from tests import factories
from tests.conftest import NOW


def queued(conversation: Conversation, text: str, origin: str = "campaign", **facts):
    return factories.make_message(
        conversation, text=text, direction="out", status="queued", origin=origin, external_id="",
        **facts,
    )  # fmt: skip


def opened(tenant, name: str, number: int, **facts) -> Conversation:
    lead = factories.make_lead(name, f"+22170{number:07d}", **facts)
    return factories.open_conversation(tenant, lead)


def leaving(instance) -> list[str]:
    """The words in the order in which they leave."""
    words = []
    while message := claiming.claim(instance.pk, NOW):
        words.append(message.text)
        message.status = "sent"
        message.save(update_fields=["status"])
    return words


def test_vips_messages_leave_before_those_of_others_and_typed_ones_first(inside, instance):
    awa, binta = opened(inside, "Awa", 1), opened(inside, "Binta", 2)
    vip, other_vip = (opened(inside, "Vip", number, is_vip=True) for number in (3, 4))
    queued(awa, "promo to Awa")
    queued(binta, "typed to Binta", origin="person")
    queued(awa, "second promo to Awa")
    queued(vip, "promo to the VIP")
    queued(opened(inside, "Cheikh", 5), "asked for by a program", origin="api")
    queued(other_vip, "typed to the other VIP", origin="person")

    assert leaving(instance) == [
        "typed to the other VIP",
        "typed to Binta",
        "promo to the VIP",
        "asked for by a program",
        "promo to Awa",
        "second promo to Awa",
    ]


def test_bulk_message_does_not_hold_up_what_is_typed_after_it(inside, instance):
    others = [opened(inside, f"Lead {number}", number) for number in range(1, 6)]
    for each in others:
        queued(each, f"promo to {each.lead.name}")
    queued(others[4], "typed", origin="person")

    assert leaving(instance)[:3] == ["promo to Lead 5", "typed", "promo to Lead 1"]


def test_person_marks_a_lead_and_its_history_says_so(browser, tenant, other_tenant, agent):
    with context.entered(tenant):
        lead = factories.make_conversation(tenant, name="Awa").lead
    with context.entered(other_tenant):
        foreign = Lead.objects.get(name="Leaky Lead")

    marked = browser.post(f"/leads/{lead.pk}/vip/", {"vip": "1"}, headers={"hx-request": "true"})
    browser.post(f"/leads/{lead.pk}/vip/", {"vip": "1"})
    browser.post(f"/leads/{lead.pk}/vip/", {"vip": "0"})
    browser.post(f"/leads/{foreign.pk + 1000}/vip/", {"vip": "1"})

    assert 'aria-pressed="true"' in marked.content.decode()
    with context.entered(tenant):
        told = Activity.objects.filter(lead=lead, kind="vip").order_by("id")
        assert [(each.meta, each.by_id) for each in told] == [
            ({"is": True}, agent.pk),
            ({"is": False}, agent.pk),
        ]
        assert not Lead.objects.get(pk=lead.pk).is_vip
    with context.entered(other_tenant):
        assert not Activity.objects.filter(kind="vip").exists()
    history = browser.get(f"/leads/{lead.pk}/history/").content.decode()
    assert "Devenu VIP" in history
    assert "N’est plus VIP" in history


def test_assistant_sees_who_is_a_vip_and_cannot_change_it(
    client_for, tenant, assistant, other_tenant
):
    with context.entered(tenant):
        conversation = factories.make_conversation(tenant, name="Awa")
        handling.prefer(conversation.lead, is_vip=True, by=None, now=NOW)
    browser = client_for(tenant, assistant)

    answer = browser.post(f"/leads/{conversation.lead_id}/vip/", {"vip": "0"})

    assert answer.status_code == 403
    pages = ("/", f"/inbox/{conversation.pk}/pane/", "/leads/", f"/leads/{conversation.lead_id}/")
    shown = [browser.get(page).content.decode() for page in pages]
    assert [page.count('class="vip-mark"') for page in shown] == [1, 1, 1, 1]
    assert not any("vip-form" in page for page in shown)


def test_lists_are_narrowed_to_vips(browser, tenant, other_tenant):
    with context.entered(other_tenant):
        Lead.objects.update(is_vip=True)
    with context.entered(tenant):
        vip = factories.make_conversation(tenant, name="Awa Vip").lead
        factories.make_conversation(tenant, name="Binta", phone="+221702222222")
        handling.prefer(vip, is_vip=True, by=None, now=NOW)

    for page in ("/?vip=1", "/inbox/rows/?vip=1", "/leads/?vip=1", "/?vip=1&q=awa"):
        shown = browser.get(page).content.decode()
        assert ("Awa Vip" in shown, "Binta" in shown, "Leaky" in shown) == (True, False, False)
    assert "Binta" in browser.get("/leads/").content.decode()
    assert "VIP seulement" in browser.get("/?vip=1").content.decode()


def test_program_marks_and_finds_vips(browser, tenant, other_tenant):
    with context.entered(tenant):
        conversation = factories.make_conversation(tenant, name="Awa")
        factories.make_conversation(tenant, name="Binta", phone="+221702222222")
    path = f"/api/leads/{conversation.lead_id}/"

    wrong = browser.patch(path, json.dumps({"is_vip": "perhaps"}), content_type="application/json")
    changed = browser.patch(path, json.dumps({"is_vip": True}), content_type="application/json")

    assert (wrong.status_code, wrong.json()["error"]["field"]) == (400, "is_vip")
    assert (changed.status_code, changed.json()["is_vip"]) == (200, True)
    listed = browser.get("/api/leads/?vip=true").json()["results"]
    assert [each["name"] for each in listed] == ["Awa"]
    spoken = browser.get(f"/api/conversations/{conversation.pk}/").json()
    assert spoken["lead"] == {"id": conversation.lead_id, "name": "Awa", "is_vip": True}


def test_lead_that_takes_in_a_vip_is_one_until_they_are_separated(inside, owner):
    kept = factories.make_lead("Awa", "+221701111111")
    vip = factories.make_lead("Awa again", "+221702222222", is_vip=True)

    record = merging.merge(kept, vip, by=owner)
    as_one = Lead.objects.get(pk=kept.pk).is_vip
    merging.undo(record, by=owner, now=NOW)

    assert as_one
    leads = Lead.objects.filter(pk__in=(kept.pk, vip.pk)).order_by("pk")
    assert list(leads.values_list("is_vip", flat=True)) == [False, True]
