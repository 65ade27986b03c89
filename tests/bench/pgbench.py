"""The yardstick: PostgreSQL's own pgbench inserting the same row, one row and commit at a time."""

import importlib.util
import subprocess
import tempfile
from pathlib import Path

from psycopg import sql

from amda import embedded
from tests.bench.report import Pace, Unmeasurable
from tests.bench.stage import Stage

TABLE = "bench_delivery"
DELIVERIES = "tenants_webhookdelivery"
TAKEN_OVER = (
    "tenant_id", "instance_id", "provider", "route", "content_type", "body", "size", "state",
    "attempts", "error",
)  # fmt: skip


class Yardstick:
    """Single-row inserts into a twin of the table of deliveries, on the same cluster."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._program = _program()
        self._script = stage.data_dir / "insert.sql"

    def prepare(self) -> None:
        """Make the twin, and a script that inserts what the last delivery holds."""
        with self._stage.connect() as connection:
            connection.execute(f"CREATE TABLE {TABLE} (LIKE {DELIVERIES} INCLUDING ALL)")
            for (definition,) in connection.execute(FOREIGN_KEYS, [DELIVERIES]).fetchall():
                connection.execute(f"ALTER TABLE {TABLE} ADD {definition}")
            columns = ", ".join(TAKEN_OVER)
            row = connection.execute(
                f"SELECT {columns} FROM {DELIVERIES} ORDER BY id DESC LIMIT 1"  # noqa: S608
            ).fetchone()
            if row is None:
                raise Unmeasurable("No delivery was stored, so there is nothing to compare with.")
            values = sql.SQL(", ").join(map(sql.Literal, row)).as_string(connection)
        self._script.write_text(
            f"INSERT INTO {TABLE} ({columns}, received_at) VALUES ({values}, now());\n"  # noqa: S608
        )

    def run(self, clients: int, seconds: int) -> Pace:
        """Insert for so long with so many connections."""
        with tempfile.TemporaryDirectory() as folder:
            self._insert(clients, seconds, Path(folder) / "log")
            return Pace.of(_latencies_ms(Path(folder)), seconds)

    def _insert(self, clients: int, seconds: int, log: Path) -> None:
        database = self._stage.database
        subprocess.run(
            [
                str(self._program),
                "--no-vacuum",
                "--protocol=prepared",
                f"--file={self._script}",
                f"--client={clients}",
                f"--time={seconds}",
                "--log",
                f"--log-prefix={log}",
                f"--host={database['HOST']}",
                f"--port={database['PORT']}",
                f"--username={database['USER']}",
                database["NAME"],
            ],
            check=True,
            capture_output=True,
            text=True,
        )


FOREIGN_KEYS = """
SELECT pg_get_constraintdef(oid) FROM pg_constraint
WHERE conrelid = %s::regclass AND contype = 'f'
"""


def _program() -> Path:
    package = importlib.util.find_spec(embedded.PACKAGE)
    if package is None or package.origin is None:
        raise Unmeasurable(f"{embedded.PACKAGE}, which brings pgbench, is not installed.")
    installed = Path(package.origin).resolve().parent
    program = installed / f"pginstall{embedded.MAJOR_VERSION}" / "bin" / "pgbench"
    if not program.exists():
        raise Unmeasurable(f"{program} is missing: there is nothing to compare with.")
    return program


def _latencies_ms(folder: Path) -> list[float]:
    """From lines of `client transaction microseconds script seconds microseconds`."""
    return [
        int(line.split()[2]) / 1000
        for log in folder.iterdir()
        for line in log.read_text().splitlines()
    ]
