import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from amda import embedded

ROOT = Path(__file__).resolve().parents[2]

HOLD = """
import sys
from pathlib import Path
from amda import embedded
embedded.hold(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


class Holder:
    """Another process that holds the server until it is told to leave, or killed."""

    def __init__(self, data_dir, script=HOLD):
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, str(data_dir)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.kill()
        with self.process:
            pass  # closes the pipes and waits

    def wait_until_held(self):
        assert self.process.stdout.readline() == "held\n"
        return self

    def leave(self):
        self.process.stdin.close()
        assert self.process.wait(timeout=30) == 0


@pytest.fixture
def folder():
    """A folder that every system user may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as made:
        os.chmod(made, 0o755)
        yield Path(made)


@pytest.fixture(scope="module")
def shared_data_dir():
    with tempfile.TemporaryDirectory() as made:
        os.chmod(made, 0o755)
        yield Path(made) / "var"


@pytest.fixture
def data_dir(shared_data_dir):
    """A data directory with a database, and no server running before or after the test."""
    yield shared_data_dir
    embedded.release(shared_data_dir)
    embedded.stop(shared_data_dir)


def connect(data_dir):
    settings = embedded.connection_settings(data_dir)
    return psycopg.connect(
        host=settings["HOST"],
        port=settings["PORT"],
        dbname=settings["NAME"],
        user=settings["USER"],
        autocommit=True,
    )


def query(data_dir, text):
    with connect(data_dir) as connection:
        return connection.execute(text).fetchall()


def postmaster(data_dir):
    return int((data_dir / "postgres/data/postmaster.pid").read_text().split()[0])


def server_processes(data_dir):
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.cwd() == str(data_dir / "postgres/data"):
                found.append(process.pid)
    return found


def wait_until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_connection_settings_start_nothing(folder):
    settings = embedded.connection_settings(folder / "var")

    assert settings == {
        "HOST": f"{folder}/var/postgres/socket",
        "PORT": "5432",
        "NAME": "amda",
        "USER": "postgres",
        "PASSWORD": "",
    }
    assert list(folder.iterdir()) == []


def test_hold_makes_a_durable_private_server(folder):
    data_dir = folder / "var"

    embedded.hold(data_dir)
    try:
        settings = dict(query(data_dir, "SELECT name, setting FROM pg_settings"))
        database = query(
            data_dir,
            "SELECT pg_encoding_to_char(encoding), datlocprovider::text, datlocale"
            " FROM pg_database WHERE datname = 'amda'",
        )
        words = query(data_dir, "SELECT to_tsvector('simple', '«\u00a0Bonjour\u00a0» “été”')::text")
    finally:
        embedded.release(data_dir)

    expected = {
        "listen_addresses": "",
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "max_connections": "200",
        "TimeZone": "UTC",
    }
    assert {name: settings[name] for name in expected} == expected
    assert database == [("UTF8", "b", "C.UTF-8")]
    assert words == [("'bonjour':1 'été':2",)]
    assert (data_dir / "postgres/socket").stat().st_mode & 0o777 == 0o700
    assert (data_dir / "postgres/data").stat().st_mode & 0o777 == 0o700
    assert folder.stat().st_mode & 0o777 == 0o755


def test_hold_twice_is_let_go_once(data_dir):
    embedded.hold(data_dir)
    embedded.hold(data_dir)

    embedded.release(data_dir)

    assert not embedded.is_up(data_dir)


def test_last_process_out_stops_the_server(data_dir):
    with Holder(data_dir) as first, Holder(data_dir) as second:
        first.wait_until_held()
        second.wait_until_held()
        started = postmaster(data_dir)

        first.leave()
        assert embedded.is_up(data_dir)
        assert postmaster(data_dir) == started

        second.leave()
        assert not embedded.is_up(data_dir)
        assert server_processes(data_dir) == []


def test_killed_process_counts_no_longer(data_dir):
    with Holder(data_dir) as killed, Holder(data_dir) as last:
        killed.wait_until_held()
        last.wait_until_held()
        killed.process.kill()
        killed.process.wait()

        last.leave()

        assert server_processes(data_dir) == []


def test_server_left_by_a_killed_process_is_taken_over(data_dir):
    with Holder(data_dir) as killed:
        killed.wait_until_held()
        started = postmaster(data_dir)
        killed.process.kill()
        killed.process.wait()

    with Holder(data_dir) as next_one:
        next_one.wait_until_held()
        assert postmaster(data_dir) == started
        next_one.leave()

    assert server_processes(data_dir) == []


def test_killed_postmaster_comes_back_with_its_data(data_dir):
    with Holder(data_dir).wait_until_held(), closing(connect(data_dir)) as busy:
        busy.execute("CREATE TABLE kept AS SELECT 'safe' AS word")
        # It computes and looks at nothing else, so that it outlives its postmaster.
        busy.pgconn.send_query(b"SELECT sum(n) FROM generate_series(1, 1000000000000) n")
        busy.pgconn.flush()
        orphan = busy.info.backend_pid
        wait_until(lambda: psutil.Process(orphan).cpu_times().user > 0.1)

        os.kill(postmaster(data_dir), signal.SIGKILL)
        wait_until(lambda: server_processes(data_dir) == [orphan])
        with Holder(data_dir) as second:
            second.wait_until_held()

            assert query(data_dir, "SELECT word FROM kept") == [("safe",)]
            assert orphan not in server_processes(data_dir)


def test_second_process_waits_for_the_first_start(folder):
    data_dir = folder / "var"

    with Holder(data_dir) as first, Holder(data_dir) as second, Holder(data_dir) as third:
        for holder in (first, second, third):
            holder.wait_until_held()
        assert query(data_dir, "SELECT 1") == [(1,)]
        for holder in (first, second, third):
            holder.leave()

    assert server_processes(data_dir) == []


def test_ensure_up_starts_a_dead_server_again(data_dir):
    embedded.hold(data_dir)
    os.kill(postmaster(data_dir), signal.SIGKILL)
    wait_until(lambda: not embedded.is_up(data_dir))

    assert embedded.ensure_up(data_dir)
    assert not embedded.ensure_up(data_dir)
    assert query(data_dir, "SELECT 1") == [(1,)]


def test_stale_pid_of_another_program_is_not_believed(data_dir):
    embedded.hold(data_dir)
    embedded.release(data_dir)
    home = data_dir / "postgres"

    with subprocess.Popen(["sleep", "60"]) as bystander:
        lines = f"{bystander.pid}\n{home}/data\n0\n5432\n{home}/socket\n\n\nready\n"
        (home / "data/postmaster.pid").write_text(lines)
        (home / "socket/.s.PGSQL.5432.lock").write_text(lines)

        embedded.hold(data_dir)

        assert query(data_dir, "SELECT 1") == [(1,)]
        assert bystander.poll() is None
        bystander.kill()


def test_forked_child_keeps_the_server_of_its_parent(data_dir):
    script = HOLD.replace("print(", "import os\nif os.fork(): os._exit(0)\nprint(")

    with Holder(data_dir, script) as parent:
        parent.wait_until_held()
        parent.process.wait()
        with Holder(data_dir) as passer_by:
            passer_by.wait_until_held().leave()
        assert embedded.is_up(data_dir)

        parent.process.stdin.close()
        wait_until(lambda: server_processes(data_dir) == [])


def test_program_that_replaces_itself_holds_anew(data_dir):
    script = f"""
import os, sys
from pathlib import Path
from amda import embedded
embedded.hold(Path(sys.argv[1]))
os.execv(sys.executable, [sys.executable, "-c", {HOLD!r}, sys.argv[1]])
"""

    with Holder(data_dir, script) as holder:
        holder.wait_until_held()
        assert embedded.is_up(data_dir)
        holder.leave()

    assert server_processes(data_dir) == []


@pytest.mark.parametrize("name", ["x" * 100, "Élan, l'été"], ids=["long", "comma"])
def test_socket_moves_out_of_a_path_that_cannot_hold_it(folder, name):
    data_dir = folder / name

    embedded.hold(data_dir)
    socket_dir = Path(embedded.connection_settings(data_dir)["HOST"])
    try:
        assert query(data_dir, "SELECT 1") == [(1,)]
        assert socket_dir.parent == Path("/tmp")
        assert socket_dir.stat().st_mode & 0o777 == 0o700
    finally:
        embedded.release(data_dir)

    assert not socket_dir.exists()


def test_socket_folder_of_somebody_else_is_refused(folder):
    data_dir = folder / ("x" * 100)
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    socket_dir = Path(embedded.connection_settings(data_dir)["HOST"])
    socket_dir.symlink_to(elsewhere)

    try:
        with pytest.raises(embedded.EmbeddedError, match=f"^{socket_dir} was made by somebody"):
            embedded.hold(data_dir)
    finally:
        socket_dir.unlink()


def test_directory_out_of_reach_is_named(folder):
    closed = folder / "closed"
    closed.mkdir(mode=0o700 if os.geteuid() == 0 else 0o500)

    with pytest.raises(embedded.EmbeddedError) as refusal:
        embedded.hold(closed / "var")

    assert str(closed) in str(refusal.value)
    assert "AMDA_DATA_DIR" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_data_of_another_version_is_left_alone(data_dir):
    embedded.hold(data_dir)
    embedded.release(data_dir)
    marker = data_dir / "postgres/data/PG_VERSION"
    ours = marker.read_text()
    marker.write_text("16\n")

    try:
        with pytest.raises(embedded.EmbeddedError, match="was made by PostgreSQL 16"):
            embedded.hold(data_dir)
    finally:
        marker.write_text(ours)

    assert server_processes(data_dir) == []


def test_failed_start_says_why_in_one_sentence(data_dir):
    embedded.hold(data_dir)
    embedded.release(data_dir)
    control = data_dir / "postgres/data/global/pg_control"
    control.rename(control.with_name("moved"))

    try:
        with pytest.raises(embedded.EmbeddedError) as refusal:
            embedded.hold(data_dir)
    finally:
        control.with_name("moved").rename(control)

    assert str(refusal.value).startswith("PostgreSQL does not start: ")
    assert "\n" not in str(refusal.value)


def test_grown_log_keeps_its_end(folder):
    log = folder / "program.log"
    log.write_bytes(b"old line\n" * 2_000_000 + b"the end\n")

    embedded.keep_short(log)

    assert log.stat().st_size <= embedded.LOG_BYTES_KEPT
    assert log.read_bytes().startswith(b"old line\n")
    assert log.read_bytes().endswith(b"the end\n")
