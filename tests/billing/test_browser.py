"""From the pricing page to a paid subscription, as an owner clicks it; Stripe posts meanwhile."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from playwright.sync_api import expect

from billing.models import BillingEvent, Plan, Subscription
from tests import browsers
from tests.billing.conftest import MONTHLY, YEARLY
from tests.conftest import PASSWORD, address, host_of
from tests.fake_stripe.api import KEY
from tests.fake_stripe.driving import SECRET
from tests.ports import free_port
from tests.processes import Processes, until

pytestmark = [pytest.mark.browser, pytest.mark.processes]


@pytest.fixture
def stripe(running_stripe, monkeypatch):
    """The stand-in as the product's processes find it, posting to none yet."""
    running_stripe.do("reset")
    running_stripe.do("price", price=MONTHLY, amount=2900, interval="month")
    running_stripe.do("price", price=YEARLY, amount=29000, interval="year")
    environment = {
        "STRIPE_SECRET_KEY": KEY,
        "STRIPE_WEBHOOK_SECRET": SECRET,
        "STRIPE_API_URL": running_stripe.url,
        "STRIPE_PRICE_ID_MONTHLY": MONTHLY,
        "STRIPE_PRICE_ID_YEARLY": YEARLY,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return running_stripe


@pytest.fixture
def vendor(committed):
    yield committed("vendor_buys")
    BillingEvent.objects.across_tenants().delete()
    Plan.objects.filter(code="team").update(
        price_monthly="", price_yearly="", amount_monthly=None, amount_yearly=None, currency=""
    )


def asked(question):
    """The answer of the database: the browser's own thread may not ask it."""

    def ask():
        try:
            return question()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(ask).result()


def states() -> set[str]:
    """What became of everything that Stripe told."""
    events = BillingEvent.objects.across_tenants()
    return asked(lambda: set(events.values_list("state", flat=True)))


def open_until_there(page, address: str, what) -> None:
    """What one process writes another shows within a second: the page is opened until then."""
    until(lambda: page.goto(address) and what.count(), 20, "the page shows it")


def test_owner_buys_is_charged_fails_to_pay_and_pays_again(stripe, vendor, monkeypatch):
    port = free_port()
    monkeypatch.setenv("PORT", str(port))
    home = f"http://{host_of(vendor)}:{port}"
    with Processes() as processes, browsers.chromium() as chromium:
        processes.run("manage.py", "sync_billing")
        web = processes.web("application", port=port)
        processes.worker()
        stripe.do("endpoint", url=f"{web.url}/api/webhooks/stripe", secret=SECRET)
        page = chromium.new_context(locale="fr-FR").new_page()
        page.set_default_timeout(30_000)
        complaints = browsers.listen(page)

        page.goto(f"{home}/billing/plans/")
        page.fill("input[name=login]", address("owner", vendor.slug))
        page.fill("input[name=password]", PASSWORD)
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Choisir, par mois").click()

        # Stripe's page, to which ours leads on by itself.
        expect(page.get_by_role("heading", name="Checkout")).to_be_visible()
        page.fill("input[name=name]", "Boutique SARL")
        page.fill("input[name=vat]", "FR40303265045")
        page.get_by_role("button", name="Pay").click()
        expect(page.get_by_text("Merci : votre essai a commencé.")).to_be_visible()
        expect(page.get_by_text("Boutique SARL")).to_be_visible()
        assert page.url == f"{home}/billing/"

        # The trial is over, then the card is refused: Stripe tells us, nobody asks.
        stripe.do("advance", days=15)
        rows = Subscription.objects.of(vendor)
        until(lambda: asked(rows.get).status == "active", 20, "it is paid")
        open_until_there(page, page.url, page.get_by_text("29,00"))
        stripe.do("card", customer=asked(rows.get).customer, fails=True)
        stripe.do("advance", days=31)
        until(lambda: asked(rows.get).status == "past_due", 20, "it is past due")
        open_until_there(page, f"{home}/", page.locator(".closed-banner"))
        expect(page.locator(".closed-banner")).to_contain_text("Le dernier paiement a échoué.")

        # Another card, in the portal.
        page.locator(".closed-banner a").click()
        page.get_by_role("button", name="Gérer l’abonnement").click()
        page.get_by_role("button", name="Give another card").click()
        page.get_by_role("link", name="Back").click()
        expect(page.get_by_role("heading", name="Abonnement")).to_be_visible()
        expect(page.locator(".closed-banner")).to_have_count(0)
        expect(page.locator(".plan-now .state")).to_have_text("actif")
        until(lambda: states() == {"applied"}, 20, "every event is applied")
        assert complaints == []
