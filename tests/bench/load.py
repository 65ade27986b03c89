"""A load client in a process of its own: keep-alive connections, one request in flight on each.

Reads what to do from standard input as JSON, writes how it went to standard output.
"""

import asyncio
import json
import re
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

import uvloop

from tests.bench.report import Pace, Unmeasurable

HEAD_END = b"\r\n\r\n"
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
LATE_SECONDS = 30


@dataclass(frozen=True)
class Post:
    """The request every connection repeats."""

    port: int
    path: str
    headers: dict[str, str]
    body: str

    def on_the_wire(self) -> bytes:
        body = self.body.encode()
        lines = [
            f"POST {self.path} HTTP/1.1",
            "Host: localhost",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            *(f"{name}: {value}" for name, value in self.headers.items()),
        ]
        return "\r\n".join(lines).encode() + HEAD_END + body


def run(post: Post, connections: int, seconds: float) -> tuple[Pace, int]:
    """Post for so long from another process; its pace, and how many were answered with 200."""
    order = {"post": asdict(post), "connections": connections, "seconds": seconds}
    answer = subprocess.run(
        [sys.executable, "-m", "tests.bench.load"],
        input=json.dumps(order),
        check=True,
        capture_output=True,
        text=True,
        timeout=seconds + 2 * LATE_SECONDS,
    )
    result = json.loads(answer.stdout)
    if result["trouble"]:
        raise Unmeasurable(f"A post failed: {result['trouble']}")
    return Pace(**result["pace"]), result["posts"]


class Connection(asyncio.Protocol):
    """Posts, waits for the whole answer, posts again, until it is time to stop."""

    def __init__(self, request: bytes, until: float) -> None:
        self.latencies_ms: list[float] = []
        self.trouble = ""
        self.done = asyncio.get_running_loop().create_future()
        self._request = request
        self._until = until
        self._received = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._post()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not _is_whole(self._received):
            return
        now = time.perf_counter()
        if not self._received.startswith(b"HTTP/1.1 200"):
            self._end(self._received.split(b"\r\n", 1)[0].decode("latin-1"))
            return
        self.latencies_ms.append((now - self._sent_at) * 1000)
        self._received = b""
        if now < self._until:
            self._post()
        else:
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end("the server closed the connection")

    def _post(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._request)

    def _end(self, trouble: str = "") -> None:
        if not self.done.done():
            self.trouble = trouble
            self.done.set_result(None)
            self._transport.close()


def _is_whole(received: bytes) -> bool:
    head, end, body = received.partition(HEAD_END)
    length = LENGTH.search(head)
    return bool(end) and len(body) >= (int(length[1]) if length else 0)


async def _load(order: dict) -> dict:
    post = Post(**order["post"])
    request = post.on_the_wire()
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    until = started + order["seconds"]
    opened = [
        loop.create_connection(lambda: Connection(request, until), "127.0.0.1", post.port)
        for _ in range(order["connections"])
    ]
    clients = [client for _transport, client in await asyncio.gather(*opened)]
    late = order["seconds"] + LATE_SECONDS
    await asyncio.wait_for(asyncio.gather(*(client.done for client in clients)), late)
    return _result(clients, time.perf_counter() - started)


def _result(clients: list[Connection], seconds: float) -> dict:
    trouble = next((client.trouble for client in clients if client.trouble), "")
    latencies = [latency for client in clients for latency in client.latencies_ms]
    pace = asdict(Pace.of(latencies, seconds)) if latencies else None
    return {"trouble": trouble, "posts": len(latencies), "pace": pace}


if __name__ == "__main__":
    print(json.dumps(uvloop.run(_load(json.load(sys.stdin)))))
