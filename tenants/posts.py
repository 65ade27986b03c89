"""What every address that takes posts needs below Django: reading a body, answering it."""

from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings


class Disconnected(Exception):
    """The provider hung up before its request was complete."""


class TooLarge(Exception):
    """The body is over the cap."""


@dataclass(frozen=True)
class Reply:
    """What the provider gets to hear."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    retry_after: int | None = None


def headers_of(scope: dict) -> dict[str, str]:
    """The headers of a request, their names in lower case."""
    return {
        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
    }


async def body_of(receive: Callable, announced: str) -> bytes:
    """The whole body as it came; `TooLarge` as soon as it is clear that it will be."""
    limit = settings.WEBHOOK_MAX_BYTES
    if announced.isdecimal() and int(announced) > limit:
        raise TooLarge
    chunks, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise TooLarge
        chunks.append(chunk)
        more = message.get("more_body", False)
    return b"".join(chunks)


async def answer(reply: Reply, send: Callable, *, head: bool = False) -> None:
    """Send a reply; to HEAD without its body."""
    headers = [
        (b"content-type", reply.content_type.encode()),
        (b"content-length", str(len(reply.body)).encode()),
    ]
    if reply.retry_after is not None:
        headers.append((b"retry-after", str(reply.retry_after).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else reply.body})
