"""What the fakes of providers share: a small HTTP server that is told what to do over HTTP, too.

`GET /_calls` lists the requests it had; `POST /_set` changes its state by name. Its seconds pass
when a test says so (`POST /_tick`), so that limits per second are the same on every machine.
"""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

ROOT = Path(__file__).resolve().parents[2]


class Refused(Exception):
    """What the provider answers instead."""

    def __init__(self, status: int, said: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.said = said
        self.headers = headers or {}


class BrokenOff(Exception):
    """The provider did what it was asked to, and its answer is lost."""


class Request:
    """One request as a provider reads it."""

    def __init__(self, handler: BaseHTTPRequestHandler) -> None:
        self.method = handler.command
        parts = urlsplit(handler.path)
        self.path = parts.path
        self.query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.headers = {name.lower(): value for name, value in handler.headers.items()}
        self.body = handler.rfile.read(int(self.headers.get("content-length", 0)))
        self.host = f"http://{self.headers.get('host', '')}"

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0]

    def json(self) -> dict[str, Any]:
        """The object in the body; anything else is refused as the provider would."""
        if self.content_type != "application/json":
            raise Refused(400, {"message": "Content-Type must be application/json"})
        try:
            value = json.loads(self.body)
        except ValueError as error:
            raise Refused(400, {"message": f"Unexpected token in JSON: {error}"}) from error
        if not isinstance(value, dict):
            raise Refused(400, {"message": "Validation failed"})
        return value

    def form(self) -> dict[str, tuple[str, bytes]]:
        """The parts of a multipart form: file name and content by field."""
        if self.content_type != "multipart/form-data":
            raise Refused(400, {"message": "Content-Type must be multipart/form-data"})
        head = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode()
        message = BytesParser(policy=HTTP).parsebytes(head + self.body)
        parts = {}
        for part in message.iter_parts():
            name = part.get_param("name", header="content-disposition")
            parts[str(name)] = (part.get_filename() or "", part.get_payload(decode=True) or b"")
        return parts


class Limits:
    """So many calls of a name in one second, which ends when a test says so."""

    def __init__(self, per_second: dict[str, int]) -> None:
        self._per_second = per_second
        self._used: Counter[str] = Counter()

    def use(self, name: str) -> None:
        self._used[name] += 1
        if self._used[name] > self._per_second.get(name, 1000):
            raise Refused(429, {"message": "Too Many Requests"})

    def tick(self) -> None:
        self._used.clear()


def serve(state: Any, answer: Callable[[Request], Any]) -> None:
    """Serve on a free port of the loopback address, which is printed, until the end."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state, answer))
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    server.serve_forever()


def _handler(state: Any, answer: Callable[[Request], Any]) -> type[BaseHTTPRequestHandler]:
    calls: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body in one packet: the second of two would wait for the first's receipt.
        wbufsize = -1

        def handle_any(self) -> None:
            request = Request(self)
            if request.path.startswith("/_"):
                self._send(200, _steer(request, state, calls))
                return
            told = {"method": request.method, "path": request.path, "query": request.query}
            calls.append(told | {"body": request.body.decode("utf-8", "replace")})
            try:
                self._send(200, answer(request))
            except Refused as refused:
                self._send(refused.status, refused.said, refused.headers)
            except BrokenOff:
                self.close_connection = True

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

        def _send(self, status: int, said: Any, headers: dict[str, str] | None = None) -> None:
            is_file = isinstance(said, bytes)
            body = said if is_file else json.dumps(said).encode()
            self.send_response(status)
            kind = "application/octet-stream" if is_file else "application/json"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Stay silent: addresses may hold tokens."""

    return Handler


def _steer(request: Request, state: Any, calls: list[dict[str, Any]]) -> Any:
    if request.path == "/_calls":
        return calls
    if request.path == "/_tick":
        state.limits.tick()
    elif request.path == "/_set":
        for name, value in json.loads(request.body).items():
            setattr(state, name, value)
    return {}


class Fake:
    """A running fake, from the side of a test."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._client = httpx.Client(base_url=self.url, trust_env=False)

    def calls(self) -> list[dict[str, Any]]:
        return self._client.get("/_calls").json()

    def tick(self) -> None:
        """A second passes."""
        self._client.post("/_tick")

    def set(self, **values: Any) -> None:
        self._client.post("/_set", json=values)

    def close(self) -> None:
        self._client.close()


@contextmanager
def beside(state: Any, answer: Callable[[Request], Any]) -> Iterator[str]:
    """The fake in a thread of the test's own process, whose state the test sees; its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state, answer))
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@contextmanager
def running(module: str) -> Iterator[Fake]:
    """The fake of a module as a process of its own, ended afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", module], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        fake = Fake(int(process.stdout.readline()))
        try:
            yield fake
        finally:
            fake.close()
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()
