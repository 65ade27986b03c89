"""Searching, filtering and reading on, as a person types and scrolls."""

import re

import pytest
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.processes]

SOON = 15_000
PLANT = "from tests.e2e import scene; print(scene.plant_long('demo'))"


@pytest.fixture(scope="module")
def long_conversation(product) -> str:
    """A conversation of two hundred lines, all read."""
    return product.manage("shell", "--no-imports", "-c", PLANT).split()[-1]


@pytest.fixture
def ready(inbox) -> Page:
    """The inbox, once its scripts listen."""
    expect(inbox.locator("body")).to_have_attribute("data-live", "live", timeout=SOON)
    return inbox


def texts(page: Page) -> list[str]:
    return page.locator("#messages [data-message] .text").all_inner_texts()


def scroll(page: Page, pixels: int, until) -> None:
    """Turn the wheel over the conversation until something holds."""
    page.locator("#message-scroll").hover()
    for _turn in range(100):
        if until():
            return
        page.mouse.wheel(0, pixels)
        page.wait_for_timeout(50)
    raise AssertionError("the end was never reached")


def test_search_leads_to_the_message_and_the_conversation_goes_on_both_ways(
    ready, long_conversation
):
    ready.keyboard.press("s")
    ready.keyboard.type("lignes 60")
    ready.locator("[data-found]", has_text="Ligne 60").click(timeout=SOON)

    expect(ready.locator(".jumped-to .text")).to_have_text("Ligne 60", timeout=SOON)
    expect(ready.locator(".jumped-to")).to_be_in_viewport()
    assert re.search(rf"/inbox/{long_conversation}/\?q=lignes\+60&message=\d+$", ready.url)
    scroll(ready, 1200, lambda: not ready.locator("[data-newer]").count())
    scroll(ready, -1200, lambda: not ready.locator("[data-older]").count())
    assert texts(ready) == [f"Ligne {place}" for place in range(200)]
    assert ready.complaints == []


def test_escape_goes_back_to_what_was_found_and_then_to_the_list(ready, long_conversation):
    ready.fill("#inbox-search", "Ligne 61")
    ready.locator("[data-found]", has_text="Ligne 61").click(timeout=SOON)
    expect(ready.locator(".jumped-to")).to_be_visible(timeout=SOON)

    ready.keyboard.press("Escape")
    expect(ready).to_have_url(re.compile(r"/\?q=Ligne\+61$"))
    ready.keyboard.press("Escape")

    expect(ready.locator(f"[data-conversation='{long_conversation}']")).to_be_visible(timeout=SOON)
    expect(ready.locator("#inbox-search")).to_have_value("")


def test_answer_written_beside_an_old_message_shows_at_the_end(ready, long_conversation):
    ready.fill("#inbox-search", "Ligne 62")
    ready.locator("[data-found]", has_text="Ligne 62").click(timeout=SOON)
    expect(ready.locator(".jumped-to")).to_be_visible(timeout=SOON)

    ready.fill("#composer textarea", "Réponse tardive")
    ready.keyboard.press("Enter")

    last = ready.locator("#messages [data-message]").last
    expect(last).to_contain_text("Réponse tardive", timeout=SOON)
    expect(last).to_be_in_viewport()
    assert texts(ready)[-2] == "Ligne 199"


def test_filters_are_in_the_address_and_survive_a_reload(ready, long_conversation):
    row = ready.locator(f"[data-conversation='{long_conversation}']")
    expect(row).to_be_visible()

    ready.keyboard.press("f")
    ready.check("#dialog input[name=unread]")
    ready.locator("#dialog .dialog-foot .button").last.click()

    expect(ready).to_have_url(re.compile(r"/\?unread=1$"))
    expect(row).to_have_count(0, timeout=SOON)
    ready.reload()
    expect(ready.locator(".narrowed .tag")).to_have_count(1)
    ready.locator(".narrowed .tag").click()
    expect(row).to_be_visible(timeout=SOON)
