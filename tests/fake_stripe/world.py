"""What the stand-in knows: customers, subscriptions, invoices, and what becomes of them in time."""

import itertools
import time
from typing import Any

from tests.fake_stripe import shapes

DAY = 24 * 3600
RETRY_AFTER_DAYS = (3, 5, 7)


class World:
    """Everything that is at Stripe, by the stand-in's own clock."""

    def __init__(self) -> None:
        self.now = int(time.time())
        self.after_retries = "unpaid"
        self.customers: dict[str, dict] = {}
        self.methods: dict[str, dict] = {}
        self.failing: set[str] = set()
        self.prices: dict[str, dict] = {}
        self.coupons: dict[str, int] = {}
        self.subscriptions: dict[str, dict] = {}
        self.discounts: dict[str, int] = {}
        self.invoices: dict[str, dict] = {}
        self.checkouts: dict[str, dict] = {}
        self.wishes: dict[str, dict] = {}
        self.portals: dict[str, dict] = {}
        self.configurations: dict[str, dict] = {}
        self.events: list[dict] = []
        self._numbers = itertools.count(1)

    def new_id(self, prefix: str) -> str:
        return f"{prefix}_{next(self._numbers):08d}"

    # Prices

    def make_price(
        self, price: str, amount: int, interval: str, *, currency: str = "eur", product: str = ""
    ) -> dict:
        made = shapes.build(
            shapes.Price,
            id=price,
            object="price",
            active=True,
            billing_scheme="per_unit",
            created=self.now,
            currency=currency,
            livemode=False,
            metadata={},
            product=product or "prod_team",
            recurring={
                "interval": interval,
                "interval_count": 1,
                "meter": None,
                "trial_period_days": None,
                "usage_type": "licensed",
            },
            tax_behavior="exclusive",
            tiers_mode=None,
            type="recurring",
            unit_amount=amount,
            unit_amount_decimal=str(amount),
        )
        self.prices[price] = made
        return made

    # Customers

    def make_customer(self, facts: dict[str, Any]) -> dict:
        made = shapes.build(
            shapes.Customer,
            id=self.new_id("cus"),
            object="customer",
            created=self.now,
            livemode=False,
            default_source=None,
            tax_exempt="none",
            test_clock=None,
            balance=0,
            delinquent=False,
            name=facts.get("name"),
            email=facts.get("email"),
            metadata=facts.get("metadata", {}),
            preferred_locales=facts.get("preferred_locales", []),
            invoice_settings=_invoice_settings(None),
            tax_ids=shapes.listed([], "/v1/tax_ids"),
        )
        self.customers[made["id"]] = made
        self.happened("customer.created", made)
        return made

    def delete_customer(self, customer: str) -> dict:
        found = self.customers[customer]
        for subscription in self.of(customer):
            if subscription["status"] not in {"canceled", "incomplete_expired"}:
                self.end(subscription)
        self.customers[customer] = {"id": customer, "object": "customer", "deleted": True}
        self.happened("customer.deleted", found)
        return self.customers[customer]

    def give_card(self, customer: str, *, kind: str = "card", last4: str = "4242") -> dict:
        about = (
            {"brand": "visa", "last4": last4, "country": "FR", "exp_month": 12, "exp_year": 2034}
            if kind == "card"
            else {"last4": last4, "country": "FR", "bank_code": "20041"}
        )
        method = {
            "id": self.new_id("pm"),
            "object": "payment_method",
            "allow_redisplay": "always",
            "billing_details": {
                "address": None, "email": None, "name": None, "phone": None, "tax_id": None,
            },
            "created": self.now,
            "customer": customer,
            "livemode": False,
            "metadata": {},
            "type": kind,
            kind: about,
        }  # fmt: skip
        self.methods[method["id"]] = method
        self.customers[customer]["invoice_settings"] = _invoice_settings(method["id"])
        for subscription in self.of(customer):
            subscription["default_payment_method"] = method["id"]
        self.happened("customer.updated", self.customers[customer])
        return method

    def give_tax_id(self, customer: str, number: str) -> None:
        made = shapes.build(
            shapes.TaxId,
            id=self.new_id("txi"),
            object="tax_id",
            created=self.now,
            customer=customer,
            livemode=False,
            type="eu_vat",
            value=number,
            country=number[:2],
            verification={"status": "pending", "verified_address": None, "verified_name": None},
        )
        self.customers[customer]["tax_ids"]["data"].append(made)
        self.happened("customer.tax_id.created", made)

    # Subscriptions

    def of(self, customer: str) -> list[dict]:
        mine = [each for each in self.subscriptions.values() if each["customer"] == customer]
        return sorted(mine, key=lambda each: (each["created"], each["id"]), reverse=True)

    def invoices_of(self, customer: str) -> list[dict]:
        mine = [each for each in self.invoices.values() if each["customer"] == customer]
        return sorted(mine, key=lambda each: (each["created"], each["id"]), reverse=True)

    def subscribe(
        self,
        customer: str,
        price: str,
        *,
        trial_days: int = 0,
        metadata: dict | None = None,
        percent_off: int = 0,
    ) -> dict:
        """A new subscription, whose first invoice is paid at once or starts a trial."""
        trial_end = self.now + trial_days * DAY if trial_days else None
        identity = self.new_id("sub")
        item = self._item(identity, price, self.now, trial_end or self._later(self.now, price))
        made = shapes.build(
            shapes.Subscription,
            id=identity,
            object="subscription",
            application=None,
            automatic_tax={"enabled": False, "liability": None, "disabled_reason": None},
            billing_cycle_anchor=trial_end or self.now,
            billing_mode={"type": "flexible", "flexible": None, "updated_at": None},
            billing_schedules=[],
            cancel_at_period_end=False,
            collection_method="charge_automatically",
            created=self.now,
            currency=self.prices[price]["currency"],
            customer=customer,
            default_payment_method=self._method_of(customer),
            default_source=None,
            discounts=[],
            invoice_settings={"account_tax_ids": None, "issuer": {"type": "self"}},
            items=shapes.listed([item], f"/v1/subscription_items?subscription={identity}"),
            latest_invoice=None,
            livemode=False,
            metadata=metadata or {},
            on_behalf_of=None,
            pending_setup_intent=None,
            schedule=None,
            start_date=self.now,
            status="trialing" if trial_end else "incomplete",
            test_clock=None,
            trial_start=self.now if trial_end else None,
            trial_end=trial_end,
        )
        self.subscriptions[identity] = made
        self.discounts[identity] = percent_off
        self.happened("customer.subscription.created", made)
        self._bill(made, "subscription_create", amount=0 if trial_end else None)
        return made

    def switch(self, subscription: dict, price: str) -> None:
        """Another price from now on; what was paid is set against it."""
        (item,) = subscription["items"]["data"]
        start, end = item["current_period_start"], item["current_period_end"]
        old, new = item["price"], self.prices[price]
        unused = old["unit_amount"] * max(end - self.now, 0) // max(end - start, 1)
        same = old["recurring"]["interval"] == new["recurring"]["interval"]
        period = (start, end) if same else (self.now, self._later(self.now, price))
        renewed = self._item(subscription["id"], price, *period)
        subscription["items"]["data"] = [{**renewed, "id": item["id"]}]
        if subscription["status"] == "trialing":
            self.happened("customer.subscription.updated", subscription)
            return
        due = new["unit_amount"] * (end - self.now) // (end - start) if same else new["unit_amount"]
        self._bill(subscription, "subscription_update", amount=due - unused)
        self.happened("customer.subscription.updated", subscription)

    def cancel_at_period_end(self, subscription: dict, wanted: bool = True) -> None:
        end = subscription["items"]["data"][0]["current_period_end"]
        subscription["cancel_at_period_end"] = wanted
        subscription["cancel_at"] = end if wanted else None
        subscription["canceled_at"] = self.now if wanted else None
        self.happened("customer.subscription.updated", subscription)

    def end(self, subscription: dict) -> None:
        subscription["status"] = "canceled"
        subscription["ended_at"] = self.now
        subscription["canceled_at"] = subscription["canceled_at"] or self.now
        self.happened("customer.subscription.deleted", subscription)

    def set_status(self, subscription: dict, status: str) -> None:
        """What the stand-in's own time does not bring about, such as a pause."""
        subscription["status"] = status
        event = {"paused": "paused", "active": "resumed"}.get(status, "updated")
        self.happened(f"customer.subscription.{event}", subscription)

    def pay_open(self, customer: str) -> None:
        """Try what is open once more, as after a new card was given."""
        for invoice in self.invoices_of(customer):
            if invoice["status"] == "open":
                self._collect(self._subscription_of(invoice), invoice)

    # Time

    def advance(self, seconds: int) -> None:
        """Move the clock on; everything that is due meanwhile happens at its time."""
        until = self.now + seconds
        while (due := self._next_due(until)) is not None:
            moment, happen = due
            self.now = max(moment, self.now)
            happen()
        self.now = until

    def _next_due(self, until: int):
        due = []
        for each in self.subscriptions.values():
            end = each["items"]["data"][0]["current_period_end"]
            if each["status"] in {"trialing", "active", "past_due"} and end <= until:
                due.append((end, each["id"], lambda each=each: self._period_over(each)))
        for each in self.invoices.values():
            retry = each["next_payment_attempt"]
            if each["status"] == "open" and retry and retry <= until:
                due.append((retry, each["id"], lambda each=each: self._retry(each)))
        if not due:
            return None
        moment, _identity, happen = min(due, key=lambda each: each[:2])
        return moment, happen

    def _period_over(self, subscription: dict) -> None:
        if subscription["cancel_at_period_end"]:
            return self.end(subscription)
        (item,) = subscription["items"]["data"]
        start = item["current_period_end"]
        item["current_period_start"] = start
        item["current_period_end"] = self._later(start, item["price"]["id"])
        was_trial = subscription["status"] == "trialing"
        self._bill(subscription, "subscription_cycle")
        if was_trial and subscription["status"] == "trialing":
            subscription["status"] = "active"
            self.happened("customer.subscription.updated", subscription)

    def _retry(self, invoice: dict) -> None:
        self._collect(self._subscription_of(invoice), invoice)

    def _later(self, start: int, price: str) -> int:
        days = 365 if self.prices[price]["recurring"]["interval"] == "year" else 30
        return start + days * DAY

    # Invoices

    def _bill(self, subscription: dict, reason: str, *, amount: int | None = None) -> None:
        (item,) = subscription["items"]["data"]
        if amount is None:
            off = self.discounts.get(subscription["id"], 0)
            amount = item["price"]["unit_amount"] * (100 - off) // 100
        invoice = self._invoice(subscription, item, max(amount, 0), reason)
        subscription["latest_invoice"] = invoice["id"]
        self.happened("invoice.created", invoice)
        self.happened("invoice.finalized", invoice)
        self._collect(subscription, invoice)

    def _invoice(self, subscription: dict, item: dict, amount: int, reason: str) -> dict:
        identity = self.new_id("in")
        customer = self.customers[subscription["customer"]]
        period = {"start": item["current_period_start"], "end": item["current_period_end"]}
        made = shapes.build(
            shapes.Invoice,
            id=identity,
            object="invoice",
            amount_due=amount,
            amount_overpaid=0,
            amount_paid=0,
            amount_remaining=amount,
            amount_shipping=0,
            application=None,
            attempt_count=0,
            attempted=False,
            auto_advance=True,
            automatic_tax={
                "enabled": False, "liability": None, "disabled_reason": None, "provider": None,
                "status": None,
            },
            billing_reason=reason,
            collection_method="charge_automatically",
            created=self.now,
            currency=subscription["currency"],
            customer=customer["id"],
            customer_name=customer["name"],
            customer_email=customer["email"],
            customer_tax_exempt="none",
            default_payment_method=None,
            default_source=None,
            default_tax_rates=[],
            discounts=[],
            hosted_invoice_url=None,
            invoice_pdf=None,
            issuer={"type": "self"},
            latest_revision=None,
            lines=shapes.listed(
                [self._line(identity, subscription, amount, period)],
                f"/v1/invoices/{identity}/lines",
            ),
            livemode=False,
            metadata={},
            number=f"AMDA-{len(self.invoices) + 1:04d}",
            on_behalf_of=None,
            parent={
                "type": "subscription_details",
                "quote_details": None,
                "subscription_details": {
                    "metadata": dict(subscription["metadata"]),
                    "subscription": subscription["id"],
                },
            },
            payment_settings={
                "default_mandate": None,
                "payment_method_options": None,
                "payment_method_types": None,
            },
            period_start=item["current_period_start"],
            period_end=item["current_period_end"],
            post_payment_credit_notes_amount=0,
            pre_payment_credit_notes_amount=0,
            starting_balance=0,
            status="open",
            status_transitions={
                "finalized_at": self.now, "marked_uncollectible_at": None, "paid_at": None,
                "voided_at": None,
            },
            subtotal=amount,
            test_clock=None,
            total=amount,
        )  # fmt: skip
        self.invoices[identity] = made
        return made

    def _line(self, invoice: str, subscription: dict, amount: int, period: dict) -> dict:
        return shapes.build(
            shapes.InvoiceLine,
            id=self.new_id("il"),
            object="line_item",
            amount=amount,
            currency=subscription["currency"],
            discountable=True,
            discounts=[],
            invoice=invoice,
            livemode=False,
            metadata=dict(subscription["metadata"]),
            period=period,
            quantity=1,
            subscription=subscription["id"],
            subtotal=amount,
        )

    def _collect(self, subscription: dict, invoice: dict) -> None:
        invoice["attempted"] = True
        invoice["attempt_count"] += 1
        if invoice["amount_due"] and not self._can_pay(subscription["customer"]):
            return self._not_collected(subscription, invoice)
        invoice.update(
            status="paid",
            amount_paid=invoice["amount_due"],
            amount_remaining=0,
            next_payment_attempt=None,
        )
        invoice["status_transitions"]["paid_at"] = self.now
        self.happened("invoice.paid", invoice)
        self.happened("invoice.payment_succeeded", invoice)
        in_trial = subscription["trial_end"] and self.now < subscription["trial_end"]
        if subscription["status"] not in {"canceled", "paused"} and not in_trial:
            subscription["status"] = "active"
            self.happened("customer.subscription.updated", subscription)

    def _not_collected(self, subscription: dict, invoice: dict) -> None:
        tries = invoice["attempt_count"]
        is_last = tries > len(RETRY_AFTER_DAYS)
        invoice["next_payment_attempt"] = (
            None if is_last else self.now + RETRY_AFTER_DAYS[tries - 1] * DAY
        )
        self.happened("invoice.payment_failed", invoice)
        if subscription["status"] == "incomplete":
            return
        if is_last and self.after_retries == "canceled":
            return self.end(subscription)
        subscription["status"] = self.after_retries if is_last else "past_due"
        self.happened("customer.subscription.updated", subscription)

    def _can_pay(self, customer: str) -> bool:
        return self._method_of(customer) is not None and customer not in self.failing

    def _method_of(self, customer: str) -> str | None:
        return self.customers[customer]["invoice_settings"]["default_payment_method"]

    def _subscription_of(self, invoice: dict) -> dict:
        return self.subscriptions[invoice["parent"]["subscription_details"]["subscription"]]

    def _item(self, subscription: str, price: str, start: int, end: int) -> dict:
        of_price = self.prices[price]
        return shapes.build(
            shapes.SubscriptionItem,
            id=self.new_id("si"),
            object="subscription_item",
            created=self.now,
            current_period_start=start,
            current_period_end=end,
            discounts=[],
            metadata={},
            plan=_plan_of(of_price),
            price=of_price,
            quantity=1,
            subscription=subscription,
            tax_rates=[],
        )

    # Events

    def happened(self, kind: str, about: dict) -> None:
        """Write an event down with its object as it is at this moment."""
        import copy

        self.events.append(
            shapes.build(
                shapes.Event,
                id=self.new_id("evt"),
                object="event",
                api_version=shapes.VERSION,
                created=self.now,
                data={"object": copy.deepcopy(about), "previous_attributes": None},
                livemode=False,
                pending_webhooks=1,
                request={"id": None, "idempotency_key": None},
                type=kind,
            )
        )


def _invoice_settings(method: str | None) -> dict:
    return {
        "custom_fields": None,
        "default_payment_method": method,
        "footer": None,
        "rendering_options": None,
    }


def _plan_of(price: dict) -> dict:
    """The old twin of a price, which items still carry."""
    return shapes.build(
        shapes.Plan,
        id=price["id"],
        object="plan",
        active=True,
        amount=price["unit_amount"],
        amount_decimal=price["unit_amount_decimal"],
        billing_scheme="per_unit",
        created=price["created"],
        currency=price["currency"],
        interval=price["recurring"]["interval"],
        interval_count=1,
        livemode=False,
        metadata={},
        product=price["product"],
        tiers_mode=None,
        usage_type="licensed",
    )
