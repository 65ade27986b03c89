"""The pages of alerts: widget, next steps, today, team, figures, rules, folded cards."""

import json
import uuid
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from alerts import evaluate, resolving
from alerts.models import Alert, AlertRule, TeamHabits
from messaging import activities, followups
from messaging.events import Connection
from messaging.models import Activity, FollowUp, Lead, Message, MessageTemplate, Stage
from messaging.providers.base import InstanceState
from messaging.providers.wasender import Wasender
from tenants import context
from tenants.models import ProviderInstance
from tests import factories

NAME = "Zoé Alerte"


@pytest.fixture
def browser(tenant, other_tenant, owner, client_for):
    """The owner's browser; a request leaves the test in the tenant it was in."""
    return _steady(client_for(tenant, owner))


def _steady(client):
    def call(method, path, data=None, **facts):
        before = context.connection.tenant
        answer = getattr(client, method)(path, data or {}, **facts)
        context.connection.set_tenant(before)
        return answer

    return call


@pytest.fixture
def waiting(inside, owner) -> Alert:
    """A lead that has waited since yesterday, and its alerts."""
    conversation = factories.make_conversation(inside, name=NAME)
    Lead.objects.update(owner=owner, created_at=timezone.now() - timedelta(days=1))
    Message.objects.update(sent_at=timezone.now() - timedelta(days=5))
    activities.keep(list(Message.objects.values_list("pk", flat=True)))
    evaluate.leads(inside, [conversation.lead_id], now=timezone.now())
    return Alert.objects.get(type="CustomerWaiting")


def _said(answer) -> str:
    assert answer.status_code == 200, answer.status_code
    return answer.content.decode()


def test_dashboard_shows_badges_and_one_card_for_a_lead(browser, waiting):
    page = _said(browser("get", "/dashboard/"))

    assert page.count("data-card=") == 1
    assert NAME in page
    assert "Client en attente" in page
    assert "Aussi" in page
    assert "Critique: 1" in page.replace("\xa0", " ").replace(" :", ":")
    assert "Leaky Lead" not in page


def test_manual_alert_counts_as_haute_1(browser, inside):
    _by_hand("high")

    page = _said(browser("get", "/dashboard/"))

    assert "Haute: 1" in page
    assert "À voir" in page
    assert "Résoudre" in page
    assert "Actualiser" in page


def test_empty_widget_is_alive(browser):
    assert "R.A.S. aujourd’hui" in _said(browser("get", "/dashboard/"))


def test_widget_costs_the_same_for_one_and_many(browser, inside, django_assert_max_num_queries):
    for number in range(30):
        _by_hand("high", factories.make_lead(phone=f"+2217011{number:05d}"))

    with django_assert_max_num_queries(10):
        browser("get", "/alerts/widget/")


def test_resolve_takes_the_card_away(browser, inside):
    alert = _by_hand("high")

    browser("post", f"/alerts/{alert.pk}/resolve/", headers={"HX-Request": "true"})

    alert.refresh_from_db()
    assert alert.resolution == "hand"
    assert "data-card=" not in _said(browser("get", "/alerts/widget/"))


def test_snoozed_until_the_lead_writes_wakes_when_it_does(browser, inside, waiting):
    browser("post", f"/alerts/{waiting.pk}/snooze/", {"for": "reply"})
    assert f"alert-{waiting.pk}" not in _said(browser("get", "/alerts/widget/"))

    conversation = waiting.lead.conversations.get()
    message = factories.make_message(conversation, at=timezone.now() + timedelta(seconds=1))
    activities.keep([message.pk])
    evaluate.leads(inside, [waiting.lead_id], now=timezone.now() + timedelta(seconds=2))

    assert f"alert-{waiting.pk}" in _said(browser("get", "/alerts/widget/"))


def test_answering_from_the_card_queues_a_message_and_closes_the_alert(browser, waiting):
    dialog = _said(browser("get", f"/alerts/{waiting.pk}/act/"))
    answer = browser(
        "post",
        f"/alerts/{waiting.pk}/act/",
        {"text": "J'arrive"},
        headers={"HX-Request": "true"},
    )

    assert "textarea" in dialog
    assert "acted" in json.loads(answer["HX-Trigger"])
    assert Message.objects.get(direction="out").text == "J'arrive"
    waiting.refresh_from_db()
    assert waiting.resolution == "action"


@pytest.mark.parametrize(
    ("code", "typed", "row"),
    [
        ("NoReply3d", {"status": "replied", "note": "Intéressé"}, Activity),
        ("NoNextStep", {"what": "Devis", "due_at": "2036-01-01T09:00"}, FollowUp),
        ("StageStale", {"stage": "qualified"}, Stage),
        ("LeadUnassigned", {}, Lead),
    ],
)
def test_each_step_ends_in_a_row(browser, inside, owner, code, typed, row):
    lead = factories.make_lead(NAME)
    alert = Alert.objects.create(
        type=code, severity="high", is_manual=False, subject_kind="lead", subject_id=lead.pk,
        lead=lead, since=timezone.now(), facts={"since": timezone.now().isoformat()},
    )  # fmt: skip
    if "stage" in typed:
        typed = {"stage": Stage.objects.get(code=typed["stage"]).pk}

    assert NAME in _said(browser("get", f"/alerts/{alert.pk}/act/"))
    browser("post", f"/alerts/{alert.pk}/act/", typed)

    lead.refresh_from_db()
    made = {
        Activity: lambda: Activity.objects.get(channel="call").snippet == "Intéressé",
        FollowUp: lambda: FollowUp.objects.get(lead=lead).what == "Devis",
        Stage: lambda: lead.stage.code == "qualified",
        Lead: lambda: lead.owner == owner,
    }
    assert made[row]()
    alert.refresh_from_db()
    assert alert.resolution == "action"


def test_refused_step_says_why(browser, inside, waiting):
    page = _said(browser("post", f"/alerts/{waiting.pk}/act/", {"text": ""}))

    assert "Écrivez d" in page.replace("&#x27;", "'")
    assert Message.objects.filter(direction="out").count() == 0


def test_five_never_contacted_leads_are_one_card_that_writes_to_those_chosen(browser, inside):
    now = timezone.now()
    leads = [factories.make_lead(f"Lead {n}", f"+22170222222{n}") for n in range(6)]
    Lead.objects.update(created_at=now - timedelta(days=8))
    evaluate.sweep(inside, now=now)

    Alert.objects.create(type="NoContact7d", severity="low", message="À part")
    page = _said(browser("get", "/dashboard/"))
    address = "/alerts/folds/?type=NoContact7d&fold=never"
    assert address in page.replace("&amp;", "&")
    assert "À part" in page
    listed = _said(browser("get", address))
    chosen = Alert.objects.filter(type="NoContact7d", lead__in=leads[:2])
    browser(
        "post",
        address,
        {"alert": [each.pk for each in chosen], "text": "Bonjour {name}", "do": "write"},
    )

    assert listed.count('name="alert"') == 6
    texts = Message.objects.order_by("lead_id").values_list("text", flat=True)
    assert list(texts) == ["Bonjour Lead 0", "Bonjour Lead 1"]


def test_selection_is_sent_one_template_of_the_provider(browser, inside, instance):
    now = timezone.now()
    leads = [factories.make_lead(f"Lead {n}", f"+22170222222{n}") for n in range(6)]
    Lead.objects.update(created_at=now - timedelta(days=8))
    evaluate.sweep(inside, now=now)
    official = factories.make_instance(
        inside, provider="whatsapp_cloud", address="+221701199998", settings={"waba_id": "7"}
    )
    template = MessageTemplate.objects.create(
        provider="whatsapp_cloud", account="7", name="relance", language="fr", status="approved",
        body="Bonjour {{1}}, toujours intéressé par {{2}} ?", changed_at=now,
    )  # fmt: skip
    address = f"/alerts/folds/?type=NoContact7d&fold=never&template={template.pk}"
    chosen = Alert.objects.filter(type="NoContact7d", lead__in=leads[:2])
    typed = {
        "alert": [each.pk for each in chosen],
        "do": "write",
        "reference": str(uuid.uuid4()),
        "variables.body.1": "{name}",
        "variables.body.2": "la table",
    }

    listed = _said(browser("get", address))
    for _each in range(2):
        browser("post", address, typed)

    assert 'name="variables.body.2"' in listed
    sent = Message.objects.order_by("lead_id").values_list("text", "instance_id")
    assert list(sent) == [
        (f"Bonjour Lead {n}, toujours intéressé par la table ?", official.pk) for n in range(2)
    ]


def test_template_that_is_not_filled_is_sent_to_nobody(browser, inside):
    lead = factories.make_lead(NAME)
    factories.make_instance(
        inside, provider="whatsapp_cloud", address="+221701199998", settings={"waba_id": "7"}
    )
    template = MessageTemplate.objects.create(
        provider="whatsapp_cloud", account="7", name="relance", language="fr", status="approved",
        body="Bonjour {{1}}", changed_at=timezone.now(),
    )  # fmt: skip
    never = {"last_in_at": None, "last_out_at": None}
    alert = Alert.objects.create(type="NoContact7d", lead=lead, is_manual=False, facts=never)
    address = f"/alerts/folds/?type=NoContact7d&fold=never&template={template.pk}"

    browser("post", address, {"alert": alert.pk, "do": "write", "variables.body.1": ""})

    assert Message.objects.count() == 0
    assert "Remplissez" in _said(browser("get", address))


def test_many_at_once_are_one_card(browser, inside):
    for number in range(5):
        factories.make_lead(phone=f"+22170222222{number}")
    evaluate.sweep(inside, now=timezone.now() + timedelta(minutes=20))

    page = _said(browser("get", "/alerts/widget/"))

    assert page.count("data-card=") == 1
    assert "5 alertes" in page


def test_today_shows_what_is_mine_in_order(browser, inside, owner, waiting):
    now = timezone.now()
    followups.plan(waiting.lead, what="Rappeler Zoé", due_at=now, who=owner, by=owner, now=now)

    page = _said(browser("get", "/today/"))

    assert page.index("Client en attente") < page.index("Rappeler Zoé")


def test_lead_page_logs_calls_notes_and_steps(browser, inside, waiting):
    address = f"/leads/{waiting.lead_id}/log/"
    browser("post", address, {"is": "call", "status": "no_answer"})
    browser("post", address, {"is": "note", "note": "Préfère le matin"})
    browser("post", address, {"is": "plan", "what": "Devis", "due_at": "2036-01-01T09:00"})
    browser("post", address, {"is": "stage", "stage": Stage.objects.get(code="qualified").pk})

    page = _said(browser("get", f"/leads/{waiting.lead_id}/history/"))

    for said in ("personne n", "Préfère le matin", "Devis", "Qualifié", "Client en attente"):
        assert said in page.replace("&#x27;", "'")


def test_alert_raised_on_the_leads_page_stays_until_its_step_is_taken(browser, inside, owner):
    lead = factories.make_lead(NAME, owner=owner)
    raised = {"is": "alert", "severity": "high", "message": "Devis à refaire", "action": "call"}
    refused = browser("post", f"/leads/{lead.pk}/log/", {"is": "alert", "severity": "high"})
    browser("post", f"/leads/{lead.pk}/log/", raised)
    evaluate.sweep(inside, now=timezone.now())

    alert = Alert.objects.get(is_manual=True)
    page = _said(browser("get", f"/leads/{lead.pk}/history/"))
    assert (refused.status_code, alert.by, alert.resolved_at) == (400, owner, None)
    for said in ("Devis à refaire", "Signalé par l", "Appeler"):
        assert said in page

    browser("post", f"/alerts/{alert.pk}/act/", {"status": "no_answer"})

    alert.refresh_from_db()
    assert (alert.resolution, alert.resolved_by) == ("action", owner)
    assert Activity.objects.get(channel="call").lead == lead


def test_step_that_only_a_program_knows_is_said_and_not_offered(browser, inside):
    action = {"label": "Test Action", "action": "test"}
    alert = Alert.objects.create(type="Test", severity="high", suggested_action=action)

    page = _said(browser("get", "/alerts/widget/"))

    assert "Test Action" in page
    assert f"/alerts/{alert.pk}/act/" not in page
    browser("post", f"/alerts/{alert.pk}/act/", {"text": "Bonjour"})
    alert.refresh_from_db()
    assert alert.resolved_at is None


def test_connection_is_checked_from_the_card(browser, inside, instance, monkeypatch):
    State = ProviderInstance.State
    mine = ProviderInstance.objects.of(inside)
    mine.update(state=State.DISCONNECTED, state_changed_at=timezone.now() - timedelta(hours=1))
    evaluate.instances(inside, now=timezone.now())
    alert = Alert.objects.get(type="ChannelDown")
    monkeypatch.setattr(Wasender, "check", lambda adapter, via: InstanceState(Connection.CONNECTED))

    browser("post", f"/alerts/{alert.pk}/act/")

    alert.refresh_from_db()
    assert mine.get().state == State.CONNECTED
    assert alert.resolution == "action"


def test_check_that_learns_nothing_leaves_the_alert_as_it_was(browser, inside, instance):
    since = timezone.now() - timedelta(hours=1)
    mine = ProviderInstance.objects.of(inside)
    mine.update(state=ProviderInstance.State.DISCONNECTED, state_changed_at=since)
    evaluate.instances(inside, now=timezone.now())

    # Nothing answers at the address that the tests' number has.
    browser("post", f"/alerts/{Alert.objects.get().pk}/act/")

    assert (Alert.objects.get().resolved_at, mine.get().state_changed_at) == (None, since)


def test_snoozed_until_tomorrow_is_back_at_eight_where_the_tenant_is(browser, inside, waiting):
    browser("post", f"/alerts/{waiting.pk}/snooze/", {"for": "day"})

    waiting.refresh_from_db()
    local = waiting.snoozed_until.astimezone(ZoneInfo(inside.time_zone))
    assert (local.hour, local.minute) == (8, 0)
    assert timedelta(0) < waiting.snoozed_until - timezone.now() <= timedelta(hours=33)


def test_several_numbers_let_one_choose_for_whom_nothing_was_said_to(browser, inside, owner):
    lead = factories.make_lead(NAME, owner=owner)
    second = factories.make_instance(inside, address="+221701199999")
    Lead.objects.update(created_at=timezone.now() - timedelta(days=8))
    evaluate.leads(inside, [lead.pk], now=timezone.now())
    alert = Alert.objects.get(type="NoContact7d")

    dialog = _said(browser("get", f"/alerts/{alert.pk}/act/"))
    browser("post", f"/alerts/{alert.pk}/act/", {"text": "Bonjour", "instance": second.pk})

    assert '<select name="instance"' in dialog
    assert Message.objects.get().instance_id == second.pk


def test_team_is_told_before_persons_are_counted(browser, inside, waiting, owner):
    before = _said(browser("get", "/alerts/team/"))
    browser("post", "/alerts/team/persons/", {"on": "1"})
    after = _said(browser("get", "/alerts/team/"))

    assert "<table" not in before
    assert "<table" in after
    assert TeamHabits.objects.get().figures_per_person_since is not None
    assert "personne par personne" in _said(browser("get", "/today/"))


def test_rules_are_switched_and_moved(browser, inside):
    browser("post", "/alerts/rules/", {"code": "LeadUnassigned", "on": "0", "medium": "30"})
    refused = browser("post", "/alerts/rules/", {"code": "NoReply3d", "low": "9", "medium": "5"})

    saved = AlertRule.objects.get()
    assert (saved.code, saved.is_on, saved.thresholds["medium"]) == ("LeadUnassigned", False, 1800)
    assert refused.status_code == 400
    factories.make_lead()
    evaluate.sweep(inside, now=timezone.now() + timedelta(hours=1))
    assert not Alert.objects.filter(type="LeadUnassigned").exists()


def test_threshold_of_a_stage_is_its_own(browser, inside, owner):
    stage = Stage.objects.get(code="proposal")
    lead = factories.make_lead(owner=owner, stage=stage)
    other = factories.make_lead(phone="+221702222222", owner=owner)
    address = f"/alerts/rules/?stage={stage.pk}"
    browser("post", address, {"code": "NoContact7d", "medium": "60"})
    _said(browser("get", address))

    evaluate.sweep(inside, now=timezone.now() + timedelta(hours=2))

    open_for = set(Alert.objects.filter(type="NoContact7d").values_list("lead_id", flat=True))
    assert (lead.pk in open_for, other.pk in open_for) == (True, False)


def test_figures_are_drawn_and_exported(browser, inside):
    alert = _by_hand("high")
    resolving.resolve(alert, by=None, now=timezone.now())

    assert "<svg" in _said(browser("get", "/alerts/figures/"))
    rows = _said(browser("get", "/alerts/figures.csv")).splitlines()
    assert len(rows) == 31
    assert rows[-1].split(",")[1:5] == ["1", "0", "1", "0"]


def test_agent_sees_no_figures_and_assistant_handles_nothing(
    tenant, inside, agent, assistant, client_for
):
    alert = _by_hand("high")
    an_agent, an_assistant = (_steady(client_for(tenant, each)) for each in (agent, assistant))
    context.connection.set_tenant(tenant)

    seen = [
        an_agent("get", address).status_code
        for address in ("/alerts/figures/", "/alerts/team/", "/alerts/rules/")
    ]
    assert seen == [403, 403, 403]
    assert an_assistant("get", "/dashboard/").status_code == 200
    assert an_assistant("post", f"/alerts/{alert.pk}/resolve/").status_code == 403


def _by_hand(severity: str, lead=None) -> Alert:
    return resolving.make(
        type="Test", severity=severity, message="À voir", action={"label": "Faire"}, lead=lead,
        by=None, now=timezone.now(),
    )  # fmt: skip
