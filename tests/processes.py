"""Real processes for tests: web servers, workers and a fake provider, started and killed.

They use the test's own data directory, or the one given, and none outlives its test.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 30
STOP_SECONDS = 20
LOG_SHOWN = 6_000
# Every request has a connection of its own, as if each came from another machine.
CLIENT = httpx.Client(trust_env=False, timeout=30, limits=httpx.Limits(max_keepalive_connections=0))


def until(condition: Callable[[], Any], seconds: float, what: str = "") -> Any:
    """The first true answer of the condition; fails once the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} seconds: {what or condition.__name__}")
        time.sleep(0.05)


class Running:
    """One process and what it said."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._log = tempfile.TemporaryFile()
        self._name = " ".join(command[1:4])
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def said(self) -> str:
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode(errors="replace")

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        self._process.wait(STOP_SECONDS)

    def terminate(self) -> None:
        """Ask it to end, as an operator does; does not wait."""
        self._process.terminate()

    def ended(self, seconds: float = STOP_SECONDS) -> int:
        """The exit code, once it ended."""
        return self._process.wait(seconds)

    def ended_by_kill(self, seconds: float = STOP_SECONDS) -> bool:
        """Whether it ended at a crash point."""
        return self.ended(seconds) == -signal.SIGKILL

    def clean_up(self) -> None:
        """Leave nothing of it; what it said is shown where the test failed."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait(STOP_SECONDS)
        print(f"--- {self._name}\n{self.said()[-LOG_SHOWN:]}")
        self._log.close()


class Web(Running):
    """An ASGI server with one of the two applications."""

    def __init__(self, command: list[str], environment: dict[str, str], port: int) -> None:
        super().__init__(command, environment)
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def wait_until_up(self) -> "Web":
        def answers() -> bool:
            assert not self.has_ended, self.said()
            with suppress(httpx.HTTPError):
                return CLIENT.get(f"{self.url}/health/ready", timeout=5).status_code == 200
            return False

        until(answers, START_SECONDS, f"{self.url} is ready")
        return self

    def port_is_closed(self) -> bool:
        """Whether new connections are refused."""
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", self.port)):
            return False
        return True


class FakeProvider(Running):
    """A provider's API that counts what it was asked to send."""

    def __init__(self, command: list[str], environment: dict[str, str], port: int) -> None:
        super().__init__(command, environment)
        self._url = f"http://127.0.0.1:{port}"
        self.api_url = f"{self._url}/api"

    def wait_until_up(self) -> "FakeProvider":
        def answers() -> bool:
            assert not self.has_ended, self.said()
            with suppress(httpx.HTTPError):
                return CLIENT.get(f"{self._url}/calls").status_code == 200
            return False

        until(answers, START_SECONDS, "the provider answers")
        return self

    def calls(self) -> Counter[tuple[str, str]]:
        """How often each (to, text) was sent."""
        return Counter((to, text) for to, text in CLIENT.get(f"{self._url}/calls").json())

    def answer_after(self, seconds: float) -> None:
        """Take this long for every answer from now on."""
        CLIENT.post(f"{self._url}/slowness", json=seconds).raise_for_status()


class Processes:
    """Everything one test starts; leaving the block ends all of it."""

    def __init__(self, data_dir: Path | None = None) -> None:
        self._data_dir = data_dir
        self._started: list[Running] = []

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *error: object) -> None:
        for running in reversed(self._started):
            running.clean_up()

    def web(
        self,
        application: str = "intake",
        *,
        server: str = "uvicorn",
        port: int | None = None,
        crash_at: str = "",
    ) -> Web:
        """A server that answers; `application` is `intake` or the full `application`."""
        port = port or free_port()
        quiet = ["--log-level", "warning"] if server == "uvicorn" else ["-v", "0"]
        address = "--host" if server == "uvicorn" else "-b"
        command = [sys.executable, "-m", server, f"amda.asgi:{application}"]
        command += [address, "127.0.0.1", *(["--port"] if server == "uvicorn" else ["-p"])]
        web = Web([*command, str(port), *quiet], self._environment(crash_at), port)
        self._started.append(web)
        return web.wait_until_up()

    def worker(self, *, crash_at: str = "") -> Running:
        """A worker; it is at work a moment later."""
        command = [sys.executable, "manage.py", "work"]
        return self._keep(Running(command, self._environment(crash_at)))

    def provider(self) -> FakeProvider:
        port = free_port()
        command = [sys.executable, "-m", "tests.processes", str(port)]
        provider = FakeProvider(command, self._environment(""), port)
        self._started.append(provider)
        return provider.wait_until_up()

    def run(self, *command: str, seconds: float = 60) -> str:
        """Run a short program of ours to its end; what it said."""
        running = self.start(*command)
        assert running.ended(seconds) == 0, running.said()
        return running.said()

    def start(self, *command: str) -> Running:
        """Start a program of ours that runs until the end of the test."""
        return self._keep(Running([sys.executable, *command], self._environment("")))

    def _keep(self, running: Running) -> Running:
        self._started.append(running)
        return running

    def _environment(self, crash_at: str) -> dict[str, str]:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        if self._data_dir:
            environment["AMDA_DATA_DIR"] = str(self._data_dir)
        environment.pop("AMDA_CRASH_AT", None)
        return environment | ({"AMDA_CRASH_AT": crash_at} if crash_at else {})


class Poster:
    """Posts webhooks of one vendor as its provider does, several at a time."""

    def __init__(self, url: str, slug: str, secret: str) -> None:
        self._url = f"{url}/api/webhooks/wasender/{slug}"
        self._signature = {"X-Webhook-Signature": secret}

    def post(self, body: Any, *, signed: bool = True, headers: dict | None = None) -> int:
        """The status of the answer; 0 where none came."""
        return self.answer(body, signed=signed, headers=headers)[0]

    def answer(
        self, body: Any, *, signed: bool = True, headers: dict | None = None
    ) -> tuple[int, bytes]:
        """The answer: its status, 0 where none came, and its body."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        every = {"Content-Type": "application/json"} | (self._signature if signed else {})
        try:
            answer = CLIENT.post(self._url, content=content, headers=every | (headers or {}))
        except httpx.TransportError:
            return 0, b""
        return answer.status_code, answer.content

    def post_all(self, bodies: Iterable[Any], *, at_once: int = 8) -> list[int]:
        """The status of each answer, in the order of the bodies."""
        with ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(self.post, bodies))

    def post_until_taken(self, bodies: Iterable[Any], *, seconds: float = 30) -> None:
        """Post again what was not answered 200, as every provider does."""
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda body: self._insist(body, seconds), bodies))

    def _insist(self, body: Any, seconds: float) -> None:
        until(lambda: self.post(body) == 200, seconds, "the post is taken")


class _Api(BaseHTTPRequestHandler):
    """The provider's side of sending, as strict as the real one."""

    protocol_version = "HTTP/1.1"
    calls: list[tuple[str, str]] = []
    slowness = 0.0
    lock = threading.Lock()

    def do_GET(self) -> None:
        if self.path == "/calls":
            self._answer(200, _Api.calls)
        else:
            self._answer(404, {"success": False, "message": "Message not found."})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/slowness":
            _Api.slowness = json.loads(body)
            self._answer(200, {})
        elif self.path != "/api/send-message":
            self._answer(404, {"success": False, "message": "Not found."})
        elif not self.headers.get("Authorization", "").startswith("Bearer key-"):
            self._answer(401, {"success": False, "message": "Invalid API key."})
        else:
            self._take(json.loads(body))

    def _take(self, message: dict) -> None:
        with _Api.lock:
            _Api.calls.append((message["to"], message["text"]))
            number = len(_Api.calls)
        time.sleep(_Api.slowness)
        self._answer(
            200, {"success": True, "data": {"msgId": 1000 + number, "status": "in_progress"}}
        )

    def _answer(self, status: int, said: Any) -> None:
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), _Api).serve_forever()
