"""A test's hand on the stand-in: starts it, moves its clock, reads what happened."""

import json
import os
import sys
import time
from contextlib import suppress
from typing import Any

import httpx
from stripe import WebhookSignature

from tests.ports import free_port
from tests.processes import CLIENT, START_SECONDS, Running, until

SECRET = "whsec_of_the_stand_in"


class Stripe(Running):
    """The running stand-in."""

    def __init__(self) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        super().__init__([sys.executable, "-m", "tests.fake_stripe", str(port)], environment)

    def wait_until_up(self) -> "Stripe":
        def answers() -> bool:
            assert not self.has_ended, self.said()
            with suppress(httpx.HTTPError):
                return CLIENT.get(f"{self.url}/test/events").status_code == 200
            return False

        until(answers, START_SECONDS, "the stand-in answers")
        return self

    def do(self, verb: str, **facts: Any) -> Any:
        """Have something happen at Stripe; the verbs are those of `control.py`."""
        answer = CLIENT.post(f"{self.url}/test/{verb}", json=facts)
        assert answer.status_code == 200, self.said()
        return answer.json()

    def events(self) -> list[dict]:
        """Everything that happened, in order."""
        return CLIENT.get(f"{self.url}/test/events").json()

    def journal(self) -> list[str]:
        """Every request to the API, as `POST /v1/customers`."""
        return CLIENT.get(f"{self.url}/test/journal").json()


def signed(event: dict, *, secret: str = SECRET, age: int = 0) -> tuple[bytes, dict[str, str]]:
    """An event as Stripe posts it: the body and its headers."""
    body = json.dumps(event)
    stamp = int(time.time()) - age
    signature = WebhookSignature.generate_signature_header(body, secret, stamp)
    return body.encode(), {"stripe-signature": signature, "content-type": "application/json"}
