"""The stand-in's API: authentication, version, parameters, answers, as strict as Stripe's."""

import json
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from stripe import params
from stripe.params import billing_portal, checkout

from tests.fake_stripe import parameters, shapes
from tests.fake_stripe.parameters import Refused
from tests.fake_stripe.world import World

KEY = "sk_test_of_the_stand_in"


class Unknown(Exception):
    """No such object: a 404."""

    def __init__(self, kind: str, identity: str) -> None:
        super().__init__(f"No such {kind}: '{identity}'")


class Api:
    """The routes below /v1/ and what each does to the world."""

    def __init__(self, world: World, address: str) -> None:
        self.world = world
        self.address = address
        self.journal: list[str] = []
        self.is_away = False
        self._answers: dict[str, tuple[str, int, Any]] = {}

    def routes(self) -> list[Route]:
        return [
            self._route("POST", "/v1/customers", params.CustomerCreateParams, self.make_customer),
            self._route("GET", "/v1/customers/{id}", params.CustomerRetrieveParams, self.customer),
            self._route(
                "DELETE", "/v1/customers/{id}", params.CustomerDeleteParams, self.delete_customer
            ),
            self._route("GET", "/v1/prices/{id}", params.PriceRetrieveParams, self.price),
            self._route(
                "GET", "/v1/subscriptions", params.SubscriptionListParams, self.subscriptions
            ),
            self._route(
                "GET",
                "/v1/subscriptions/{id}",
                params.SubscriptionRetrieveParams,
                self.subscription,
            ),
            self._route(
                "DELETE", "/v1/subscriptions/{id}", params.SubscriptionCancelParams, self.cancel
            ),
            self._route("GET", "/v1/invoices", params.InvoiceListParams, self.invoices),
            self._route("GET", "/v1/invoices/{id}", params.InvoiceRetrieveParams, self.invoice),
            self._route(
                "POST", "/v1/checkout/sessions", checkout.SessionCreateParams, self.make_checkout
            ),
            self._route(
                "GET", "/v1/checkout/sessions/{id}", checkout.SessionRetrieveParams, self.checkout
            ),
            self._route(
                "POST",
                "/v1/checkout/sessions/{id}/expire",
                checkout.SessionExpireParams,
                self.expire_checkout,
            ),
            self._route(
                "POST",
                "/v1/billing_portal/sessions",
                billing_portal.SessionCreateParams,
                self.make_portal,
            ),
            self._route(
                "GET",
                "/v1/billing_portal/configurations",
                billing_portal.ConfigurationListParams,
                self.configurations,
            ),
            self._route(
                "POST",
                "/v1/billing_portal/configurations",
                billing_portal.ConfigurationCreateParams,
                self.make_configuration,
            ),
        ]

    def _route(self, method: str, path: str, kind: type, handle: Callable) -> Route:
        async def answer(request: Request) -> JSONResponse:
            body = (await request.body()).decode()
            self.journal.append(f"{method} {request.url.path}")
            return self._answer(request, body, kind, handle)

        return Route(path, answer, methods=[method])

    def _answer(self, request: Request, body: str, kind: type, handle: Callable) -> JSONResponse:
        if self.is_away:
            return _error(503, "api_error", "The stand-in is away", None, None)
        refusal = _refused_at_the_door(request, body)
        if refusal is not None:
            return refusal
        key = request.headers.get("idempotency-key", "")
        said = f"{request.url.path}?{body}"
        if key in self._answers:
            return self._again(key, said)
        status, answer = self._carry_out(request, body, kind, handle)
        if key and status < 500:
            self._answers[key] = (said, status, answer)
        return JSONResponse(answer, status, headers={"request-id": self.world.new_id("req")})

    def _carry_out(self, request, body, kind, handle) -> tuple[int, Any]:
        try:
            text = body if request.method == "POST" else request.url.query
            given = parameters.judge(parameters.read(text), kind)
            return 200, json.loads(json.dumps(handle(given, **request.path_params)))
        except Refused as exc:
            return 400, _said("invalid_request_error", exc.message, exc.code, exc.param)
        except Unknown as exc:
            return 404, _said("invalid_request_error", str(exc), "resource_missing", "id")

    def _again(self, key: str, said: str) -> JSONResponse:
        before, status, answer = self._answers[key]
        if before != said:
            message = "Keys for idempotent requests can only be used with the same parameters."
            return _error(400, "idempotency_error", message, None, None)
        return JSONResponse(answer, status, headers={"idempotent-replayed": "true"})

    # Customers and prices

    def make_customer(self, given: dict) -> dict:
        return self._customer(self.world.make_customer(given), [])

    def customer(self, given: dict, id: str) -> dict:
        found = _find(self.world.customers, "customer", id)
        return found if found.get("deleted") else self._customer(found, given.get("expand", []))

    def delete_customer(self, given: dict, id: str) -> dict:
        _find(self.world.customers, "customer", id)
        return self.world.delete_customer(id)

    def price(self, given: dict, id: str) -> dict:
        return _find(self.world.prices, "price", id)

    def _customer(self, found: dict, expand: list[str]) -> dict:
        shown = dict(found)
        if "tax_ids" not in expand:
            shown.pop("tax_ids", None)
        if "invoice_settings.default_payment_method" in expand:
            method = shown["invoice_settings"]["default_payment_method"]
            shown["invoice_settings"] = {
                **shown["invoice_settings"],
                "default_payment_method": self.world.methods.get(method),
            }
        return shown

    # Subscriptions and invoices

    def subscriptions(self, given: dict) -> dict:
        _find(self.world.customers, "customer", given.get("customer", ""))
        status = given.get("status")
        mine = [
            each
            for each in self.world.of(given["customer"])
            if status == "all" or (each["status"] == status if status else not each["ended_at"])
        ]
        expanded = "data.default_payment_method" in given.get("expand", [])
        shown = [self._subscription(each, expanded) for each in mine]
        limit = given.get("limit", 10)
        return shapes.listed(shown[:limit], "/v1/subscriptions", has_more=len(shown) > limit)

    def subscription(self, given: dict, id: str) -> dict:
        return _find(self.world.subscriptions, "subscription", id)

    def cancel(self, given: dict, id: str) -> dict:
        found = _find(self.world.subscriptions, "subscription", id)
        if found["status"] == "canceled":
            raise Unknown("subscription", id)
        self.world.end(found)
        return found

    def _subscription(self, found: dict, expanded: bool) -> dict:
        if not expanded:
            return found
        method = self.world.methods.get(found["default_payment_method"])
        return {**found, "default_payment_method": method}

    def invoices(self, given: dict) -> dict:
        _find(self.world.customers, "customer", given.get("customer", ""))
        mine = [self._invoice(each) for each in self.world.invoices_of(given["customer"])]
        limit = given.get("limit", 10)
        return shapes.listed(mine[:limit], "/v1/invoices", has_more=len(mine) > limit)

    def invoice(self, given: dict, id: str) -> dict:
        return self._invoice(_find(self.world.invoices, "invoice", id))

    def _invoice(self, found: dict) -> dict:
        return {
            **found,
            "hosted_invoice_url": f"{self.address}/i/{found['id']}",
            "invoice_pdf": f"{self.address}/i/{found['id']}/pdf",
        }

    # Pages

    def make_checkout(self, given: dict) -> dict:
        if given.get("mode") != "subscription":
            raise Refused("Only subscriptions are sold here", "parameter_invalid", "mode")
        for name in ("success_url", "line_items", "customer"):
            if not given.get(name):
                raise Refused(f"Missing required param: {name}.", "parameter_missing", name)
        _find(self.world.customers, "customer", given["customer"])
        price = _find(self.world.prices, "price", given["line_items"][0].get("price", ""))
        methods = [
            each
            for each in given.get("allowed_payment_method_types", ["card", "sepa_debit"])
            if each == "card" or price["currency"] == "eur"
        ]
        if given.get("tax_id_collection", {}).get("enabled") and not given.get(
            "customer_update", {}
        ).get("name"):
            raise Refused("customer_update[name] must be auto", "parameter_missing", None)
        identity = self.world.new_id("cs_test")
        made = self._session(identity, given, price, methods)
        self.world.checkouts[identity] = made
        self.world.wishes[identity] = given
        return made

    def _session(self, identity: str, given: dict, price: dict, methods: list[str]) -> dict:
        return shapes.build(
            shapes.Checkout,
            id=identity,
            object="checkout.session",
            allowed_payment_method_types=given.get("allowed_payment_method_types"),
            automatic_tax={
                "enabled": given.get("automatic_tax", {}).get("enabled", False),
                "liability": None,
                "provider": None,
                "status": None,
            },
            billing_address_collection=given.get("billing_address_collection"),
            created=self.world.now,
            currency=price["currency"],
            custom_fields=[],
            custom_text={
                "after_submit": None,
                "shipping_address": None,
                "submit": None,
                "terms_of_service_acceptance": None,
            },
            customer=given["customer"],
            customer_creation=None,
            client_reference_id=given.get("client_reference_id"),
            cancel_url=given.get("cancel_url"),
            success_url=given["success_url"],
            expires_at=self.world.now + 24 * 3600,
            invoice=None,
            livemode=False,
            locale=given.get("locale"),
            metadata=given.get("metadata", {}),
            mode="subscription",
            origin_context=None,
            payment_intent=None,
            payment_link=None,
            payment_method_collection="always",
            payment_method_types=methods,
            payment_status="unpaid",
            redirect_on_completion=None,
            setup_intent=None,
            shipping_options=[],
            status="open",
            submit_type=None,
            subscription=None,
            ui_mode="hosted_page",
            url=f"{self.address}/c/pay/{identity}",
        )

    def checkout(self, given: dict, id: str) -> dict:
        return _find(self.world.checkouts, "checkout.session", id)

    def expire_checkout(self, given: dict, id: str) -> dict:
        found = _find(self.world.checkouts, "checkout.session", id)
        if found["status"] != "open":
            message = "Only Checkout Sessions with a status of open can be expired."
            raise Refused(message, "parameter_invalid", "session")
        found.update(status="expired", url=None)
        self.world.happened("checkout.session.expired", found)
        return found

    def make_portal(self, given: dict) -> dict:
        _find(self.world.customers, "customer", given.get("customer", ""))
        configuration = given.get("configuration", "")
        if not configuration:
            raise Refused(
                "No configuration provided and your test mode default configuration has not been "
                "created.",
                "parameter_missing",
                "configuration",
            )
        _find(self.world.configurations, "configuration", configuration)
        identity = self.world.new_id("bps")
        made = shapes.build(
            shapes.Portal,
            id=identity,
            object="billing_portal.session",
            configuration=configuration,
            created=self.world.now,
            customer=given["customer"],
            livemode=False,
            locale=given.get("locale"),
            return_url=given.get("return_url"),
            url=f"{self.address}/p/session/{identity}",
        )
        self.world.portals[identity] = made
        return made

    def configurations(self, given: dict) -> dict:
        known = list(self.world.configurations.values())
        return shapes.listed(known, "/v1/billing_portal/configurations")

    def make_configuration(self, given: dict) -> dict:
        for product in given["features"].get("subscription_update", {}).get("products", []):
            for price in product["prices"]:
                _find(self.world.prices, "price", price)
        identity = self.world.new_id("bpc")
        made = {
            "id": identity,
            "object": "billing_portal.configuration",
            "active": True,
            "application": None,
            "business_profile": {
                "headline": None,
                "privacy_policy_url": None,
                "terms_of_service_url": None,
            },
            "created": self.world.now,
            "default_return_url": None,
            "features": given["features"],
            "is_default": False,
            "livemode": False,
            "login_page": {"enabled": False, "url": None},
            "metadata": given.get("metadata", {}),
            "name": None,
            "updated": self.world.now,
        }
        self.world.configurations[identity] = made
        return made


def _find(known: dict[str, dict], kind: str, identity: str) -> dict:
    if identity not in known:
        raise Unknown(kind, identity)
    return known[identity]


def _refused_at_the_door(request: Request, body: str) -> JSONResponse | None:
    if request.headers.get("authorization") != f"Bearer {KEY}":
        return _error(401, "invalid_request_error", "Invalid API Key provided", None, None)
    if request.headers.get("stripe-version") != shapes.VERSION:
        return _error(400, "invalid_request_error", "Unexpected Stripe-Version", None, None)
    kind = request.headers.get("content-type", "")
    if body and kind != "application/x-www-form-urlencoded":
        return _error(400, "invalid_request_error", "Send form fields", None, None)
    return None


def _error(
    status: int, kind: str, message: str, code: str | None, param: str | None
) -> JSONResponse:
    return JSONResponse(_said(kind, message, code, param), status)


def _said(kind: str, message: str, code: str | None, param: str | None) -> dict:
    facts = {"type": kind, "message": message, "code": code, "param": param}
    return {"error": {name: value for name, value in facts.items() if value is not None}}
