"""`sync_billing`: what differs from Stripe is printed, and taken over."""

import io

import pytest
from django.core.management import CommandError, call_command

from billing import checks
from billing.models import Plan, Subscription
from tests.billing.conftest import MONTHLY


def sync(**options) -> str:
    output = io.StringIO()
    call_command("sync_billing", stdout=output, **options)
    return output.getvalue()


def test_command_prints_and_takes_over_what_was_lost(stripe, bought, tenant, other_tenant):
    stripe.do("cancel", customer=bought.customer)
    stripe.do("advance", days=31)

    printed = sync()

    assert "vendor_001: status: active here, canceled at Stripe" in printed
    assert "0 of 1 subscriptions were as Stripe has them." in printed
    assert Subscription.objects.of(tenant).get().status == "canceled"
    assert sync().strip() == "1 of 1 subscriptions were as Stripe has them."


def test_dry_run_changes_nothing(stripe, bought, tenant):
    stripe.do("status", customer=bought.customer, status="paused")
    stripe.do("price", price=MONTHLY, amount=3500, interval="month")

    printed = sync(dry_run=True)

    assert "status: active here, paused at Stripe" in printed
    assert "plan team: ('EUR', 2900, 29000) here, ('EUR', 3500, 29000) at Stripe" in printed
    assert Subscription.objects.of(tenant).get().status == "active"
    assert Plan.objects.get(code="team").amount_monthly == 2900


def test_command_names_prices_that_do_not_fit(stripe):
    Plan.objects.filter(code="team").update(price_monthly="", price_yearly=MONTHLY)

    with pytest.raises(CommandError, match="price_team_month is paid by month, not by year"):
        sync()


def test_command_goes_on_past_what_cannot_be_known_at(stripe, bought, other_tenant):
    Subscription(tenant=other_tenant, customer="cus_gone").save()
    stripe.do("status", customer=bought.customer, status="unpaid")

    with pytest.raises(CommandError, match=r"vendor_002: .*No such customer"):
        sync()

    bought.refresh_from_db()
    assert bought.status == "unpaid"


def test_command_needs_a_key(db):
    with pytest.raises(CommandError, match="STRIPE_SECRET_KEY is not set"):
        sync()


def test_price_event_takes_the_new_price_over(stripe, hear):
    stripe.do("price", price=MONTHLY, amount=3500, interval="month")
    event = {"id": "evt_p", "object": "event", "type": "price.updated", "created": 1,
             "data": {"object": {"object": "price", "id": MONTHLY}}}  # fmt: skip

    hear([event])

    assert Plan.objects.get(code="team").amount_monthly == 3500


def test_check_warns_of_a_key_without_the_endpoints_secret(settings):
    settings.STRIPE_SECRET_KEY, settings.STRIPE_WEBHOOK_SECRETS = "sk_test_x", []

    assert [each.id for each in checks.stripe_can_be_heard()] == ["billing.W001"]
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_x"]
    assert checks.stripe_can_be_heard() == []
