"""The mails to a tenant's owners about money and limits; each is sent once."""

from datetime import datetime, timedelta

from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.utils import timezone, translation

from billing import entitling
from billing.models import Notice, Subscription
from tenants import context, directory, limits, onboarding, orders
from tenants.accounts.models import Role, User
from tenants.models import Tenant

Status = Subscription.Status

# What a state is told as, when it begins.
_TOLD = {
    Status.PAST_DUE: "past_due",
    Status.UNPAID: "unpaid",
    Status.CANCELED: "canceled",
    Status.PAUSED: "paused",
}
_STILL = {
    **{kind: status for status, kind in _TOLD.items()},
    "grace_ending": Status.PAST_DUE,
    "recovered": Status.ACTIVE,
}
# How long before the end of the days of grace the owners are told again.
LAST_CALL = timedelta(days=2)


def state_changed(subscription: Subscription, *, before: str) -> None:
    """Have the owners told of a state they must act on, or of its end; in the transaction."""
    if subscription.status == before or subscription.plan_by_hand_id is not None:
        return
    moment = f"{subscription.as_of:%Y-%m-%dT%H:%M:%S}" if subscription.as_of else ""
    if subscription.status in _TOLD:
        _order(subscription.tenant_id, _TOLD[subscription.status], moment)
    elif subscription.status == Status.ACTIVE and before in {Status.PAST_DUE, Status.UNPAID}:
        _order(subscription.tenant_id, "recovered", moment)


def remind(now: datetime) -> None:
    """Have the owners told once more shortly before the days of grace are over."""
    due = Subscription.objects.across_tenants().filter(
        status=Status.PAST_DUE, plan_by_hand=None, past_due_since__isnull=False
    )
    for subscription in due:
        ends = entitling.grace_ends_at(subscription)
        if ends and ends - LAST_CALL <= now < ends:
            _order(
                subscription.tenant_id, "grace_ending", f"{subscription.past_due_since:%Y-%m-%d}"
            )


def send_state(tenant_number: int, kind: str) -> None:
    """Send one of these mails to every owner, each in their language, if it is still true."""
    subscription = Subscription.objects.of(tenant_number).first()
    if subscription is None or _STILL.get(kind, subscription.status) != subscription.status:
        return
    _send(tenant_number, kind, {"grace_ends_at": entitling.grace_ends_at(subscription)})


def send_usage(tenant_number: int, kind: str, period: str, percent: int) -> None:
    """Tell the owners that 80 % or all of a limit is used, once a period."""
    notices = Notice.objects.of(tenant_number)
    about = f"usage:{kind}:{period}:{percent}"
    if notices.filter(about=about).exists():
        return
    meter = limits.meter(tenant_number, limits.Kind(kind))
    _send(tenant_number, "usage", {"meter": meter, "percent": percent})
    # Written down only now: a mail that could not be sent is tried again.
    notices.get_or_create(tenant_id=tenant_number, about=about)


def _order(tenant_number: int, kind: str, moment: str) -> None:
    _row, is_new = Notice.objects.of(tenant_number).get_or_create(
        tenant_id=tenant_number, about=f"{kind}:{moment}"
    )
    if is_new:
        orders.order("tell_billing", "default", tenant=tenant_number, kind=kind)


def _send(tenant_number: int, kind: str, facts: dict) -> None:
    try:
        tenant = directory.tenant_numbered(tenant_number)
    except Tenant.DoesNotExist:
        return
    with context.entered(tenant):
        owners = list(User.objects.filter(role=Role.OWNER, is_active=True))
    facts = {**facts, "tenant": tenant, "address": f"{onboarding.home_url(tenant)}/billing/"}
    for owner in owners:
        with (
            translation.override(owner.language or tenant.language),
            timezone.override(tenant.time_zone),
        ):
            _send_one(owner.email, kind, facts)


def _send_one(email: str, kind: str, facts: dict) -> None:
    subject = render_to_string(f"billing/email/{kind}_subject.txt", facts).strip()
    send_mail(subject, render_to_string(f"billing/email/{kind}_message.txt", facts), None, [email])
