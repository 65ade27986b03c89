"""Stripe, through its official library: one call each, and its answers as our own small shapes.

The version of the API is pinned in the settings; nothing outside this module knows how Stripe
writes things down. Never call it inside a transaction.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import stripe
from django.conf import settings

TIMEOUT_SECONDS = 15
NETWORK_RETRIES = 1
MOST_SUBSCRIPTIONS = 20
MOST_INVOICES = 60
# The tenant's number, in everything we make at Stripe.
TENANT_KEY = "amda_tenant"
_CONFIGURATION_KEY = "amda_portal"
_OVER = frozenset({"canceled", "incomplete_expired"})


class NotConfigured(Exception):
    """Nothing can be bought here: no secret key is set."""


class Away(Exception):
    """Stripe could not be reached, or is busy: worth asking again."""


class Refused(Exception):
    """Stripe refused: asking again would not help."""


@dataclass(frozen=True)
class SubscriptionFacts:
    """A subscription as Stripe has it."""

    external_id: str
    status: str
    price: str
    interval: str
    currency: str
    amount: int | None
    created_at: datetime
    period_ends_at: datetime | None
    trial_ends_at: datetime | None
    ends_at: datetime | None
    ended_at: datetime | None
    collection_paused: bool
    tenant: str
    paid_with: str


@dataclass(frozen=True)
class InvoiceFacts:
    """An invoice as Stripe has it; drafts are none yet."""

    external_id: str
    number: str
    status: str
    currency: str
    total: int
    amount_due: int
    amount_paid: int
    created_at: datetime
    due_at: datetime | None
    period_start: datetime | None
    period_end: datetime | None


@dataclass(frozen=True)
class CustomerFacts:
    """Everything Stripe knows of a customer that we show or decide by."""

    customer: str
    is_deleted: bool = False
    tenant: str = ""
    name: str = ""
    email: str = ""
    address: str = ""
    tax_number: str = ""
    tax_number_state: str = ""
    paid_with: str = ""
    subscriptions: Sequence[SubscriptionFacts] = ()
    invoices: Sequence[InvoiceFacts] = field(default=(), repr=False)


@dataclass(frozen=True)
class PriceFacts:
    """What a price costs, how often, and of which product it is."""

    price: str
    product: str
    currency: str
    amount: int | None
    interval: str


@dataclass(frozen=True)
class EventFacts:
    """What an event is about; what it says about it is looked up anew."""

    stripe_id: str
    type: str
    created_at: datetime | None
    customer: str
    tenant: str
    price: str


def is_configured() -> bool:
    """Whether plans can be bought here."""
    return bool(settings.STRIPE_SECRET_KEY)


def read_event(body: Any) -> EventFacts:
    """What a verified event is about; `ValueError` when it is no event."""
    if not isinstance(body, Mapping) or body.get("object") != "event":
        raise ValueError("not an event")
    if not isinstance(body.get("id"), str):
        raise ValueError("an event without an id")
    data = body.get("data")
    about = data.get("object") if isinstance(data, Mapping) else None
    about = about if isinstance(about, Mapping) else {}
    is_customer = about.get("object") == "customer"
    return EventFacts(
        stripe_id=body["id"],
        type=_plain(body.get("type")),
        created_at=_moment(body.get("created")),
        customer=_id(about if is_customer else about.get("customer")),
        tenant=_tenant_named(about),
        price=_id(about) if about.get("object") == "price" else "",
    )


def verify(body: bytes, signature: str | None, tolerance: int) -> bool:
    """Whether one of our endpoint's secrets signed this body a short while ago."""
    return any(
        _signed_with(secret, body, signature, tolerance)
        for secret in settings.STRIPE_WEBHOOK_SECRETS
    )


def customer_facts(customer: str) -> CustomerFacts:
    """The customer with subscriptions and invoices, newest first, as they are now."""
    with _answering() as client:
        found = client.v1.customers.retrieve(
            customer,
            {"expand": ["tax_ids", "invoice_settings.default_payment_method"]},
        )
        if getattr(found, "deleted", False):
            return CustomerFacts(customer, is_deleted=True)
        subscriptions = client.v1.subscriptions.list(
            {
                "customer": customer,
                "status": "all",
                "limit": MOST_SUBSCRIPTIONS,
                "expand": ["data.default_payment_method"],
            }
        )
        invoices = client.v1.invoices.list({"customer": customer, "limit": MOST_INVOICES})
    return _as_customer(found, subscriptions.data, invoices.data)


def price_facts(price: str) -> PriceFacts:
    """What a price costs now."""
    with _answering() as client:
        found = client.v1.prices.retrieve(price)
    return PriceFacts(
        price=found.id,
        product=_id(found.product),
        currency=found.currency.upper(),
        amount=found.unit_amount,
        interval=found.recurring.interval if found.recurring else "",
    )


def require_known() -> None:
    """Ask Stripe something small, to see that it takes our key; raises `Away` or `Refused`."""
    with _answering() as client:
        client.v1.prices.list({"limit": 1})


def make_customer(*, name: str, email: str, language: str, tenant: int) -> str:
    """A new customer; its id."""
    with _answering() as client:
        made = client.v1.customers.create(
            {
                "name": name,
                "email": email,
                "preferred_locales": [language],
                "metadata": {TENANT_KEY: str(tenant)},
            }
        )
    return made.id


def remove_customer(customer: str) -> None:
    """Delete a customer; what it still pays for ends with it."""
    with _answering() as client:
        client.v1.customers.delete(customer)


def end_subscription(subscription: str) -> None:
    """End a subscription at once; one that has ended already is left as it is."""
    with _answering() as client:
        if client.v1.subscriptions.retrieve(subscription).status not in _OVER:
            client.v1.subscriptions.cancel(subscription)


def start_checkout(
    *,
    customer: str,
    price: str,
    tenant: int,
    trial_days: int,
    methods: Sequence[str],
    language: str,
    success_url: str,
    cancel_url: str,
) -> tuple[str, str]:
    """A page at Stripe on which to pay: its session's id and its address."""
    named = {TENANT_KEY: str(tenant)}
    with _answering() as client:
        session = client.v1.checkout.sessions.create(
            {
                "mode": "subscription",
                "customer": customer,
                "client_reference_id": str(tenant),
                "line_items": [{"price": price, "quantity": 1}],
                "success_url": success_url,
                "cancel_url": cancel_url,
                "locale": language,
                "allow_promotion_codes": True,
                "billing_address_collection": "required",
                "tax_id_collection": {"enabled": True},
                "customer_update": {"address": "auto", "name": "auto"},
                "automatic_tax": {"enabled": settings.STRIPE_TAX},
                "metadata": named,
                "subscription_data": {
                    "metadata": named,
                    **({"trial_period_days": trial_days} if trial_days else {}),
                },
                # A filter: Stripe itself leaves out what does not take the currency.
                **({"allowed_payment_method_types": list(methods)} if methods else {}),
            }
        )
    return session.id, session.url or ""


def end_checkout(session: str) -> None:
    """Close a checkout page that somebody left open; one that is over is left as it is."""
    try:
        with _answering() as client:
            client.v1.checkout.sessions.expire(session)
    except Refused:
        # It was paid, or had expired by itself.
        return


def customer_of_checkout(session: str) -> str:
    """Whose checkout this is."""
    with _answering() as client:
        return _id(client.v1.checkout.sessions.retrieve(session).customer)


def open_portal(
    *, customer: str, return_url: str, language: str, prices: Mapping[str, Sequence[str]]
) -> str:
    """The address of the customer's own page at Stripe; `prices` by product may be switched to."""
    with _answering() as client:
        session = client.v1.billing_portal.sessions.create(
            {
                "customer": customer,
                "return_url": return_url,
                "locale": language,
                "configuration": _portal_configuration(client, prices),
            }
        )
    return session.url


def invoice_pdf(invoice: str) -> str:
    """Where the PDF of an invoice is just now; "" while it has none."""
    with _answering() as client:
        return client.v1.invoices.retrieve(invoice).invoice_pdf or ""


@contextmanager
def _answering() -> Iterator[stripe.StripeClient]:
    """A client whose errors say whether to ask again."""
    try:
        yield _client()
    except (stripe.APIConnectionError, stripe.RateLimitError) as exc:
        raise Away(type(exc).__name__) from exc
    except stripe.APIError as exc:
        raise Away(f"{type(exc).__name__} {exc.http_status}") from exc
    except stripe.StripeError as exc:
        raise Refused(f"{type(exc).__name__}: {exc.user_message or exc.code or ''}"[:300]) from exc


def _client() -> stripe.StripeClient:
    if not is_configured():
        raise NotConfigured
    return stripe.StripeClient(
        settings.STRIPE_SECRET_KEY,
        stripe_version=settings.STRIPE_API_VERSION,
        base_addresses={"api": settings.STRIPE_API_URL},
        max_network_retries=NETWORK_RETRIES,
        http_client=stripe.RequestsClient(timeout=TIMEOUT_SECONDS),
    )


def _portal_configuration(client: stripe.StripeClient, prices: Mapping[str, Sequence[str]]) -> str:
    """A configuration of the portal that allows exactly what we offer, made where none is yet."""
    products = [
        {"product": product, "prices": sorted(offered)}
        for product, offered in sorted(prices.items())
    ]
    features = _portal_features(products)
    fingerprint = hashlib.sha256(repr(features).encode()).hexdigest()[:40]
    known = client.v1.billing_portal.configurations.list({"active": True, "limit": 100})
    for each in known.data:
        if _metadata(each).get(_CONFIGURATION_KEY) == fingerprint:
            return each.id
    made = client.v1.billing_portal.configurations.create(
        {"features": features, "metadata": {_CONFIGURATION_KEY: fingerprint}}
    )
    return made.id


def _portal_features(products: Sequence[Mapping[str, Any]]) -> Any:
    features: dict[str, Any] = {
        "customer_update": {
            "enabled": True,
            "allowed_updates": ["name", "email", "address", "tax_id"],
        },
        "invoice_history": {"enabled": True},
        "payment_method_update": {"enabled": True},
        "subscription_cancel": {"enabled": True, "mode": "at_period_end"},
    }
    if products:
        features["subscription_update"] = {
            "enabled": True,
            "default_allowed_updates": ["price", "promotion_code"],
            "proration_behavior": "create_prorations",
            "products": list(products),
        }
    return features


def _signed_with(secret: str, body: bytes, signature: str | None, tolerance: int) -> bool:
    try:
        return stripe.WebhookSignature.verify_header(body, signature, secret, tolerance)
    except (stripe.SignatureVerificationError, UnicodeError):
        return False


def _as_customer(
    found: Any, subscriptions: Iterable[Any], invoices: Iterable[Any]
) -> CustomerFacts:
    tax = next(iter(found.tax_ids.data), None) if getattr(found, "tax_ids", None) else None
    checked = getattr(tax, "verification", None)
    settings_of = getattr(found, "invoice_settings", None)
    return CustomerFacts(
        customer=found.id,
        tenant=_metadata(found).get(TENANT_KEY, ""),
        name=found.name or "",
        email=found.email or "",
        address=_address(found.address),
        tax_number=tax.value if tax else "",
        tax_number_state=(checked.status or "") if checked else "",
        paid_with=_method(getattr(settings_of, "default_payment_method", None)),
        subscriptions=[_as_subscription(each) for each in subscriptions],
        invoices=[_as_invoice(each) for each in invoices if each.status != "draft"],
    )


def _as_subscription(found: Any) -> SubscriptionFacts:
    items = found["items"].data
    price = items[0].price if items else None
    ends = _moment(found.cancel_at)
    # Since 2025 the period belongs to each item, not to the subscription.
    period_end = _moment(max((each.current_period_end for each in items), default=None))
    return SubscriptionFacts(
        external_id=found.id,
        status=found.status,
        price=price.id if price else "",
        interval=price.recurring.interval if price and price.recurring else "",
        currency=found.currency.upper(),
        amount=_total(items),
        created_at=_moment(found.created) or datetime.now(UTC),
        period_ends_at=period_end,
        trial_ends_at=_moment(found.trial_end),
        ends_at=ends or (period_end if found.cancel_at_period_end else None),
        ended_at=_moment(found.ended_at),
        collection_paused=found.pause_collection is not None,
        tenant=_metadata(found).get(TENANT_KEY, ""),
        paid_with=_method(found.default_payment_method),
    )


def _total(items: Iterable[Any]) -> int | None:
    amounts = [(each.price.unit_amount, each.quantity or 1) for each in items]
    if any(amount is None for amount, _quantity in amounts):
        return None
    return sum(amount * quantity for amount, quantity in amounts)


def _as_invoice(found: Any) -> InvoiceFacts:
    return InvoiceFacts(
        external_id=found.id,
        number=found.number or "",
        status=found.status or "",
        currency=found.currency.upper(),
        total=found.total,
        amount_due=found.amount_due,
        amount_paid=found.amount_paid,
        created_at=_moment(found.created) or datetime.now(UTC),
        due_at=_moment(found.due_date),
        period_start=_moment(found.period_start),
        period_end=_moment(found.period_end),
    )


def _method(method: Any) -> str:
    """How is paid, as people recognise it: `visa 4242`, `sepa_debit 3000`."""
    if method is None or isinstance(method, str):
        return ""
    kind = method.type
    about = getattr(method, kind, None)
    brand = getattr(about, "brand", None) or kind
    return f"{brand} {getattr(about, 'last4', None) or ''}".strip()


def _address(address: Any) -> str:
    if address is None:
        return ""
    town = " ".join(filter(None, (address.postal_code, address.city)))
    return "\n".join(filter(None, (address.line1, address.line2, town, address.country)))


def _tenant_named(about: Mapping[str, Any]) -> str:
    """The tenant that an object of an event says it is for, wherever it says so."""
    parent = about.get("parent")
    details = parent.get("subscription_details") if isinstance(parent, Mapping) else None
    for holder in (about, details):
        metadata = holder.get("metadata") if isinstance(holder, Mapping) else None
        if isinstance(metadata, Mapping) and metadata.get(TENANT_KEY):
            return _plain(metadata[TENANT_KEY])
    return _plain(about.get("client_reference_id"))


def _metadata(found: Any) -> Mapping[str, str]:
    return found.metadata.to_dict() if getattr(found, "metadata", None) else {}


def _id(found: Any) -> str:
    """The id of something that is there as itself or as its id only."""
    if isinstance(found, str):
        return _plain(found)
    if isinstance(found, Mapping):
        return _plain(found.get("id"))
    return _plain(getattr(found, "id", ""))


def _plain(text: Any) -> str:
    """Text without the one character that the database refuses."""
    return str(text or "").replace("\x00", "")


def _moment(seconds: Any) -> datetime | None:
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
