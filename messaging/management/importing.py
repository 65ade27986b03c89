"""What the commands that take a file in have in common."""

import csv
import time
from abc import ABC, abstractmethod
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import reset_queries
from django.utils import translation

from messaging import realtime
from messaging.importing.rows import BadFile, Outcome, Result, Source
from tenants import audit, context, directory, limits
from tenants.models import Tenant

SECONDS_BETWEEN_PROGRESS = 2
# More than a person reads; all of them are in the report.
MOST_TOLD = 100


class ImportCommand(BaseCommand, ABC):
    """A command that takes a file into a vendor, row by row; a second run adds nothing."""

    columns: tuple[str, ...]
    # What the audit calls it, and the command itself.
    act: str
    name: str

    def add_arguments(self, parser):
        parser.add_argument("slug", help="the vendor")
        parser.add_argument("file", type=Path, help="CSV with a header, or JSON lines")
        parser.add_argument("--dry-run", action="store_true", help="only say what would happen")
        parser.add_argument("--report", type=Path, help="write every row that failed as CSV")
        parser.add_argument("--encoding", default="utf-8", help="of the file; Excel's is cp1252")
        parser.add_argument(
            "--column",
            action="append",
            default=[],
            metavar="THEIRS=OURS",
            help="what one of the file's columns is here; may be repeated",
        )
        parser.add_argument("--skip-unknown", action="store_true", help="leave unknown columns out")

    @abstractmethod
    def importer(self, tenant: Tenant, options: dict[str, Any]):
        """What takes the rows in; called inside the tenant."""

    def handle(self, slug, file, **options):
        tenant = directory.tenant_of_slug(slug)
        if tenant is None:
            raise CommandError(f"slug: no vendor is called {slug}.")
        with translation.override("en"), audit.coming_from(self.name), ExitStack() as opened:
            try:
                limits.require_may_add(tenant.number)
                source = opened.enter_context(self._source(file, options))
                opened.enter_context(context.entered(tenant))
                counts = self._take_in(tenant, source, options)
            except limits.LimitReached as refusal:
                raise CommandError(str(refusal.message)) from refusal
            except BadFile as exc:
                raise CommandError(f"file: {exc}") from exc
        if counts[Result.FAILED]:
            raise CommandError(f"{counts[Result.FAILED]} rows failed.")

    def _source(self, file: Path, options) -> Source:
        return Source(
            file,
            self.columns,
            renamed=_pairs(options["column"], self.columns),
            skips_unknown=options["skip_unknown"],
            encoding=options["encoding"],
        )

    def _take_in(self, tenant: Tenant, source: Source, options) -> Counter[Result]:
        counts: Counter[Result] = Counter()
        told_at, began = time.monotonic(), time.monotonic()
        importer = self.importer(tenant, options)
        with ExitStack() as opened:
            report = _report(options["report"], opened)
            try:
                for outcomes in importer.take_in(source.rows()):
                    self._say_failures(outcomes, counts, report)
                    counts.update(each.result for each in outcomes)
                    # A development run remembers every statement: as long as the file is.
                    reset_queries()
                    if time.monotonic() - told_at > SECONDS_BETWEEN_PROGRESS:
                        told_at = time.monotonic()
                        self.stderr.write(f"{source.percent} %: {_sum(counts)}")
            except BadFile:
                self.stdout.write(_sum(counts))
                raise
            except KeyboardInterrupt:
                raise CommandError(
                    f"stopped: {_sum(counts)}. Start it again to go on.", returncode=130
                ) from None
            finally:
                self._leave(counts, dry_run=options["dry_run"])
        took = time.monotonic() - began
        so_far = "dry run, nothing written: " if options["dry_run"] else ""
        self.stdout.write(f"{so_far}{_sum(counts)}; {took:.1f} s")
        return counts

    def _say_failures(self, outcomes: list[Outcome], counts: Counter[Result], report) -> None:
        failed = [each for each in outcomes if each.result is Result.FAILED]
        left = max(MOST_TOLD - counts[Result.FAILED], 0)
        for each in failed[:left]:
            self.stdout.write(f"line {each.line}: {each.reason}")
        if left and len(failed) > left:
            self.stdout.write("…; --report FILE has every row that failed")
        if report:
            report.writerows([each.line, each.reason] for each in failed)

    def _leave(self, counts: Counter[Result], *, dry_run: bool) -> None:
        """Whatever was committed is in the audit, and open pages show it."""
        written = {result.name.lower(): counts[result] for result in Result if counts[result]}
        if dry_run or not (counts[Result.NEW] or counts[Result.COMPLETED]):
            return
        audit.record(self.act, by=None, after=written)
        realtime.stale()


def _sum(counts: Counter[Result]) -> str:
    told = ", ".join(f"{counts[result]:,} {result}" for result in Result if counts[result])
    return f"{counts.total():,} rows: {told}" if told else "no rows"


def _pairs(texts: list[str], columns: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        theirs, sign, ours = text.rpartition("=")
        if not sign or ours not in columns:
            raise CommandError(
                f"column: write THEIRS=OURS, OURS being one of {', '.join(columns)}."
            )
        pairs[theirs] = ours
    return pairs


def _report(path: Path | None, opened: ExitStack):
    if path is None:
        return None
    try:
        writer = csv.writer(opened.enter_context(path.open("w", newline="", encoding="utf-8")))
    except OSError as exc:
        raise CommandError(f"report: {exc.strerror}.") from exc
    writer.writerow(["line", "reason"])
    return writer
