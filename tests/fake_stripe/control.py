"""What a test may do to the stand-in: move its clock, look at its events, have them posted."""

import asyncio
import json
import time
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from stripe import WebhookSignature

from tests.fake_stripe.api import Api
from tests.fake_stripe.pages import Pages
from tests.fake_stripe.world import World


class Control:
    """The routes below /test/, of which the real Stripe knows nothing."""

    def __init__(self, world: World, api: Api, pages: Pages) -> None:
        self.world, self.api, self.pages = world, api, pages
        self.endpoint: dict[str, str] | None = None
        self._posted = 0

    def routes(self) -> list[Route]:
        return [
            Route("/test/{verb}", self.do, methods=["POST"]),
            Route("/test/events", self.events, methods=["GET"]),
            Route("/test/journal", self.journal, methods=["GET"]),
            Route("/test/invoices/{customer}", self.invoices, methods=["GET"]),
        ]

    async def events(self, request: Request) -> JSONResponse:
        return JSONResponse(self.world.events)

    async def journal(self, request: Request) -> JSONResponse:
        return JSONResponse(self.api.journal)

    async def invoices(self, request: Request) -> JSONResponse:
        return JSONResponse(self.world.invoices_of(request.path_params["customer"]))

    async def do(self, request: Request) -> JSONResponse:
        body = json.loads((await request.body()) or b"{}")
        answer = getattr(self, f"_{request.path_params['verb']}")(**body)
        return JSONResponse(answer)

    def _reset(self) -> None:
        self.world.__init__()
        self.api.__init__(self.world, self.api.address)
        self.endpoint, self._posted = None, 0

    def _price(self, price: str, amount: int, interval: str, currency: str = "eur") -> None:
        product = "prod_" + price.removeprefix("price_").rpartition("_")[0]
        self.world.make_price(price, amount, interval, currency=currency, product=product)

    def _coupon(self, code: str, percent_off: int) -> None:
        self.world.coupons[code] = percent_off

    def _advance(self, days: float) -> int:
        self.world.advance(int(days * 24 * 3600))
        return self.world.now

    def _card(self, customer: str, fails: bool) -> None:
        (self.world.failing.add if fails else self.world.failing.discard)(customer)

    def _pay(self, checkout: str, **typed: str) -> None:
        self.pages._complete(self.world.checkouts[checkout], typed)

    def _new_card(self, customer: str) -> None:
        self.world.failing.discard(customer)
        self.world.give_card(customer, last4="4444")
        self.world.pay_open(customer)

    def _switch(self, customer: str, price: str) -> None:
        self.world.switch(self.world.of(customer)[0], price)

    def _cancel(self, customer: str) -> None:
        self.world.cancel_at_period_end(self.world.of(customer)[0])

    def _status(self, customer: str, status: str) -> None:
        self.world.set_status(self.world.of(customer)[0], status)

    def _subscribe(self, customer: str, price: str, **facts: Any) -> str:
        return self.world.subscribe(customer, price, **facts)["id"]

    def _customer(self, **facts: Any) -> str:
        made = self.world.make_customer(facts)
        self.world.give_card(made["id"])
        return made["id"]

    def _after_retries(self, status: str) -> None:
        self.world.after_retries = status

    def _away(self, away: bool) -> None:
        self.api.is_away = away

    def _endpoint(self, url: str, secret: str) -> None:
        self.endpoint = {"url": url, "secret": secret}

    async def keep_posting(self) -> None:
        """Post every new event to the endpoint, if one is set, until it is taken."""
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            while True:
                if self.endpoint and self._posted < len(self.world.events):
                    if await self._post(client, self.world.events[self._posted]):
                        self._posted += 1
                        continue
                await asyncio.sleep(0.05)

    async def _post(self, client: httpx.AsyncClient, event: dict) -> bool:
        body = json.dumps(event)
        signature = WebhookSignature.generate_signature_header(
            body, self.endpoint["secret"], int(time.time())
        )
        headers = {"Stripe-Signature": signature, "Content-Type": "application/json"}
        try:
            answer = await client.post(self.endpoint["url"], content=body, headers=headers)
        except httpx.TransportError:
            return False
        return answer.status_code < 300
