"""Two people of a team in the same inbox: notes, mentions, answering, drafts, several at once."""

import pytest
from playwright.sync_api import Page, expect

from tests.conftest import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.processes]

SOON = 30_000
AGENT = "agent@demo.example"
PREPARE = f"""
from tenants import context, directory
from tenants.accounts.models import User
from tests.e2e import scene
with context.entered(directory.tenant_of_slug('demo')):
    agent = User.objects.get(email='{AGENT}')
    agent.set_password('{PASSWORD}')
    agent.save()
scene.plant('demo')
"""


@pytest.fixture(scope="module")
def shop(product):
    product.manage("shell", "--no-imports", "-c", PREPARE)
    return product


def sign_in(chromium, shop, email: str, password: str) -> Page:
    context = chromium.new_context(locale="fr-FR", viewport={"width": 1280, "height": 800})
    context.set_default_timeout(SOON)
    page = context.new_page()
    page.goto(shop.inbox)
    page.fill("input[name=login]", email)
    page.fill("input[name=password]", password)
    page.keyboard.press("Enter")
    expect(page.locator("body")).to_have_attribute("data-live", "live", timeout=SOON)
    return page


@pytest.fixture
def owner(shop, chromium) -> Page:
    page = sign_in(chromium, shop, shop.email, shop.password)
    yield page
    page.context.close()


@pytest.fixture
def agent(shop, chromium) -> Page:
    page = sign_in(chromium, shop, AGENT, PASSWORD)
    yield page
    page.context.close()


def open_talk(page: Page, name: str) -> None:
    page.locator("[data-conversation]", has_text=name).first.click()
    expect(page.locator("#composer")).to_be_visible(timeout=SOON)


def test_note_that_names_a_colleague_reaches_them_live(owner, agent):
    open_talk(owner, "Fatou")

    owner.keyboard.press("n")
    owner.keyboard.type("Merci de rappeler @agent")
    expect(owner.locator("#note-people [data-person]")).to_have_count(1)
    owner.keyboard.press("Enter")
    owner.keyboard.type("avant midi")
    owner.reload()
    expect(owner.locator("#note-text")).to_have_value(f"Merci de rappeler @{AGENT} avant midi")
    owner.locator("#note-text").press("Enter")

    expect(owner.locator("[data-note] .named")).to_have_text(f"@{AGENT}", timeout=SOON)
    expect(agent.locator("[data-mentions]")).to_be_visible(timeout=SOON)
    agent.locator(".toast a").click()
    expect(agent.locator("[data-note].jumped-to")).to_contain_text("avant midi", timeout=SOON)


def test_note_written_quicker_than_the_names_come_keeps_every_word(owner):
    open_talk(owner, "Salma")

    owner.keyboard.press("n")
    owner.keyboard.type("@")
    expect(owner.locator("#note-people [data-person]")).to_have_count(1)
    owner.route("**/people/**", lambda _held: None)
    owner.keyboard.type("tous : à rappeler")
    owner.keyboard.press("Enter")

    expect(owner.locator("[data-note]").last).to_contain_text("@tous : à rappeler", timeout=SOON)


def test_colleague_sees_who_is_answering(owner, agent):
    open_talk(owner, "Hugo")
    open_talk(agent, "Hugo")

    owner.locator("#composer-text").press_sequentially("Hello")

    expect(agent.locator("#answering")).to_contain_text("répond", timeout=SOON)
    expect(agent.locator(".row[aria-current] .answering")).to_have_text("réponse en cours…")
    expect(owner.locator("#answering")).to_be_empty()


def test_draft_is_there_in_another_browser(owner, shop, chromium):
    open_talk(owner, "Salma")
    with owner.expect_response("**/draft/"):
        owner.fill("#composer-text", "À demain, donc.")

    elsewhere = sign_in(chromium, shop, shop.email, shop.password)

    row = elsewhere.locator("[data-conversation]", has_text="Salma").first
    expect(row.locator(".draft")).to_be_visible()
    open_talk(elsewhere, "Salma")
    expect(elsewhere.locator("#composer-text")).to_have_value("À demain, donc.")
    elsewhere.context.close()


def test_several_conversations_are_closed_by_keys_and_brought_back(owner):
    rows = owner.locator("#conversation-list [data-conversation]")
    before = rows.count()

    for key in ("j", "x", "j", "x"):
        owner.keyboard.press(key)
    expect(owner.locator("[data-picked-count]")).to_have_text("2")
    owner.keyboard.press("e")
    expect(rows).to_have_count(before - 2, timeout=SOON)
    owner.locator(".toast button").click()

    expect(rows).to_have_count(before, timeout=SOON)
    expect(owner.locator("#picked")).to_be_hidden()


def test_keys_mean_the_selection_and_leave_the_open_conversation_alone(owner):
    open_talk(owner, "Fatou")
    assigned = owner.locator("#pane-head [data-assign]")
    assigned_before = assigned.inner_text()
    unread = owner.locator("#conversation-list [data-conversation]:has(.count)").last
    picked = unread.get_attribute("data-conversation")
    row = owner.locator(f"#conversation-list [data-conversation='{picked}']")

    for act in ("a", "m"):
        row.locator("a.row").focus()
        owner.keyboard.press("x")
        expect(owner.locator("[data-picked-count]")).to_have_text("1")
        owner.keyboard.press(act)
        if act == "a":
            owner.locator("#dialog [data-several=assign]").first.click()
        expect(owner.locator("#picked")).to_be_hidden(timeout=SOON)

    expect(row.locator(".count")).to_have_count(0, timeout=SOON)
    expect(owner.locator("#pane-head")).to_contain_text("Fatou")
    expect(assigned).to_have_text(assigned_before)
