"""The sandbox as one ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Router

from . import api, files
from .background import Background
from .config import Config
from .courier import TIMEOUT_SECONDS, Courier
from .limits import Meter
from .live import Live
from .phone import Phone
from .simulation import Simulation
from .store import Store

# Other names for this machine would let a foreign page reach it by DNS rebinding.
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "*.localhost"]

HEADERS = {
    b"x-simulation": b"wasender",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"content-security-policy": (
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
        b" connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    b"cache-control": b"no-cache",
}


def build(config: Config, live: Live):
    """The application, labelled as a simulation in every answer; `live` ends its open streams."""
    store = Store(config.database)
    background = Background()
    client = httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False)
    courier = Courier(store, live, background, client)
    simulation = Simulation(store, live, background, courier)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        courier.resume()
        simulation.resume()
        try:
            yield
        finally:
            await background.stop()
            await client.aclose()
            store.close()

    app = Starlette(
        routes=[
            # A real API has one address per resource, without redirects from slashed forms.
            Mount("/api", app=Router(api.routes, redirect_slashes=False)),
            *files.routes,
            *Phone(store, simulation, courier, live).routes,
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=ALLOWED_HOSTS)],
        exception_handlers={
            api.Refused: _refused,
            HTTPException: _http_error,
            Exception: _server_error,
        },
        lifespan=lifespan,
    )
    app.state.services = api.Services(
        store=store, simulation=simulation, meter=Meter(), personal_token=config.personal_token
    )
    return _labelled(app)


async def _refused(request: Request, refused: api.Refused) -> Response:
    return refused.answer()


async def _http_error(request: Request, error: HTTPException) -> Response:
    message = {
        404: "The address is not one of this API.",
        405: f"The {request.method} method is not supported here.",
    }.get(error.status_code, error.detail)
    body = {"success": False, "message": message}
    return JSONResponse(body, error.status_code, headers=error.headers)


async def _server_error(request: Request, error: Exception) -> Response:
    return JSONResponse({"success": False, "message": "The simulator stumbled."}, 500)


def _labelled(app):
    """Wrap the whole application, so that not even an error page goes out without its label."""

    async def labelled(scope, receive, send):
        async def send_labelled(message):
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *HEADERS.items()]}
            await send(message)

        await app(scope, receive, send_labelled)

    return labelled
