"""Reading a file of vendors: one row each, in the columns of the replaced system."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

LONGEST_FILE = 20 * 1024 * 1024

REQUIRED = {
    "vendorId": "slug",
    "businessName": "name",
    "phoneNumber": "phone",
    "wasenderInstanceId": "session_id",
    "wasenderWebhookSecret": "webhook_secret",
}
OPTIONAL = {
    "wasenderApiKey": "api_key",
    "wasenderPersonalToken": "personal_token",
    "wasenderApiUrl": "api_url",
    "signature": "signature",
    "label": "label",
    "ownerEmail": "owner_email",
    "country": "country",
    "timeZone": "time_zone",
    "language": "language",
}
COLUMNS = {**REQUIRED, **OPTIONAL}
"""Column of the file → what it is called here."""

_NAMES = {name.lower(): name for name in COLUMNS}
_DELIMITERS = ",;\t"


class BadFile(Exception):
    """The file as a whole cannot be read; the message says why."""


@dataclass(frozen=True)
class VendorRow:
    """One vendor as the file tells it. `line` is where its row ends, the header being line 1;
    `complaint` says why the row cannot be read, if it cannot."""

    line: int
    slug: str = ""
    name: str = ""
    phone: str = ""
    session_id: str = ""
    webhook_secret: str = field(default="", repr=False)
    api_key: str = field(default="", repr=False)
    personal_token: str = field(default="", repr=False)
    api_url: str = ""
    signature: str = ""
    label: str = ""
    owner_email: str = ""
    country: str = ""
    time_zone: str = ""
    language: str = ""
    complaint: str = ""


def read(path: Path) -> list[VendorRow]:
    """Every row of a file, the unreadable ones with their complaint; `BadFile` when no row can be
    understood. Takes commas, semicolons or tabs, quoted fields, a BOM, and any line ends."""
    written = _written(path)
    delimiter = _delimiter(written)
    rows = csv.reader(io.StringIO(written, newline=""), delimiter=delimiter, strict=True)
    try:
        fields = _fields(next(rows, []))
        return list(_vendors(rows, fields))
    except csv.Error as exc:
        raise BadFile(f"line {rows.line_num}: {exc}.") from exc


def column_of(name: str) -> str:
    """The column that holds what is called `name` here."""
    return next((column for column, known in COLUMNS.items() if known == name), name)


def _written(path: Path) -> str:
    try:
        if path.stat().st_size > LONGEST_FILE:
            raise BadFile("the file is larger than 20 MB.")
        content = path.read_bytes()
    except OSError as exc:
        raise BadFile(f"{path}: {exc.strerror}.") from exc
    try:
        written = content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = content[: exc.start].count(b"\n") + 1
        raise BadFile(f"line {line}: this is not UTF-8; save the file as UTF-8.") from exc
    if "\0" in written:
        raise BadFile("the file holds NUL characters; save it as CSV in UTF-8.")
    return written


def _delimiter(written: str) -> str:
    header = written.partition("\n")[0]
    return max(_DELIMITERS, key=header.count)


def _fields(header: list[str]) -> list[str]:
    if not any(header):
        raise BadFile("the file is empty.")
    names = [title.strip() for title in header]
    unknown = [name for name in names if name.lower() not in _NAMES]
    if unknown:
        raise BadFile(f"unknown columns: {', '.join(unknown)}; known: {', '.join(COLUMNS)}.")
    columns = [_NAMES[name.lower()] for name in names]
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        raise BadFile(f"missing columns: {', '.join(missing)}.")
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise BadFile(f"columns named twice: {', '.join(twice)}.")
    return [COLUMNS[column] for column in columns]


def _vendors(rows, fields: list[str]) -> Iterator[VendorRow]:
    for row in rows:
        cells = [cell.strip() for cell in row]
        if any(cells):
            yield _vendor(rows.line_num, cells, fields)


def _vendor(line: int, cells: list[str], fields: list[str]) -> VendorRow:
    facts = dict(zip(fields, cells, strict=False))
    if len(cells) > len(fields) and any(cells[len(fields) :]):
        complaint = f"{len(cells)} fields where the header has {len(fields)}"
        return VendorRow(line, slug=facts.get("slug", ""), complaint=complaint)
    lacking = [column for column, name in REQUIRED.items() if not facts.get(name)]
    complaint = f"{', '.join(lacking)}: missing" if lacking else ""
    return VendorRow(line, **facts, complaint=complaint)
