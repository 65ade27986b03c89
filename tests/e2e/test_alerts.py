"""Alerts as people see them: pushed, resolved everywhere at once, true again after any silence."""

import json
import re
import uuid
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest
from playwright.sync_api import Locator, Page, expect

from amda import embedded
from tests.e2e.conftest import Product

pytestmark = [pytest.mark.browser, pytest.mark.processes]

SOON = 30_000
ACTION = json.dumps({"label": "Test Action", "action": "test"})
INSERT = """
INSERT INTO {schema}.alerts_alert (type, severity, message, suggested_action)
VALUES ('NoContact7d', 'high', %s, %s)
"""
SCHEMA = "SELECT schema_name FROM public.tenants_tenant WHERE slug = 'demo'"


def sign_in(chromium, product: Product, *, blocked: bool = False) -> Page:
    """The dashboard in a browser of its own; `blocked` is one that no websocket gets out of."""
    context = chromium.new_context(locale="fr-FR", viewport={"width": 1280, "height": 800})
    context.set_default_timeout(SOON)
    page = context.new_page()
    if blocked:
        page.clock.install()
        page.route_web_socket(re.compile("/ws/live/"), lambda socket: socket.close())
    page.goto(f"{product.inbox}dashboard/")
    page.fill("input[name=login]", product.email)
    page.fill("input[name=password]", product.password)
    page.keyboard.press("Enter")
    expect(page.locator("#alerts")).to_be_visible()
    # Its scripts have begun.
    expect(page.locator("#live-state")).to_have_attribute("data-shown", "")
    return page


@pytest.fixture(scope="module")
def browsers(product, chromium) -> tuple[Page, Page]:
    """Two browsers on the same dashboard."""
    pages = sign_in(chromium, product), sign_in(chromium, product)
    yield pages
    for page in pages:
        page.context.close()


@pytest.fixture
def first(browsers, product) -> Page:
    return shown(browsers[0], product)


@pytest.fixture
def second(browsers, product) -> Page:
    return shown(browsers[1], product)


@pytest.fixture(scope="module")
def api(product) -> httpx.Client:
    """The tenant's API, signed in as its owner."""
    host = {"Host": f"demo.localhost:{product.port}"}
    base = f"http://127.0.0.1:{product.port}"
    known = {"email": product.email, "password": product.password}
    with httpx.Client(base_url=base, headers=host, timeout=30) as client:
        access = client.post("/api/auth/login", json=known).json()["access"]
        client.headers["Authorization"] = f"Bearer {access}"
        yield client


@pytest.fixture(scope="module")
def database(product):
    """The product's own database, as an operator's `psql` reaches it."""
    facts = embedded.connection_settings(Path(product.data_dir))
    names = {"host": "HOST", "port": "PORT", "user": "USER", "dbname": "NAME"}
    settings = {name: facts[theirs] for name, theirs in names.items()}
    with psycopg.connect(**settings, autocommit=True) as connection:
        yield connection


def shown(page: Page, product: Product) -> Page:
    """The dashboard, live, as it is after a reload."""
    page.unroute_all()
    page.goto(f"{product.inbox}dashboard/")
    expect(page.locator("body")).to_have_attribute("data-live", "live")
    return page


def words() -> str:
    """A message no other test uses."""
    return f"Devis {uuid.uuid4().hex[:8]}"


def insert(database, text: str) -> None:
    """What an operator types: only type, severity, message and action."""
    [schema] = database.execute(SCHEMA).fetchone()
    database.execute(INSERT.format(schema=schema), (text, ACTION))


def make(api: httpx.Client, text: str, **facts) -> int:
    body = {"type": "Rappel", "severity": "high", "message": text, **facts}
    answer = api.post("/api/alerts/", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()["alert"]["id"]


def card(page: Page, text: str) -> Locator:
    return page.locator("#alerts .alert-card", has_text=text)


def test_alert_is_pushed_to_an_open_dashboard_without_a_flicker(first, api):
    before, text = words(), words()
    make(api, before)
    expect(card(first, before)).to_be_visible()
    card(first, before).evaluate("card => { card.sameNode = true }")

    make(api, text)

    expect(card(first, text)).to_be_visible()
    assert card(first, before).evaluate("card => card.sameNode") is True
    expect(first.locator(".badges")).to_contain_text(re.compile(r"Haute: \d"))


def test_hand_made_row_is_shown_by_the_poll_while_the_socket_is_blocked(
    product, chromium, database, first
):
    text, blocked = words(), sign_in(chromium, product, blocked=True)

    insert(database, text)
    blocked.clock.fast_forward(70_000)

    expect(card(blocked, text)).to_be_visible()
    expect(card(blocked, text)).to_contain_text("Test Action")
    blocked.locator("[data-refresh]").first.click()
    expect(card(blocked, text)).to_be_visible()
    first.locator("[data-refresh]").first.click()
    expect(card(first, text)).to_be_visible()
    blocked.context.close()


def test_resolving_in_one_browser_removes_it_in_the_other(first, second, api):
    text = words()
    alert = make(api, text)
    for page in (first, second):
        expect(card(page, text)).to_be_visible()

    card(first, text).get_by_role("button", name="Résoudre").click()

    expect(card(first, text)).to_have_count(0, timeout=1_000)
    expect(card(second, text)).to_have_count(0)
    told = api.get(f"/api/alerts/{alert}/").json()["alert"]
    assert told["resolved_at"] is not None
    assert alert not in [each["id"] for each in api.get("/api/alerts/active").json()["alerts"]]


def test_action_of_a_card_ends_in_a_row_and_closes_it_everywhere(first, second, api):
    text, reply = words(), words()
    lead = api.post(
        "/api/activities/log",
        json={
            "externalId": text, "createLead": True, "phone": "+221770000999",
            "channel": "call", "direction": "out", "status": "no_answer",
        },
    ).json()["activity"]["leadId"]  # fmt: skip
    make(api, text, lead=lead, suggested_action={"label": "Répondre", "action": "message"})
    expect(card(second, text)).to_be_visible()

    card(first, text).get_by_role("button", name="Répondre").click()
    first.fill("#dialog textarea", reply)
    first.locator("#dialog [data-send]").click()

    expect(card(first, text)).to_have_count(0)
    expect(card(second, text)).to_have_count(0)
    rows = api.get(f"/api/leads/{lead}/activities/").json()["results"]
    assert reply in [each["messageSnippet"] for each in rows]


def test_today_is_true_without_a_reload(second, product, api):
    text = words()
    second.goto(f"{product.inbox}today/")
    expect(second.locator("body")).to_have_attribute("data-live", "live")
    lead = api.post("/api/messages/", json={"to": "+221770000998", "text": text}).json()["lead"]
    api.patch(f"/api/leads/{lead}/", json={"owner": api.get("/api/auth/me").json()["id"]})

    make(api, text, lead=lead)

    expect(second.locator(".alert-card", has_text=text)).to_be_visible()


def test_list_that_cannot_be_fetched_says_so_and_tries_again(first, api):
    text = words()
    first.route(re.compile("/alerts/widget/"), lambda route: route.abort())

    make(api, text)

    expect(first.locator("#alerts .problem")).to_be_visible()
    first.unroute_all()
    first.locator("#alerts .problem [data-refresh]").click()
    expect(card(first, text)).to_be_visible()
    expect(first.locator("#alerts .problem")).to_have_count(0)


def test_what_happened_while_the_server_was_away_is_shown_once_it_is_back(first, product, database):
    text = words()
    server = next(
        each
        for each in psutil.Process(product.process.pid).children(recursive=True)
        if "daphne" in " ".join(each.cmdline())
    )

    server.kill()
    expect(first.locator("body")).not_to_have_attribute("data-live", "live")
    insert(database, text)

    expect(first.locator("body")).to_have_attribute("data-live", "live", timeout=90_000)
    expect(card(first, text)).to_be_visible()
