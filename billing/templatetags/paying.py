"""How money, limits and ways to pay are put into words."""

from django import template
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from billing import money as amounts
from billing.models import Interval, Plan
from tenants import limits
from tenants.limits import Feature, Kind, Meter

register = template.Library()

METHODS = {
    "visa": "Visa",
    "mastercard": "Mastercard",
    "amex": "American Express",
    "sepa_debit": gettext_lazy("SEPA direct debit"),
    "card": gettext_lazy("Card"),
}

LIMITS = (
    (Kind.MESSAGES, "max_messages"),
    (Kind.USERS, "max_users"),
    (Kind.INSTANCES, "max_instances"),
    (Kind.STORAGE, "max_storage_mb"),
    (Kind.API_RATE, "max_api_rate"),
)
MEGABYTE = 1024 * 1024


@register.filter
def money(amount: int | None, currency: str) -> str:
    """An amount as the reader's language writes it."""
    return "" if amount is None else amounts.shown(amount, currency)


@register.filter
def counted(amount: int, kind: str) -> str:
    """How much of a limit: a number, or a size where it is files."""
    return limits.shown(Kind(kind), amount)


@register.filter
def method(paid_with: str) -> str:
    """How is paid, such as `Visa ···· 4242`."""
    kind, _space, last4 = paid_with.partition(" ")
    return f"{METHODS.get(kind, kind)} ···· {last4}" if last4 else str(METHODS.get(kind, kind))


@register.filter
def prices(plan: Plan) -> list[dict]:
    """The ways in which a plan can be paid."""
    return [
        {"interval": interval, "amount": plan.amount(interval), "label": interval.label}
        for interval in Interval
        if plan.price(interval)
    ]


@register.filter
def said_limits(plan: Plan) -> list[str]:
    """What a plan has room for, a line each."""
    return [_line(kind, getattr(plan, field)) for kind, field in LIMITS]


@register.filter
def features(plan: Plan) -> list[str]:
    """What a plan can do besides."""
    return [str(feature.label) for feature in Feature if feature.value in plan.features]


@register.filter
def bar(percent: int) -> str:
    """How urgent a meter is: quiet, nearly used up, used up."""
    return "full" if percent >= 100 else "near" if percent >= 80 else "calm"


@register.filter
def forecast_percent(forecast, meter: Meter) -> int:
    """Where on its meter a forecast stands; at its end where it would pass it."""
    if not forecast or not meter.limit:
        return 0
    return min(forecast.expected * 100 // meter.limit, 100)


def _line(kind: Kind, limit: int | None) -> str:
    if limit is None:
        return _("%(what)s: unlimited") % {"what": kind.label}
    amount = limits.shown(kind, limit * MEGABYTE if kind == Kind.STORAGE else limit)
    return _counted(kind, limit) % {"amount": amount}


def _counted(kind: Kind, limit: int) -> str:
    match kind:
        case Kind.MESSAGES:
            return ngettext("%(amount)s message a month", "%(amount)s messages a month", limit)
        case Kind.USERS:
            return ngettext("%(amount)s person in the team", "%(amount)s people in the team", limit)
        case Kind.INSTANCES:
            return ngettext("%(amount)s connected number", "%(amount)s connected numbers", limit)
        case Kind.STORAGE:
            return _("%(amount)s of files")
    return ngettext("%(amount)s API request a minute", "%(amount)s API requests a minute", limit)
