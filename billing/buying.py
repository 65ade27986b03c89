"""Buying a plan and looking after it: the way to Stripe's pages and back."""

from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from billing import gateway, plans, syncing
from billing.models import Plan, Subscription
from tenants import audit, directory, onboarding, orders
from tenants.models import Tenant


class NotSold(Exception):
    """Nothing was bought: why, in the reader's language, and which field is to blame."""

    def __init__(self, code: str, message: Any, field: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.message = message
        self.field = field


def checkout(tenant: Tenant, plan: Plan, interval: str, *, by, language: str) -> str:
    """The address of a page at Stripe on which the plan is paid; `NotSold` if it cannot be.

    Never inside a transaction. Nothing is bought before somebody pays there.
    """
    _require_payments()
    price = plan.price(interval)
    if not price or not plan.is_offered:
        raise NotSold("plan_not_sold", _("This plan is not sold this way."), "plan")
    subscription = _own_row(tenant)
    if subscription.is_live:
        raise NotSold(
            "subscription_exists",
            _("You have a subscription already: change it under Manage the subscription."),
        )
    customer = subscription.customer or _make_customer(tenant, by=by, language=language)
    if subscription.checkout:
        # Two pages that are open at once could both be paid.
        gateway.end_checkout(subscription.checkout)
    home = onboarding.home_url(tenant)
    session, address = gateway.start_checkout(
        customer=customer,
        price=price,
        tenant=tenant.number,
        trial_days=0 if subscription.had_trial else plan.trial_days,
        methods=settings.STRIPE_PAYMENT_METHODS,
        language=language,
        success_url=f"{home}/billing/done/?session={{CHECKOUT_SESSION_ID}}",
        cancel_url=f"{home}/billing/plans/",
    )
    Subscription.objects.of(tenant).update(checkout=session)
    audit.record(
        "billing.checkout_started",
        by=by,
        subject=subscription,
        subject_name=plan.code,
        tenant=tenant,
        after={"plan": plan.code, "interval": interval},
    )
    return address


def portal(tenant: Tenant, *, language: str) -> str:
    """The address of the tenant's own page at Stripe: card, invoices, plan, the end of it."""
    _require_payments()
    customer = _own_row(tenant).customer
    if not customer:
        raise NotSold("nothing_bought", _("You have not bought anything yet: choose a plan."))
    return gateway.open_portal(
        customer=customer,
        return_url=f"{onboarding.home_url(tenant)}/billing/done/",
        language=language,
        prices=plans.switchable(),
    )


def come_back(tenant: Tenant) -> None:
    """Look at Stripe now, so that whoever comes back from it sees what is true."""
    if gateway.is_configured():
        syncing.refresh(tenant.number)
        # Stripe's own post may have been quicker, in another process: it is news here as well.
        directory.forget()


def order_end(tenant: Tenant) -> None:
    """Have what a tenant pays for ended at Stripe, once its deletion is committed."""
    for subscription in Subscription.objects.of(tenant).exclude(external_id=""):
        if subscription.is_live:
            # Not by the tenant's number: the tenant's jobs go with it.
            orders.order("end_subscription", "default", subscription=subscription.external_id)


def own(tenant: Tenant) -> Subscription:
    """A tenant's subscription; one that is not kept yet where nothing was ever bought."""
    found = Subscription.objects.of(tenant).select_related("plan", "plan_by_hand").first()
    return found or Subscription(tenant_id=tenant.number)


def _require_payments() -> None:
    if not gateway.is_configured():
        raise NotSold(
            "payments_not_configured",
            _("Online payment is not set up on this platform. Please contact your provider."),
        )


def _own_row(tenant: Tenant) -> Subscription:
    with transaction.atomic():
        return Subscription.objects.of(tenant).get_or_create(tenant_id=tenant.number)[0]


def _make_customer(tenant: Tenant, *, by, language: str) -> str:
    """The tenant's customer at Stripe. Where two were made at once, the first one counts."""
    made = gateway.make_customer(
        name=tenant.name, email=by.email, language=language, tenant=tenant.number
    )
    mine = Subscription.objects.of(tenant)
    if mine.filter(customer="").update(customer=made):
        return made
    gateway.remove_customer(made)
    return mine.values_list("customer", flat=True).get()
