"""Posts webhooks to the address each session asked for, signed, and keeps the outcome.

Posts about one chat go one after the other, chats go side by side. A post that is not answered
with a 2xx is tried again shortly and then shows as refused, with the HTTP status.
"""

import asyncio
import json
from collections import defaultdict
from urllib.parse import urlsplit, urlunsplit

import httpx

from messaging.providers.signatures import hmac_sha256_hex

from .background import Background
from .live import Live
from .store import Delivery, Session, Store

# The real service's retry policy is not published; ours only has to outlive a restart.
PAUSES_SECONDS = (0.4, 1.2, 3.0)
TIMEOUT_SECONDS = 10
KEPT_DELIVERIES = 2000


class Courier:
    def __init__(self, store: Store, live: Live, background: Background, client: httpx.AsyncClient):
        self._store = store
        self._live = live
        self._background = background
        self._client = client
        self._lanes: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def write(
        self, session: Session, body: dict, *, lane: str, message_id: int | None = None
    ) -> list[int]:
        """Note a post to make if the session subscribed to its event; hand the result to `post`.

        Two steps, so that the post is written down in the same breath as what it tells.
        """
        if not session.wants(body["event"]):
            return []
        delivery_id = self._store.add_delivery(
            session_id=session.id,
            message_id=message_id,
            lane=lane,
            event=body["event"],
            body=json.dumps(body, ensure_ascii=False),
        )
        return [delivery_id]

    def post(self, delivery_ids: list[int]) -> None:
        for delivery_id in delivery_ids:
            self._background.start(self._deliver(delivery_id))

    def post_again(self, delivery_id: int) -> bool:
        """Try a refused post once more; False when there is no such refused post."""
        if not self._store.reopen_delivery(delivery_id):
            return False
        self.post([delivery_id])
        self._live.changed()
        return True

    def resume(self) -> None:
        """Take up what the last run left unfinished."""
        self._store.forget_old_deliveries(KEPT_DELIVERIES)
        self.post(self._store.pending_deliveries())

    async def _deliver(self, delivery_id: int) -> None:
        delivery = self._store.delivery(delivery_id)
        if delivery is None:
            return
        async with self._lanes[delivery.lane]:
            for pause in (*PAUSES_SECONDS, None):
                if await self._attempt(delivery, is_last=pause is None):
                    return
                await asyncio.sleep(pause)

    async def _attempt(self, delivery: Delivery, *, is_last: bool) -> bool:
        """Post once and record how it went; True when there is nothing more to try."""
        # Read anew each time: the operator may have corrected the address or the secret.
        session = self._store.session(delivery.session_id)
        if session is None:
            return True
        http_status, problem = await self._post(session, delivery.body.encode())
        accepted = http_status is not None and 200 <= http_status < 300
        state = "accepted" if accepted else "refused" if is_last else "pending"
        self._store.record_attempt(
            delivery.id, state=state, http_status=http_status, problem=problem
        )
        self._live.changed()
        return accepted or is_last

    async def _post(self, session: Session, body: bytes) -> tuple[int | None, str | None]:
        if not session.webhook_url:
            return None, "NoAddress"
        url, host = _reachable(session.webhook_url)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "wasender-sandbox",
            "X-Simulation": "wasender",
            "X-Webhook-Signature": _signature(session, body),
            "Host": host,
        }
        try:
            answer = await self._client.post(url, content=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return None, type(error).__name__
        return answer.status_code, None


def _signature(session: Session, body: bytes) -> str:
    if session.signature == "hmac":
        return hmac_sha256_hex(session.webhook_secret, body)
    return session.webhook_secret


def _reachable(url: str) -> tuple[str, str]:
    """The address to connect to and the host to ask for.

    Names below `.localhost` mean this machine, but not every resolver knows it.
    """
    parts = urlsplit(url)
    if not (parts.hostname or "").endswith(".localhost"):
        return url, parts.netloc.rpartition("@")[2]
    port = f":{parts.port}" if parts.port else ""
    return urlunsplit(parts._replace(netloc=f"127.0.0.1{port}")), parts.netloc
