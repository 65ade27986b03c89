"""The one-command run: starts, watches, restarts and stops everything AMDA needs.

`make run` ends here. It is a development run: it listens on 127.0.0.1 only, makes its own
secrets the first time, and keeps all it makes in the data directory.
"""

import errno
import fcntl
import http.client
import io
import json
import os
import re
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import environ
import psutil
from cryptography.fernet import Fernet

from amda import embedded
from amda.terminal import last_lines, say, summary, tell

ROOT = Path(__file__).resolve().parent.parent
ADDRESS = "127.0.0.1"

TICK_SECONDS = 0.2
DATABASE_CHECK_SECONDS = 2
HEALTH_SECONDS = 60
GRACE_SECONDS = 7
KILL_SECONDS = 2
LONGEST_PAUSE_SECONDS = 30
STEADY_SECONDS = 60  # who has lived this long starts over with short pauses

GRAVE = re.compile(r"\b(WARNING|ERROR|CRITICAL)\b")
ECHOED_LINES = 5  # of one child in one tick; the rest is in its log

SANDBOX_LINE = re.compile(r"\s*SANDBOX_PORT\s*=")


class RunError(Exception):
    """It cannot run; the message tells whoever typed the command why."""


def main() -> int:
    """Run everything until a signal comes; the exit status of `make run`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        Run(data_directory(os.environ)).until_stopped()
    except (RunError, embedded.EmbeddedError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def keep() -> None:
    """Outlive a killed run for just as long as it takes to end what it had started.

    Reads "+pid" and "-pid" lines, and acts when they end. Whatever is listed then has lost its
    supervisor. Holding the embedded server, it is also the one that stops it.
    """
    if not os.environ.get("DATABASE_URL"):
        embedded.hold(Path(os.environ["AMDA_DATA_DIR"]))
    groups: set[int] = set()
    for line in sys.stdin:
        if line.startswith("+"):
            groups.add(int(line[1:]))
        else:
            groups.discard(int(line[1:]))
    _end_groups(groups)


def data_directory(environment: Mapping[str, str]) -> Path:
    """Where everything is kept: AMDA_DATA_DIR, or `var` beside the code."""
    return Path(environment.get("AMDA_DATA_DIR") or ROOT / "var").expanduser().resolve()


@dataclass
class Child:
    """A program that should be running, and how it has been doing."""

    name: str
    command: list[str]
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0
    restart_at: float | None = None
    deaths: int = 0
    read_up_to: int = 0

    def start(self) -> None:
        self.log.touch(mode=0o600)
        self.read_up_to = self.log.stat().st_size
        self.process = _spawn(self.command, self.log, self.environment)
        self.started_at = time.monotonic()
        self.restart_at = None

    def status(self) -> int | None:
        return self.process.poll() if self.process else None

    def lay_to_rest(self) -> int:
        """Plan its next start; returns the seconds until then."""
        if time.monotonic() - self.started_at > STEADY_SECONDS:
            self.deaths = 0
        pause = min(2**self.deaths, LONGEST_PAUSE_SECONDS)
        self.deaths += 1
        self.process = None
        self.restart_at = time.monotonic() + pause
        return pause

    def new_lines(self) -> list[str]:
        """What it has logged since the last call."""
        with self.log.open("rb") as log:
            log.seek(self.read_up_to)
            whole, newline, _ = log.read().rpartition(b"\n")
        self.read_up_to += len(whole) + len(newline)
        return whole.decode(errors="replace").splitlines()

    def shorten_log(self) -> None:
        embedded.keep_short(self.log)
        self.read_up_to = min(self.read_up_to, self.log.stat().st_size)


class Run:
    """One run of everything on one data directory."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.logs = data_dir / "logs"
        self.children: list[Child] = []
        self.keeper: subprocess.Popen[str] | None = None
        self.keeper_started_at = 0.0
        self.database_checked_at = 0.0
        self.database_trouble = ""
        self.stopping = False
        self.interruptible = False

    def until_stopped(self) -> None:
        """Start everything, look after it, and leave nothing behind."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        with _plain_errors(self.data_dir):
            self.lock = _lock(self.data_dir)
            self._read_environment()
        try:
            self._start_everything()
            while not self.stopping:
                self._look_after_everything()
                time.sleep(TICK_SECONDS)
        except KeyboardInterrupt:
            pass  # our own, from _on_signal or _give_way: asked to stop before all was up
        finally:
            self._stop_everything()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True
        if self.interruptible:
            self.interruptible = False  # a second signal must not break into the cleaning up
            raise KeyboardInterrupt

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Let a signal break into what may take long and cleans up after itself."""
        self._give_way()
        self.interruptible = True
        try:
            yield
        finally:
            self.interruptible = False

    def _give_way(self) -> None:
        if self.stopping:
            raise KeyboardInterrupt

    def _read_environment(self) -> None:
        port = _port("PORT", os.environ.get("PORT") or "8000")
        _require_free("PORT", port)
        chosen_sandbox_port = os.environ.get("SANDBOX_PORT")
        file = self.data_dir / "development.env"
        if not file.exists():
            _write_private(file, _new_environment())
        environ.Env.read_env(file)  # leaves alone what the environment already says
        os.environ["PORT"] = str(port)
        os.environ["AMDA_DATA_DIR"] = str(self.data_dir)
        os.environ["PYTHONUNBUFFERED"] = "1"
        os.environ["SANDBOX_PORT"] = str(_sandbox_port(file, port, chosen_sandbox_port))
        self.logs.mkdir(mode=0o700, exist_ok=True)

    @property
    def _owns_database(self) -> bool:
        return not os.environ.get("DATABASE_URL")

    def _start_everything(self) -> None:
        if self._owns_database:
            with self._interruptible():
                embedded.hold(self.data_dir)
        self._start_keeper()
        tell(say("preparing"))
        self._manage("migrate_schemas", "--shared")
        self._manage("migrate_schemas")
        made = json.loads(self._manage("prepare_demo").splitlines()[-1])
        self.children = self._programs()
        for child in self.children:
            self._start(child)
        self._wait_until_healthy()
        tell(summary(made, self.data_dir))

    def _programs(self) -> list[Child]:
        web = ["-m", "daphne", "-v", "0", "-b", ADDRESS, "-p", os.environ["PORT"]]
        sandbox = {"SANDBOX_DATA_DIR": str(self.data_dir / "sandbox")}
        return [
            self._program("web", *web, "amda.asgi:application"),
            self._program("worker", "manage.py", "work"),
            self._program("sandbox", "-m", "messaging.sandbox", **sandbox),
        ]

    def _program(self, name: str, *arguments: str, **environment: str) -> Child:
        command = [sys.executable, *arguments]
        return Child(name, command, self.logs / f"{name}.log", environment)

    def _manage(self, *arguments: str) -> str:
        """Run a management command to its end and return what it printed."""
        log = self.logs / "prepare.log"
        log.touch(mode=0o600)
        embedded.keep_short(log)
        before = log.stat().st_size
        with tempfile.TemporaryFile() as output:
            status = self._see_through(
                _spawn([sys.executable, "manage.py", *arguments], log, stdout=output.fileno())
            )
            output.seek(0)
            printed = output.read().decode(errors="replace")
        if status:
            with log.open(errors="replace") as lines:
                lines.seek(before)
                tail = last_lines(printed + lines.read())
            command = shlex.join(("manage.py", *arguments))
            raise RunError(say("failed", command=command, log=log, tail=tail))
        return printed

    def _see_through(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for a program that ends by itself, unless we are asked to stop first."""
        self._tell_keeper(f"+{process.pid}")
        try:
            while process.poll() is None:
                self._give_way()
                time.sleep(TICK_SECONDS / 4)
        finally:
            _end_groups({process.pid})
            self._tell_keeper(f"-{process.pid}")
        return process.wait()

    def _start(self, child: Child) -> None:
        child.start()
        assert child.process is not None
        self._tell_keeper(f"+{child.process.pid}")

    def _wait_until_healthy(self) -> None:
        deadline = time.monotonic() + HEALTH_SECONDS
        while not _is_healthy(int(os.environ["PORT"])):
            self._give_way()
            for child in self.children:
                if child.status() is not None:
                    tail = last_lines("\n".join(child.new_lines()))
                    raise RunError(say("stillborn", name=child.name, log=child.log, tail=tail))
            if time.monotonic() > deadline:
                tell(say("silent", seconds=HEALTH_SECONDS, log=self.children[0].log))
                return
            time.sleep(TICK_SECONDS)

    def _look_after_everything(self) -> None:
        for child in self.children:
            self._echo(child)
            self._look_after(child)
        self._look_after_keeper()
        if self._owns_database:
            self._look_after_database()

    def _echo(self, child: Child) -> None:
        grave = [line for line in child.new_lines() if GRAVE.search(line)]
        for line in grave[:ECHOED_LINES]:
            tell(f"{child.name}: {line}")
        if len(grave) > ECHOED_LINES:
            count = len(grave) - ECHOED_LINES
            tell(say("more", name=child.name, count=count, log=child.log))
        child.shorten_log()

    def _look_after(self, child: Child) -> None:
        if child.restart_at is not None and time.monotonic() >= child.restart_at:
            self._start(child)
        status = child.status()
        if status is None:
            return
        assert child.process is not None
        # What it had started itself must not go on beside its successor.
        _end_groups({child.process.pid})
        self._tell_keeper(f"-{child.process.pid}")
        how = say("signal", number=-status) if status < 0 else say("code", number=status)
        tell(say("died", name=child.name, how=how, pause=child.lay_to_rest(), log=child.log))

    def _look_after_database(self) -> None:
        if time.monotonic() - self.database_checked_at < DATABASE_CHECK_SECONDS:
            return
        try:
            with self._interruptible():
                if embedded.ensure_up(self.data_dir):
                    tell(say("database_back"))
            self.database_trouble = ""
        except embedded.EmbeddedError as error:
            if str(error) != self.database_trouble:
                tell(error)
            self.database_trouble = str(error)
        self.database_checked_at = time.monotonic()

    def _start_keeper(self) -> None:
        log = self.logs / "keeper.log"
        log.touch(mode=0o600)
        embedded.keep_short(log)
        with log.open("ab") as output:
            self.keeper = subprocess.Popen(
                [sys.executable, "-c", "from amda import run; run.keep()"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                text=True,
                start_new_session=True,
                pass_fds=[self.lock],  # nobody starts anew before it has cleared up
            )
        self.keeper_started_at = time.monotonic()
        for child in self.children:
            if child.process:
                self._tell_keeper(f"+{child.process.pid}")

    def _look_after_keeper(self) -> None:
        steady = time.monotonic() - self.keeper_started_at > LONGEST_PAUSE_SECONDS
        if self.keeper and self.keeper.poll() is not None and steady:
            self._start_keeper()

    def _tell_keeper(self, line: str) -> None:
        if self.keeper is None or self.keeper.stdin is None:
            return
        # Should it be dead, the next one is told everything from the start.
        with suppress(BrokenPipeError):
            print(line, file=self.keeper.stdin, flush=True)

    def _stop_everything(self) -> None:
        if self.stopping:
            tell(say("stopping"))
        _end_groups({child.process.pid for child in self.children if child.process})
        for child in self.children:
            if child.process:
                child.process.wait()
                self._tell_keeper(f"-{child.process.pid}")
        if self.keeper and self.keeper.stdin:
            with suppress(BrokenPipeError):
                self.keeper.stdin.close()
            self.keeper.wait()
        embedded.release()
        if self.stopping:
            tell(say("stopped"))


def _lock(data_dir: Path) -> int:
    """Make this the only run on the data directory, until the process has ended."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(data_dir / "run.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise RunError(say("running", data_dir=data_dir)) from error
    return descriptor


@contextmanager
def _plain_errors(data_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise RunError(say("unusable", data_dir=data_dir, reason=reason)) from error


def _new_environment() -> str:
    return (
        "# Made by the first run. Values of the environment win over these.\n"
        "DEBUG=true\n"
        f"SECRET_KEY={secrets.token_urlsafe(50)}\n"
        "# Without this key nothing that was encrypted can be read again.\n"
        f"FIELD_KEYS={Fernet.generate_key().decode()}\n"
    )


def _write_private(file: Path, text: str) -> None:
    unfinished = file.with_name(f"{file.name}.new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w") as output:
        output.write(text)
        output.flush()
        os.fsync(descriptor)
    unfinished.replace(file)


def _port(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and 1 <= int(value) <= 65535):
        raise RunError(say("bad_port", name=name, value=value))
    return int(value)


def _sandbox_port(file: Path, port: int, chosen: str | None) -> int:
    """The sandbox's port: the chosen one, else the one of last time, else the next free one."""
    if chosen:
        _require_free("SANDBOX_PORT", _port("SANDBOX_PORT", chosen))
        return int(chosen)
    kept = os.environ.get("SANDBOX_PORT")
    if kept and int(kept) != port and _refusal(int(kept)) is None:
        return int(kept)
    found = _next_free(port)
    lines = [line for line in file.read_text().splitlines() if not SANDBOX_LINE.match(line)]
    _write_private(file, "\n".join([*lines, f"SANDBOX_PORT={found}", ""]))
    return found


def _require_free(name: str, port: int) -> None:
    error = _refusal(port)
    if error is None:
        return
    key = "port_taken" if error.errno == errno.EADDRINUSE else "port_refused"
    other = _next_free(max(port, 8000))
    raise RunError(say(key, name=name, port=port, other=other, reason=error.strerror))


def _refusal(port: int) -> OSError | None:
    """Why we cannot listen on a port."""
    with socket.socket() as probe:
        # As the server does, or the closed connections of a minute ago would count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except OSError as error:
            return error
    return None


def _next_free(port: int) -> int:
    following = (*range(port + 1, 65536), *range(8000, port))
    return next(candidate for candidate in following if _refusal(candidate) is None)


def _spawn(
    command: list[str],
    log: Path,
    environment: Mapping[str, str] | None = None,
    stdout: int | None = None,
) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output if stdout is None else stdout,
            stderr=output,
            # A group of its own: Ctrl-C reaches us alone, and we end it with all it started.
            start_new_session=True,
        )


def _end_groups(groups: Set[int]) -> None:
    """End every process of these groups, with force where asking is not enough."""
    for number, patience in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
        deadline = time.monotonic() + patience
        members = _members(groups)
        for member in members:
            with suppress(psutil.NoSuchProcess):
                member.send_signal(number)
        while members and time.monotonic() < deadline:
            time.sleep(TICK_SECONDS / 4)
            members = _members(groups)
        if not members:
            return


def _members(groups: Set[int]) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if _group(process) in groups]


def _group(process: psutil.Process) -> int | None:
    try:
        group = os.getpgid(process.pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else group
    except (ProcessLookupError, psutil.NoSuchProcess):
        return None


def _is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection(ADDRESS, port, timeout=2)
    try:
        connection.request("GET", "/health", headers={"Host": f"localhost:{port}"})
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
