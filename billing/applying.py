"""From events of Stripe to what is true: each says where to look, and once it was looked, it is
done."""

import json
import logging
from datetime import datetime, timedelta

from django.utils import timezone

from billing import gateway, plans, syncing
from billing.gateway import EventFacts
from billing.models import BillingEvent, Plan, Subscription
from tenants import orders, secrets
from tenants.models import Tenant

logger = logging.getLogger(__name__)

State = BillingEvent.State
BATCH = 100
# Stripe itself posts again for three days; so long we ask it again where it was away.
ATTEMPTS = 40
LONGEST_WAIT = timedelta(hours=2)
KEPT_DAYS = 400

# What concerns a customer; after any of it the customer is looked at.
OF_CUSTOMERS = (
    "checkout.session.", "customer.", "invoice.", "invoice_payment.", "payment_method.",
    "subscription_schedule.",
)  # fmt: skip


def drain() -> None:
    """Deal with every event that waits. Several at once do no harm: each looks for itself."""
    for _turn in range(BATCH):
        waiting = list(_waiting()[:BATCH])
        if not waiting:
            return
        _deal_with(waiting)


def replay(events) -> int:
    """Have the events of a queryset dealt with again; how many there are."""
    count = events.update(state=State.WAITING, attempts=0, not_before=None, reason="")
    order()
    return count


def order(at: datetime | None = None) -> None:
    """Order that waiting events are dealt with; never inside `atomic`."""
    orders.order_once("apply_billing", "default", key="billing", at=at)


def forget_old(now: datetime) -> None:
    """Remove events that were dealt with long ago."""
    before = now - timedelta(days=KEPT_DAYS)
    BillingEvent.objects.across_tenants().filter(received_at__lt=before).delete()


def _waiting():
    waiting = BillingEvent.objects.across_tenants().filter(state=State.WAITING)
    return waiting.exclude(not_before__gt=timezone.now()).order_by("id")


def _deal_with(waiting: list[BillingEvent]) -> None:
    """One look at each customer serves all of its events, for it comes after all of them."""
    looks: dict[int, list[BillingEvent]] = {}
    prices: dict[str, list[BillingEvent]] = {}
    for event in waiting:
        facts = _read(event)
        if facts is None:
            continue
        if facts.type.startswith("price.") and facts.price:
            prices.setdefault(facts.price, []).append(event)
        elif facts.type.startswith(OF_CUSTOMERS) and facts.customer:
            tenant = _owner_of(event, facts)
            if tenant is not None:
                looks.setdefault(tenant, []).append(event)
        else:
            _end(event, State.IGNORED, "nothing here depends on it")
    for tenant, events in looks.items():
        _look(events, lambda tenant=tenant: syncing.refresh(tenant))
    for price, events in prices.items():
        _look(events, lambda price=price: _read_price(price))


def _read(event: BillingEvent) -> EventFacts | None:
    try:
        facts = gateway.read_event(json.loads(secrets.unseal(event.body)))
    except (ValueError, secrets.Unsealable) as exc:
        _end(event, State.UNREADABLE, type(exc).__name__)
        return None
    event.type = facts.type[:100]
    event.created_at = facts.created_at
    event.customer = facts.customer[:100]
    return facts


def _owner_of(event: BillingEvent, facts: EventFacts) -> int | None:
    """The tenant whose customer this is. What the event itself names is never believed."""
    owner = (
        Subscription.objects.across_tenants()
        .filter(customer=facts.customer)
        .values_list("tenant_id", flat=True)
        .first()
    )
    event.tenant_id = owner
    if owner is None:
        state = State.REFUSED if _names_somebody(facts) else State.IGNORED
        _end(event, state, _told(f"nobody here is the customer {facts.customer}", facts))
        return None
    if facts.tenant not in {"", str(owner)}:
        _end(event, State.REFUSED, _told(f"the customer belongs to vendor {owner}", facts))
        return None
    return owner


def _names_somebody(facts: EventFacts) -> bool:
    number = facts.tenant
    known = number.isascii() and number.isdigit() and len(number) < 18
    return known and Tenant.objects.filter(number=int(number)).exists()


def _told(why: str, facts: EventFacts) -> str:
    return f"{why}; the event names vendor {facts.tenant[:40]}" if facts.tenant else why


def _read_price(price: str) -> None:
    known = plans.with_price(price)
    if known is not None:
        plans.read_prices(Plan.objects.get(pk=known[0].pk))


def _look(events: list[BillingEvent], look) -> None:
    try:
        look()
    except gateway.Away as exc:
        for event in events:
            _later(event, f"Stripe is away: {exc}")
    except (gateway.Refused, gateway.NotConfigured) as exc:
        for event in events:
            _end(event, State.FAILED, f"{type(exc).__name__}: {exc}")
    except Exception as exc:
        logger.exception("events of Stripe could not be applied")
        for event in events:
            _later(event, type(exc).__name__)
    else:
        for event in events:
            _end(event, State.APPLIED, "")


def _later(event: BillingEvent, reason: str) -> None:
    """Try again after a while; after the last attempt it stays, to be seen and replayed."""
    attempts = event.attempts + 1
    if attempts >= ATTEMPTS:
        return _end(event, State.FAILED, reason, attempts=attempts)
    wait = min(timedelta(seconds=5 * 2 ** min(attempts - 1, 12)), LONGEST_WAIT)
    not_before = timezone.now() + wait
    _move(event, state=State.WAITING, attempts=attempts, not_before=not_before, reason=reason[:300])
    order(not_before)


def _end(event: BillingEvent, state: str, reason: str, **facts) -> None:
    _move(event, state=state, reason=reason[:300], processed_at=timezone.now(), **facts)


def _move(event: BillingEvent, **facts) -> None:
    BillingEvent.objects.across_tenants().filter(pk=event.pk).update(
        type=event.type,
        customer=event.customer,
        tenant_id=event.tenant_id,
        created_at=event.created_at,
        **facts,
    )
