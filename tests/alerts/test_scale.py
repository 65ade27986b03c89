"""A tenant with a hundred thousand leads: the indexes that serve it, and how many statements."""

import json
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from alerts import evaluate, queries
from alerts.models import Alert
from alerts.queries import Wanted
from messaging.models import Lead
from messaging.queries import timeline
from tests import factories
from tests.alerts.conftest import MONDAY, after

LEADS = 100_000

FILL = [
    f"""
INSERT INTO messaging_lead (name, note, external_id, created_at, updated_at)
SELECT 'Lead ' || n, '', '', %(now)s - interval '1 hour', %(now)s - interval '1 hour'
FROM generate_series(1, {LEADS}) n""",  # noqa: S608
    """
INSERT INTO messaging_activity (lead_id, kind, channel, direction, status, snippet, meta, at,
    created_at, spoke, heard)
SELECT id, 'contact', 'call', 'out', 'replied', '', '{}', %(now)s - interval '5 minutes',
    %(now)s, true, true
FROM messaging_lead WHERE name LIKE 'Lead %%'""",
    """
INSERT INTO messaging_activity (lead_id, kind, channel, direction, status, snippet, meta, at,
    created_at, spoke, heard)
SELECT (SELECT max(id) FROM messaging_lead), 'note', 'other', '', '', '', '{}',
    %(now)s - n * interval '1 hour', %(now)s, false, false
FROM generate_series(1, 5000) n""",
    """
INSERT INTO messaging_standing (lead_id, is_watched, created_at, stage_since, owner_since,
    last_heard_at, last_spoke_at, waiting_since, owner_id, refreshed_at)
SELECT id, true, created_at, created_at, created_at, %(now)s, %(now)s,
    CASE WHEN id %% 1000 = 0 THEN %(now)s - interval '1 hour' END, 1, now()
FROM messaging_lead WHERE name LIKE 'Lead %%'""",
    """
INSERT INTO alerts_alert (type, severity, is_manual, subject_kind, subject_id, lead_id, since,
    opened_at, resolved_at, resolution)
SELECT 'CustomerWaiting', 'high', false, 'lead', id, id, %(now)s, %(now)s - interval '9 days',
    CASE WHEN id %% 10 > 0 THEN %(now)s - interval '8 days' END,
    CASE WHEN id %% 10 > 0 THEN 'itself' ELSE '' END
FROM messaging_lead WHERE name LIKE 'Lead %%'""",
    "ANALYZE messaging_lead, messaging_activity, messaging_standing, alerts_alert",
]


@pytest.fixture
def many(inside):
    with connection.cursor() as cursor:
        for statement in FILL:
            cursor.execute(statement, {"now": MONDAY})
    return inside


def test_indexes_serve_the_lists_at_a_hundred_thousand_leads(many, owner):
    lead = Lead.objects.latest("pk")
    active = queries.active(owner, Wanted(), MONDAY)

    assert "alert_active" in _plan(active[:101])
    assert "activity_by_lead" in _plan_of(lambda: timeline(owner, lead))
    assert "alert_by_lead" in _plan(Alert.objects.filter(lead=lead).order_by("-opened_at")[:30])
    lately = "SELECT * FROM messaging_activity ORDER BY created_at DESC, id DESC LIMIT 10"
    assert "activity_created" in _explained(lately, ())
    one_open = Alert.objects.filter(
        type="CustomerWaiting", subject_kind="lead", subject_id=lead.pk, resolved_at=None,
        is_manual=False,
    )  # fmt: skip
    assert "alert_once_while_open" in _plan(one_open)
    waiting = (
        "SELECT s.lead_id FROM messaging_standing s WHERE s.is_watched"
        " AND s.waiting_since IS NOT NULL AND s.waiting_since <= %s"
    )
    assert "standing_waiting" in _explained(waiting, (MONDAY - timedelta(days=1),))


def test_one_leads_evaluation_reads_no_table_whole(many):
    lead = factories.make_lead()

    with CaptureQueriesContext(connection) as captured:
        evaluate.leads(many, [lead.pk], now=after(minutes=10))
    plans = [_explained(each["sql"], None) for each in captured if "WITH found" in each["sql"]]

    assert len(plans) == 10
    for plan in plans:
        assert "Seq Scan on messaging_standing" not in plan
        assert "Seq Scan on alerts_alert" not in plan


def test_sweep_takes_as_many_statements_for_one_lead_as_for_many(inside):
    factories.make_lead()
    few = _statements_of_sweep(inside)
    for number in range(40):
        factories.make_lead(phone=f"+2217022{number:05d}")

    assert _statements_of_sweep(inside) == few


def _statements_of_sweep(tenant) -> int:
    with CaptureQueriesContext(connection) as captured:
        evaluate.sweep(tenant, now=after(days=400))
    # The directory looks once a second whether it is stale; that is not the sweep's.
    others = ("SAVEPOINT", "RELEASE", "SET search_path", 'SELECT "tenants_tenant')
    return len([each for each in captured if not each["sql"].startswith(others)])


def _plan(rows) -> str:
    query, values = rows.query.sql_with_params()
    return _explained(query, values)


def _plan_of(read) -> str:
    with CaptureQueriesContext(connection) as captured:
        read()
    return _explained(captured[-1]["sql"], None)


def _explained(query: str, values) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {query}", values)
        return json.dumps(_nodes(cursor.fetchone()[0][0]["Plan"]))


def _nodes(plan: dict) -> list[str]:
    here = f"{plan['Node Type']} on {plan.get('Relation Name', '')} {plan.get('Index Name', '')}"
    return [here, *(each for inner in plan.get("Plans", []) for each in _nodes(inner))]
