"""The stand-in's own pages: where one pays, and where one looks after what was bought."""

from html import escape
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.fake_stripe.world import World

GOOD_CARD = "4242424242424242"
CARD_THAT_FAILS_LATER = "4000000000000341"
DECLINED_CARD = "4000000000000002"


class Pages:
    """Checkout, portal and invoices as a person meets them."""

    def __init__(self, world: World) -> None:
        self.world = world

    def routes(self) -> list[Route]:
        return [
            Route("/favicon.ico", self.icon, methods=["GET"]),
            Route("/c/pay/{id}", self.checkout, methods=["GET"]),
            Route("/c/pay/{id}", self.pay, methods=["POST"]),
            Route("/p/session/{id}", self.portal, methods=["GET"]),
            Route("/p/session/{id}", self.act, methods=["POST"]),
            Route("/i/{id}/pdf", self.pdf, methods=["GET"]),
            Route("/i/{id}", self.invoice, methods=["GET"]),
        ]

    async def icon(self, request: Request) -> Response:
        return Response(status_code=204)

    async def checkout(self, request: Request) -> Response:
        session = self.world.checkouts.get(request.path_params["id"])
        if session is None or session["status"] != "open":
            return _page("Checkout", "<p>This page has expired.</p>", 404)
        return _page("Checkout", self._checkout_form(session))

    async def pay(self, request: Request) -> Response:
        session = self.world.checkouts.get(request.path_params["id"])
        if session is None or session["status"] != "open":
            return _page("Checkout", "<p>This page has expired.</p>", 404)
        typed = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
        if typed.get("card") == DECLINED_CARD:
            form = "<p role=alert>Your card was declined.</p>" + self._checkout_form(session)
            return _page("Checkout", form, 402)
        self._complete(session, typed)
        to = session["success_url"].replace("{CHECKOUT_SESSION_ID}", session["id"])
        return RedirectResponse(to, 303)

    def _checkout_form(self, session: dict) -> str:
        price = self._wished(session)
        amount = f"{price['unit_amount']} {price['currency']}"
        methods = "".join(
            f"<option>{escape(each)}</option>" for each in session["payment_method_types"]
        )
        return f"""<p>{escape(amount)} / {price["recurring"]["interval"]}</p>
        <form method=post>
        <label>Method <select name=method>{methods}</select></label>
        <label>Card <input name=card value={GOOD_CARD}></label>
        <label>Name <input name=name></label><label>City <input name=city></label>
        <label>VAT <input name=vat></label><label>Coupon <input name=coupon></label>
        <button>Pay</button></form>
        <a href="{escape(session["cancel_url"] or "")}">Back</a>"""

    def _wished(self, session: dict) -> dict:
        wish = self.world.wishes[session["id"]]
        return self.world.prices[wish["line_items"][0]["price"]]

    def _complete(self, session: dict, typed: dict[str, str]) -> None:
        world, customer = self.world, session["customer"]
        kind = typed.get("method") or "card"
        world.failing.discard(customer)
        world.give_card(customer, kind=kind, last4=(typed.get("card") or GOOD_CARD)[-4:])
        if typed.get("name"):
            world.customers[customer]["name"] = typed["name"]
        if typed.get("city"):
            world.customers[customer]["address"] = {
                "city": typed["city"], "country": "FR", "line1": "1 rue de la Paix",
                "line2": None, "postal_code": "75002", "state": None,
            }  # fmt: skip
        if typed.get("vat"):
            world.give_tax_id(customer, typed["vat"])
        wish = world.wishes[session["id"]]
        data = wish.get("subscription_data", {})
        made = world.subscribe(
            customer,
            self._wished(session)["id"],
            trial_days=data.get("trial_period_days", 0),
            metadata=data.get("metadata"),
            percent_off=world.coupons.get(typed.get("coupon", ""), 0),
        )
        if typed.get("card") == CARD_THAT_FAILS_LATER:
            world.failing.add(customer)
        session.update(
            status="complete",
            payment_status="no_payment_required" if made["trial_end"] else "paid",
            subscription=made["id"],
            invoice=made["latest_invoice"],
            url=None,
        )
        world.happened("checkout.session.completed", session)

    async def portal(self, request: Request) -> Response:
        session = self.world.portals.get(request.path_params["id"])
        if session is None:
            return _page("Portal", "<p>This page has expired.</p>", 404)
        features = self.world.configurations[session["configuration"]]["features"]
        current = next(iter(self.world.of(session["customer"])), None)
        buttons = [_button("card", "", "Give another card")]
        for product in features.get("subscription_update", {}).get("products", []):
            buttons += [
                _button("switch", price, f"Switch to {price}") for price in product["prices"]
            ]
        if features["subscription_cancel"]["enabled"]:
            buttons += [_button("cancel", "", "Cancel"), _button("resume", "", "Do not cancel")]
        state = current["status"] if current else "nothing"
        back = f'<a href="{escape(session["return_url"] or "")}">Back</a>'
        return _page("Portal", f"<p>{state}</p>{''.join(buttons)}{back}")

    async def act(self, request: Request) -> Response:
        session = self.world.portals.get(request.path_params["id"])
        if session is None:
            return _page("Portal", "<p>This page has expired.</p>", 404)
        typed = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
        current = next(iter(self.world.of(session["customer"])), None)
        match typed["act"]:
            case "card":
                self.world.failing.discard(session["customer"])
                self.world.give_card(session["customer"], last4="4444")
                self.world.pay_open(session["customer"])
            case "switch" if current:
                self.world.switch(current, typed["value"])
            case "cancel" if current:
                self.world.cancel_at_period_end(current)
            case "resume" if current:
                self.world.cancel_at_period_end(current, False)
        return RedirectResponse(request.url.path, 303)

    async def invoice(self, request: Request) -> Response:
        found = self.world.invoices.get(request.path_params["id"])
        return _page("Invoice", f"<p>{found['number']}</p>" if found else "", 200 if found else 404)

    async def pdf(self, request: Request) -> Response:
        found = self.world.invoices.get(request.path_params["id"])
        if found is None:
            return Response(status_code=404)
        return Response(b"%PDF-1.4\n%%EOF\n", media_type="application/pdf")


def _button(act: str, value: str, label: str) -> str:
    return (
        f'<form method=post><input type=hidden name=act value="{act}">'
        f'<input type=hidden name=value value="{escape(value)}">'
        f"<button>{escape(label)}</button></form>"
    )


def _page(title: str, content: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(
        f"<!doctype html><html lang=en><title>{title}</title><h1>{title}</h1>{content}", status
    )
