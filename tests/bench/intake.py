"""Taking posts in, against what the same database does when it only inserts.

Every number that matters is a ratio or a difference within one round, whose cells follow each
other closely; the median over the rounds is what counts.
"""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench import load
from tests.bench.load import Post
from tests.bench.pgbench import DELIVERIES, TABLE, Yardstick
from tests.bench.report import Pace, Report, Unmeasurable, table
from tests.bench.stage import SERVERS, SLUG, WEBHOOK_SECRET, Stage

ALONE, CROWD = 1, 32
PGBENCH = "pgbench"
JUDGED = "uvicorn"
MOST_COMMITS_PER_POST = 0.25
MOST_MS_OVER_INSERT = 2.0
WARM_UP_SECONDS = 1.0
# PostgreSQL lets a backend keep its counters to itself for one second.
COUNTERS_SECONDS = 1.1

BODY = Path(__file__).parent.parent / "fixtures/webhooks/wasender/messages_received__text.json"


@dataclass(frozen=True)
class Cell:
    """One thing measured in every round."""

    name: str
    clients: int


@dataclass(frozen=True)
class Measured:
    """A cell's outcome in one round; commits per post where they were counted."""

    pace: Pace
    commits_per_post: float | None = None


Round = dict[Cell, Measured]
CELLS = [Cell(name, clients) for clients in (ALONE, CROWD) for name in (PGBENCH, *SERVERS)]


def measure(stage: Stage, *, rounds: int, seconds: int) -> Report:
    """Measure every cell in every round and judge the goals."""
    with ExitStack() as running:
        posts = {name: _post(running.enter_context(stage.serving(name))) for name in SERVERS}
        for post in posts.values():
            load.run(post, CROWD, WARM_UP_SECONDS)
        bench = _Bench(stage, posts, seconds)
        return _report([bench.round(number) for number in range(rounds)])


def _post(port: int) -> Post:
    return Post(
        port=port,
        path=f"/api/webhooks/wasender/{SLUG}",
        headers={"X-Webhook-Signature": WEBHOOK_SECRET},
        body=BODY.read_text(),
    )


class _Bench:
    """The running servers and the yardstick beside them."""

    def __init__(self, stage: Stage, posts: dict[str, Post], seconds: int) -> None:
        self._stage = stage
        self._posts = posts
        self._seconds = seconds
        self._yardstick = Yardstick(stage)
        self._yardstick.prepare()

    def round(self, number: int) -> Round:
        """Every cell once, each round in the opposite order of the one before."""
        self._empty_tables()
        cells = CELLS if number % 2 == 0 else CELLS[::-1]
        return {cell: self._measure(cell) for cell in cells}

    def _empty_tables(self) -> None:
        with self._stage.connect() as connection:
            connection.execute(f"TRUNCATE {DELIVERIES}, {TABLE}")
            connection.execute("CHECKPOINT")

    def _measure(self, cell: Cell) -> Measured:
        if cell.name == PGBENCH:
            return Measured(self._yardstick.run(cell.clients, self._seconds))
        if cell.clients == ALONE:
            return Measured(self._load(cell)[0])
        before = self._commits(cell.name)
        pace, posts = self._load(cell)
        return Measured(pace, (self._commits(cell.name) - before) / posts)

    def _load(self, cell: Cell) -> tuple[Pace, int]:
        rows = self._rows()
        pace, posts = load.run(self._posts[cell.name], cell.clients, self._seconds)
        if self._rows() - rows != posts:
            raise Unmeasurable(f"{cell.name} said 200 to {posts} posts and stored another number.")
        return pace, posts

    def _rows(self) -> int:
        with self._stage.connect() as connection:
            return connection.execute(f"SELECT count(*) FROM {DELIVERIES}").fetchone()[0]  # noqa: S608

    def _commits(self, server: str) -> int:
        """Transactions committed so far, after the server's connections were made to say so.

        A backend reports its counters with the first commit a second after the last report, so
        one post is sent then. Asked in another database, to stay out of the count.
        """
        time.sleep(COUNTERS_SECONDS)
        load.run(self._posts[server], ALONE, 0)
        time.sleep(COUNTERS_SECONDS / 10)
        with self._stage.connect("postgres") as connection:
            database = self._stage.database["NAME"]
            return connection.execute(COMMITS, [database]).fetchone()[0]


COMMITS = "SELECT xact_commit FROM pg_stat_database WHERE datname = %s"


def _report(rounds: list[Round]) -> Report:
    head = ("", "clients", "requests/s", "p50 ms", "p99 ms", "of pgbench", "commits/post")
    rows = [_row(rounds, cell) for cell in CELLS]
    over = {name: _ms_over_insert(rounds, name) for name in SERVERS}
    lines = [
        f"Taking posts in: medians of {len(rounds)} interleaved rounds; pgbench inserts one row "
        "of the same size per commit.",
        "",
        table(head, rows),
        "",
        *(
            f"{name}, one connection: p50 of a post is {ms:+.2f} ms from p50 of a single insert."
            for name, ms in over.items()
        ),
    ]
    commits = _median_commits(rounds, Cell(JUDGED, CROWD))
    return Report("\n".join(lines), _missed(commits, over[JUDGED]))


def _row(rounds: list[Round], cell: Cell) -> tuple[str, ...]:
    paces = [measured[cell].pace for measured in rounds]
    commits = _median_commits(rounds, cell)
    return (
        cell.name,
        str(cell.clients),
        f"{median(pace.per_second for pace in paces):,.0f}",
        f"{median(pace.p50_ms for pace in paces):.2f}",
        f"{median(pace.p99_ms for pace in paces):.2f}",
        f"{_ratio(rounds, cell):.2f}",
        "" if commits is None else f"{commits:.3f}",
    )


def _ratio(rounds: list[Round], cell: Cell) -> float:
    """Requests for each of pgbench's inserts with as many clients."""
    yardstick = Cell(PGBENCH, cell.clients)
    return median(
        measured[cell].pace.per_second / measured[yardstick].pace.per_second for measured in rounds
    )


def _ms_over_insert(rounds: list[Round], server: str) -> float:
    return median(
        measured[Cell(server, ALONE)].pace.p50_ms - measured[Cell(PGBENCH, ALONE)].pace.p50_ms
        for measured in rounds
    )


def _median_commits(rounds: list[Round], cell: Cell) -> float | None:
    counted = [measured[cell].commits_per_post for measured in rounds]
    known = [commits for commits in counted if commits is not None]
    return median(known) if known else None


def _missed(commits: float | None, ms_over_insert: float) -> list[str]:
    missed = []
    if commits is not None and commits >= MOST_COMMITS_PER_POST:
        missed.append(
            f"Missed: {JUDGED} made {commits:.3f} commits per post on {CROWD} connections; "
            f"the goal is less than {MOST_COMMITS_PER_POST}."
        )
    if ms_over_insert > MOST_MS_OVER_INSERT:
        missed.append(
            f"Missed: a post alone under {JUDGED} takes {ms_over_insert:.2f} ms more than a "
            f"single insert; the goal is at most {MOST_MS_OVER_INSERT:g} ms."
        )
    return missed
