"""How many messages arrived, by medium and by the tenant's own days."""

import csv
import io
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messaging import arrivals
from messaging.told import Days
from tenants import context
from tests import factories
from tests.conftest import NOW, at

DAKAR, AUCKLAND = ZoneInfo("Africa/Dakar"), ZoneInfo("Pacific/Auckland")
TODAY = NOW.date()


def sent(conversation, status: str, moment: datetime = NOW, **facts) -> None:
    facts = {"origin": "person", "direction": "out"} | facts
    factories.make_message(conversation, status=status, at=moment, **facts)


def tallies(days: Days) -> dict[tuple[str, date], tuple]:
    return {
        (line.medium, day): (tally.sent, tally.arrived, tally.failed)
        for line in arrivals.by_medium(days)
        for day, tally in line.days
        if tally.sent
    }


@pytest.fixture
def conversation(inside, other_tenant):
    with context.entered(other_tenant):
        sent(factories.make_conversation(other_tenant, phone="+33199000055"), "failed")
    return factories.make_conversation(inside)


def test_what_arrived_is_counted_by_medium_and_day(inside, conversation):
    for status in ("sent", "delivered", "read", "played", "failed", "unknown"):
        sent(conversation, status)
    sent(conversation, "delivered", NOW - timedelta(days=1))
    sent(conversation, "failed", medium="sms", provider_number="1")
    for waiting in ("queued", "sending"):
        sent(conversation, waiting)
    sent(conversation, "sent", origin="phone")

    counted = tallies(Days(TODAY - timedelta(days=1), TODAY, DAKAR))

    assert counted == {
        ("whatsapp", TODAY): (6, 3, 1),
        ("whatsapp", TODAY - timedelta(days=1)): (1, 1, 0),
        ("sms", TODAY): (1, 0, 1),
    }


def test_day_begins_where_the_tenant_is(inside, conversation):
    sent(conversation, "delivered", datetime(2026, 3, 2, 10, 59, tzinfo=UTC))
    sent(conversation, "delivered", datetime(2026, 3, 2, 11, 0, tzinfo=UTC))

    in_auckland = tallies(Days(date(2026, 3, 2), date(2026, 3, 3), AUCKLAND))
    in_dakar = tallies(Days(date(2026, 3, 2), date(2026, 3, 3), DAKAR))

    assert list(in_auckland) == [("whatsapp", date(2026, 3, 2)), ("whatsapp", date(2026, 3, 3))]
    assert in_dakar == {("whatsapp", date(2026, 3, 2)): (2, 2, 0)}


def test_mail_has_arrived_once_its_server_took_it(inside):
    mail = factories.make_instance(
        inside, provider="smtp", address="shop@example.org", reference="shop@example.org"
    )
    lead = factories.make_lead("Awa")
    conversation = factories.open_conversation(
        inside, lead, instance_id=mail.pk, provider="smtp", medium="email", peer="awa@example.org"
    )
    for status in ("sent", "sent", "failed"):
        sent(conversation, status)

    line = arrivals.by_medium(Days(TODAY, TODAY, DAKAR))[0]

    assert (line.medium, line.is_told) == ("email", False)
    assert (line.total, line.total.percent) == (arrivals.Tally(3, 2, 1), 66)


def test_counting_is_one_query_over_an_index(inside, conversation):
    for _each in range(40):
        sent(conversation, "delivered")

    with CaptureQueriesContext(connection) as asked:
        arrivals.by_medium(Days(TODAY, TODAY, DAKAR))

    assert len(asked) == 1
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("EXPLAIN " + asked[0]["sql"])
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "message_out_by_time" in plan


def test_page_says_a_sentence_then_draws_then_lists(client_for, tenant, owner, other_tenant):
    browser = client_for(tenant, owner)
    empty = browser.get("/messages/arrived/").content.decode()
    with context.entered(tenant):
        conversation = factories.make_conversation(tenant)
        for status in ("delivered", "read", "failed"):
            sent(conversation, status)

    with at(NOW + timedelta(hours=1)):
        page = browser.get("/messages/arrived/").content.decode()
        file = browser.get("/messages/arrived.csv").content.decode("utf-8-sig")

    assert "Rien n’a été envoyé en trente jours" in empty
    assert "66 % des 3 messages envoyés en trente jours sont arrivés." in page
    assert page.count("<svg viewBox=") == 1
    assert page.index("lead-figure") < page.index("<svg viewBox=") < page.index("<table>")
    rows = [row for row in csv.DictReader(io.StringIO(file)) if row["sent"] != "0"]
    assert rows == [
        {"day": "2026-03-02", "medium": "whatsapp", "sent": "3", "arrived": "2", "failed": "1",
         "percent": "66"}
    ]  # fmt: skip
