"""The plans: which there are at first, which are offered, what they cost."""

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from billing import entitling, gateway
from billing.models import Interval, Plan

UNLIMITED = "unlimited"
FREE = "free"
FIRST_PAID = "team"

_FIRST = {
    UNLIMITED: {
        "name_fr": "Illimité",
        "name_en": "Unlimited",
        "position": 900,
        "is_offered": False,
    },
    FREE: {
        "name_fr": "Découverte",
        "name_en": "Discovery",
        "description_fr": "Pour essayer avec un numéro.",
        "description_en": "To try it with one number.",
        "position": 10,
        "is_free": True,
        "max_users": 2,
        "max_instances": 1,
        "max_messages": 200,
        "max_storage_mb": 200,
        "max_scheduled": 10,
        "max_api_rate": 30,
        "features": ["api"],
    },
    FIRST_PAID: {
        "name_fr": "Équipe",
        "name_en": "Team",
        "description_fr": "Pour une équipe qui vend tous les jours.",
        "description_en": "For a team that sells every day.",
        "position": 20,
        "trial_days": 14,
        "max_users": 10,
        "max_instances": 5,
        "max_messages": 10_000,
        "max_storage_mb": 10_240,
        "max_scheduled": 1_000,
        "max_api_rate": 600,
    },
}


def make_first() -> None:
    """Make the plans of a new installation; what is there stays as the admin left it."""
    for code, facts in _FIRST.items():
        if code == FREE and Plan.objects.filter(is_free=True).exists():
            continue
        Plan.objects.get_or_create(code=code, defaults=facts)
    _give_first_prices()
    entitling.write_everybodys()


def offered() -> list[Plan]:
    """What the pricing page shows: the free plan, and what has a price at Stripe."""
    plans = Plan.objects.filter(is_offered=True)
    return list(plans.filter(Q(is_free=True) | ~Q(price_monthly="") | ~Q(price_yearly="")))


def with_price(price: str) -> tuple[Plan, str] | None:
    """The plan that a price of Stripe's buys, and how often it is paid."""
    if not price:
        return None
    found = Plan.objects.filter(Q(price_monthly=price) | Q(price_yearly=price)).first()
    if found is None:
        return None
    return found, Interval.YEAR if found.price_yearly == price else Interval.MONTH


def read_prices(plan: Plan, *, keep: bool = True) -> list[str]:
    """Take over what a plan's prices cost at Stripe; what is wrong with them, in words.

    Never inside a transaction. Without `keep` only the object given changes.
    """
    found = {
        interval: gateway.price_facts(price)
        for interval in Interval.values
        if (price := plan.price(interval))
    }
    wrong = [
        f"{plan.code}: {facts.price} is paid by {facts.interval or 'nothing'}, not by {interval}"
        for interval, facts in found.items()
        if facts.interval != interval
    ]
    if len({facts.currency for facts in found.values()}) > 1:
        wrong.append(f"{plan.code}: its two prices are in different currencies")
    if not wrong:
        _take_over(plan, found)
        if keep:
            plan.save(update_fields=["amount_monthly", "amount_yearly", "currency", "product"])
    return wrong


def switchable() -> dict[str, list[str]]:
    """The prices one may switch to in the portal, by product."""
    prices: dict[str, list[str]] = {}
    for plan in offered():
        for interval in Interval.values:
            if plan.product and plan.price(interval):
                prices.setdefault(plan.product, []).append(plan.price(interval))
    return prices


def _take_over(plan: Plan, found: dict[str, gateway.PriceFacts]) -> None:
    amounts = {interval: facts.amount for interval, facts in found.items()}
    first = next(iter(found.values()), None)
    plan.amount_monthly = amounts.get(Interval.MONTH)
    plan.amount_yearly = amounts.get(Interval.YEAR)
    plan.currency = first.currency if first else ""
    plan.product = first.product if first else ""


def _give_first_prices() -> None:
    """The prices that the settings name, unless a plan has them already."""
    for name in ("price_monthly", "price_yearly"):
        price = getattr(settings, f"STRIPE_{name.replace('price_', 'price_id_').upper()}")
        if not price or with_price(price):
            continue
        with transaction.atomic():
            Plan.objects.filter(code=FIRST_PAID, **{name: ""}).update(**{name: price})
