import os
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]

# A product of a few lines, so that these tests are about running it and nothing else.
MANAGE = """
import json, os, pathlib, signal, sys
from amda import embedded

data_dir = pathlib.Path(os.environ["AMDA_DATA_DIR"])
embedded.hold(data_dir)
with open(data_dir / "calls", "a") as calls:
    print(*sys.argv[1:], file=calls)
match sys.argv[1]:
    case "prepare_demo":
        made = data_dir / "made"
        first, _ = not made.exists(), made.touch()
        secret = {"password": "one-two-three"} if first else {}
        address = "http://demo.localhost:" + os.environ["PORT"] + "/"
        print("noise before the answer")
        print(json.dumps({
            "addresses": {"dashboard": address, "Autre": address + "other"},
            "sign_ins": [{"who": "Owner", "email": "owner@demo.test", "url": address, **secret}],
        }))
    case "migrate_schemas" if os.environ.get("BREAK") == "migrations":
        sys.exit("the third migration is wrong")
    case "work":
        print("WARNING the worker is tired", flush=True)
        if os.environ.get("BREAK") == "stubborn":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            signal.pause()
"""

ASGI = """
async def application(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"fine"})
"""

SANDBOX = """
import http.server, os
if os.environ.get("BREAK") == "sandbox":
    raise SystemExit("the sandbox has no sand")
address = ("127.0.0.1", int(os.environ["SANDBOX_PORT"]))
http.server.HTTPServer(address, http.server.BaseHTTPRequestHandler).serve_forever()
"""


class Project:
    """A copy of the runner around a product made for the test."""

    def __init__(self, folder):
        self.folder = folder
        self.data_dir = folder / "var"
        self.port = free_port(in_a_row=2)
        for name, text in {
            "amda/__init__.py": "",
            "amda/asgi.py": ASGI,
            "amda/embedded.py": (ROOT / "amda/embedded.py").read_text(),
            "amda/run.py": (ROOT / "amda/run.py").read_text(),
            "amda/terminal.py": (ROOT / "amda/terminal.py").read_text(),
            "manage.py": MANAGE,
            "messaging/__init__.py": "",
            "messaging/sandbox.py": SANDBOX,
        }.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)

    def start(self, **environment):
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name in {"PATH", "HOME", "USER", "TMPDIR"}
        }
        ours = {"PORT": str(self.port), "LANG": "en_GB.UTF-8", "AMDA_DATA_DIR": "var"}
        return subprocess.Popen(
            [sys.executable, "-m", "amda.run"],
            cwd=self.folder,
            env=inherited | ours | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def fail(self, **environment):
        """Run what cannot work; returns what it said of it."""
        process = self.start(**environment)
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 1
        return output, errors

    @contextmanager
    def running(self, **environment):
        process = self.start(**environment)
        too_long = threading.Timer(60, process.kill)  # so that no reader waits for ever
        too_long.start()
        try:
            yield Reader(process)
        finally:
            too_long.cancel()
            process.terminate()
            process.communicate(timeout=30)

    def processes(self):
        """Everything that runs in or for this project, by name."""
        found = {}
        for process in psutil.process_iter():
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                if Path(process.cwd()).is_relative_to(self.folder):
                    found[role(process.cmdline())] = process
        return found

    def settings(self):
        lines = (self.data_dir / "development.env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


class Reader:
    """A running run, and what it has printed so far."""

    def __init__(self, process):
        self.process = process
        self.printed = ""

    def until(self, text, times=1):
        while self.printed.count(text) < times:
            line = self.process.stdout.readline()
            assert line, self.printed + self.process.stderr.read()
            self.printed += line
        return self.printed

    def until_ready(self):
        return self.until("Ctrl-C")


def role(command):
    known = ("daphne", "work", "messaging.sandbox", "run.keep()", "amda.run")
    text = " ".join(command)
    return next((name for name in known if text.endswith(name) or f"-m {name}" in text), text)


def wait_until(condition, seconds=15):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def project():
    with tempfile.TemporaryDirectory() as made:
        os.chmod(made, 0o755)
        project = Project(Path(made))
        yield project
        for process in project.processes().values():
            process.kill()


def test_run_starts_everything_and_leaves_nothing(project):
    with project.running() as run:
        printed = run.until_ready()

        assert {"daphne", "work", "messaging.sandbox", "run.keep()"} <= set(project.processes())
        assert (project.data_dir / "calls").read_text().splitlines() == [
            "migrate_schemas --shared",
            "migrate_schemas",
            "prepare_demo",
            "work",
        ]
        assert f"Dashboard   http://demo.localhost:{project.port}/\n" in printed
        assert f"Autre       http://demo.localhost:{project.port}/other\n" in printed
        assert "Owner   owner@demo.test   one-two-three   http://demo" in printed
        assert "These passwords will not be shown again." in printed

        run.process.send_signal(signal.SIGINT)

        assert run.process.wait(timeout=10) == 0
        assert project.processes() == {}


def test_second_run_keeps_keys_and_hides_passwords(project):
    with project.running() as run:
        run.until_ready()
    kept = project.settings()

    with project.running(LANG="fr_FR.UTF-8", SECRET_KEY="chosen") as run:
        printed = run.until_ready()
        web = project.processes()["daphne"].environ()

    assert project.settings() == kept
    assert stat.S_IMODE((project.data_dir / "development.env").stat().st_mode) == 0o600
    assert "AMDA est prêt" in printed
    assert "one-two-three" not in printed
    assert "manage.py prepare_demo --new-passwords" in printed
    assert web["SECRET_KEY"] == "chosen"
    assert web["FIELD_KEYS"] == kept["FIELD_KEYS"]
    assert web["SANDBOX_PORT"] == kept["SANDBOX_PORT"] == str(project.port + 1)


def test_taken_port_is_one_sentence_before_anything_starts(project):
    with socket.socket() as other:
        other.bind(("127.0.0.1", project.port))
        other.listen()

        output, errors = project.fail()

    assert output == ""
    assert re.fullmatch(rf"Port {project.port} is already taken: .+ PORT=\d+\.\n", errors)
    assert not (project.data_dir / "postgres").exists()


def test_taken_sandbox_port_is_replaced(project):
    with project.running() as run:
        run.until_ready()
    with socket.socket() as other:
        other.bind(("127.0.0.1", project.port + 1))
        other.listen()

        with project.running() as run:
            run.until_ready()

    assert int(project.settings()["SANDBOX_PORT"]) > project.port + 1


@pytest.mark.parametrize("port", ["eight", "0", "70000", "-1"])
def test_bad_port_is_one_sentence(project, port):
    assert project.fail(PORT=port) == (
        "",
        f"PORT must be a number between 1 and 65535, not “{port}”.\n",
    )


def test_second_run_on_the_same_directory_is_refused(project):
    with project.running() as run:
        run.until_ready()

        output, errors = project.fail(PORT=str(free_port()))

        assert output == ""
        assert errors.startswith("AMDA already runs")
        assert errors.count("\n") == 1
        assert run.process.poll() is None


def test_data_directory_that_is_a_file_is_one_sentence(project):
    project.data_dir.write_text("")

    output, errors = project.fail()

    assert output == ""
    assert errors.startswith(f"The folder {project.data_dir} cannot be used (File exists)")
    assert errors.count("\n") == 1


def test_failing_migration_ends_the_run_with_its_words(project):
    _, errors = project.fail(BREAK="migrations")

    assert "“manage.py migrate_schemas --shared” failed" in errors
    assert "the third migration is wrong" in errors
    assert project.processes() == {}


def test_program_that_cannot_start_ends_the_run_with_its_words(project):
    _, errors = project.fail(BREAK="sandbox")

    assert errors.startswith("sandbox does not start")
    assert "the sandbox has no sand" in errors
    assert project.processes() == {}


def test_dead_child_and_dead_database_come_back(project):
    with project.running() as run:
        run.until_ready()
        run.until("worker: WARNING the worker is tired")

        project.processes()["work"].kill()
        run.until("worker stopped (signal 9); it starts again in 1 s")
        run.until("worker: WARNING the worker is tired", times=2)

        pid_file = project.data_dir / "postgres/data/postmaster.pid"
        os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)
        run.until("PostgreSQL had stopped; it runs again.")


def test_stubborn_child_is_ended_by_force(project):
    with project.running(BREAK="stubborn") as run:
        run.until_ready()

        run.process.terminate()

        assert run.process.wait(timeout=12) == 0
        assert project.processes() == {}


def test_stop_while_starting_leaves_nothing(project):
    with project.running() as run:
        run.until("Preparing the database")

        run.process.terminate()

        assert run.process.wait(timeout=10) == 0
        assert project.processes() == {}


def test_killed_run_takes_everything_with_it(project):
    with project.running() as run:
        run.until_ready()

        run.process.kill()

        wait_until(lambda: project.processes() == {})


def test_lost_reader_does_not_end_the_run(project):
    with project.running() as run:
        run.until_ready()
        run.process.stdout.close()
        first = project.processes()["messaging.sandbox"]

        first.kill()

        wait_until(lambda: project.processes().get("messaging.sandbox", first) != first)
