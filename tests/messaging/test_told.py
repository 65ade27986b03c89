"""What was told about messages: every fact once, narrowed, paged, exported, and nobody else's."""

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messaging import delivering, erasing, outbox, told
from messaging.models import Message, MessageEvent
from messaging.providers import get as provider_of
from messaging.providers.base import SendError, Sent
from tenants import context, directory
from tenants.models import Tenant
from tests import factories
from tests.conftest import NOW
from tests.messaging.test_ingest import deliver, drain, received

DAY = "since=2026-03-02&until=2026-03-02"
PARIS = ZoneInfo("Europe/Paris")


def make_fact(message: Message, kind: str = "status", at: datetime = NOW, **facts) -> MessageEvent:
    """A fact that a provider told about a message."""
    number = MessageEvent.objects.count() + 1
    defaults = {
        "provider": message.provider,
        "instance_id": message.instance_id,
        "event_id": f"told-{message.pk}-{number}",
        "external_id": message.external_id,
    }
    return MessageEvent.objects.create(message=message, kind=kind, at=at, **{**defaults, **facts})


@pytest.fixture
def said(tenant, other_tenant):
    """A message received from Awa and one that Binta got, with what was told of them."""
    with context.entered(other_tenant):
        make_fact(Message.objects.get(text="leak me"), "message")
    with context.entered(tenant):
        awa = factories.make_conversation(tenant, name="Awa")
        binta = factories.make_conversation(tenant, name="Binta", phone="+221702222222")
        heard = Message.objects.get(conversation=awa)
        sent = factories.make_message(
            binta, text="Promis, demain", direction="out", origin="person", status="delivered"
        )
        make_fact(heard, "message", NOW)
        make_fact(sent, "outcome", NOW + timedelta(minutes=1), status="sent")
        make_fact(sent, status="delivered", at=NOW + timedelta(minutes=2))
    return heard, sent


@pytest.fixture
def browser(tenant, owner, client_for):
    return client_for(tenant, owner)


def statuses_at(browser, query: str) -> list[str]:
    answer = browser.get(f"/api/message-events/?{DAY}&{query}")
    assert answer.status_code == 200, answer.content
    return [each["status"] for each in answer.json()["results"]]


def test_sending_keeps_what_we_saw_of_it(inside, instance, monkeypatch):
    adapter = provider_of("wasender")
    answers = [Sent(external_id="3EB0"), SendError("invalid_number", blame="recipient")]

    def send(outgoing, via):
        answer = answers.pop(0)
        if isinstance(answer, SendError):
            raise answer
        return answer

    monkeypatch.setattr(adapter, "send", send)
    conversation = factories.make_conversation(inside)
    for text in ("one", "two"):
        outbox.queue(conversation, text, origin="person")

    for _each in range(2):
        delivering.drain(inside.number, instance.pk)

    kept = MessageEvent.objects.order_by("id").values_list(
        "message__text", "kind", "status", "external_id", "detail"
    )
    assert list(kept) == [
        ("one", "outcome", "sent", "3EB0", ""),
        ("two", "outcome", "failed", "", "invalid_number"),
    ]


def test_fact_says_all_that_is_known_of_its_message(browser, said, instance):
    heard, _sent = said

    results = browser.get(f"/api/message-events/?{DAY}").json()["results"]

    assert [(each["status"], each["told_by"], each["direction"]) for each in results] == [
        ("delivered", "provider", "out"),
        ("sent", "us", "out"),
        ("received", "provider", "in"),
    ]
    assert results[2] == {
        "id": results[2]["id"],
        "at": "2026-03-02T09:30:00Z",
        "medium": "whatsapp",
        "provider": "wasender",
        "instance": instance.pk,
        "direction": "in",
        "status": "received",
        "told_by": "provider",
        "message": heard.pk,
        "conversation": heard.conversation_id,
        "lead": heard.lead_id,
        "lead_name": "Awa",
        "address": "+221701111111",
        "external_id": heard.external_id,
        "snippet": "Bonjour",
    }


NARROWED = {
    "medium=whatsapp": ["delivered", "sent", "received"],
    "medium=email": [],
    "provider=wasender": ["delivered", "sent", "received"],
    "provider=twilio": [],
    "direction=in": ["received"],
    "direction=out": ["delivered", "sent"],
    "status=delivered": ["delivered"],
    "status=received": ["received"],
    "status=sent": ["sent"],
    "status=deleted": [],
    "since=2026-03-03&until=2026-03-04": [],
}


def test_facts_are_narrowed(browser, said):
    assert {query: statuses_at(browser, query) for query in NARROWED} == NARROWED


def test_facts_of_one_lead_and_of_nobody_elses(browser, said, other_tenant):
    heard, _sent = said
    with context.entered(other_tenant):
        foreign = Message.objects.get(text="leak me").lead_id

    assert statuses_at(browser, f"lead={heard.lead_id}") == ["received"]
    unknown = browser.get(f"/api/message-events/?lead={foreign + 1000}")
    assert (unknown.status_code, unknown.json()["error"]["field"]) == (404, "lead")
    page = browser.get(f"/messages/events/?{DAY}&lead={foreign + 1000}").content.decode()
    assert "leak me" not in page
    by_name = browser.get(f"/messages/events/?{DAY}&q=binta").content.decode()
    assert ("Promis, demain" in by_name, "Bonjour" in by_name) == (True, False)


WRONG = {
    "since=2026-03-03&until=2026-03-02": "since",
    "since=2025-01-01&until=2026-03-02": "since",
    "since=0001-01-01": "since",
    "until=9999-12-31": "until",
    "since=yesterday": "since",
    "status=perhaps": "status",
    "before=here": "before",
}


def test_what_cannot_be_asked_is_refused_by_name(browser, said):
    answers = {query: browser.get(f"/api/message-events/?{query}") for query in WRONG}
    pages = [browser.get(f"/messages/events/?{query}") for query in WRONG]
    files = [browser.get(f"/messages/events.csv?{query}") for query in WRONG]

    assert {query: each.json()["error"]["field"] for query, each in answers.items()} == WRONG
    assert {each.status_code for each in (*answers.values(), *pages, *files)} == {400}
    assert all('role="alert"' in page.content.decode() for page in pages)


def test_pages_follow_each_other_without_a_gap(browser, tenant, said):
    _heard, sent = said
    with context.entered(tenant):
        for _each in range(5):
            make_fact(sent, status="read", at=NOW)

    seen: list[int] = []
    address = f"/api/message-events/?{DAY}&limit=3"
    while address:
        told_here = browser.get(address).json()
        seen += [each["id"] for each in told_here["results"]]
        address = told_here["next"]

    with context.entered(tenant):
        expected = MessageEvent.objects.order_by("-at", "-id").values_list("id", flat=True)
        assert seen == list(expected)


def test_a_page_costs_one_query_however_many_rows(inside, said):
    narrowed = told.of_one_day(NOW.date(), PARIS)

    told.page(narrowed)
    with CaptureQueriesContext(connection) as asked:
        few = told.page(narrowed).rows
    for _each in range(60):
        make_fact(said[1], status="read")
    with CaptureQueriesContext(connection) as asked_more:
        many = told.page(narrowed).rows

    assert (len(few), len(many)) == (3, told.PAGE)
    assert (len(asked), len(asked_more)) == (1, 1)


def test_withdrawn_message_leaves_no_words_here(browser, tenant, said):
    heard, _sent = said
    with context.entered(tenant):
        erasing.bury(heard, NOW)
        make_fact(heard, "deleted", NOW + timedelta(minutes=3))

    page = browser.get(f"/messages/events/?{DAY}").content.decode()
    rows = browser.get(f"/api/message-events/?{DAY}").json()["results"]

    assert "Bonjour" not in page
    assert [(each["status"], each["snippet"]) for each in rows] == [
        ("deleted", ""),
        ("delivered", "Promis, demain"),
        ("sent", "Promis, demain"),
        ("received", ""),
    ]


def test_status_before_its_message_stands_in_the_list(browser, tenant, said, instance):
    with context.entered(tenant):
        MessageEvent.objects.create(
            provider="wasender", instance_id=instance.pk, event_id="early", kind="status",
            status="read", external_id="3EB9", at=NOW,
        )  # fmt: skip

    row = browser.get(f"/api/message-events/?{DAY}&status=read").json()["results"][0]

    assert (row["message"], row["lead"], row["direction"]) == (None, None, "out")
    assert "3EB9" in browser.get(f"/messages/events/?{DAY}&status=read").content.decode()


def test_facts_are_exported_for_people_and_for_programs(browser, tenant, said):
    with context.entered(tenant):
        Message.objects.filter(pk=said[0].pk).update(text="=1+1")

    page = browser.get(f"/messages/events.csv?{DAY}").content.decode("utf-8-sig")
    api = browser.get(f"/api/message-events.csv?{DAY}").content.decode("utf-8-sig")

    for_people = list(csv.DictReader(io.StringIO(page)))
    for_programs = list(csv.DictReader(io.StringIO(api)))
    assert [row["status"] for row in for_programs] == ["delivered", "sent", "received"]
    assert for_programs[2]["snippet"] == "'=1+1"
    assert for_programs[2]["address"] == "+221701111111"
    assert for_people[2]["Statut"] == "reçu"
    assert for_people[2]["Nom du lead"] == "Awa"
    assert "leak" not in page + api


def test_long_export_says_where_the_rest_begins(browser, said, monkeypatch):
    monkeypatch.setattr("messaging.told_csv.MOST_ROWS", 2)

    first = browser.get(f"/api/message-events.csv?{DAY}")
    rest = browser.get(re.fullmatch(r'<(.*)>; rel="next"', first["Link"])[1])

    assert len(first.content.decode().splitlines()) == 3
    assert [row.split(",")[5] for row in rest.content.decode().splitlines()[1:]] == ["received"]
    assert "Link" not in rest


def test_only_those_who_see_figures_see_facts(client_for, tenant, agent, said):
    browser = client_for(tenant, agent)

    pages = ("/messages/events/", "/messages/events.csv", "/messages/arrived/")
    files = ("/messages/arrived.csv", "/api/message-events/", "/api/message-events.csv")
    assert {browser.get(path).status_code for path in (*pages, *files)} == {403}


def exported(day: str, **options) -> str:
    out = io.StringIO()
    call_command(
        "export_message_events", "vendor_001", day=day, stdout=out, stderr=io.StringIO(), **options
    )
    return out.getvalue()


def test_day_is_exported_in_the_form_of_the_replaced_systems(tenant, said):
    heard, _sent = said

    written = exported("2026-03-02")

    events = json.loads(written)
    assert len(written.splitlines()) == 5
    assert [each["status"] for each in events] == ["received", "sent", "delivered"]
    assert events[0] == {
        "id": events[0]["id"],
        "timestamp": "2026-03-02T09:30:00.000Z",
        "tenantId": "vendor_001",
        "channel": "whatsapp",
        "provider": "wasender",
        "direction": "in",
        "status": "received",
        "leadId": heard.lead_id,
        "phoneNumber": "+221701111111",
        "email": None,
        "providerMessageId": heard.external_id,
        "messageSnippet": "Bonjour",
    }
    assert re.fullmatch(r"evt_\d+", events[0]["id"])


def test_day_is_the_vendors_own(tenant, said, tmp_path):
    Tenant.objects.filter(pk=tenant.pk).update(time_zone="Pacific/Auckland")
    with context.entered(tenant):
        make_fact(said[1], status="read", at=datetime(2026, 3, 2, 12, tzinfo=UTC))
    directory.changed()

    exported("2026-03-03", output=tmp_path)

    events = json.loads((tmp_path / "message_events_2026-03-03.json").read_text())
    assert [each["status"] for each in events] == ["read"]
    assert [path.name for path in tmp_path.iterdir()] == ["message_events_2026-03-03.json"]


def test_day_without_anything_is_an_empty_list(tenant, other_tenant):
    assert json.loads(exported("2026-03-02")) == []


def test_long_day_is_read_piece_by_piece(tenant, said, monkeypatch):
    monkeypatch.setattr(told, "AT_ONCE", 2)

    assert [each["status"] for each in json.loads(exported("2026-03-02"))] == [
        "received", "sent", "delivered",
    ]  # fmt: skip


@pytest.mark.parametrize("day", ["yesterday", "2026-02-30", "0001-01-01", "02/03/2026"])
def test_day_that_is_none_is_refused_by_name(tenant, day):
    with pytest.raises(CommandError, match="--day"):
        exported(day)


def test_export_refuses_an_unknown_vendor_and_a_place_it_cannot_write(tenant, said, tmp_path):
    with pytest.raises(CommandError, match="nobody_001"):
        call_command("export_message_events", "nobody_001", day="2026-03-02")
    with pytest.raises(CommandError, match="--output"):
        exported("2026-03-02", output=tmp_path / "missing" / "file.json")


def test_what_came_in_through_a_webhook_is_listed_once(tenant, browser):
    body = received("W1", "par webhook", NOW)
    deliver(tenant, body)
    deliver(tenant, body)
    drain(tenant)

    assert statuses_at(browser, "") == ["received"]


def test_staff_see_what_became_of_messages_and_never_whose_or_what(
    client_for, staff, tenant, said, other_tenant
):
    browser = client_for(None, staff)
    address = f"/admin/tenants/tenant/{tenant.pk}/events"

    page = browser.get(f"{address}/?{DAY}").content.decode()
    file = browser.get(f"{address}.csv?{DAY}&status=delivered").content.decode("utf-8-sig")
    wrong = browser.get(f"{address}/?since=0001-01-01")
    elsewhere = browser.get(f"/admin/tenants/tenant/{other_tenant.pk}/events/?{DAY}")

    heard, sent = said
    assert (page.count("<tr>"), f"#{heard.lead_id}" in page, heard.external_id in page) == (
        4, True, True,
    )  # fmt: skip
    assert len(file.splitlines()) == 2
    assert sent.external_id in file
    for secret in ("Awa", "Binta", "Bonjour", "Promis", "2217"):
        assert secret not in page + file
    assert wrong.status_code == 400
    assert "leak" not in elsewhere.content.decode().lower()
    assert heard.external_id not in elsewhere.content.decode()
