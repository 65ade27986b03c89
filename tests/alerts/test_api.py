"""Alerts and activities for programs."""

import json
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from alerts import evaluate, resolving
from alerts.models import Alert, AlertDay
from messaging.models import Activity, FollowUp, Lead
from tenants import context
from tenants.api import tokens
from tests import factories
from tests.conftest import host_of

LOG = "/api/activities/log"
CALL = {"channel": "call", "direction": "out", "status": "replied"}
OUT = {"channel": "whatsapp", "direction": "out", "status": "sent"}


@pytest.fixture
def api(tenant, other_tenant, owner):
    """Calls the tenant's API as its owner: `api("POST", path, body)` → (status, answer)."""
    return _caller(tenant, owner)


def _caller(tenant, user):
    with context.entered(tenant):
        access = tokens.pair_for(user)["access"]

    def call(method, path, body=None):
        client = Client(headers={"host": host_of(tenant), "authorization": f"Bearer {access}"})
        facts = {"content_type": "application/json"} if body is not None else {}
        before = context.connection.tenant
        answer = getattr(client, method.lower())(
            path, json.dumps(body) if body is not None else None, **facts
        )
        # A request leaves its thread in `public`; the test goes on where it was.
        context.connection.set_tenant(before)
        return answer.status_code, answer.json()

    return call


@pytest.fixture
def lead(inside) -> Lead:
    return factories.make_lead(external_id="esp-17")


def test_logged_activity_answers_with_itself_and_the_alerts(tenant, api, lead):
    Lead.objects.update(created_at=timezone.now() - timedelta(days=8))

    status, answer = api(
        "POST", LOG, {"leadId": lead.pk, **OUT, "messageSnippet": "Bonjour", "meta": {"a": 1}}
    )

    activity = answer.pop("activity")
    assert (status, answer) == (
        200,
        {
            "success": True,
            # Unassigned for days; the contact just now keeps NoContact7d from opening.
            "alerts": {"created": 1, "resolved": 0, "unchanged": 0, "active": 1},
        },
    )
    told = {name: activity[name] for name in ("leadId", "channel", "direction", "status")}
    assert told == {"leadId": lead.pk, **OUT}
    assert (activity["messageSnippet"], activity["meta"]) == ("Bonjour", {"a": 1})


def test_logged_contact_resolves_what_it_ends(tenant, api, lead, inside):
    Lead.objects.update(created_at=timezone.now() - timedelta(days=8))
    evaluate.leads(inside, [lead.pk], now=timezone.now())
    assert Alert.objects.filter(type="NoContact7d", resolved_at=None).exists()

    _status, answer = api("POST", LOG, {"leadId": str(lead.pk), **CALL})

    # Without contact and without a next step until now, unassigned still.
    assert answer["alerts"] == {"created": 0, "resolved": 2, "unchanged": 1, "active": 1}


@pytest.mark.parametrize(
    "named",
    [{"leadId": "external:esp-17"}, {"externalId": "esp-17"}, {"leadId": "esp-17"}],
    ids=str,
)
def test_activity_names_a_lead_by_the_crms_id(api, lead, named):
    status, answer = api("POST", LOG, {**named, **CALL})

    assert (status, answer["activity"]["leadId"]) == (200, lead.pk)


@pytest.mark.parametrize(
    ("body", "status", "field", "code"),
    [
        ({"leadId": 999_999, **CALL}, 404, "leadId", "lead_unknown"),
        ({"leadId": "external:nobody", **CALL}, 404, "leadId", "lead_unknown"),
        ({"externalId": "nobody", **CALL}, 404, "externalId", "lead_unknown"),
        (CALL, 400, "leadId", "required"),
        ({"leadId": True, **CALL}, 400, "leadId", "invalid"),
        ({"leadId": 1, "direction": "out", "status": "sent"}, 400, "channel", "required"),
        ({"leadId": 1, **CALL, "channel": "fax"}, 400, "channel", "invalid_choice"),
        ({"leadId": 1, **CALL, "direction": "up"}, 400, "direction", "invalid_choice"),
        ({"leadId": 1, **CALL, "status": "queued"}, 400, "status", "invalid_choice"),
        ({"leadId": 1, **CALL, "messageSnippet": 7}, 400, "messageSnippet", "invalid"),
        ({"leadId": 1, **CALL, "meta": []}, 400, "meta", "invalid"),
        ({"leadId": 1, **CALL, "meta": {"a": "\x00"}}, 400, "meta", "invalid"),
        ({"createLead": True, **CALL}, 400, "phone", "required"),
        ({"createLead": True, "phone": "x", **CALL}, 400, "phone", "phone_invalid"),
    ],
    ids=str,
)
def test_activity_that_cannot_be_logged_names_the_field(api, body, status, field, code):
    answered, answer = api("POST", LOG, body)

    assert (answered, answer["success"]) == (status, False)
    assert (answer["error"]["field"], answer["error"]["code"]) == (field, code)


def test_unknown_lead_is_made_where_asked(tenant, api):
    body = {"leadId": "external:esp-99", "createLead": True, "phone": "+221701119999", **CALL}

    first, again = api("POST", LOG, body), api("POST", LOG, body)

    with context.entered(tenant):
        lead = Lead.objects.get(external_id="esp-99")
        assert list(lead.identities.values_list("value", flat=True)) == ["+221701119999"]
        assert Activity.objects.filter(lead=lead).count() == 2
    assert (first[0], again[1]["activity"]["leadId"]) == (200, lead.pk)


def test_active_lists_the_worst_first_then_the_oldest(tenant, api, inside, owner, other_tenant):
    now = timezone.now()
    ids = [
        _by_hand(severity, now - timedelta(minutes=minutes)).pk
        for severity, minutes in (("high", 1), ("low", 9), ("high", 5), ("critical", 2))
    ]

    status, answer = api("GET", "/api/alerts/active")

    assert status == 200
    assert [each["id"] for each in answer["alerts"]] == [ids[3], ids[2], ids[0], ids[1]]
    assert answer["stats"] == {
        "total": 4,
        "by_severity": {"critical": 1, "high": 2, "medium": 0, "low": 1},
        "by_type": {"Test": 4},
    }
    assert answer["alerts"][0]["suggested_action"] == {
        "label": "Action test",
        "action": "test",
        "channel": "",
        "template": "",
        "params": {},
    }


def test_active_is_filtered_and_paged(tenant, api, inside, owner):
    now = timezone.now()
    mine = factories.make_lead(owner=owner)
    kept = _by_hand("high", now, lead=mine)
    for minutes in range(3):
        _by_hand("low", now - timedelta(minutes=minutes))

    assert _ids(api("GET", "/api/alerts/active?severity=high")) == [kept.pk]
    assert _ids(api("GET", f"/api/alerts/active?owner={owner.pk}")) == [kept.pk]
    assert _ids(api("GET", "/api/alerts/active?owner=me&type=Test")) == [kept.pk]
    assert _ids(api("GET", "/api/alerts/active?type=NoContact7d")) == []
    first = api("GET", "/api/alerts/active?limit=2")
    rest = api("GET", first[1]["next"].replace(f"http://{host_of(tenant)}", ""))
    assert len({*_ids(first), *_ids(rest)}) == 4
    assert (rest[1]["next"], first[1]["stats"]["total"]) == (None, 4)
    assert api("GET", "/api/alerts/active?severity=worst")[1]["error"]["field"] == "severity"


@pytest.mark.parametrize("count", [1, 20])
def test_active_costs_the_same_for_one_and_many(
    tenant, api, inside, django_assert_max_num_queries, count
):
    for number in range(count):
        _by_hand("high", timezone.now(), lead=factories.make_lead(phone=f"+2217011{number:05d}"))

    with django_assert_max_num_queries(9):
        api("GET", "/api/alerts/active")


def test_resolve_twice_is_once(tenant, api, inside, owner):
    alert = _by_hand("high", timezone.now())

    first = api("POST", f"/api/alerts/{alert.pk}/resolve")
    again = api("POST", f"/api/alerts/{alert.pk}/resolve")

    assert first == again
    assert first[1]["alert"]["resolved_by"] == str(owner.pk)
    assert _ids(api("GET", "/api/alerts/active")) == []
    assert AlertDay.objects.get(type="Test").by_hand == 1


def test_other_tenants_alert_is_not_there(tenant, api, other_tenant):
    with context.entered(other_tenant):
        theirs = [_by_hand("high", timezone.now()).pk for _each in range(3)]

    for verb in ("resolve", "snooze"):
        assert api("POST", f"/api/alerts/{theirs[-1]}/{verb}", {})[0] == 404
    with context.entered(other_tenant):
        assert Alert.objects.filter(resolved_at=None).count() == 3


def test_snoozed_alert_comes_back(tenant, api, inside):
    alert = _by_hand("high", timezone.now())
    until = timezone.now() + timedelta(hours=1)

    status, answer = api("POST", f"/api/alerts/{alert.pk}/snooze", {"until": until.isoformat()})

    assert (status, answer["alert"]["resolved_at"]) == (200, None)
    assert _ids(api("GET", "/api/alerts/active")) == []
    Alert.objects.update(snoozed_until=timezone.now() - timedelta(seconds=1))
    assert _ids(api("GET", "/api/alerts/active")) == [alert.pk]
    refused = [
        api("POST", f"/api/alerts/{alert.pk}/snooze", body)[1]["error"]["code"]
        for body in ({}, {"until": "2020-01-01T00:00:00Z"}, {"until": "soon"})
    ]
    assert refused == ["until_missing", "until_past", "invalid"]


def test_alert_made_by_hand_stays_until_a_person_closes_it(tenant, api, inside):
    lead = factories.make_lead()
    body = {"type": "Rappel", "severity": "high", "message": "Devis à refaire", "lead": lead.pk}

    status, answer = api("POST", "/api/alerts/", body)
    evaluate.sweep(inside, now=timezone.now() + timedelta(seconds=1))

    assert (status, answer["alert"]["manual"]) == (201, True)
    assert Alert.objects.get(pk=answer["alert"]["id"]).resolved_at is None


def test_plain_insert_makes_an_alert(tenant, api, inside):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO alerts_alert (type, severity, message, suggested_action) VALUES"
            " ('NoContact7d', 'high', 'Test alerte production',"
            """ '{"label": "Test Action", "action": "test"}'::jsonb)"""
        )

    _status, answer = api("GET", "/api/alerts/active")
    [alert] = answer["alerts"]

    assert (alert["type"], alert["severity"], alert["message"], alert["manual"]) == (
        "NoContact7d",
        "high",
        "Test alerte production",
        True,
    )
    assert alert["suggested_action"]["label"] == "Test Action"
    evaluate.sweep(inside, now=timezone.now())
    assert Alert.objects.get().resolved_at is None
    assert api("POST", f"/api/alerts/{alert['id']}/resolve")[0] == 200


def test_follow_up_is_planned_moved_and_done(tenant, api, inside, owner):
    lead = factories.make_lead()
    due = (timezone.now() + timedelta(days=1)).isoformat()

    status, made = api(
        "POST", f"/api/leads/{lead.pk}/follow-ups/", {"what": "Devis", "due_at": due}
    )
    later = (timezone.now() + timedelta(days=2)).isoformat()
    api("PATCH", f"/api/follow-ups/{made['id']}/", {"due_at": later})
    _status, done = api("PATCH", f"/api/follow-ups/{made['id']}/", {"outcome": "done"})

    assert (status, made["who"]["id"], done["outcome"]) == (201, owner.pk, "done")
    assert FollowUp.objects.get().closed_at is not None
    _status, history = api("GET", f"/api/leads/{lead.pk}/activities/")
    assert [each["meta"]["is"] for each in history["results"]] == ["done", "moved", "planned"]


def test_assistant_reads_alerts_and_changes_none(tenant, assistant, inside):
    alert = _by_hand("high", timezone.now())
    call = _caller(tenant, assistant)

    assert _ids(call("GET", "/api/alerts/active")) == [alert.pk]
    assert call("POST", f"/api/alerts/{alert.pk}/resolve")[0] == 403
    assert call("POST", LOG, {"leadId": 1, **CALL})[0] == 403


def _by_hand(severity, at, lead=None) -> Alert:
    return resolving.make(
        type="Test",
        severity=severity,
        message="À voir",
        action={"label": "Action test", "action": "test"},
        lead=lead,
        by=None,
        now=at,
    )


def _ids(answered) -> list[int]:
    return [each["id"] for each in answered[1]["alerts"]]
