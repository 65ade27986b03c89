"""`python -m tests.bench.watching SLUG LEADS SAMPLES`: sweeps, their bare SQL, and the open list.

Fills the vendor with leads, a tenth of whom have waited for an answer since an hour. Prints one
line of JSON: milliseconds of every sample, and how much memory the sweeps took.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

import django
import psutil

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "amda.settings")
django.setup()

from django.db import connection
from django.test import Client

from alerts import evaluate
from alerts.models import Alert
from alerts.rules import LEAD_RULES
from alerts.thresholds import Tuning
from messaging import standing
from tenants import context, directory
from tenants.accounts.models import Role
from tenants.models import Tenant
from tests import walking
from tests.conftest import host_of, user_of

# A Monday at ten in Paris, when somebody is there.
NOW = datetime(2026, 6, 1, 8, 0, tzinfo=UTC)
WAITING_ONE_IN = 10

FILL = """
INSERT INTO messaging_lead (name, note, external_id, owner_id, created_at, updated_at)
SELECT 'Lead ' || n, '', '', %(owner)s, %(now)s - interval '2 days', %(now)s - interval '2 days'
FROM generate_series(1, %(leads)s) n;
INSERT INTO messaging_activity (lead_id, kind, channel, direction, status, snippet, meta, at,
    created_at, spoke, heard)
SELECT id, 'contact', 'call', 'out', 'replied', '', '{}', %(now)s - interval '3 hours', %(now)s,
    true, true
FROM messaging_lead;
INSERT INTO messaging_activity (lead_id, kind, channel, direction, status, snippet, meta, at,
    created_at, spoke, heard)
SELECT id, 'contact', 'whatsapp', 'in', 'replied', '', '{}', %(now)s - interval '1 hour', %(now)s,
    false, true
FROM messaging_lead WHERE id %% %(one_in)s = 0;
INSERT INTO messaging_followup (lead_id, what, due_at, who_id, created_at, outcome)
SELECT id, 'Call back', %(now)s + interval '3 days', %(owner)s, %(now)s, ''
FROM messaging_lead WHERE id %% %(one_in)s > 0;
"""


def main(slug: str, leads: int, samples: int) -> dict:
    """Fill, warm up, measure."""
    tenant = directory.tenant_of_slug(slug)
    owner = user_of(tenant, Role.OWNER)
    with context.entered(tenant):
        _fill(leads, owner.pk)
        evaluate.sweep(tenant, now=NOW)
        _analyze()
        evaluate.sweep(tenant, now=NOW)
        before = _memory()
        pairs = [(_timed(lambda: _sweep(tenant)), _timed(lambda: _bare(tenant)))
                 for _each in range(samples)]  # fmt: skip
        grown = _memory() - before
        open_now = Alert.objects.filter(resolved_at=None).count()
    session = walking.session_of(tenant, owner)
    client = Client(headers={"host": host_of(tenant), "cookie": walking.cookie(session)})
    return {
        "sweep_ms": [sweep for sweep, _bare_ms in pairs],
        "bare_ms": [bare for _sweep_ms, bare in pairs],
        "grown_bytes": grown,
        "open": open_now,
        "list_ms": _asked(client, "/api/alerts/active", samples * 4),
        "widget_ms": _asked(client, "/alerts/widget/", samples * 4),
    }


def _fill(leads: int, owner: int) -> None:
    values = {"leads": leads, "owner": owner, "now": NOW, "one_in": WAITING_ONE_IN}
    with connection.cursor() as cursor:
        for statement in FILL.split(";\n")[:-1]:
            cursor.execute(statement, values)
    standing.refresh_all(now=NOW)
    _analyze()


def _analyze() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE messaging_lead, messaging_activity, messaging_standing")
        cursor.execute("ANALYZE messaging_followup, alerts_alert")


def _sweep(tenant: Tenant) -> None:
    outcome = evaluate.sweep(tenant, now=NOW)
    if outcome.created or outcome.resolved:
        raise SystemExit(f"A sweep of what has not changed changed something: {outcome}")


def _bare(tenant: Tenant) -> None:
    """Only what finds the cases: the work that no engine could spare."""
    tuning = Tuning.of(tenant, NOW)
    with connection.cursor() as cursor:
        for rule in LEAD_RULES:
            statement, values = evaluate.cases(rule, tuning)
            counted = f"SELECT count(*), max(level) FROM ({statement}) AS cases"  # noqa: S608
            cursor.execute(counted, values)
            cursor.fetchone()


def _asked(client: Client, address: str, samples: int) -> list[float]:
    taken = []
    for number in range(samples + 1):
        began = time.perf_counter()
        answer = client.get(address)
        if answer.status_code != 200:
            raise SystemExit(f"{address} answered {answer.status_code}: {answer.content[:500]!r}")
        # The first one warms up.
        if number:
            taken.append((time.perf_counter() - began) * 1000)
    return taken


def _memory() -> int:
    return psutil.Process().memory_info().rss


def _timed(what: Callable[[], object]) -> float:
    began = time.perf_counter()
    what()
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
