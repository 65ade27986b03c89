"""Looking at Stripe and writing down what is there.

What Stripe posts only says when to look. So it does not matter in which order, how often or how
late its posts come: what is written is what Stripe said last when it was asked last.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from billing import entitling, gateway, plans, telling
from billing.gateway import CustomerFacts, InvoiceFacts, SubscriptionFacts
from billing.models import LIVE, Invoice, Subscription
from tenants import audit

logger = logging.getLogger(__name__)

Status = Subscription.Status

# How Stripe calls a state, and how we do. What is not listed changes nothing and is shown.
STATUSES = {
    "incomplete": Status.INCOMPLETE,
    # Nothing was ever paid: as if it had not been tried.
    "incomplete_expired": Status.NONE,
    "trialing": Status.TRIALING,
    "active": Status.ACTIVE,
    "past_due": Status.PAST_DUE,
    "unpaid": Status.UNPAID,
    "canceled": Status.CANCELED,
    "paused": Status.PAUSED,
}


@dataclass(frozen=True)
class Difference:
    """Something that was not written here as Stripe has it."""

    name: str
    here: Any
    there: Any

    def __str__(self) -> str:
        return f"{self.name}: {self.here} here, {self.there} at Stripe"


def refresh(tenant_number: int, *, apply: bool = True) -> list[Difference]:
    """Look at a tenant's customer and write down what is there; what was different.

    Never inside a transaction. An older look never overwrites a newer one.
    """
    subscription = Subscription.objects.of(tenant_number).filter(customer__gt="").first()
    if subscription is None:
        return []
    begun_at = timezone.now()
    facts = gateway.customer_facts(subscription.customer)
    if not apply:
        with transaction.atomic():
            return _differences(subscription, _as_row(subscription, facts), facts.invoices)
    with transaction.atomic():
        return _write(tenant_number, facts, begun_at)


def _write(tenant_number: int, facts: CustomerFacts, begun_at: datetime) -> list[Difference]:
    row = Subscription.objects.of(tenant_number).select_for_update(of=("self",)).get()
    if row.customer != facts.customer or (row.as_of and row.as_of > begun_at):
        return []
    values = _as_row(row, facts)
    differences = _differences(row, values, facts.invoices)
    before, was = row.status, _bought(row)
    for name, value in values.items():
        setattr(row, name, value)
    row.as_of = begun_at
    row.save()
    _keep_invoices(tenant_number, facts.invoices)
    entitling.write(row)
    telling.state_changed(row, before=before)
    _record(row, was)
    return differences


def _bought(row: Subscription) -> dict[str, Any]:
    return {
        "status": row.status,
        "plan": row.plan.code if row.plan else "",
        "interval": row.interval,
        "ends": row.ends_at,
    }


def _record(row: Subscription, was: dict[str, Any]) -> None:
    before, after = audit.difference(was, _bought(row))
    if after:
        audit.record(
            "billing.subscription_changed",
            by=None,
            subject=row,
            tenant=row.tenant_id,
            before=before,
            after=after,
        )


def _as_row(row: Subscription, facts: CustomerFacts) -> dict[str, Any]:
    """What the row of a customer must say."""
    mine, problems = _own(row, facts)
    chosen, doubles = _choose(mine)
    problems += doubles
    values = {**_about_customer(facts), **_about_subscription(row, chosen, problems)}
    values["had_trial"] = row.had_trial or any(each.trial_ends_at for each in mine)
    values["paid_with"] = (chosen.paid_with if chosen else "") or facts.paid_with
    values["problem"] = "; ".join(problems)[:300]
    return values


def _own(row: Subscription, facts: CustomerFacts) -> tuple[list[SubscriptionFacts], list[str]]:
    """The customer's subscriptions that are this tenant's; those that name another are not."""
    problems = []
    if facts.tenant not in {"", str(row.tenant_id)}:
        problems.append(f"the customer names vendor {facts.tenant}")
    foreign = [each for each in facts.subscriptions if each.tenant not in {"", str(row.tenant_id)}]
    problems += [f"{each.external_id} names vendor {each.tenant}" for each in foreign]
    return [each for each in facts.subscriptions if each not in foreign], problems


def _choose(mine: Sequence[SubscriptionFacts]) -> tuple[SubscriptionFacts | None, list[str]]:
    """The subscription that counts: the newest that is live, else the newest that ended.

    One whose first payment is under way opens nothing that an ended one had closed.
    """
    newest_first = sorted(mine, key=lambda each: each.created_at, reverse=True)
    live = [each for each in newest_first if STATUSES.get(each.status) in LIVE]
    begun = [each for each in newest_first if each.status == "incomplete"]
    ended = [each for each in newest_first if each.status == "canceled"]
    others = [each for each in newest_first if each not in (*live, *begun, *ended)]
    chosen = next(iter([*live, *ended, *begun, *others]), None)
    doubles = (
        [f"pays for {len(live)} subscriptions at once: {', '.join(e.external_id for e in live)}"]
        if len(live) > 1
        else []
    )
    return chosen, doubles


def _about_customer(facts: CustomerFacts) -> dict[str, Any]:
    return {
        "billing_name": facts.name[:200],
        "billing_email": facts.email[:254],
        "billing_address": facts.address[:500],
        "tax_number": facts.tax_number[:60],
        "tax_number_state": facts.tax_number_state[:20],
    }


def _about_subscription(
    row: Subscription, found: SubscriptionFacts | None, problems: list[str]
) -> dict[str, Any]:
    if found is None:
        return _nothing_bought(row)
    status = STATUSES.get(found.status)
    if status is None:
        problems.append(f"{found.external_id} is {found.status}, which is not known here")
        status = Subscription.Status(row.status)
    known = plans.with_price(found.price)
    if known is None and status in LIVE:
        problems.append(f"{found.external_id} has the price {found.price}, which no plan has")
    plan = known[0] if known else row.plan
    return {
        "plan": plan,
        "status": status,
        "external_id": found.external_id,
        "interval": known[1] if known else found.interval,
        "price": found.price,
        "currency": found.currency,
        "amount": found.amount,
        "period_ends_at": found.period_ends_at,
        "trial_ends_at": found.trial_ends_at,
        "ends_at": found.ends_at if status in LIVE else None,
        "ended_at": found.ended_at,
        "past_due_since": _past_due_since(row, status),
        "collection_paused": found.collection_paused,
    }


def _nothing_bought(row: Subscription) -> dict[str, Any]:
    """The customer has no subscription, or was deleted: what was bought before has ended."""
    ended = row.status in LIVE or row.status == Status.CANCELED
    return {
        "status": Status.CANCELED if ended else Status.NONE,
        "ends_at": None,
        "ended_at": row.ended_at or (timezone.now() if ended else None),
        "past_due_since": None,
        "collection_paused": False,
    }


def _past_due_since(row: Subscription, status: str) -> datetime | None:
    if status != Status.PAST_DUE:
        return None
    return row.past_due_since or timezone.now()


def _differences(
    row: Subscription, values: dict[str, Any], invoices: Iterable[InvoiceFacts]
) -> list[Difference]:
    changed = [
        Difference(name, getattr(row, name), value)
        for name, value in values.items()
        if getattr(row, name) != value
    ]
    known = dict(Invoice.objects.of(row.tenant_id).values_list("external_id", "status"))
    return changed + [
        Difference(f"invoice {each.number or each.external_id}", here or "missing", each.status)
        for each in invoices
        if (here := known.get(each.external_id)) != each.status
    ]


def _keep_invoices(tenant_number: int, invoices: Iterable[InvoiceFacts]) -> None:
    for facts in invoices:
        values = {name: getattr(facts, name) for name in _INVOICE}
        _row, is_new = Invoice.objects.of(tenant_number).get_or_create(
            external_id=facts.external_id, defaults={**values, "tenant_id": tenant_number}
        )
        if not is_new:
            Invoice.objects.of(tenant_number).filter(external_id=facts.external_id).update(**values)


_INVOICE = (
    "number", "status", "currency", "total", "amount_due", "amount_paid",
    "created_at", "due_at", "period_start", "period_end",
)  # fmt: skip
