"""Counters of this process for Prometheus, for whoever knows the token."""

from collections.abc import Callable
from hmac import compare_digest

from django.conf import settings
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

PATH = "/metrics"


async def metrics(scope: dict, receive: Callable, send: Callable) -> None:
    """Answer `/metrics`: 404 without METRICS_TOKEN, 401 without it as a bearer token."""
    status, body = _answer(dict(scope["headers"]).get(b"authorization", b""))
    headers = [
        (b"content-type", CONTENT_TYPE_LATEST.encode()),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _answer(authorization: bytes) -> tuple[int, bytes]:
    if not settings.METRICS_TOKEN:
        return 404, b""
    if not compare_digest(authorization, f"Bearer {settings.METRICS_TOKEN}".encode()):
        return 401, b""
    return 200, generate_latest()
