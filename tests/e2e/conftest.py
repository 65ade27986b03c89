"""The whole product as `make run` starts it, in a folder of its own, and a browser."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from tests import browsers
from tests.environment import own_data_dir
from tests.ports import free_port
from tests.processes import ROOT, until

METRICS_TOKEN = "metrics of the browser tests"
# On a machine that does something else too, five seconds are not much.
expect.set_options(timeout=30_000)


@dataclass
class Product:
    """A running product: where it is and how to sign in."""

    port: int
    phone: str
    password: str
    data_dir: str
    process: subprocess.Popen

    email = "owner@demo.example"

    @property
    def inbox(self) -> str:
        return f"http://demo.localhost:{self.port}/"

    def refused(self) -> float:
        """How many posts were refused so far, as Prometheus would read it."""
        answer = httpx.get(
            f"http://127.0.0.1:{self.port}/metrics",
            headers={"Authorization": f"Bearer {METRICS_TOKEN}"},
        )
        counts = re.findall(r"^amda_webhooks_refused_total\{.*\} (\S+)$", answer.text, re.MULTILINE)
        return sum(map(float, counts))

    def manage(self, *arguments: str) -> str:
        """Run a management command beside it, and what it printed."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=_environment(self.data_dir, self.port),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def _environment(data_dir: str, port: int) -> dict[str, str]:
    kept = ("PATH", "HOME", "PYTHONPATH")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "AMDA_DATA_DIR": data_dir,
        "PORT": str(port),
        "LANG": "fr_FR.UTF-8",
        "METRICS_TOKEN": METRICS_TOKEN,
    }


def start(data_dir: str, port: int) -> tuple[subprocess.Popen, str]:
    """Start everything; the process and what it said once it is ready."""
    log = Path(f"{data_dir}-run.log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "amda.run"],
            cwd=ROOT,
            env=_environment(data_dir, port),
            stdout=output,
            stderr=subprocess.STDOUT,
        )

    def said() -> str:
        text = log.read_text()
        assert process.poll() is None, text
        return text if "Ctrl-C" in text else ""

    return process, until(said, 180, "the product is up")


@pytest.fixture(scope="package")
def product():
    data_dir, port = str(own_data_dir()), free_port(in_a_row=2)
    process, said = start(data_dir, port)
    password = re.search(r"owner@demo\.example\s+(\S+)", said)[1]
    phone = re.search(r"http://127\.0\.0\.1:\d+/phone", said)[0]
    yield Product(port, phone, password, data_dir, process)
    process.terminate()
    process.wait(30)
    shutil.rmtree(data_dir, ignore_errors=True)
    Path(f"{data_dir}-run.log").unlink()


@pytest.fixture(scope="package")
def chromium():
    with browsers.chromium() as browser:
        yield browser


@pytest.fixture
def context(chromium):
    made = chromium.new_context(locale="fr-FR", viewport={"width": 1280, "height": 800})
    made.set_default_timeout(15_000)
    yield made
    made.close()


@pytest.fixture
def inbox(product, context):
    """The demo tenant's inbox, signed in; `complaints` is what the page complained about."""
    page = context.new_page()
    page.complaints = browsers.listen(page)
    page.goto(product.inbox)
    page.fill("input[name=login]", product.email)
    page.fill("input[name=password]", product.password)
    page.keyboard.press("Enter")
    page.wait_for_selector("#conversation-list")
    return page


@pytest.fixture
def phone(product, context):
    """The sandbox phone with its first customer's chat open."""
    page = context.new_page()
    page.complaints = browsers.listen(page)
    page.goto(product.phone)
    return page
