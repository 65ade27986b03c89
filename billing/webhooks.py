"""Stripe's posts: verified, stored, then answered; a job finds out what they mean."""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from prometheus_client import Counter

from billing import gateway
from tenants import posts
from tenants.intake import Post, StorageAway, Writer
from tenants.posts import Disconnected, Reply, TooLarge

logger = logging.getLogger(__name__)

PATH = "/api/webhooks/stripe"
TOLERANCE_SECONDS = 300
LONGEST_ID = 100

REFUSED = Counter("amda_stripe_refused", "Posts that no endpoint secret of ours signed")
STORED = Counter("amda_stripe_stored", "Events of Stripe that were stored")

# An event that is sent again is kept once; one that had failed is tried again.
INSERT = """
WITH told AS (
    INSERT INTO public.billing_billingevent AS event
        (stripe_id, type, customer, body, received_at, state, reason, attempts)
    SELECT DISTINCT ON (stripe_id) stripe_id, '', '', body, received_at, 'waiting', '', 0
    FROM unnest(%s::text[], %b::bytea[], %b::timestamptz[]) AS post(stripe_id, body, received_at)
    ON CONFLICT (stripe_id) DO UPDATE SET state = 'waiting', attempts = 0, not_before = NULL
    WHERE event.state = 'failed'
    RETURNING id
)
INSERT INTO public.procrastinate_jobs AS job (queue_name, task_name, queueing_lock, args)
SELECT 'default', 'amda.apply_billing', 'billing', '{}'::jsonb WHERE EXISTS (SELECT FROM told)
ON CONFLICT (queueing_lock) WHERE status = 'todo'
DO UPDATE SET scheduled_at = NULL WHERE job.scheduled_at IS NOT NULL
"""


@dataclass
class StripePost(Post):
    """One event of Stripe on its way into the database."""

    statement = INSERT

    stripe_id: str
    body: bytes
    received_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    sealed: bytes = b""
    stored: Any = None

    @staticmethod
    def columns(batch: Sequence["StripePost"]) -> tuple[list, ...]:
        return (
            [post.stripe_id for post in batch],
            [post.sealed for post in batch],
            [post.received_at for post in batch],
        )


class StripeWebhook:
    """The ASGI application of the one address that Stripe posts to."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        try:
            reply = await self._reply(scope, receive)
        except Disconnected:
            return
        await posts.answer(reply, send, head=scope["method"] == "HEAD")

    async def _reply(self, scope: dict, receive: Callable) -> Reply:
        if scope["method"] != "POST":
            return Reply(405)
        headers = posts.headers_of(scope)
        try:
            body = await posts.body_of(receive, headers.get("content-length", ""))
        except TooLarge:
            return Reply(413)
        if not _is_genuine(body, headers.get("stripe-signature")):
            REFUSED.inc()
            logger.warning("stripe: post refused: no secret of ours signed it just now")
            return Reply(403)
        try:
            await self._writer.store([StripePost(_id_of(body), body)])
        except StorageAway:
            return Reply(503, retry_after=5)
        STORED.inc()
        return Reply(200, b'{"received":true}', "application/json")


def _is_genuine(body: bytes, signature: str | None) -> bool:
    """Signed by a secret of ours, neither long ago nor in a time to come."""
    if not gateway.verify(body, signature, TOLERANCE_SECONDS):
        return False
    return _signed_at(signature or "") <= time.time() + TOLERANCE_SECONDS


def _signed_at(signature: str) -> float:
    stamps = [part[2:] for part in signature.split(",") if part.startswith("t=")]
    return float(stamps[0]) if stamps and stamps[0].isdecimal() else float("inf")


def _id_of(body: bytes) -> str:
    """The event's own id, by which it is kept once; of what has none, one made of its content."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        told = None
    found = told.get("id") if isinstance(told, dict) else None
    if isinstance(found, str) and found.isprintable() and 0 < len(found) <= LONGEST_ID:
        return found
    return f"sha256:{hashlib.sha256(body).hexdigest()}"
