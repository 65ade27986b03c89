"""Platform staff at work: a vendor from its form to its first message, a delivery read again."""

import json
import re
import time

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests import browsers
from tests.conftest import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.processes]

SOON = 30_000
STAFF = "staff@amda.example"
SECRET = "secret-of-the-new-shop"
PREPARE = f"""
from tenants.accounts.models import User
staff = User.objects.get(email='{STAFF}')
staff.set_password('{PASSWORD}')
staff.save()
"""


def said(text: str, phone: str) -> dict:
    """What Wasender posts when a contact writes."""
    now = int(time.time())
    key = {"id": f"E2E{phone}", "fromMe": False, "remoteJid": f"{phone}@s.whatsapp.net"}
    message = {
        "key": {**key, "cleanedSenderPn": phone},
        "pushName": "Awa",
        "messageTimestamp": now,
        "messageBody": text,
        "message": {"conversation": text},
    }
    return {"event": "messages.received", "timestamp": now, "data": {"messages": message}}


def fail_to_read(body: dict) -> str:
    """A program that leaves a delivery of the demo tenant as one that failed; prints its id."""
    return f"""
import json
from django.utils import timezone
from tenants import directory, secrets
from tenants.models import ProviderInstance, WebhookDelivery
tenant = directory.tenant_of_slug('demo')
body = json.dumps({body!r}).encode()
delivery = WebhookDelivery(
    tenant=tenant, instance=ProviderInstance.objects.of(tenant).first(), provider='wasender',
    content_type='application/json', body=secrets.seal(body), size=len(body),
    received_at=timezone.now(), state='failed', attempts=3, error='KeyError')
delivery.save()
print('delivery', delivery.pk)
"""


@pytest.fixture
def staff(product, chromium) -> Page:
    """Somebody of the platform, signed in to the admin."""
    product.manage("shell", "--no-imports", "-c", PREPARE)
    context = chromium.new_context(locale="fr-FR", viewport={"width": 1280, "height": 900})
    context.set_default_timeout(SOON)
    page = context.new_page()
    page.complaints = browsers.listen(page)
    page.goto(f"http://localhost:{product.port}/accounts/login/")
    page.fill("input[name=login]", STAFF)
    page.fill("input[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin/")
    yield page
    assert page.complaints == []
    context.close()


def test_vendor_is_made_in_the_admin_and_gets_its_first_message(product, staff, chromium):
    staff.goto(f"http://localhost:{product.port}/admin/tenants/tenant/add/")
    expect(staff.locator("[data-part=wasender]")).to_be_hidden()
    staff.fill("input[name=slug]", "boutique_9")
    staff.fill("input[name=name]", "Boutique Neuf")
    staff.fill("input[name=owner_email]", "owner@boutique.example")
    staff.fill("input[name=owner_password]", PASSWORD)
    staff.select_option("select[name=provider]", "wasender")
    expect(staff.locator("[data-part=wasender]")).to_be_visible()
    expect(staff.locator("[data-part=greenapi]")).to_be_hidden()
    staff.fill("input[name=wasender-address]", "70 000")
    staff.fill("input[name=wasender-api_key]", "key-of-the-new-shop")
    staff.fill("input[name=wasender-webhook_secret]", SECRET)
    staff.fill("input[name=wasender-api_url]", "http://127.0.0.1:9/api")
    staff.click(".staff-submit button")
    expect(staff.locator("[data-part=wasender] .errors")).to_contain_text("+33612345678")

    staff.fill("input[name=wasender-address]", "+33 1 99 00 00 77")
    staff.fill("input[name=owner_password]", PASSWORD)
    staff.fill("input[name=wasender-api_key]", "key-of-the-new-shop")
    staff.fill("input[name=wasender-webhook_secret]", SECRET)
    staff.click(".staff-submit button")
    staff.wait_for_url(re.compile(r"/admin/tenants/tenant/\d+/change/"))
    expect(staff.locator(".staff-overview")).to_contain_text("+33199000077")
    hook = staff.locator(".staff-url").inner_text()
    answer = httpx.post(
        hook.replace("localhost", "127.0.0.1"),
        content=json.dumps(said("Bonjour la boutique", "33199000201")),
        headers={"X-Webhook-Signature": SECRET, "Content-Type": "application/json"},
    )
    assert answer.json() == {"success": True, "status": "received"}

    context = chromium.new_context(locale="fr-FR")
    context.set_default_timeout(SOON)
    owner = context.new_page()
    owner.goto(f"http://boutique-9.localhost:{product.port}/")
    owner.fill("input[name=login]", "owner@boutique.example")
    owner.fill("input[name=password]", PASSWORD)
    owner.keyboard.press("Enter")
    row = owner.locator("[data-conversation]", has_text="Bonjour la boutique")
    expect(row).to_be_visible(timeout=SOON)
    context.close()
    staff.reload()
    expect(staff.locator(".staff-bars")).to_be_visible()


def test_failed_delivery_is_read_again_from_its_page(product, staff, inbox):
    text = "Celui-ci s’était perdu"
    printed = product.manage("shell", "--no-imports", "-c", fail_to_read(said(text, "33199000202")))
    number = re.search(r"delivery (\d+)", printed)[1]
    staff.goto(f"http://localhost:{product.port}/admin/tenants/webhookdelivery/{number}/change/")
    expect(staff.locator("#content-main")).to_contain_text("KeyError")

    staff.get_by_role("button", name="Relire").click()

    expect(staff.locator("body")).to_contain_text("va être relue", timeout=SOON)
    row = inbox.locator("[data-conversation]", has_text=text)
    expect(row).to_be_visible(timeout=SOON)
    staff.reload()
    expect(staff.locator("#content-main")).to_contain_text("traité")
