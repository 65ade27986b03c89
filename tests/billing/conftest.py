"""The stand-in for Stripe, plans at its prices, and its posts taken in as in life."""

import asyncio

import pytest
from asgiref.testing import ApplicationCommunicator
from django.db import connection

from billing import applying, plans
from billing.models import Plan, Subscription
from billing.webhooks import PATH, StripeWebhook
from tenants import directory, secrets
from tenants.intake import StorageAway
from tests.fake_stripe.api import KEY
from tests.fake_stripe.driving import SECRET, Stripe, signed

MONTHLY, YEARLY = "price_team_month", "price_team_year"
BIGGER = "price_big_month"


@pytest.fixture(scope="package")
def running_stripe():
    stripe = Stripe()
    try:
        yield stripe.wait_until_up()
    finally:
        stripe.clean_up()


@pytest.fixture
def stripe(running_stripe, settings, db):
    """An empty Stripe with our three prices, and plans that are sold at them."""
    running_stripe.do("reset")
    running_stripe.do("price", price=MONTHLY, amount=2900, interval="month")
    running_stripe.do("price", price=YEARLY, amount=29000, interval="year")
    running_stripe.do("price", price=BIGGER, amount=9900, interval="month")
    settings.STRIPE_SECRET_KEY = KEY
    settings.STRIPE_WEBHOOK_SECRETS = [SECRET]
    settings.STRIPE_API_URL = running_stripe.url
    settings.STRIPE_PRICE_ID_MONTHLY = MONTHLY
    settings.STRIPE_PRICE_ID_YEARLY = YEARLY
    plans.make_first()
    Plan.objects.create(
        code="big", name_fr="Grande équipe", name_en="Big team", position=30, price_monthly=BIGGER
    )
    for plan in plans.offered():
        assert plans.read_prices(plan) == []
    directory.changed()
    return running_stripe


@pytest.fixture
def team_plan(stripe) -> Plan:
    return Plan.objects.get(code="team")


class WriterOnThisConnection:
    """Keeps what the address takes in, to be stored on the test's own connection."""

    def __init__(self) -> None:
        self.kept = []
        self.fails = False

    async def store(self, arrivals) -> None:
        if self.fails:
            raise StorageAway
        self.kept += arrivals

    def write(self) -> None:
        """Store what was kept, with the statement that the real writer uses."""
        for each in self.kept:
            each.sealed = secrets.seal(each.body)
            with connection.cursor() as cursor:
                cursor.execute(each.statement.replace("%b", "%s"), each.columns([each]))
        self.kept = []


@pytest.fixture
def writer():
    return WriterOnThisConnection()


@pytest.fixture
def post(writer, db):
    """Send one request to Stripe's address: the status of the answer."""

    def send(body: bytes, headers: dict[str, str], method: str = "POST", path: str = PATH) -> int:
        status = asyncio.run(_exchange(StripeWebhook(writer), path, body, headers, method))
        writer.write()
        return status

    return send


async def _exchange(application, path, body, headers, method) -> int:
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }
    communicator = ApplicationCommunicator(application, scope)
    await communicator.send_input({"type": "http.request", "body": body, "more_body": False})
    start = await communicator.receive_output(10)
    await communicator.receive_output(10)
    return start["status"]


@pytest.fixture
def hear(stripe, post):
    """Take in what happened at Stripe since the last time, and apply it."""
    heard = []

    def take_in(events=None) -> list[dict]:
        new = stripe.events()[len(heard) :] if events is None else list(events)
        if events is None:
            heard.extend(new)
        for event in new:
            assert post(*signed(event)) == 200
        applying.drain()
        directory.forget()
        return new

    return take_in


@pytest.fixture
def bought(stripe, hear, tenant, owner, team_plan):
    """The tenant has bought the team plan by the month, after its trial: its subscription."""
    from billing import buying

    buying.checkout(tenant, team_plan, "month", by=owner, language="fr")
    row = Subscription.objects.of(tenant).get()
    stripe.do("pay", checkout=row.checkout, name="Boutique SARL", city="Paris", vat="FR123")
    stripe.do("advance", days=14)
    hear()
    row.refresh_from_db()
    return row
