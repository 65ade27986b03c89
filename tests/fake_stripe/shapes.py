"""Objects as the pinned version has them: no field too many, none too few.

A field that may be null is null unless it is given; every other one must be given.
"""

from typing import Any

import stripe

VERSION = "2026-10-28.endive"


class WrongShape(Exception):
    """The stand-in itself built something that Stripe would not send."""


def build(kind: type, **values: Any) -> dict[str, Any]:
    """An object of this published class."""
    fields = _fields(kind)
    unknown = set(values) - set(fields)
    missing = {name for name, nullable in fields.items() if not nullable} - set(values)
    if unknown or missing:
        raise WrongShape(f"{kind.__name__}: unknown {sorted(unknown)}, missing {sorted(missing)}")
    for name, inner in getattr(kind, "_inner_class_types", {}).items():
        _check_inner(f"{kind.__name__}.{name}", inner, values.get(name))
    return {name: values.get(name) for name in fields}


def listed(data: list[dict], url: str, *, has_more: bool = False) -> dict[str, Any]:
    """A page of a list."""
    return {"object": "list", "data": data, "has_more": has_more, "url": url}


def _check_inner(where: str, kind: type, value: Any) -> None:
    if isinstance(value, list):
        for each in value:
            _check_inner(where, kind, each)
    if not isinstance(value, dict):
        return
    fields = _fields(kind)
    unknown = set(value) - set(fields)
    missing = {name for name, nullable in fields.items() if not nullable} - set(value)
    if unknown or missing:
        raise WrongShape(f"{where}: unknown {sorted(unknown)}, missing {sorted(missing)}")
    for name, inner in getattr(kind, "_inner_class_types", {}).items():
        _check_inner(f"{where}.{name}", inner, value.get(name))


def _fields(kind: type) -> dict[str, bool]:
    """The fields of a published class, and whether each may be null."""
    return {
        name: "Optional[" in str(said) or "NoneType" in str(said)
        for name, said in kind.__annotations__.items()
        if not name.startswith("_") and name not in {"OBJECT_NAME", "deleted"}
    }


Customer = stripe.Customer
Subscription = stripe.Subscription
SubscriptionItem = stripe.SubscriptionItem
Invoice = stripe.Invoice
InvoiceLine = stripe.InvoiceLineItem
Price = stripe.Price
Plan = stripe.Plan
PaymentMethod = stripe.PaymentMethod
TaxId = stripe.TaxId
Event = stripe.Event
Checkout = stripe.checkout.Session
Portal = stripe.billing_portal.Session
Configuration = stripe.billing_portal.Configuration
