"""Leads of EspoCRM are read, kept fresh, matched with who is known, and gone when they are."""

import json
from datetime import timedelta

import pytest
from django.db import connection

from messaging import tasks
from messaging.espo import linking, pulling, running, turns
from messaging.models import EspoRecord, Lead, LeadIdentity, StageChange
from tests import factories
from tests.fakes import espo
from tests.messaging.espo.conftest import lead_named, within


def identities(lead: Lead) -> set[tuple[str, str]]:
    return set(lead.identities.values_list("kind", "value"))


def test_leads_are_read_with_owner_stage_numbers_and_addresses(linked, owner, other_tenant):
    linked.state.add_lead(
        "Awa Diop",
        phone="77 123 45 67",
        email="Awa@Example.com",
        status="In Process",
        assignedUserId="aa01",
    )

    linked.run()

    lead = lead_named("Awa Diop")
    assert (lead.owner, lead.stage.code) == (owner, "qualified")
    assert lead.recognised_at == linked.now
    assert identities(lead) == {("phone", "+221771234567"), ("email", "awa@example.com")}
    assert lead.external_id in linked.state.leads
    assert not StageChange.objects.exists()


def test_sender_who_wrote_before_becomes_the_lead_of_the_crm(linked):
    unknown = factories.make_lead("", "+221771234567")
    linked.state.add_lead("Awa Diop", phone="+221 77 123 45 67")

    linked.run()

    unknown.refresh_from_db()
    assert (unknown.name, unknown.recognised_at) == ("Awa Diop", linked.now)
    assert EspoRecord.objects.get().lead == unknown


def test_lead_that_carries_the_crms_id_is_the_one(linked):
    linked.state.add_lead("Awa Diop", id="6571d3aa", phone="+221771234567")
    named = Lead.objects.create(name="Awa", external_id="6571d3aa")

    linked.run()

    assert EspoRecord.objects.get().lead == named
    assert identities(named) == {("phone", "+221771234567")}


def test_number_of_two_records_belongs_to_the_first(linked):
    linked.state.add_lead("First", phone="+221771234567")
    linked.state.add_lead("Second", phone="+221771234567", email="second@example.com")

    linked.run()

    assert identities(lead_named("First")) == {("phone", "+221771234567")}
    assert identities(lead_named("Second")) == {("email", "second@example.com")}


def test_change_there_arrives_and_what_did_not_change_is_not_read_again(linked):
    changing = linked.state.add_lead("Awa", phone="+221771234567")
    linked.state.add_lead("Binta", phone="+221771234568")
    linked.run()
    linked.pass_time(minutes=1)
    linked.state.change_lead(changing, status="Converted", name="Awa Diop")
    linked.state.asked.clear()

    linked.read()

    assert lead_named("Awa Diop").stage.code == "won"
    assert StageChange.objects.get().after.code == "won"
    assert [each for each in linked.state.asked if each.startswith("GET Lead/")] == [
        f"GET Lead/{changing}"
    ]


def test_second_change_within_the_same_second_is_not_passed_over(linked):
    key = linked.state.add_lead("Awa", phone="+221771234567")
    linked.run()
    linked.state.change_lead(key, status="Dead")

    linked.read()

    assert lead_named("Awa").stage.code == "lost"


def test_as_many_leads_of_one_second_as_there_are_all_arrive(linked, monkeypatch):
    monkeypatch.setattr(pulling.leads, "PAGE", 3)
    monkeypatch.setattr(pulling.leads.changed_since, "__kwdefaults__", {"size": 3})
    monkeypatch.setattr(pulling, "MOST_READ", 4)
    for number in range(10):
        linked.state.add_lead(f"Lead {number}", phone=f"+22177123450{number}")

    counts = []
    for _run in range(4):
        linked.run()
        counts.append((Lead.objects.count(), turns.mine().is_behind))

    assert counts == [(4, True), (8, True), (10, False), (10, False)]


def test_owner_who_is_not_of_the_team_changes_nobodys_owner(linked, agent):
    linked.state.add_user("bb02", "stranger@elsewhere.example")
    lead = factories.make_lead("Awa", "+221771234567", owner=agent)
    linked.state.add_lead("Awa", phone="+221771234567", assignedUserId="bb02")

    linked.run()
    linked.read()

    lead.refresh_from_db()
    assert lead.owner == agent
    assert next(iter(linked.state.leads.values()))["assignedUserId"] == "bb02"


def test_status_without_a_stage_moves_nobody(linked):
    link = turns.mine()
    turns.change(link, stages={"Dead": link.stages["Dead"]})
    key = linked.state.add_lead("Awa", phone="+221771234567")
    linked.run()
    linked.pass_time(minutes=1)
    linked.state.change_lead(key, status="In Process")

    linked.read()

    assert lead_named("Awa").stage is None


def test_removed_lead_stays_here_and_nothing_is_told_of_it(linked, tenant):
    key = linked.state.add_lead("Awa", phone="+221771234567")
    linked.run()
    lead = lead_named("Awa")
    kept = linked.state.leads.pop(key)
    linked.read()
    assert EspoRecord.objects.get().gone_at == linked.now

    conversation = factories.open_conversation(tenant, lead, peer="+221771234567")
    message = factories.make_message(conversation, at=linked.now)
    pulling.queueing.tell_of([message.pk], now=linked.now)
    linked.read()

    assert (lead_named("Awa"), linked.wrote("POST")) == (lead, [])

    linked.state.leads[key] = kept
    linked.read()
    assert EspoRecord.objects.get().gone_at is None


def test_what_is_no_number_is_passed_over(linked):
    linked.state.add_lead("Awa", phone="see website", email="nothing")

    linked.run()

    assert identities(lead_named("Awa")) == set()


def test_second_number_of_a_record_is_the_leads_too(linked):
    key = linked.state.add_lead("Awa", phone="+221771234567")
    linked.state.leads[key]["phoneNumberData"].append(
        {"phoneNumber": "+33199000011", "primary": False, "type": "Home"}
    )

    linked.run()

    assert identities(lead_named("Awa")) == {("phone", "+221771234567"), ("phone", "+33199000011")}


@pytest.mark.parametrize(
    ("trouble", "state", "code"),
    [
        ({"away": True}, "away", "unavailable"),
        ({"broken": True}, "away", "server_error"),
        ({"key": "another-key"}, "refused", "unauthorized"),
    ],
    ids=["away", "broken", "key_withdrawn"],
)
def test_crm_in_trouble_is_asked_less_and_less_often_and_read_on_afterwards(
    linked, trouble, state, code
):
    linked.run()
    was = {name: getattr(linked.state, name) for name in trouble}
    linked.pass_time(minutes=6)
    linked.state.add_lead("Awa", phone="+221771234567")
    linked.state.__dict__.update(trouble)
    pauses = []
    for _try in range(4):
        linked.run()
        link = turns.mine()
        pauses.append(link.wait_until - linked.now)
        linked.pass_time(seconds=int(pauses[-1].total_seconds()))

    assert [each // timedelta(minutes=1) for each in pauses] == [1, 2, 4, 5]
    assert (link.state, link.state_code) == (state, code)

    linked.state.__dict__.update(was)
    linked.run()
    link = turns.mine()
    assert (link.state, link.state_code, link.tries) == ("linked", "", 0)
    assert Lead.objects.filter(name="Awa").exists()


def test_link_that_ended_while_a_run_read_keeps_nothing(linked, owner, monkeypatch):
    linked.state.add_lead("Awa", phone="+221771234567")
    real = pulling.leads.whole

    def unlinked_meanwhile(client, record_id):
        told = real(client, record_id)
        pulling.turns.mine().delete()
        return told

    monkeypatch.setattr(pulling.leads, "whole", unlinked_meanwhile)

    linked.run()

    assert (Lead.objects.count(), EspoRecord.objects.count()) == (0, 0)


def test_two_tenants_have_each_their_own_crm(linked, make_crm, other_tenant):
    elsewhere = make_crm()
    elsewhere.state.key = "key-of-the-other-4711"
    linked.state.add_lead("Awa", phone="+221771234567")
    elsewhere.state.add_lead("Binta", phone="+221771234567")
    linked.run()
    with within(other_tenant):
        linking.link(elsewhere.url, "key-of-the-other-4711", by=None)
        running.run()
        names = set(EspoRecord.objects.values_list("name", flat=True))
        others = LeadIdentity.objects.get(value="+221771234567").lead

    assert (names, others.name) == ({"Binta"}, "Binta")
    assert set(EspoRecord.objects.values_list("name", flat=True)) == {"Awa"}
    assert set(turns.due(linked.now + timedelta(minutes=6))) == {
        turns.mine().tenant_id,
        other_tenant.number,
    }


def test_run_that_is_under_way_keeps_others_out_until_it_is_lost(linked):
    claimed = turns.claim(linked.now)
    assert claimed is not None
    assert turns.claim(linked.now) is None

    linked.pass_time(minutes=5)
    assert turns.claim(linked.now) is not None


def test_key_is_in_no_request_but_its_header(linked):
    linked.state.add_lead("Awa", phone="+221771234567")
    linked.run()

    assert espo.KEY not in "".join(linked.state.asked)


def test_worker_is_ordered_for_whoever_is_due_and_does_what_is_due(linked, tenant, other_tenant):
    linked.run()
    ordered()
    linked.state.add_lead("Awa", phone="+221771234567")
    tasks.synchronise_crms(0)
    early = ordered()
    linked.pass_time(minutes=6)
    tasks.synchronise_crms(0)

    assert (early, ordered()) == ([], [{"tenant": tenant.number}])
    tasks.synchronise_crm(tenant.number)
    assert Lead.objects.filter(name="Awa").exists()
    tasks.synchronise_crm(other_tenant.number)
    tasks.synchronise_crm(987_654)


def ordered() -> list[dict]:
    """The runs that wait for a worker; none waits afterwards."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM public.procrastinate_jobs WHERE task_name = 'amda.synchronise_crm'"
            " RETURNING args"
        )
        return [json.loads(args) if isinstance(args, str) else args for (args,) in cursor]
