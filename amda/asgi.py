"""Where HTTP, webhooks and websockets meet.

`application` serves everything; `intake` only takes webhooks in, for processes of their own.
"""

import asyncio
import os
from collections.abc import Callable

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "amda.settings")

from channels.routing import URLRouter
from django.core.asgi import get_asgi_application

from amda import database

database.bring_up()
django_application = get_asgi_application()
database.require_whole_schemas()

from amda import health, metrics  # noqa: E402
from billing import webhooks as billing_webhooks  # noqa: E402
from messaging.routing import websocket_urlpatterns  # noqa: E402
from messaging.webhooks import PREFIXES, Webhooks  # noqa: E402
from tenants.intake import Writer  # noqa: E402
from tenants.sockets import TenantSocket  # noqa: E402


class Amda:
    """Sends each connection where it belongs; webhooks and health never meet Django."""

    def __init__(self, http: Callable | None, websocket: Callable | None) -> None:
        self._http = http
        self._websocket = websocket
        self._writer = Writer(database.dsn)
        self._webhooks = Webhooks(self._writer)
        self._stripe = billing_webhooks.StripeWebhook(self._writer)
        self._health = health.Health()

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "websocket" and self._websocket:
            await self._websocket(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)

    async def _answer(self, scope: dict, receive: Callable, send: Callable) -> None:
        path = scope["path"]
        if path in health.ALIVE or path in health.READY:
            await self._health(scope, receive, send)
        elif path == metrics.PATH:
            await metrics.metrics(scope, receive, send)
        elif path.rstrip("/") == billing_webhooks.PATH:
            await self._stripe(scope, receive, send)
        elif path.startswith(PREFIXES):
            await self._webhooks(scope, receive, send)
        elif self._http:
            # A cancelled request would take its pooled database connection with it for good.
            await asyncio.shield(self._http(scope, receive, send))
        else:
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    async def _live(self, receive: Callable, send: Callable) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                await self._writer.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


application = Amda(django_application, TenantSocket(URLRouter(websocket_urlpatterns)))
intake = Amda(None, None)
