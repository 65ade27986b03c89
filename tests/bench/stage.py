"""A whole AMDA of its own to measure on: data directory, cluster, schema, one vendor, servers."""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psycopg
from cryptography.fernet import Fernet

from amda import embedded
from tests.bench.report import Unmeasurable
from tests.ports import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
ADDRESS = "127.0.0.1"
SLUG = "bench"
WEBHOOK_SECRET = "whsec-of-the-bench"
START_SECONDS = 60
STOP_SECONDS = 15
# Nothing else of the caller's environment: a DATABASE_URL there would be somebody's database.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")

UVICORN = ("-m", "uvicorn", "--loop", "uvloop", "--http", "httptools", "--no-access-log")
SERVERS = {
    "uvicorn": (*UVICORN, "--log-level", "warning", "--host", ADDRESS, "--port"),
    "daphne": ("-m", "daphne", "-v", "0", "-b", ADDRESS, "-p"),
}


@dataclass(frozen=True)
class Stage:
    """Where everything of one run is."""

    data_dir: Path
    environment: dict[str, str]

    @classmethod
    @contextmanager
    def built(cls) -> Iterator["Stage"]:
        """A stage with one vendor and its Wasender instance; gone without a trace at the end."""
        data_dir = Path(tempfile.mkdtemp(prefix="amda-bench-"))
        data_dir.chmod(0o755)  # PostgreSQL may run as a user of its own
        stage = cls(data_dir, _environment(data_dir))
        try:
            embedded.hold(data_dir)
            stage._furnish()
            yield stage
        finally:
            embedded.release()
            shutil.rmtree(data_dir, ignore_errors=True)

    @property
    def database(self) -> dict[str, str]:
        """Where the database is, in Django's words."""
        return embedded.connection_settings(self.data_dir)

    def connect(self, database: str = "") -> psycopg.Connection:
        """An autocommitting connection to AMDA's database, or to another of the cluster."""
        facts = self.database
        return psycopg.connect(
            host=facts["HOST"],
            port=facts["PORT"],
            user=facts["USER"],
            dbname=database or facts["NAME"],
            autocommit=True,
        )

    @contextmanager
    def serving(self, name: str) -> Iterator[int]:
        """AMDA under one of SERVERS, already healthy; yields its port."""
        port = free_port()
        command = [sys.executable, *SERVERS[name], str(port), "amda.asgi:application"]
        log = self.data_dir / f"{name}.log"
        with log.open("ab") as output:
            server = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=output, stderr=output
            )
        try:
            _wait_until_healthy(server, port, log)
            yield port
        finally:
            _end(server)

    def _furnish(self) -> None:
        self.manage("collectstatic", "--no-input")
        self.manage("migrate_schemas", "--schema=public")
        person = ("--owner-email=owner@bench.test", f"--owner-password={secrets.token_urlsafe()}")
        self.manage("create_tenant", SLUG, "--name=Bench", *person)
        fields = ("api_key=key-of-the-bench", f"webhook_secret={WEBHOOK_SECRET}")
        self.manage("connect_instance", SLUG, "wasender", "--phone=+33612345678", "--set", *fields)

    def manage(self, *arguments: str) -> None:
        """Run a management command on this stage."""
        subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
        )


def _environment(data_dir: Path) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {
        **inherited,
        "AMDA_DATA_DIR": str(data_dir),
        "ENVIRONMENT": "bench",
        "SECRET_KEY": secrets.token_urlsafe(60),
        "FIELD_KEYS": Fernet.generate_key().decode(),
        "LOG_LEVEL": "warning",
        # Nothing terminates TLS before what is measured.
        "SSL_REDIRECT": "false",
    }


def _wait_until_healthy(server: subprocess.Popen, port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _is_healthy(port):
        if server.poll() is not None or time.monotonic() > deadline:
            last = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise Unmeasurable(f"The server does not start; its last lines:\n{last}")
        time.sleep(0.1)


def _is_healthy(port: int) -> bool:
    try:
        with urlopen(f"http://{ADDRESS}:{port}/health/ready", timeout=5):
            return True
    except (URLError, OSError):
        return False


def _end(server: subprocess.Popen) -> None:
    server.terminate()
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
