"""What happens here is told to EspoCRM: in order, once, however long it is away."""

import logging
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from messaging import activities, handling, merging
from messaging.espo import linking, pushing, turns, wording
from messaging.models import EspoPush, EspoRecord, Lead, LeadIdentity, Stage
from tests import factories
from tests.fakes import espo
from tests.messaging.espo.conftest import PHONE, lead_named, say, waiting, words


def test_each_message_is_one_note_in_order(linked, key, conversation, agent):
    say(linked, conversation, "Bonjour")
    say(
        linked,
        conversation,
        "Bonjour Awa",
        direction="out",
        status="sent",
        origin="person",
        by=agent,
    )
    linked.run()
    linked.run()

    notes = linked.state.posts(key)
    assert words(linked, key) == ["Bonjour", "Bonjour Awa"]
    assert notes[0].startswith(f"WhatsApp de {PHONE}, 02/03/2026 ")
    assert "agent one" in notes[1]
    assert waiting() == []


def test_message_that_did_not_leave_and_one_of_before_the_link_are_not_noted(
    linked, key, conversation
):
    queued = say(linked, conversation, "Wait", direction="out", status="queued", origin="person")
    failed = say(linked, conversation, "No", direction="out", status="failed", origin="person")
    before = linked.now - timedelta(days=1)
    old = factories.make_message(conversation, text="Old", at=before)
    activities.keep([old.pk], now=linked.now)
    linked.run()
    assert linked.state.posts(key) == []

    type(queued).objects.filter(pk=queued.pk).update(status="delivered")
    activities.keep([queued.pk, failed.pk], now=linked.now)
    linked.run()
    assert words(linked, key) == ["Wait"]


def test_message_of_before_its_lead_was_in_the_crm_is_noted_when_it_is(linked, tenant):
    lead = factories.make_lead("", "+221770000001")
    say(linked, factories.open_conversation(tenant, lead, peer="+221770000001"), "First")
    linked.run()
    assert waiting() == []

    linked.pass_time(minutes=1)
    key = linked.state.add_lead("Binta", phone="+221770000001")
    linked.read()
    assert words(linked, key) == ["First"]


def test_each_email_is_an_email_record(linked, key, tenant):
    post = factories.make_instance(
        tenant, provider="smtp", address="shop@example.com", reference="smtp-1"
    )
    conversation = factories.open_conversation(
        tenant, lead_named("Awa"), instance_id=post.pk, provider="smtp", medium="email",
        peer="awa@example.com",
    )  # fmt: skip
    said = say(linked, conversation, "See attached", subject="Offer", peer="awa@example.com")
    linked.run()

    [email] = linked.state.emails.values()
    assert email == {
        "id": email["id"],
        "createdAt": email["createdAt"],
        "name": "Offer",
        "body": f"See attached\n\n{wording.mark(said)}",
        "status": "Archived",
        "dateSent": "2026-03-02 09:31:00",
        "from": "awa@example.com",
        "to": "shop@example.com",
        "isHtml": False,
        "parentType": "Lead",
        "parentId": key,
    }
    assert linked.state.posts(key) == []


def test_owner_stage_and_new_number_are_told(linked, key, owner):
    lead = lead_named("Awa")
    handling.give(lead, to=owner, by=owner, now=linked.now)
    handling.move(lead, to=Stage.objects.get(code="won"), by=owner, now=linked.now)
    LeadIdentity.objects.create(lead=lead, kind="phone", value="+33199000012")
    LeadIdentity.objects.filter(value="+33199000012").update(created_at=linked.now)
    activities.touched([lead.pk], now=linked.now)
    linked.run()

    there = linked.state.leads[key]
    assert (there["assignedUserId"], there["status"]) == ("aa01", "Converted")
    assert [(each["phoneNumber"], each["primary"]) for each in there["phoneNumberData"]] == [
        (PHONE, False),
        ("+33199000012", True),
    ]
    linked.state.asked.clear()
    linked.read()
    assert (waiting(), linked.wrote("PUT"), linked.wrote("GET Lead/")) == ([], [], [])


def test_number_known_before_the_link_does_not_become_the_main_one(linked):
    lead = factories.make_lead("Awa", PHONE)
    LeadIdentity.objects.create(lead=lead, kind="phone", value="+33199000012")
    LeadIdentity.objects.update(created_at=linked.now - timedelta(days=1))
    key = linked.state.add_lead("Awa", phone=PHONE)
    linked.run()

    numbers = linked.state.leads[key]["phoneNumberData"]
    assert [(each["phoneNumber"], each["primary"]) for each in numbers] == [
        (PHONE, True),
        ("+33199000012", False),
    ]


def test_change_that_no_event_told_of_is_told_all_the_same(linked, key, owner):
    Lead.objects.filter(name="Awa").update(owner=owner, owner_since=linked.now)

    linked.read()

    assert linked.state.leads[key]["assignedUserId"] == "aa01"


@pytest.mark.parametrize(
    ("ours_first", "ends"), [(True, "Dead"), (False, "Converted")], ids=["theirs", "ours"]
)
def test_later_change_of_a_stage_wins(linked, key, owner, ours_first, ends):
    def ours():
        handling.move(lead_named("Awa"), to=Stage.objects.get(code="won"), by=owner, now=linked.now)

    def theirs():
        linked.state.change_lead(key, status="Dead")

    for change in (ours, theirs) if ours_first else (theirs, ours):
        change()
        linked.pass_time(minutes=1)
    # A later change of something else says nothing of the stage.
    linked.state.change_lead(key, description="called")
    linked.read()
    linked.read()

    stage = {"Dead": "lost", "Converted": "won"}[ends]
    assert (linked.state.leads[key]["status"], lead_named("Awa").stage.code) == (ends, stage)
    assert waiting() == []


def test_each_field_is_decided_for_itself(linked, key, owner, agent):
    linked.state.add_user("bb02", agent.email)
    linked.state.change_lead(key, assignedUserId="bb02")
    linked.pass_time(minutes=1)
    lead = lead_named("Awa")
    handling.give(lead, to=owner, by=owner, now=linked.now)
    handling.move(lead, to=Stage.objects.get(code="won"), by=owner, now=linked.now)
    linked.pass_time(minutes=1)
    linked.state.change_lead(key, status="Dead")
    linked.read()
    linked.read()

    there, here = linked.state.leads[key], lead_named("Awa")
    assert (there["assignedUserId"], here.owner) == ("aa01", owner)
    assert (there["status"], here.stage.code) == ("Dead", "lost")


def test_owner_or_stage_the_crm_has_no_word_for_is_not_told(linked, key, agent):
    lead = lead_named("Awa")
    handling.give(lead, to=agent, by=agent, now=linked.now)
    handling.move(lead, to=Stage.objects.get(code="proposal"), by=agent, now=linked.now)
    linked.run()
    linked.read()

    assert (linked.wrote("PUT"), waiting()) == ([], [])
    here = lead_named("Awa")
    assert (here.owner, here.stage.code) == (agent, "proposal")


@pytest.mark.parametrize("trouble", ["away", "broken"])
def test_crm_away_for_ten_minutes_loses_and_doubles_nothing(
    linked, key, conversation, owner, trouble
):
    setattr(linked.state, trouble, True)
    said = []
    for minute in range(10):
        said.append(f"Word {minute}")
        say(linked, conversation, said[-1])
        if minute == 5:
            handling.give(lead_named("Awa"), to=owner, by=owner, now=linked.now)
        linked.run()
        linked.pass_time(minutes=1)
    assert linked.state.posts(key) == []
    assert turns.mine().state == "away"

    setattr(linked.state, trouble, False)
    for _minute in range(6):
        linked.run()
        linked.pass_time(minutes=1)

    assert words(linked, key) == said
    assert linked.state.leads[key]["assignedUserId"] == "aa01"
    assert (waiting(), turns.mine().state) == ([], "linked")


@pytest.mark.parametrize("medium", ["whatsapp", "email"])
def test_note_whose_answer_was_lost_is_found_and_not_written_twice(
    linked, key, conversation, medium
):
    conversation.medium = medium
    conversation.save()
    linked.state.breaks_off = ["POST", "GET App"]
    say(linked, conversation, "Once", peer="awa@example.com")
    linked.run()
    linked.state.breaks_off = []
    assert [state for _kind, state in waiting()] == ["waiting"]
    assert EspoPush.objects.get().is_unsure

    say(linked, conversation, "Twice", peer="awa@example.com")
    for _minute in range(4):
        linked.pass_time(minutes=1)
        linked.run()

    told = linked.state.posts(key) or [each["body"] for each in linked.state.emails.values()]
    assert [("Once" in each, "Twice" in each) for each in told] == [(True, False), (False, True)]
    assert (waiting(), len(linked.wrote("POST"))) == ([], 2)


def test_note_that_never_arrived_is_written_after_a_lost_answer(linked, key, conversation):
    linked.state.fails = ["POST Note"]
    say(linked, conversation, "Once")
    linked.run()
    linked.state.fails = []
    assert linked.state.posts(key) == []

    linked.pass_time(minutes=2)
    linked.run()

    assert words(linked, key) == ["Once"]


def test_run_that_was_killed_after_it_wrote_doubles_nothing(linked, key, conversation, monkeypatch):
    class Killed(BaseException):
        pass

    def killed(*args):
        raise Killed

    say(linked, conversation, "Once")
    monkeypatch.setattr(pushing, "_end", killed)
    with pytest.raises(Killed):
        linked.run()
    monkeypatch.undo()
    monkeypatch.setattr(timezone, "now", lambda: linked.now)
    assert [state for _kind, state in waiting()] == ["sending"]

    for _run in range(3):
        linked.pass_time(minutes=5)
        linked.run()

    assert (words(linked, key), waiting()) == (["Once"], [])


def test_trouble_with_one_note_lets_the_others_pass(linked, key, conversation, tenant):
    binta = linked.state.add_lead("Binta", phone="+221770000002")
    linked.read()
    other = factories.open_conversation(tenant, lead_named("Binta"), peer="+221770000002")
    linked.state.forbids = ["POST Note"]
    say(linked, conversation, "Refused")
    linked.run()
    linked.state.forbids = []
    say(linked, other, "Passes")
    linked.run()

    assert (linked.state.posts(key), words(linked, binta)) == ([], ["Passes"])
    failed = EspoPush.objects.get(state="failed")
    assert (failed.error_code, failed.error_detail) == ("forbidden", "No access.")

    linking.retry(turns.mine(), by=None)
    linked.run()
    assert (words(linked, key), waiting()) == (["Refused"], [])


def test_note_behind_one_that_waits_orders_no_run(linked, key, conversation):
    linked.state.fails = ["POST Note"]
    say(linked, conversation, "First")
    linked.run()
    say(linked, conversation, "Second")
    connection.cursor().execute("DELETE FROM public.procrastinate_jobs")
    linked.run()

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM public.procrastinate_jobs")
        assert cursor.fetchone() == (0,)
    assert len(linked.wrote("POST")) == 1


def test_note_that_always_fails_is_given_up_in_the_end(linked, key, conversation):
    linked.state.fails = ["POST Note"]
    say(linked, conversation, "Never")
    for _try in range(60):
        linked.run()
        linked.pass_time(minutes=1)

    failed = EspoPush.objects.get()
    assert (failed.state, failed.error_code, failed.attempts) == ("failed", "server_error", 8)
    assert len(linked.wrote("POST")) == 8


def test_secrets_and_words_are_in_no_log(linked, key, conversation, caplog):
    caplog.set_level(logging.DEBUG)
    for trouble in ({"fails": ["POST"]}, {"fails": [], "key": "other"}, {"away": True}):
        vars(linked.state).update(trouble)
        say(linked, conversation, "Zanzibar 4711")
        linked.read()
    ours = "\n".join(
        each.getMessage() for each in caplog.records if not each.name.startswith("django.db")
    )

    assert espo.KEY not in ours
    assert "Zanzibar" not in ours
    assert "the CRM is away: unavailable" in ours


def test_merged_leads_are_told_to_the_one_record(linked, key, conversation, tenant, owner):
    other = factories.make_lead("Awa's other phone", "+221770000003")
    merging.merge(lead_named("Awa"), other, by=owner)
    there = factories.open_conversation(tenant, lead_named("Awa"), peer="+221770000003")
    say(linked, there, "From the other")
    linked.read()

    assert words(linked, key) == ["From the other"]
    numbers = [each["phoneNumber"] for each in linked.state.leads[key]["phoneNumberData"]]
    assert numbers == [PHONE, "+221770000003"]
    assert EspoRecord.objects.get().lead.name == "Awa"


def test_unlinked_crm_is_told_nothing_any_more(linked, key, conversation, owner):
    say(linked, conversation, "Before")
    linking.unlink(turns.mine(), by=owner)
    say(linked, conversation, "After")
    linked.state.asked.clear()
    linked.read()

    assert (linked.state.asked, EspoRecord.objects.count(), waiting()) == ([], 0, [])
    assert lead_named("Awa").external_id == key
