"""A subscription from its trial to its end and back, as Stripe tells it and as it was missed."""

import random
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from stripe import WebhookSignature

from billing import applying, buying, gateway, syncing
from billing.models import BillingEvent, Invoice, Subscription
from tenants import directory, limits
from tenants.accounts.models import AuditEntry
from tenants.models import Allowance
from tests.billing.conftest import BIGGER, MONTHLY
from tests.fake_stripe.driving import SECRET, signed

SHOWN = ("status", "interval", "price", "amount", "plan_id", "ends_at", "problem")


def state_of(tenant) -> str:
    return Subscription.objects.of(tenant).values_list("status", flat=True).get()


def closed(tenant, **facts) -> str:
    directory.forget()
    return limits.closed_reason(tenant.number, **facts)


def test_subscription_lives_from_trial_to_its_end_and_is_bought_again(
    stripe, hear, tenant, owner, team_plan
):
    buying.checkout(tenant, team_plan, "month", by=owner, language="fr")
    row = Subscription.objects.of(tenant).get()
    stripe.do("pay", checkout=row.checkout, name="Boutique SARL", city="Paris", vat="FR123")
    hear()
    assert (state_of(tenant), closed(tenant)) == ("trialing", "")
    assert limits.allowance_of(tenant.number).messages == team_plan.max_messages

    stripe.do("advance", days=14)
    hear()
    row.refresh_from_db()
    assert (row.status, row.amount, row.currency, row.interval) == ("active", 2900, "EUR", "month")
    assert (row.billing_name, row.tax_number, row.paid_with) == (
        "Boutique SARL",
        "FR123",
        "visa 4242",
    )

    stripe.do("card", customer=row.customer, fails=True)
    stripe.do("advance", days=30)
    hear()
    assert (state_of(tenant), closed(tenant)) == ("past_due", "")
    later = timezone.now() + timedelta(days=7, minutes=1)
    assert closed(tenant, now=later) == "past_due"

    stripe.do("new_card", customer=row.customer)
    hear()
    row.refresh_from_db()
    assert (row.status, row.past_due_since, closed(tenant, now=later)) == ("active", None, "")

    stripe.do("switch", customer=row.customer, price=BIGGER)
    hear()
    row.refresh_from_db()
    assert (row.plan.code, row.amount) == ("big", 9900)
    assert limits.allowance_of(tenant.number).messages is None

    stripe.do("cancel", customer=row.customer)
    hear()
    row.refresh_from_db()
    assert (row.status, row.ends_at) == ("active", row.period_ends_at)

    stripe.do("advance", days=31)
    hear()
    assert (state_of(tenant), closed(tenant)) == ("canceled", "canceled")

    buying.checkout(tenant, team_plan, "year", by=owner, language="fr")
    row.refresh_from_db()
    stripe.do("pay", checkout=row.checkout)
    hear()
    row.refresh_from_db()
    assert (row.status, row.interval, row.amount, closed(tenant)) == ("active", "year", 29000, "")
    # A trial is had once.
    assert row.trial_ends_at is None
    assert (
        BillingEvent.objects.across_tenants().exclude(state__in=["applied", "ignored"]).count() == 0
    )


def test_what_becomes_of_a_subscription_is_in_the_audit_once(stripe, hear, bought, tenant):
    stripe.do("advance", days=14)
    hear()
    hear()

    told = AuditEntry.objects.filter(act="billing.subscription_changed").order_by("pk")
    assert [(each.tenant_number, each.after.get("status")) for each in told][-1] == (
        tenant.number, "active",
    )  # fmt: skip
    assert [each.after.get("status") for each in told].count("active") == 1


@pytest.mark.parametrize(("ending", "closed_by"), [("unpaid", "unpaid"), ("canceled", "canceled")])
def test_retries_that_all_fail_leave_it_to_be_read(stripe, hear, bought, tenant, ending, closed_by):
    stripe.do("after_retries", status=ending)
    stripe.do("card", customer=bought.customer, fails=True)

    stripe.do("advance", days=50)
    hear()

    assert (state_of(tenant), closed(tenant)) == (ending, closed_by)


def test_paused_trial_can_be_read_and_resumed_at_once(stripe, hear, bought, tenant):
    stripe.do("status", customer=bought.customer, status="paused")
    hear()
    assert (state_of(tenant), closed(tenant)) == ("paused", "paused")

    stripe.do("status", customer=bought.customer, status="active")
    hear()

    assert (state_of(tenant), closed(tenant)) == ("active", "")


@pytest.mark.parametrize("seed", range(5))
def test_events_shuffled_and_told_twice_end_in_the_same_state(stripe, hear, bought, tenant, seed):
    stripe.do("card", customer=bought.customer, fails=True)
    stripe.do("advance", days=30)
    stripe.do("new_card", customer=bought.customer)
    stripe.do("switch", customer=bought.customer, price=BIGGER)
    events = stripe.events() * 2
    random.Random(seed).shuffle(events)

    for event in events:
        hear([event])

    row = Subscription.objects.of(tenant).get()
    assert [getattr(row, name) for name in SHOWN] == [
        "active", "month", BIGGER, 9900, row.plan_id, None, "",
    ]  # fmt: skip
    assert row.plan.code == "big"
    assert BillingEvent.objects.across_tenants().count() == len(events) / 2
    assert Invoice.objects.of(tenant).filter(status="paid").count() == 4


def test_old_event_never_overwrites_what_is_newer(stripe, hear, bought, tenant):
    created = next(e for e in stripe.events() if e["type"] == "customer.subscription.created")
    stripe.do("cancel", customer=bought.customer)
    stripe.do("advance", days=31)
    hear()

    hear([{**created, "id": "evt_late"}])

    assert state_of(tenant) == "canceled"


def test_older_look_never_overwrites_a_newer_one(stripe, hear, bought, tenant):
    before = gateway.customer_facts(bought.customer)
    begun_at = timezone.now()
    stripe.do("status", customer=bought.customer, status="paused")
    hear()

    with transaction.atomic():
        assert syncing._write(tenant.number, before, begun_at) == []

    assert state_of(tenant) == "paused"


def test_lost_event_is_found_by_reconciling(stripe, hear, bought, tenant, other_tenant):
    stripe.do("status", customer=bought.customer, status="unpaid")
    assert state_of(tenant) == "active"

    only_looked = syncing.refresh(tenant.number, apply=False)
    assert state_of(tenant) == "active"
    found = syncing.refresh(tenant.number)

    assert [str(each) for each in found] == [str(each) for each in only_looked]
    assert "status: active here, unpaid at Stripe" in [str(each) for each in found]
    assert (state_of(tenant), closed(tenant)) == ("unpaid", "unpaid")
    assert syncing.refresh(tenant.number) == []


def test_events_wait_while_stripe_is_away(stripe, hear, bought, tenant):
    stripe.do("status", customer=bought.customer, status="paused")
    stripe.do("away", away=True)
    hear()
    event = BillingEvent.objects.of(tenant).latest("pk")
    assert (event.state, event.attempts, state_of(tenant)) == ("waiting", 1, "active")
    assert "away" in event.reason

    stripe.do("away", away=False)
    BillingEvent.objects.of(tenant).update(not_before=None)
    applying.drain()

    event.refresh_from_db()
    assert (event.state, state_of(tenant)) == ("applied", "paused")


def test_event_that_names_another_tenant_changes_nothing(
    stripe, hear, bought, tenant, other_tenant
):
    stripe.do("status", customer=bought.customer, status="unpaid")
    event = stripe.events()[-1]
    event["data"]["object"]["metadata"]["amda_tenant"] = str(other_tenant.number)

    hear([event])

    kept = BillingEvent.objects.across_tenants().get(stripe_id=event["id"])
    assert (kept.state, kept.tenant_id) == ("refused", tenant.number)
    assert f"names vendor {other_tenant.number}" in kept.reason
    assert state_of(tenant) == "active"
    assert not Subscription.objects.of(other_tenant).exists()
    assert not Allowance.objects.of(other_tenant).exists()


def test_unknown_customer_that_names_a_tenant_is_refused(stripe, hear, tenant):
    customer = stripe.do("customer", metadata={"amda_tenant": str(tenant.number)})
    stripe.do("subscribe", customer=customer, price=MONTHLY)

    hear()

    states = BillingEvent.objects.across_tenants().values_list("type", "state")
    assert ("customer.created", "refused") in set(states)
    assert not Subscription.objects.of(tenant).exists()


def test_subscription_at_stripe_that_names_another_tenant_is_not_taken(
    stripe, hear, bought, tenant, other_tenant
):
    metadata = {"amda_tenant": str(other_tenant.number)}
    stripe.do("subscribe", customer=bought.customer, price=BIGGER, metadata=metadata)

    syncing.refresh(tenant.number)

    row = Subscription.objects.of(tenant).get()
    assert (row.price, row.status) == (MONTHLY, "active")
    assert f"names vendor {other_tenant.number}" in row.problem


def test_two_subscriptions_at_once_are_shown(stripe, hear, bought, tenant):
    stripe.do("subscribe", customer=bought.customer, price=BIGGER)

    syncing.refresh(tenant.number)

    row = Subscription.objects.of(tenant).get()
    assert (row.price, "2 subscriptions at once" in row.problem) == (BIGGER, True)


def test_unknown_kinds_of_events_are_kept(stripe, hear, post, tenant):
    event = {"id": "evt_x", "object": "event", "type": "radar.early_fraud_warning.created",
             "created": 1, "data": {"object": {"object": "radar.early_fraud_warning"}}}  # fmt: skip

    hear([event])

    kept = BillingEvent.objects.across_tenants().get(stripe_id="evt_x")
    assert (kept.state, kept.type) == ("ignored", event["type"])


@pytest.mark.parametrize("body", [b"[]", b"{}", b"\xff", b'{"object":"event","id":7}', b"x" * 50])
def test_signed_post_that_cannot_be_read_is_kept(post, stripe, body):
    text = body.decode("utf-8", "replace")
    headers = {"stripe-signature": WebhookSignature.generate_signature_header(text, SECRET)}
    if body == b"\xff":
        assert post(body, headers) == 403
        return

    assert post(body, headers) == 200
    applying.drain()

    (kept,) = BillingEvent.objects.across_tenants()
    assert kept.state == "unreadable"


def test_failed_event_is_tried_again_when_it_is_sent_again(stripe, hear, bought, tenant):
    event = BillingEvent.objects.of(tenant).latest("pk")
    BillingEvent.objects.of(tenant).filter(pk=event.pk).update(state="failed")
    stripe.do("status", customer=bought.customer, status="paused")

    told = next(each for each in stripe.events() if each["id"] == event.stripe_id)
    hear([told])

    event.refresh_from_db()
    assert (event.state, state_of(tenant)) == ("applied", "paused")


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ({}, 200),
        ({"age": 299}, 200),
        ({"age": 301}, 403),
        ({"age": -400}, 403),
        ({"secret": "whsec_of_another_endpoint"}, 403),
    ],
)
def test_signatures_are_judged(stripe, post, facts, status):
    event = {"id": "evt_1", "object": "event", "type": "x", "data": {"object": {}}}

    assert post(*signed(event, **facts)) == status

    assert BillingEvent.objects.across_tenants().count() == (1 if status == 200 else 0)


@pytest.mark.parametrize("signature", [None, "", "t=,v1=", "t=1", "v1=00", "t=x,v1=00", "\xe9"])
def test_forged_signatures_are_refused(stripe, post, signature):
    body, headers = signed({"id": "evt_1", "object": "event"})
    headers.pop("stripe-signature")
    if signature is not None:
        headers["stripe-signature"] = signature

    assert post(body, headers) == 403
    assert post(body + b" ", signed({"id": "evt_1", "object": "event"})[1]) == 403
    assert BillingEvent.objects.across_tenants().count() == 0


def test_both_secrets_verify_while_one_is_replaced(stripe, post, settings):
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_new", *settings.STRIPE_WEBHOOK_SECRETS]
    event = {"id": "evt_1", "object": "event"}

    assert post(*signed(event)) == 200
    assert post(*signed(event, secret="whsec_new")) == 200


def test_post_is_refused_where_no_secret_is_set(stripe, post, settings):
    settings.STRIPE_WEBHOOK_SECRETS = []

    assert post(*signed({"id": "evt_1", "object": "event"}, secret="")) == 403


def test_post_that_cannot_be_stored_is_asked_for_again(stripe, post, writer):
    writer.fails = True

    assert post(*signed({"id": "evt_1", "object": "event"})) == 503


def test_only_posts_are_taken(post, stripe):
    assert post(b"", {}, method="GET") == 405
