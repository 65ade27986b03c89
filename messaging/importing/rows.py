"""Reading a file of any length row by row: CSV as people and programs write it, or JSON lines."""

import csv
import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from io import BufferedReader, TextIOWrapper
from pathlib import Path
from typing import Any, TypeVar

LONGEST_LINE = 1_000_000
_DELIMITERS = ",;\t"
_SURROGATE = re.compile("[\ud800-\udfff]")
_BETWEEN_WORDS = re.compile(r"[\s_-]+")

Told = TypeVar("Told")


class BadFile(Exception):
    """The file as a whole cannot be read, or not beyond a line; the message says why."""


class BadRow(Exception):
    """A row that cannot be taken in: the column to blame, and why."""

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(f"{column}: {reason}")


@dataclass(frozen=True)
class Row:
    """One row as the file tells it, by column. `line` is where it begins, a header being line 1;
    `complaint` says why it cannot be read, if it cannot."""

    line: int
    values: Mapping[str, str] = field(default_factory=dict)
    complaint: str = ""

    def __getitem__(self, column: str) -> str:
        return self.values.get(column, "")


class Result(StrEnum):
    """What became of a row."""

    NEW = "new"
    COMPLETED = "completed"
    KNOWN = "known already"
    FAILED = "failed"


@dataclass(frozen=True)
class Outcome:
    """A row, and what became of it; `reason` names the column to blame."""

    line: int
    result: Result
    reason: str = ""


class Source:
    """A file of rows with these columns; CSV unless its first character opens a JSON object.

    `renamed` says which columns of ours some of its columns are; with `skips_unknown` the others
    that are nobody's are left out, else they are complained of.
    """

    def __init__(
        self,
        path: Path,
        columns: Collection[str],
        *,
        renamed: Mapping[str, str] | None = None,
        skips_unknown: bool = False,
        encoding: str = "utf-8",
    ) -> None:
        self._columns = tuple(columns)
        self._known = {_plain(name): name for name in columns}
        self._known |= {_plain(theirs): ours for theirs, ours in (renamed or {}).items()}
        self._skips_unknown = skips_unknown
        self._encoding = "utf-8-sig" if _plain(encoding) in ("utf8", "utf8sig") else encoding
        self._file = _opened(path)
        self._size = os.fstat(self._file.fileno()).st_size

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    @property
    def percent(self) -> int:
        """How much of the file has been read."""
        return min(self._file.tell() * 100 // self._size, 100) if self._size else 100

    def rows(self) -> Iterator[Row]:
        """Every row, the unreadable ones with their complaint; `BadFile` where none can be
        understood from there on. Never more than a line is in memory."""
        try:
            begins = self._file.peek(4096)[:4096].decode(self._encoding, "replace").lstrip()
        except LookupError as exc:
            raise BadFile(f"there is no encoding called {self._encoding}.") from exc
        if not begins:
            raise BadFile("the file is empty.")
        if begins[0] == "[":
            raise BadFile("write one JSON object on each line, without brackets around them.")
        return self._json_lines() if begins[0] == "{" else self._csv_rows()

    def _csv_rows(self) -> Iterator[Row]:
        header = self._file.peek(65_536)[:65_536].partition(b"\n")[0]
        delimiter = max(_DELIMITERS, key=header.decode(self._encoding, "replace").count)
        # What is in another encoding is that row's mistake, not the file's. Kept, since a wrapper
        # that is let go of closes what it wraps.
        self._text = TextIOWrapper(
            self._file, encoding=self._encoding, errors="surrogateescape", newline=""
        )
        reader = csv.reader(self._text, delimiter=delimiter, strict=True)
        try:
            names = self._names(next(reader, []))
            begins = reader.line_num + 1
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield self._of_cells(begins, cells, names)
                begins = reader.line_num + 1
        except csv.Error as exc:
            raise BadFile(f"line {reader.line_num}: {exc}; nothing behind it is read.") from exc

    def _json_lines(self) -> Iterator[Row]:
        line = 0
        while raw := self._file.readline(LONGEST_LINE + 1):
            line += 1
            if len(raw) > LONGEST_LINE:
                raise BadFile(f"line {line} is longer than {LONGEST_LINE:,} bytes.")
            if raw.strip():
                yield self._of_json(line, raw)

    def _names(self, header: list[str]) -> list[str]:
        """Our name of each column, "" for one that is left out."""
        titles = [title.strip() for title in header]
        unknown = [title for title in titles if title and _plain(title) not in self._known]
        if unknown and not self._skips_unknown:
            raise BadFile(
                f"unknown columns: {', '.join(unknown)}; known: {', '.join(self._columns)}."
            )
        names = [self._known.get(_plain(title), "") for title in titles]
        twice = sorted({name for name in names if name and names.count(name) > 1})
        if twice:
            raise BadFile(f"columns named twice: {', '.join(twice)}.")
        if not any(names):
            raise BadFile(f"no known column in the first line; known: {', '.join(self._columns)}.")
        return names

    def _of_cells(self, line: int, cells: list[str], names: list[str]) -> Row:
        if any(cell.strip() for cell in cells[len(names) :]):
            return Row(line, complaint=f"{len(cells)} fields where the header has {len(names)}")
        values = {name: cell.strip() for name, cell in zip(names, cells, strict=False) if name}
        return _checked(line, values)

    def _of_json(self, line: int, raw: bytes) -> Row:
        try:
            told = json.loads(raw.decode(self._encoding))
        except (ValueError, RecursionError) as exc:
            return Row(line, complaint=f"this is no JSON ({type(exc).__name__})")
        if not isinstance(told, dict):
            return Row(line, complaint="this is no JSON object")
        unknown = [name for name in told if _plain(name) not in self._known]
        if unknown and not self._skips_unknown:
            return Row(line, complaint=f"unknown members: {', '.join(map(str, unknown))}")
        values = {}
        for theirs, value in told.items():
            ours = self._known.get(_plain(theirs))
            written = _written(value)
            if written is None:
                return Row(line, complaint=f"{ours}: this is neither text nor a number")
            if ours:
                values[ours] = written
        return _checked(line, values)


def batches(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """The rows, so many at a time; where the file cannot be read any further, first those that
    could."""
    batch: list[Row] = []
    try:
        for row in rows:
            batch.append(row)
            if len(batch) == size:
                yield batch
                batch = []
    except BadFile:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def sorted_out(
    rows: Iterable[Row], told: Callable[[Row], Told]
) -> tuple[list[Told], list[Outcome]]:
    """What rows tell, and the outcomes of those that cannot be taken in."""
    good, failed = [], []
    for row in rows:
        try:
            if row.complaint:
                failed.append(Outcome(row.line, Result.FAILED, row.complaint))
            else:
                good.append(told(row))
        except BadRow as exc:
            failed.append(Outcome(row.line, Result.FAILED, str(exc)))
    return good, failed


def _opened(path: Path) -> BufferedReader:
    try:
        return path.open("rb", buffering=128 * 1024)
    except OSError as exc:
        raise BadFile(f"{path}: {exc.strerror}.") from exc


def _plain(name: str) -> str:
    """Names of columns are the same however words are joined: sent_at, sentAt, "Sent at"."""
    return _BETWEEN_WORDS.sub("", name.strip().lstrip("\ufeff")).lower()


def _written(value: Any) -> str | None:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case str() | int() | float():
            return str(value).strip()
        case list() if all(isinstance(each, str) for each in value):
            return ", ".join(value)
    return None


def _checked(line: int, values: Mapping[str, str]) -> Row:
    for name, value in values.items():
        if _SURROGATE.search(value):
            return Row(line, complaint=f"{name}: this is not in the encoding of the file")
    # What PostgreSQL cannot keep.
    return Row(line, {name: value.replace("\0", "\ufffd") for name, value in values.items()})
