"""Jobs: call the verb."""

from django.utils import timezone

from billing import applying, gateway, telling
from tenants import limits


def apply_billing() -> None:
    """Deal with what Stripe posted."""
    applying.drain()


def keep_billing(timestamp: int) -> None:
    """Deal with what was left lying, remind, and forget what is old."""
    now = timezone.now()
    applying.drain()
    telling.remind(now)
    applying.forget_old(now)
    limits.forget_old(now)


def tell_billing(tenant: int, kind: str) -> None:
    """Mail the owners about the state of their subscription."""
    telling.send_state(tenant, kind)


def tell_usage(tenant: int, kind: str, period: str, percent: int) -> None:
    """Mail the owners about a limit that is nearly or wholly used."""
    telling.send_usage(tenant, kind, period, percent)


def end_subscription(subscription: str) -> None:
    """End at Stripe what a vendor paid for that was deleted."""
    gateway.end_subscription(subscription)
