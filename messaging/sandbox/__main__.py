"""`python -m messaging.sandbox` runs the sandbox; its commands prepare what it should know.

`create-session` makes the session that the product connects to, `add-customer` names a number.
Both may be given while the sandbox runs.
"""

import argparse
import json
import re
import sys

import uvicorn

from .api import is_web_address
from .app import build
from .config import HOST, BadConfig, Config, from_environment
from .live import Live
from .store import DEFAULT_RATE_LIMIT, E164, RECOMMENDED_EVENTS, SIGNATURES, OtherVersion, Store


class SandboxServer(uvicorn.Server):
    """A server that ends the pages' streams first, which would otherwise never end."""

    def __init__(self, config: uvicorn.Config, live: Live):
        super().__init__(config)
        self._live = live

    async def shutdown(self, sockets=None) -> None:
        self._live.close()
        await super().shutdown(sockets)


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        return options.run(from_environment(), options)
    except (BadConfig, OtherVersion) as problem:
        print(problem, file=sys.stderr)
        return 2


def serve(config: Config, options: argparse.Namespace) -> int:
    """Run until interrupted."""
    live = Live()
    settings = uvicorn.Config(
        build(config, live),
        host=HOST,
        port=config.port,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    print(f"Simulation of Wasender, nothing leaves for WhatsApp: http://{HOST}:{config.port}/phone")
    sys.stdout.flush()
    SandboxServer(settings, live).run()
    return 0


def create_session(config: Config, options: argparse.Namespace) -> int:
    """Make or update the session of a number, and print what a program needs to use it."""
    store = Store(config.database)
    session = store.create_or_update_session(
        options.phone,
        name=options.name,
        webhook_url=options.webhook_url,
        webhook_enabled=True,
        webhook_events=options.events,
        signature=options.signature,
        rate_limit=options.rate_limit,
    )
    store.close()
    facts = {
        "id": session.id,
        "name": session.name,
        "phone_number": session.phone_number,
        "status": session.status,
        "webhook_url": session.webhook_url,
        "webhook_events": list(session.webhook_events),
        "signature": session.signature,
        "api_key": session.api_key,
        "webhook_secret": session.webhook_secret,
        "personal_token": config.personal_token,
        "api_url": f"http://{HOST}:{config.port}/api",
    }
    print(json.dumps(facts, ensure_ascii=False))
    return 0


def add_customer(config: Config, options: argparse.Namespace) -> int:
    """Give a number a name, so that it is somebody on the phone page."""
    store = Store(config.database)
    customer = store.add_customer(options.name, options.phone)
    store.close()
    facts = {
        "id": customer.id,
        "name": customer.name,
        "phone": customer.phone,
        "lid": customer.lid,
    }
    print(json.dumps(facts, ensure_ascii=False))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m messaging.sandbox",
        description="A simulation of Wasender's servers. Without a command, it serves.",
    )
    parser.set_defaults(run=serve)
    commands = parser.add_subparsers(title="commands")
    session = commands.add_parser("create-session", help=create_session.__doc__)
    session.add_argument("--name", required=True)
    session.add_argument("--phone", required=True, type=_phone)
    session.add_argument("--webhook-url", required=True, type=_web_address)
    session.add_argument("--events", nargs="+", default=RECOMMENDED_EVENTS)
    session.add_argument("--signature", choices=SIGNATURES, default=SIGNATURES[0])
    session.add_argument("--rate-limit", type=_positive, default=DEFAULT_RATE_LIMIT)
    session.set_defaults(run=create_session)
    customer = commands.add_parser("add-customer", help=add_customer.__doc__)
    customer.add_argument("--name", required=True)
    customer.add_argument("--phone", required=True, type=_phone)
    customer.set_defaults(run=add_customer)
    return parser


def _phone(text: str) -> str:
    number = re.sub(r"[\s().-]", "", text)
    if not E164.fullmatch(number):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number in international format")
    return number


def _web_address(text: str) -> str:
    if not is_web_address(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not an http(s) address")
    return text


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above zero")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
