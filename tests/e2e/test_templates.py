"""WhatsApp's 24 hours and templates, as a person meets them in the composer."""

import json
import time
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from messaging.providers.signatures import hmac_sha256_hex
from tests.fakes import graph
from tests.fakes.serving import Fake, running
from tests.processes import until

pytestmark = [pytest.mark.browser, pytest.mark.processes]

SOON = 15_000
SECRET = "secret-of-the-vendors-app"
DAY = 24 * 3600
WORKER_SECONDS = 30


@pytest.fixture(scope="module")
def meta(product) -> Iterator[Fake]:
    """The demo tenant's official number, its templates read."""
    with running("tests.fakes.graph") as fake:
        product.manage(
            "connect_instance", "demo", "whatsapp_cloud", "--phone", "+33199000001",
            "--label", "Officiel", "--set", f"phone_number_id={graph.NUMBER}",
            f"waba_id={graph.ACCOUNT}", f"access_token={graph.TOKEN}", f"app_secret={SECRET}",
            "verify_token=v", f"api_url={fake.url}/v25.0",
        )  # fmt: skip
        reads = f"/v25.0/{graph.ACCOUNT}/message_templates"
        until(
            lambda: len([call for call in fake.calls() if call["path"] == reads]) > 3,
            WORKER_SECONDS,
            "the templates are read",
        )
        yield fake


def write(product, phone: str, name: str, text: str, ago: int = 0) -> None:
    """What Meta posts when a contact writes."""
    when = int(time.time()) - ago
    message = {
        "from": phone, "id": f"wamid.{phone}.{when}.{len(text)}", "timestamp": str(when),
        "type": "text", "text": {"body": text},
    }  # fmt: skip
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"phone_number_id": graph.NUMBER},
        "contacts": [{"wa_id": phone, "profile": {"name": name}}],
        "messages": [message],
    }
    entry = {"id": graph.ACCOUNT, "changes": [{"field": "messages", "value": value}]}
    body = json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()
    answer = httpx.post(
        f"http://127.0.0.1:{product.port}/api/webhooks/whatsapp",
        content=body,
        headers={"X-Hub-Signature-256": f"sha256={hmac_sha256_hex(SECRET, body)}"},
    )
    assert answer.json() == {"success": True, "queued": True}


def open_conversation(page: Page, name: str) -> None:
    page.locator("#conversation-list a.row", has_text=name).click(timeout=SOON)
    expect(page.locator("#pane-head h2")).to_contain_text(name, timeout=SOON)


def test_composer_says_how_long_one_may_answer(product, meta, inbox):
    write(product, "33612345601", "Binta Sow", "Bonjour !", ago=3600)

    open_conversation(inbox, "Binta Sow")

    expect(inbox.locator("#reply-window [data-left]")).to_contain_text("22 h", timeout=SOON)
    expect(inbox.locator("#composer")).to_be_visible()
    assert inbox.complaints == []


def test_closed_window_lets_a_template_through_and_opens_again_live(product, meta, inbox):
    write(product, "33612345602", "Karim Haddad", "Vous avez ma commande ?", ago=2 * DAY)
    open_conversation(inbox, "Karim Haddad")
    expect(inbox.locator("#composer")).to_be_hidden()

    inbox.get_by_role("button", name="Choisir un modèle").click()
    inbox.locator(".template-choice", has_text="Order ready").click()
    fields = inbox.locator("#template-picker [data-place]")
    expect(fields).to_have_count(4, timeout=SOON)
    for place, value in enumerate(("A-12", "Karim", "samedi")):
        fields.nth(place).fill(value)
    expect(inbox.locator("[data-slot='body.1']")).to_have_text("Karim")
    inbox.locator("#template-picker [data-send]").click()
    expect(inbox.locator("#template-picker [role=alert]")).to_be_visible(timeout=SOON)
    expect(fields.nth(1)).to_have_value("Karim")
    fields.nth(3).fill("A-12")
    inbox.locator("#template-picker [data-send]").click()

    sent = inbox.locator("#messages .message.out")
    expect(sent).to_contain_text("Bonjour Karim, votre commande vous attend", timeout=SOON)
    expect(sent.locator("[data-tick=sent]")).to_be_visible(timeout=SOON)
    expect(inbox.locator("#dialog")).to_be_hidden()

    write(product, "33612345602", "Karim Haddad", "Parfait, j'arrive.")
    expect(inbox.locator("#composer")).to_be_visible(timeout=SOON)
    expect(inbox.locator("#reply-window [data-left]")).to_contain_text("23 h", timeout=SOON)
    assert inbox.complaints == []
