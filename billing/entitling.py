"""From a subscription to what its tenant may do: the one place that fills `tenants.limits`."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from billing.models import Plan, Subscription
from tenants import directory
from tenants.limits import Feature
from tenants.models import Allowance

MEGABYTE = 1024 * 1024
Status = Subscription.Status

# What a state closes; the others leave everything open.
CLOSED: dict[str, str] = {
    Status.PAST_DUE: "past_due",
    Status.UNPAID: "unpaid",
    Status.CANCELED: "canceled",
    Status.PAUSED: "paused",
}


def write(subscription: Subscription) -> None:
    """Give the tenant what its subscription is good for, in the caller's transaction."""
    plan = subscription.plan_by_hand or _plan_in_force(subscription)
    if plan is None:
        Allowance.objects.of(subscription.tenant_id).delete()
    else:
        reason, begins = _closed(subscription)
        facts = {
            **_limits(plan),
            "by_hand": subscription.plan_by_hand is not None,
            "closed_reason": reason,
            "closed_from": begins,
        }
        Allowance.objects.of(subscription.tenant_id).update_or_create(
            tenant_id=subscription.tenant_id, defaults=facts
        )
    directory.changed()


def write_everybodys() -> None:
    """What tenants have who bought nothing: the free plan, or nothing limited where is none."""
    free = _free()
    with transaction.atomic():
        if free is None:
            Allowance.objects.across_tenants().filter(tenant=None).delete()
        else:
            Allowance.objects.across_tenants().update_or_create(tenant=None, defaults=_limits(free))
        directory.changed()


def write_all_of(plan: Plan) -> None:
    """After a plan was changed: everybody who has it."""
    if plan.is_free or not Plan.objects.filter(is_free=True).exists():
        write_everybodys()
    everybody = Subscription.objects.across_tenants().select_related("plan", "plan_by_hand")
    for subscription in everybody:
        if plan in (subscription.plan, subscription.plan_by_hand) or plan.is_free:
            with transaction.atomic():
                write(subscription)


def plan_of(subscription: Subscription) -> Plan | None:
    """The plan whose limits hold; None where nothing is limited and nothing is sold."""
    given = subscription.plan_by_hand
    if given is not None or not settings.STRIPE_SECRET_KEY:
        return given
    return _plan_in_force(subscription) or _free()


def grace_ends_at(subscription: Subscription) -> datetime | None:
    """Until when everything works although the last payment failed."""
    if subscription.status != Status.PAST_DUE or subscription.past_due_since is None:
        return None
    return subscription.past_due_since + timedelta(days=settings.BILLING_GRACE_DAYS)


def _plan_in_force(subscription: Subscription) -> Plan | None:
    """What was bought, as long as it is paid or being paid; None means everybody's plan."""
    if subscription.status in {Status.NONE, Status.INCOMPLETE}:
        return None
    return subscription.plan or _free()


def _free() -> Plan | None:
    return Plan.objects.filter(is_free=True).first()


def _closed(subscription: Subscription) -> tuple[str, datetime | None]:
    if subscription.plan_by_hand is not None:
        return "", None
    return CLOSED.get(subscription.status, ""), grace_ends_at(subscription)


def _limits(plan: Plan) -> dict:
    return {
        "users": plan.max_users,
        "instances": plan.max_instances,
        "messages": plan.max_messages,
        "storage": None if plan.max_storage_mb is None else plan.max_storage_mb * MEGABYTE,
        "scheduled": plan.max_scheduled,
        "api_rate": plan.max_api_rate,
        "features_off": sorted(set(Feature.values) - set(plan.features)),
    }
