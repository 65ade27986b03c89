"""Whether this installation is alive, answered without Django's middleware."""

import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

import psycopg
from django.conf import settings

from amda import database

ALIVE = {"/health", "/api/health", "/health/", "/api/health/"}
READY = {"/health/ready", "/health/ready/"}
ASK_AGAIN_SECONDS = 1.0


class Health:
    """Answers `/health` (always 200) and `/health/ready` (503 while the database is away)."""

    def __init__(self) -> None:
        self._asked_at = float("-inf")
        self._database_up = False
        self._asking = asyncio.Lock()

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        up = await self._is_database_up()
        status = 503 if scope["path"] in READY and not up else 200
        body = json.dumps(_facts(up)).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else body
        await send({"type": "http.response.body", "body": body})

    async def _is_database_up(self) -> bool:
        """Asked at most once a second, however many ask us."""
        async with self._asking:
            if time.monotonic() - self._asked_at > ASK_AGAIN_SECONDS:
                self._database_up = await _ask_database()
                self._asked_at = time.monotonic()
        return self._database_up


def _facts(up: bool) -> dict:
    facts = {
        "status": "ok" if up else "degraded",
        "timestamp": datetime.now(UTC).isoformat(),
        "environment": settings.ENVIRONMENT,
    }
    return facts if up else {**facts, "away": ["database"]}


async def _ask_database() -> bool:
    try:
        async with asyncio.timeout(3):
            async with await psycopg.AsyncConnection.connect(database.dsn()) as connection:
                await connection.execute("SELECT 1")
    except (psycopg.Error, OSError, TimeoutError):
        return False
    return True
