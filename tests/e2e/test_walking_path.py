"""A customer writes, the team sees it live and answers: what a person sees and clicks."""

import re
import uuid

import pytest
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.processes]

SOON = 15_000


def open_chat(phone: Page, customer: str) -> None:
    """Be this customer, in the chat with the demo vendor."""
    phone.locator("#customers button", has_text=customer).click()
    if phone.locator("#chats button").first.is_visible():
        phone.locator("#chats button").first.click()
    expect(phone.locator("#text")).to_be_visible()


def say(phone: Page, text: str) -> None:
    """Type and send on the phone."""
    phone.fill("#text", text)
    phone.keyboard.press("Enter")


def row(inbox: Page, text: str):
    """The conversation in the list that shows this text."""
    return inbox.locator("#conversation-list [data-conversation]", has_text=text)


def message(inbox: Page, text: str):
    """The bubble with this text in the open conversation."""
    return inbox.locator("#messages [data-message]", has_text=text)


def answer(inbox: Page, text: str) -> None:
    """Type and send in the open conversation."""
    inbox.fill("#composer textarea", text)
    inbox.keyboard.press("Enter")


def words(prefix: str) -> str:
    """A text no other test uses."""
    return f"{prefix} {uuid.uuid4().hex[:8]}"


def test_customer_and_team_talk_and_ticks_move_without_a_reload(inbox, phone):
    question, reply = words("Bonjour"), words("Oui")
    expect(inbox.locator("#live-state")).to_have_attribute("data-state", "live", timeout=SOON)
    open_chat(phone, "Camille")

    say(phone, question)
    row(inbox, question).click(timeout=SOON)
    expect(message(inbox, question)).to_be_visible(timeout=SOON)
    answer(inbox, reply)

    expect(phone.locator("#log")).to_contain_text(reply, timeout=SOON)
    expect(message(inbox, reply)).to_have_attribute("data-status", "read", timeout=SOON)
    assert inbox.complaints == []
    assert phone.complaints == []


def test_ticks_stay_at_delivered_until_the_customer_looks(inbox, phone):
    question, reply = words("Bonjour"), words("Voilà")
    open_chat(phone, "Awa")
    say(phone, question)
    row(inbox, question).click(timeout=SOON)
    phone.locator("#customers button", has_text="Hugo").click()
    expect(phone.locator("#log")).not_to_contain_text(question)

    answer(inbox, reply)

    expect(message(inbox, reply)).to_have_attribute("data-status", "delivered", timeout=SOON)
    open_chat(phone, "Awa")
    expect(message(inbox, reply)).to_have_attribute("data-status", "read", timeout=SOON)


def test_message_appears_through_the_socket_while_lists_cannot_be_fetched(inbox, phone):
    text = words("Par la ligne")
    expect(inbox.locator("#live-state")).to_have_attribute("data-state", "live", timeout=SOON)
    inbox.route(re.compile(r"/inbox/rows/?\?"), lambda route: route.abort())
    open_chat(phone, "Youssef")

    say(phone, text)

    expect(row(inbox, text)).to_be_visible(timeout=SOON)


def test_message_appears_by_the_poll_while_the_socket_is_blocked(product, context, inbox, phone):
    text = words("Sans ligne")
    page = context.new_page()
    page.clock.install()
    page.route_web_socket(re.compile("/ws/live/"), lambda socket: socket.close())
    page.goto(product.inbox)
    page.wait_for_selector("#conversation-list")
    open_chat(phone, "Koffi")

    say(phone, text)
    expect(row(inbox, text)).to_be_visible(timeout=SOON)
    expect(row(page, text)).to_have_count(0)
    page.clock.fast_forward(70_000)

    expect(row(page, text)).to_be_visible(timeout=SOON)
    expect(page.locator("#live-state")).not_to_have_attribute("data-state", "live")


def test_double_click_on_send_is_one_message(inbox, phone):
    question, reply = words("Bonjour"), words("Une fois")
    open_chat(phone, "Salma")
    say(phone, question)
    row(inbox, question).click(timeout=SOON)
    inbox.fill("#composer textarea", reply)

    inbox.locator("#composer > button").dblclick()

    expect(phone.locator("#log")).to_contain_text(reply, timeout=SOON)
    expect(message(inbox, reply)).to_have_count(1)
    expect(phone.locator("#log").get_by_text(reply)).to_have_count(1)


def test_answer_quotes_what_it_is_about_and_is_withdrawn(inbox, phone):
    question, later, reply = words("Bleu ou vert ?"), words("Et livré quand ?"), words("Bleu")
    expect(inbox.locator("#live-state")).to_have_attribute("data-state", "live", timeout=SOON)
    open_chat(phone, "Hugo")
    say(phone, question)
    say(phone, later)
    row(inbox, later).click(timeout=SOON)
    inbox.fill("#composer textarea", reply)

    message(inbox, question).hover()
    message(inbox, question).locator("[data-quote]").click()
    expect(inbox.locator("#quoting")).to_contain_text(question)
    inbox.keyboard.press("Escape")
    expect(inbox.locator("#quoting")).to_be_empty()
    message(inbox, question).locator("[data-quote]").press("Enter")
    expect(inbox.locator("#composer textarea")).to_be_focused()
    expect(inbox.locator("#composer textarea")).to_have_value(reply)
    inbox.keyboard.press("Enter")

    expect(message(inbox, reply).locator("blockquote")).to_have_text(question, timeout=SOON)
    expect(inbox.locator("#quoting")).to_be_empty()
    said = phone.locator("#log .bubble", has_text=reply)
    expect(said.locator(".quoted")).to_contain_text(question, timeout=SOON)
    inbox.once("dialog", lambda dialog: dialog.accept())
    message(inbox, reply).hover()
    message(inbox, reply).locator("[data-dialog]").click(timeout=SOON)
    inbox.locator("#message-acts .danger").click()
    expect(inbox.locator("#messages .tombstone")).to_have_count(1, timeout=SOON)
    expect(phone.locator("#log")).not_to_contain_text(reply, timeout=SOON)
    assert inbox.complaints == []


def test_draft_survives_a_reload(inbox, phone):
    question, draft = words("Bonjour"), words("Brouillon")
    open_chat(phone, "Hugo")
    say(phone, question)
    row(inbox, question).click(timeout=SOON)
    inbox.fill("#composer textarea", draft)

    inbox.reload()

    expect(inbox.locator("#composer textarea")).to_have_value(draft)


def test_inbox_speaks_english_to_whoever_chose_it(product, chromium):
    context = chromium.new_context(locale="en-GB")
    context.add_cookies([{"name": "amda_language", "value": "en", "url": product.inbox}])
    page = context.new_page()

    page.goto(product.inbox)

    expect(page.locator("html")).to_have_attribute("lang", "en")
    context.close()


def test_phone_width_shows_one_column_at_a_time(product, chromium, phone):
    question = words("Sur mobile")
    open_chat(phone, "Camille")
    say(phone, question)
    context = chromium.new_context(locale="fr-FR", viewport={"width": 390, "height": 800})
    page = context.new_page()
    page.goto(product.inbox)
    page.fill("input[name=login]", product.email)
    page.fill("input[name=password]", product.password)
    page.keyboard.press("Enter")

    row(page, question).click(timeout=SOON)

    expect(page.locator("#composer textarea")).to_be_visible()
    expect(page.locator("#conversation-list")).not_to_be_in_viewport()
    page.locator("[data-back]").click()
    expect(page.locator("#conversation-list")).to_be_in_viewport()
    context.close()


def test_phone_is_refused_once_the_demo_secret_changes(product, inbox, phone):
    text = words("Refusé")
    open_chat(phone, "Youssef")
    product.manage("shell", "--no-imports", "-c", CHANGE_SECRET)
    refused_before = product.refused()

    say(phone, text)

    expect(phone.locator("#journal")).to_contain_text("403", timeout=SOON)
    expect(row(inbox, text)).to_have_count(0)
    assert product.refused() > refused_before
    product.manage("prepare_demo")


CHANGE_SECRET = """
from tenants import directory
from tenants.models import ProviderInstance
instance = ProviderInstance.objects.across_tenants().get(provider="wasender")
instance.secrets = {**instance.secrets, "webhook_secret": "another"}
instance.save()
directory.changed()
"""
