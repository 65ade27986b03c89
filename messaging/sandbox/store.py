"""What the sandbox remembers: sessions, customers, what was said, and what was posted about it.

One SQLite file. The server uses it from its event loop only; the command line may write beside
it. Calls take microseconds on a local disk, so none of them is asynchronous.
"""

import json
import re
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path

SCHEMA_VERSION = 2

RECOMMENDED_EVENTS = (
    "messages.received",
    "message.sent",
    "messages.update",
    "messages.delete",
    "messages.reaction",
    "session.status",
    "qrcode.updated",
)
DEFAULT_RATE_LIMIT = 256
SIGNATURES = ("secret", "hmac")

E164 = re.compile(r"\+[1-9][0-9]{6,14}")

# Numbers that belong to nobody: the French ones come from the range the regulator keeps for
# fiction, the others are the first of their operators' ranges.
INVENTED_CUSTOMERS = (
    ("Camille Renaud", "+33199000012"),
    ("Awa Ndiaye", "+221770000012"),
    ("Youssef Trabelsi", "+21620000012"),
    ("Koffi Kouassi", "+2250700000012"),
    ("Salma El Idrissi", "+212600000012"),
    ("Hugo Lefèvre", "+33199000047"),
)

_SCHEMA = """
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    phone_number TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL,
    api_key TEXT NOT NULL UNIQUE,
    webhook_secret TEXT NOT NULL,
    webhook_url TEXT,
    webhook_enabled INTEGER NOT NULL,
    webhook_events TEXT NOT NULL,
    account_protection INTEGER NOT NULL,
    log_messages INTEGER NOT NULL,
    signature TEXT NOT NULL,
    rate_limit INTEGER NOT NULL,
    qr_code TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE TABLE customers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    phone TEXT NOT NULL UNIQUE,
    lid TEXT NOT NULL UNIQUE,
    phone_on INTEGER NOT NULL DEFAULT 1
);
CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key_id TEXT NOT NULL UNIQUE,
    session_id INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE,
    customer_id INTEGER REFERENCES customers ON DELETE CASCADE,
    jid TEXT NOT NULL,
    from_business INTEGER NOT NULL,
    kind TEXT NOT NULL,
    text TEXT NOT NULL,
    content TEXT NOT NULL,
    quoted_id INTEGER REFERENCES messages ON DELETE SET NULL,
    status INTEGER NOT NULL,
    deleted INTEGER NOT NULL DEFAULT 0,
    said_at REAL NOT NULL
);
CREATE INDEX messages_of_a_chat ON messages (customer_id, session_id, id);
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE,
    message_id INTEGER REFERENCES messages ON DELETE CASCADE,
    lane TEXT NOT NULL,
    event TEXT NOT NULL,
    body TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    http_status INTEGER,
    problem TEXT,
    created_at REAL NOT NULL
);
CREATE INDEX deliveries_of_a_message ON deliveries (message_id);
-- Numbers given out by the real service are large; small ones would pass for list positions.
INSERT INTO sqlite_sequence (name, seq) VALUES ('messages', 99999);
"""

# What version 2 added; a file of version 1 is brought up to date.
_FILES_SCHEMA = """
CREATE TABLE files (
    id TEXT PRIMARY KEY,
    session_id INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE,
    mime_type TEXT NOT NULL,
    content BLOB NOT NULL
);
CREATE TABLE links (
    token TEXT PRIMARY KEY,
    file_id TEXT NOT NULL REFERENCES files ON DELETE CASCADE,
    expires_at REAL
);
"""

_SESSION_SETTINGS = (
    "name",
    "phone_number",
    "webhook_url",
    "webhook_enabled",
    "webhook_events",
    "account_protection",
    "log_messages",
    "signature",
    "rate_limit",
    "status",
    "api_key",
    "qr_code",
)


class Status(IntEnum):
    """How far a message got, in the numbers that Wasender uses."""

    ERROR = 0
    PENDING = 1
    SENT = 2
    DELIVERED = 3
    READ = 4


class OtherVersion(Exception):
    """The file on disk was written by another version of the sandbox."""


@dataclass(frozen=True)
class Session:
    id: int
    name: str
    phone_number: str
    status: str
    api_key: str
    webhook_secret: str
    webhook_url: str | None
    webhook_enabled: bool
    webhook_events: tuple[str, ...]
    account_protection: bool
    log_messages: bool
    signature: str
    rate_limit: int
    qr_code: str | None
    created_at: str
    updated_at: str

    @property
    def connected(self) -> bool:
        return self.status == "connected"

    def wants(self, event: str) -> bool:
        return bool(self.webhook_enabled and self.webhook_url and event in self.webhook_events)


@dataclass(frozen=True)
class Customer:
    id: int
    name: str
    phone: str
    lid: str
    phone_on: bool

    @property
    def digits(self) -> str:
        return self.phone.removeprefix("+")

    @property
    def jid(self) -> str:
        return f"{self.digits}@s.whatsapp.net"


@dataclass(frozen=True)
class Message:
    id: int
    key_id: str
    session_id: int
    customer_id: int | None
    jid: str
    from_business: bool
    kind: str
    text: str
    content: dict
    quoted_id: int | None
    status: Status
    deleted: bool
    said_at: float


@dataclass(frozen=True)
class File:
    id: str
    session_id: int
    mime_type: str
    content: bytes


@dataclass(frozen=True)
class Delivery:
    id: int
    session_id: int
    message_id: int | None
    lane: str
    event: str
    body: str
    state: str
    attempts: int
    http_status: int | None
    problem: str | None
    created_at: float


class Store:
    """The sandbox's state on disk; everything survives a restart."""

    def __init__(self, path: Path):
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA busy_timeout = 5000")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA foreign_keys = ON")
        path.chmod(0o600)
        self._prepare(path)

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Everything written inside is kept, or none of it is."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _prepare(self, path: Path) -> None:
        with self.together():
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version == SCHEMA_VERSION:
                return
            if version > SCHEMA_VERSION:
                raise OtherVersion(
                    f"{path} is of version {version}, not {SCHEMA_VERSION}: delete it."
                )
            if version == 0:
                self._execute(_SCHEMA)
                for name, phone in INVENTED_CUSTOMERS:
                    self.add_customer(name, phone)
            self._execute(_FILES_SCHEMA)
            self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _execute(self, statements: str) -> None:
        for statement in statements.split(";\n"):
            self._db.execute(statement)

    def _one(self, sql: str, *values) -> sqlite3.Row | None:
        return self._db.execute(sql, values).fetchone()

    def _row(self, table: str, row_id: int) -> sqlite3.Row | None:
        # SQLite cannot even look for what does not fit its own integers.
        if not -(2**63) <= row_id < 2**63:
            return None
        return self._one(f"SELECT * FROM {table} WHERE id = ?", row_id)

    def _all(self, sql: str, *values) -> list[sqlite3.Row]:
        return self._db.execute(sql, values).fetchall()

    # Sessions

    def create_session(self, **settings) -> Session:
        """A new session with an API key and a webhook secret of its own."""
        now = _now_text()
        values = {
            "status": "disconnected",
            "webhook_url": None,
            "webhook_enabled": False,
            "webhook_events": (),
            "account_protection": False,
            "log_messages": False,
            "signature": "secret",
            "rate_limit": DEFAULT_RATE_LIMIT,
            **settings,
            "api_key": new_api_key(),
            "webhook_secret": secrets.token_hex(16),
            "created_at": now,
            "updated_at": now,
        }
        values["webhook_events"] = json.dumps(values["webhook_events"])
        columns = ", ".join(values)
        marks = ", ".join("?" for _ in values)
        cursor = self._db.execute(
            f"INSERT INTO sessions ({columns}) VALUES ({marks})", tuple(values.values())
        )
        return self.session(cursor.lastrowid)

    def change_session(self, session_id: int, **settings) -> Session:
        """Overwrite the given settings of a session and return it as it now is."""
        unknown = settings.keys() - set(_SESSION_SETTINGS)
        if unknown:
            raise ValueError(f"not settings of a session: {sorted(unknown)}")
        if "webhook_events" in settings:
            settings["webhook_events"] = json.dumps(settings["webhook_events"])
        settings["updated_at"] = _now_text()
        assignments = ", ".join(f"{name} = ?" for name in settings)
        self._db.execute(
            f"UPDATE sessions SET {assignments} WHERE id = ?", (*settings.values(), session_id)
        )
        return self.session(session_id)

    def create_or_update_session(self, phone_number: str, **settings) -> Session:
        """The connected session of this number: made when it is new, brought up to date otherwise.

        Calling it again keeps the API key, the webhook secret and every chat.
        """
        with self.together():
            known = self._one("SELECT id FROM sessions WHERE phone_number = ?", phone_number)
            if known is None:
                return self.create_session(
                    phone_number=phone_number, status="connected", **settings
                )
            return self.change_session(known["id"], status="connected", qr_code=None, **settings)

    def delete_session(self, session_id: int) -> None:
        self._db.execute("DELETE FROM sessions WHERE id = ?", (session_id,))

    def sessions(self) -> list[Session]:
        return [_session(row) for row in self._all("SELECT * FROM sessions ORDER BY id")]

    def session(self, session_id: int) -> Session | None:
        return _session(self._row("sessions", session_id))

    def has_session_of(self, phone_number: str, other_than: int = 0) -> bool:
        sql = "SELECT 1 FROM sessions WHERE phone_number = ? AND id <> ?"
        return self._one(sql, phone_number, other_than) is not None

    # Customers

    def add_customer(self, name: str, phone: str) -> Customer:
        """The customer with this number; a known number keeps its LID and takes the name."""
        self._db.execute(
            "INSERT INTO customers (name, phone, lid) VALUES (?, ?, ?)"
            " ON CONFLICT (phone) DO UPDATE SET name = excluded.name",
            (name, phone, f"{secrets.randbelow(9 * 10**14) + 10**14}@lid"),
        )
        return _customer(self._one("SELECT * FROM customers WHERE phone = ?", phone))

    def customer_at(self, phone: str) -> Customer:
        """Whoever answers at this number; anybody written to exists, nameless until then."""
        known = _customer(self._one("SELECT * FROM customers WHERE phone = ?", phone))
        return known or self.add_customer(phone, phone)

    def customer_of_lid(self, lid: str) -> Customer | None:
        return _customer(self._one("SELECT * FROM customers WHERE lid = ?", lid))

    def customers(self) -> list[Customer]:
        return [_customer(row) for row in self._all("SELECT * FROM customers ORDER BY id")]

    def customer(self, customer_id: int) -> Customer | None:
        return _customer(self._row("customers", customer_id))

    def switch_phone(self, customer_id: int, on: bool) -> None:
        self._db.execute("UPDATE customers SET phone_on = ? WHERE id = ?", (on, customer_id))

    # Messages

    def add_message(
        self,
        *,
        session_id: int,
        customer_id: int | None,
        jid: str,
        from_business: bool,
        text: str,
        content: dict,
        status: Status,
        said_at: float,
        kind: str = "text",
        quoted_id: int | None = None,
    ) -> Message:
        cursor = self._db.execute(
            "INSERT INTO messages (key_id, session_id, customer_id, jid, from_business, kind, text,"
            " content, quoted_id, status, said_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                new_key_id(),
                session_id,
                customer_id,
                jid,
                from_business,
                kind,
                text,
                json.dumps(content),
                quoted_id,
                status,
                said_at,
            ),
        )
        return self.message(cursor.lastrowid)

    def message(self, message_id: int) -> Message | None:
        return _message(self._row("messages", message_id))

    def message_with_key(self, session_id: int, key_id: str) -> Message | None:
        sql = "SELECT * FROM messages WHERE session_id = ? AND key_id = ?"
        return _message(self._one(sql, session_id, key_id))

    def change_text(self, message_id: int, text: str) -> Message:
        """Give a text message another text."""
        self._db.execute(
            "UPDATE messages SET text = ?, content = ? WHERE id = ?",
            (text, json.dumps({"conversation": text}), message_id),
        )
        return self.message(message_id)

    def raise_status(self, message_id: int, status: Status) -> bool:
        """Move a message forward; False when it already is there or further."""
        cursor = self._db.execute(
            "UPDATE messages SET status = ? WHERE id = ? AND status < ?",
            (status, message_id, status),
        )
        return cursor.rowcount == 1

    def mark_deleted(self, message_id: int) -> bool:
        """Withdraw a message; False when it was withdrawn before."""
        cursor = self._db.execute(
            "UPDATE messages SET deleted = 1, text = '', content = '{}'"
            " WHERE id = ? AND NOT deleted",
            (message_id,),
        )
        return cursor.rowcount == 1

    def chat(self, customer_id: int, session_id: int, newest: int) -> list[Message]:
        """The newest messages of one chat, oldest first."""
        rows = self._all(
            "SELECT * FROM messages WHERE customer_id = ? AND session_id = ?"
            " ORDER BY id DESC LIMIT ?",
            customer_id,
            session_id,
            newest,
        )
        return [_message(row) for row in reversed(rows)]

    def from_business_at(self, status: Status, customer_id: int | None = None) -> list[Message]:
        """What businesses wrote that got exactly this far, to one customer or to anybody."""
        rows = self._all(
            "SELECT * FROM messages WHERE from_business AND status = ?"
            " AND (? IS NULL OR customer_id = ?) ORDER BY id",
            status,
            customer_id,
            customer_id,
        )
        return [_message(row) for row in rows]

    def chat_summaries(self) -> list[sqlite3.Row]:
        """For every chat: its last message on the phone, how many are unread, how many wait."""
        return self._all(
            """
            SELECT customer_id, session_id,
                   max(CASE WHEN NOT from_business OR status >= 3 THEN id END) AS last_id,
                   sum(from_business AND status = 3 AND NOT deleted) AS unread,
                   sum(from_business AND status < 3) AS waiting
            FROM messages WHERE customer_id IS NOT NULL
            GROUP BY customer_id, session_id
            """
        )

    # Files

    def add_file(self, session_id: int, mime_type: str, content: bytes) -> File:
        file = File(secrets.token_urlsafe(24), session_id, mime_type, content)
        self._db.execute(
            "INSERT INTO files (id, session_id, mime_type, content) VALUES (?, ?, ?, ?)",
            (file.id, file.session_id, file.mime_type, file.content),
        )
        return file

    def file(self, file_id: str) -> File | None:
        row = self._one("SELECT * FROM files WHERE id = ?", file_id)
        return File(**row) if row else None

    def add_link(self, file: File, seconds: float | None) -> str:
        """A token under which anybody may fetch the file, for a while or as long as it is kept."""
        token = secrets.token_urlsafe(24)
        expires_at = None if seconds is None else time.time() + seconds
        self._db.execute("DELETE FROM links WHERE expires_at < ?", (time.time(),))
        self._db.execute("INSERT INTO links VALUES (?, ?, ?)", (token, file.id, expires_at))
        return token

    def linked_file(self, token: str) -> File | None:
        """The file behind a link that has not run out."""
        row = self._one(
            "SELECT file_id FROM links WHERE token = ? AND (expires_at IS NULL OR expires_at > ?)",
            token,
            time.time(),
        )
        return self.file(row["file_id"]) if row else None

    # Deliveries

    def add_delivery(
        self, *, session_id: int, message_id: int | None, lane: str, event: str, body: str
    ) -> int:
        cursor = self._db.execute(
            "INSERT INTO deliveries (session_id, message_id, lane, event, body, state, created_at)"
            " VALUES (?, ?, ?, ?, ?, 'pending', ?)",
            (session_id, message_id, lane, event, body, time.time()),
        )
        return cursor.lastrowid

    def delivery(self, delivery_id: int) -> Delivery | None:
        row = self._row("deliveries", delivery_id)
        return Delivery(**row) if row else None

    def record_attempt(
        self, delivery_id: int, *, state: str, http_status: int | None, problem: str | None
    ) -> None:
        self._db.execute(
            "UPDATE deliveries SET state = ?, http_status = ?, problem = ?, attempts = attempts + 1"
            " WHERE id = ?",
            (state, http_status, problem, delivery_id),
        )

    def reopen_delivery(self, delivery_id: int) -> bool:
        """Put a refused post back in line; False when it is not a refused one."""
        if self.delivery(delivery_id) is None:
            return False
        cursor = self._db.execute(
            "UPDATE deliveries SET state = 'pending', attempts = 0, http_status = NULL,"
            " problem = NULL WHERE id = ? AND state = 'refused'",
            (delivery_id,),
        )
        return cursor.rowcount == 1

    def pending_deliveries(self) -> list[int]:
        rows = self._all("SELECT id FROM deliveries WHERE state = 'pending' ORDER BY id")
        return [row["id"] for row in rows]

    def latest_deliveries(self, count: int) -> list[Delivery]:
        rows = self._all("SELECT * FROM deliveries ORDER BY id DESC LIMIT ?", count)
        return [Delivery(**row) for row in rows]

    def delivery_states(self, message_ids: list[int]) -> dict[int, Delivery]:
        """The first post about each message, or the refused one if any was refused."""
        marks = ", ".join("?" for _ in message_ids)
        rows = self._all(
            f"SELECT * FROM deliveries WHERE message_id IN ({marks})"
            " ORDER BY state = 'refused', id DESC",
            *message_ids,
        )
        return {row["message_id"]: Delivery(**row) for row in rows}

    def forget_old_deliveries(self, keep: int) -> None:
        """Drop accepted posts but the newest; the file would grow by every message twice."""
        self._db.execute(
            "DELETE FROM deliveries WHERE state = 'accepted' AND id <="
            " (SELECT max(id) FROM deliveries) - ?",
            (keep,),
        )


def new_api_key() -> str:
    return secrets.token_hex(32)


def new_key_id() -> str:
    return "3EB0" + secrets.token_hex(9).upper()


def _session(row: sqlite3.Row | None) -> Session | None:
    if row is None:
        return None
    values = dict(row)
    for flag in ("webhook_enabled", "account_protection", "log_messages"):
        values[flag] = bool(values[flag])
    values["webhook_events"] = tuple(json.loads(values["webhook_events"]))
    return Session(**values)


def _customer(row: sqlite3.Row | None) -> Customer | None:
    if row is None:
        return None
    return Customer(**{**dict(row), "phone_on": bool(row["phone_on"])})


def _message(row: sqlite3.Row | None) -> Message | None:
    if row is None:
        return None
    values = dict(row)
    values["from_business"] = bool(values["from_business"])
    values["deleted"] = bool(values["deleted"])
    values["status"] = Status(values["status"])
    values["content"] = json.loads(values["content"])
    return Message(**values)


def _now_text() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
