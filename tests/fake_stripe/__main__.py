"""Run the stand-in: `python -m tests.fake_stripe PORT`."""

import asyncio
import sys
from contextlib import asynccontextmanager, suppress

import uvicorn
from starlette.applications import Starlette

from tests.fake_stripe.api import Api
from tests.fake_stripe.control import Control
from tests.fake_stripe.pages import Pages
from tests.fake_stripe.world import World


def application(port: int) -> Starlette:
    """Everything the stand-in answers."""
    world = World()
    api = Api(world, f"http://127.0.0.1:{port}")
    pages = Pages(world)
    control = Control(world, api, pages)

    @asynccontextmanager
    async def lifespan(app):
        posting = asyncio.create_task(control.keep_posting())
        yield
        posting.cancel()
        with suppress(asyncio.CancelledError):
            await posting

    routes = [*api.routes(), *pages.routes(), *control.routes()]
    return Starlette(routes=routes, lifespan=lifespan)


if __name__ == "__main__":
    port = int(sys.argv[1])
    uvicorn.run(application(port), host="127.0.0.1", port=port, log_level="warning")
