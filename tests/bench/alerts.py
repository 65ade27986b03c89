"""Alerts of a vendor with many leads: the sweep beside its bare SQL, and the open list."""

import json
import secrets
import subprocess
import sys
from statistics import median

from tests.bench.report import Report, Unmeasurable, percentile, table
from tests.bench.stage import ROOT, Stage

SLUG = "bench-alerts"
LEADS = 100_000
SAMPLES_IN_A_ROUND = 3
MOST_OF_BARE = 3
MOST_GROWN_MB = 16
MOST_LIST_MS = 50
MB = 1024 * 1024


def measure(stage: Stage, *, rounds: int, seconds: int) -> Report:
    """Fill a vendor of its own, then sweep it again and again."""
    person = ("--owner-email=owner@alerts.test", f"--owner-password={secrets.token_urlsafe()}")
    stage.manage("create_tenant", SLUG, "--name=Bench", *person)
    told = _measured(stage, rounds * SAMPLES_IN_A_ROUND)
    return Report(_text(told), _missed(told))


def _measured(stage: Stage, samples: int) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.watching", SLUG, str(LEADS), str(samples)],
        cwd=ROOT,
        env=stage.environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise Unmeasurable(f"The alerts could not be measured:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _text(told: dict) -> str:
    head = ("", "p50 ms", "p95 ms")
    names = {
        "sweep_ms": "sweep",
        "bare_ms": "its bare SQL",
        "list_ms": "open list",
        "widget_ms": "widget",
    }
    rows = [(said, f"{median(told[name]):.1f}", f"{_p95(told[name]):.1f}")
            for name, said in names.items()]  # fmt: skip
    lines = [
        f"A vendor with {LEADS:,} leads and {told['open']:,} open alerts. A sweep takes "
        f"{_ratio(told):.2f} times its bare SQL and {told['grown_bytes'] / MB:.1f} MB more memory.",
        "",
        table(head, rows),
    ]
    return "\n".join(lines)


def _missed(told: dict) -> list[str]:
    grown, listed = told["grown_bytes"] / MB, median(told["list_ms"])
    goals = [
        (_ratio(told) <= MOST_OF_BARE, f"a sweep takes {_ratio(told):.1f} times its bare SQL; "
         f"the goal is at most {MOST_OF_BARE}"),
        (grown <= MOST_GROWN_MB, f"sweeps took {grown:.0f} MB more memory; the goal is at most "
         f"{MOST_GROWN_MB}"),
        (listed <= MOST_LIST_MS, f"the open list takes {listed:.0f} ms (p50); the goal is at most "
         f"{MOST_LIST_MS} ms"),
    ]  # fmt: skip
    return [f"Missed: {said}." for is_met, said in goals if not is_met]


def _ratio(told: dict) -> float:
    """Sweep to bare SQL, the median over the samples."""
    pairs = zip(told["sweep_ms"], told["bare_ms"], strict=True)
    return median(sweep / bare for sweep, bare in pairs)


def _p95(taken: list[float]) -> float:
    return percentile(sorted(taken), 95)
