"""A passkey made and used in a real browser, under the pages' own security policy."""

from contextlib import contextmanager
from pathlib import Path

import pytest
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.db import connections
from django.test.testcases import LiveServerThread
from playwright.sync_api import expect, sync_playwright

from tenants import context
from tenants.accounts.models import Role, User
from tests.conftest import PASSWORD, host_of

CHROMIUM = "/usr/bin/chromium"
AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="no Chromium here"),
]


@contextmanager
def served():
    """The pages, on a port of their own."""
    server = LiveServerThread("127.0.0.1", StaticFilesHandler)
    server.daemon = True
    server.start()
    server.is_ready.wait()
    if server.error:
        raise server.error
    try:
        yield server.port
    finally:
        server.terminate()


@contextmanager
def browsing(home, **facts):
    """A browser of somebody who speaks English and owns a passkey device."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        browser_context = browser.new_context(base_url=home, locale="en-GB", **facts)
        browser_context.add_cookies([{"name": "amda_language", "value": "en", "url": home}])
        page = browser_context.new_page()
        devices = browser_context.new_cdp_session(page)
        devices.send("WebAuthn.enable")
        devices.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
        yield page
        browser.close()


def test_passkey_is_added_by_clicks_and_signs_in_alone(committed):
    tenant = committed("passkeys")
    with context.entered(tenant):
        owner = User.objects.get(role=Role.OWNER)
    connections.close_all()
    refused = []

    with served() as port, browsing(f"http://{host_of(tenant)}:{port}") as page:
        page.on("console", lambda said: refused.append(said.text))
        page.goto("/accounts/login/")
        page.get_by_label("Email").fill(owner.email)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in", exact=True).click()
        page.locator(".menu > summary").click()
        page.get_by_role("link", name="Your account").click()
        page.locator("a[href='/accounts/second-step/']").click()
        page.locator("a[href='/accounts/second-step/webauthn/add/']").click()
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Go on").click()
        page.get_by_role("button", name="Add").click()
        expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()

        page.goto("/accounts/")
        page.get_by_role("button", name="Sign out").click()
        page.get_by_role("button", name="Sign in with a passkey").click()
        expect(page.locator(".menu > summary")).to_be_visible()
        page.goto("/accounts/second-step/")
        expect(page.get_by_text("1 passkey")).to_be_visible()

    assert [each for each in refused if "Content Security Policy" in each] == []
