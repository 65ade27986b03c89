"""Two hundred vendors from one file in one run; then a signed post for each, to its own schema."""

import csv
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

from psycopg import sql

from tests.bench.intake import BODY, JUDGED
from tests.bench.report import Report, Unmeasurable, table
from tests.bench.stage import ADDRESS, ROOT, Stage

VENDORS = 200
AT_ONCE = 8
LONGEST_SECONDS = 120
HEADER = (
    "vendorId", "businessName", "phoneNumber",
    "wasenderInstanceId", "wasenderWebhookSecret", "wasenderApiKey",
)  # fmt: skip


def measure(stage: Stage, *, rounds: int, seconds: int) -> Report:
    """Import, post, and wait until every schema holds its message; once, whatever the rounds."""
    path = stage.data_dir / "vendors.csv"
    _write(path)
    imported = _timed(lambda: stage.manage("migrate_to_multi_waba", "batch", str(path)))
    again = _timed(lambda: stage.manage("migrate_to_multi_waba", "batch", str(path)))
    with stage.serving(JUDGED) as port, _worker(stage):
        posted = _timed(lambda: _post_all(port))
        landed = posted + _timed(lambda: _wait_until_landed(stage))
    rows = [
        (f"{VENDORS} vendors from one file", f"{imported:.1f}", f"{imported / VENDORS * 1000:.0f}"),
        ("the same file again", f"{again:.1f}", f"{again / VENDORS * 1000:.0f}"),
        (f"{VENDORS} posts answered", f"{posted:.1f}", f"{posted / VENDORS * 1000:.0f}"),
        ("in their schemas, as messages", f"{landed:.1f}", f"{landed / VENDORS * 1000:.0f}"),
    ]
    return Report(
        f"Vendors come aboard; {AT_ONCE} posts at a time.\n\n"
        + table(("", "seconds", "ms each"), rows),
        _missed(stage),
    )


def _write(path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for number in range(VENDORS):
            phone = f"+22170{number:07d}"
            writer.writerow(
                [_slug(number), f"Boutique {number}", phone, f"session-{number}", _secret(number),
                 f"key-{number}"]
            )  # fmt: skip


def _timed(act) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


@contextmanager
def _worker(stage: Stage):
    with (stage.data_dir / "worker.log").open("ab") as output:
        worker = subprocess.Popen(
            [sys.executable, "manage.py", "work"],
            cwd=ROOT,
            env=stage.environment,
            stdout=output,
            stderr=output,
        )
    try:
        yield
    finally:
        worker.terminate()
        worker.wait(30)


def _post_all(port: int) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda number: _post(port, number), range(VENDORS)))


def _post(port: int, number: int) -> None:
    """The same message id everywhere: only its vendor tells them apart."""
    body = json.loads(BODY.read_text())
    body["data"]["messages"]["messageBody"] = _text(number)
    body["data"]["messages"]["message"]["conversation"] = _text(number)
    headers = {"X-Webhook-Signature": _secret(number), "Content-Type": "application/json"}
    url = f"http://{ADDRESS}:{port}/api/webhooks/wasender/{_slug(number)}"
    with urlopen(Request(url, json.dumps(body).encode(), headers), timeout=30) as answer:
        if answer.status != 200:
            raise Unmeasurable(f"The post for {_slug(number)} was answered with {answer.status}.")


def _wait_until_landed(stage: Stage) -> None:
    until = time.monotonic() + LONGEST_SECONDS
    while sum(len(texts) for texts in _landed(stage).values()) < VENDORS:
        if time.monotonic() > until:
            raise Unmeasurable(f"After {LONGEST_SECONDS} s not every post was a message.")
        time.sleep(0.1)


def _landed(stage: Stage) -> dict[str, list[str]]:
    """By slug, the texts in each vendor's schema."""
    with stage.connect() as connection:
        vendors = connection.execute(
            "SELECT slug, schema_name FROM tenants_tenant WHERE slug LIKE 'fleet_%'"
        ).fetchall()
        return {
            slug: [
                text
                for (text,) in connection.execute(
                    sql.SQL("SELECT text FROM {}.messaging_message").format(sql.Identifier(schema))
                )
            ]
            for slug, schema in vendors
        }


def _missed(stage: Stage) -> list[str]:
    wrong = [
        slug
        for slug, texts in _landed(stage).items()
        if texts != [_text(int(slug.rpartition("_")[2]))]
    ]
    return [f"Missed: {', '.join(wrong)} did not get exactly their own message."] if wrong else []


def _slug(number: int) -> str:
    return f"fleet_{number:03d}"


def _secret(number: int) -> str:
    return f"whsec-of-fleet-{number}"


def _text(number: int) -> str:
    return f"Bonjour {_slug(number)}"
