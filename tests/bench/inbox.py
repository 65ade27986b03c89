"""The pages people wait for, in a tenant that grows: list, open, search, beside their bare SQL.

The pages are asked for in a process of their own (`tests.bench.pages`), so that what is measured is
the server's work: middleware, queries, templates; no network, no browser.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from statistics import median

from tests.bench.report import Report, Unmeasurable, percentile, table
from tests.bench.stage import ROOT, SLUG, Stage

# Conversations and messages at ×1.
CONVERSATIONS, MESSAGES = 400, 10_000
SCALES = (1, 10, 100)
SAMPLES = 40
MOST_MS = {"list": 50, "open": 50, "search": 200}


@dataclass(frozen=True)
class Cell:
    """One kind of page at one scale: milliseconds of each sample, whole and in SQL alone."""

    scale: int
    page: str
    whole_ms: list[float]
    sql_ms: list[float]

    @property
    def p95_ms(self) -> float:
        return percentile(sorted(self.whole_ms), 95)

    @property
    def ratio(self) -> float:
        """Whole page to bare SQL, the median over the samples."""
        return median(
            whole / sql for whole, sql in zip(self.whole_ms, self.sql_ms, strict=True) if sql
        )


def measure(stage: Stage, *, rounds: int, seconds: int) -> Report:
    """Grow the tenant step by step and measure every page at each size."""
    cells: list[Cell] = []
    grown = 0
    for scale in SCALES:
        _grow(stage, scale - grown, scale)
        grown = scale
        cells += _measured(stage, scale)
    return Report(_text(cells), _missed(cells))


def _grow(stage: Stage, times: int, chance: int) -> None:
    print(f"seeding ×{chance}…", file=sys.stderr, flush=True)
    stage.manage(
        "seed",
        SLUG,
        f"--conversations={CONVERSATIONS * times}",
        f"--messages={MESSAGES * times}",
        f"--chance={chance}",
    )


def _measured(stage: Stage, scale: int) -> list[Cell]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.pages", SLUG, str(SAMPLES)],
        cwd=ROOT,
        env=stage.environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise Unmeasurable(f"The pages could not be measured:\n{done.stderr[-2000:]}")
    told = json.loads(done.stdout.splitlines()[-1])
    return [Cell(scale, page, **times) for page, times in told.items()]


def _text(cells: list[Cell]) -> str:
    head = ("", "messages", "p50 ms", "p95 ms", "SQL p50 ms", "of SQL", "of ×1")
    first = {cell.page: median(cell.whole_ms) for cell in cells if cell.scale == SCALES[0]}
    rows = [
        (
            f"{cell.page} ×{cell.scale}",
            f"{MESSAGES * cell.scale:,}",
            f"{median(cell.whole_ms):.1f}",
            f"{cell.p95_ms:.1f}",
            f"{median(cell.sql_ms):.1f}",
            f"{cell.ratio:.2f}",
            f"{median(cell.whole_ms) / first[cell.page]:.2f}",
        )
        for cell in sorted(cells, key=lambda cell: (cell.page, cell.scale))
    ]
    lines = [
        f"Pages in a tenant that grows, {SAMPLES} samples each: the whole page, its SQL alone, "
        "the one in terms of the other, and in terms of the smallest tenant.",
        "",
        table(head, rows),
    ]
    return "\n".join(lines)


def _missed(cells: list[Cell]) -> list[str]:
    return [
        f"Missed: {cell.page} at ×{cell.scale} takes {cell.p95_ms:.0f} ms (p95); "
        f"the goal is at most {MOST_MS[cell.page]} ms."
        for cell in cells
        if cell.p95_ms > MOST_MS[cell.page]
    ]
