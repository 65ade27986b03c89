"""`migrate_to_multi_waba` brings vendors over from one shared number to a number each.

Without more it asks for vendor after vendor; `batch FILE.csv` takes a whole file in.
"""

import csv
import re
import sys
from collections import Counter
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError
from django.utils import translation

from messaging import providers, risks
from messaging.migrating import interview, vendor_file
from messaging.migrating.vendors import PROVIDER, Importer, Outcome, Result
from tenants import audit
from tenants.models import ProviderInstance, Tenant

PROGRESS_EVERY = 100
_SERIES = re.compile(r"(?P<stem>.*?)(?P<number>[0-9]+)")


class Command(BaseCommand):
    help = "Gives each vendor a number of its own: asks for each, or takes in a CSV file."

    def add_arguments(self, parser):
        parser.add_argument("mode", nargs="?", choices=["batch"], help="take in a file")
        parser.add_argument("file", nargs="?", type=Path, help="the CSV file of `batch`")
        parser.add_argument("--dry-run", action="store_true", help="only say what would happen")
        parser.add_argument(
            "--setup-webhooks",
            action="store_true",
            help="have the provider post here, and read back that it will",
        )
        parser.add_argument("--report", type=Path, help="write what became of each row as CSV")

    def handle(self, mode, file, dry_run, setup_webhooks, report, **options):
        if mode == "batch" and file is None:
            raise CommandError("file: give the CSV file to take in.")
        importer = Importer(dry_run=dry_run, sets_webhooks=setup_webhooks)
        with translation.override("en"), audit.coming_from("migrate_to_multi_waba"):
            if mode == "batch":
                self._batch(file, importer, report)
            else:
                self._ask(importer)

    def _batch(self, file: Path, importer: Importer, report: Path | None) -> None:
        try:
            rows = vendor_file.read(file)
        except vendor_file.BadFile as exc:
            raise CommandError(str(exc)) from exc
        self._say_risk()
        outcomes = []
        for position, outcome in enumerate(importer.take_in(rows), start=1):
            outcomes.append(outcome)
            self._say(outcome)
            if position % PROGRESS_EVERY == 0:
                self.stderr.write(f"{position} of {len(rows)} rows")
        if report:
            _write_report(report, outcomes)
        self._sum_up(outcomes, importer)

    def _ask(self, importer: Importer) -> None:
        if not sys.stdin.isatty() and sys.stdin.closed:
            raise CommandError("there is nobody to ask; use `batch FILE.csv`.")
        self._say_risk()
        outcomes = []
        try:
            for row in interview.vendors(self.stdout.write, suggest=_next_slug):
                [outcome] = importer.take_in([row])
                outcomes.append(outcome)
                self._say(outcome)
        except (EOFError, KeyboardInterrupt):
            self.stdout.write("")
        self._sum_up(outcomes, importer)

    def _say_risk(self) -> None:
        self.stderr.write(f"risk: {risks.words(providers.get(PROVIDER))}")
        self.stderr.write("Each vendor's owner is asked to confirm this on the page Numbers.")

    def _say(self, outcome: Outcome) -> None:
        reason = f": {outcome.reason}" if outcome.reason else ""
        self.stdout.write(f"line {outcome.line}: {outcome.slug} {outcome.result}{reason}")
        if outcome.webhook_url and outcome.result is Result.CREATED:
            self.stdout.write(f"  webhook: {outcome.webhook_url}")

    def _sum_up(self, outcomes: list[Outcome], importer: Importer) -> None:
        counts = Counter(outcome.result for outcome in outcomes)
        told = ", ".join(f"{counts[result]} {result}" for result in Result)
        self.stdout.write(f"{'dry run, nothing written: ' if importer.dry_run else ''}{told}")
        if counts[Result.FAILED]:
            raise CommandError(f"{counts[Result.FAILED]} rows failed.")


def _next_slug() -> str:
    """The first vendor of the series that has no number yet: after vendor_003, vendor_004."""
    served = set(
        ProviderInstance.objects.across_tenants()
        .filter(provider=PROVIDER)
        .values_list("tenant__slug", flat=True)
    )
    slugs = list(Tenant.objects.order_by("-number").values_list("slug", flat=True))
    newest = next(filter(None, (_SERIES.fullmatch(slug) for slug in slugs)), None)
    if newest is None:
        return "vendor_001"
    stem, width = newest["stem"], len(newest["number"])
    known = [each for each in map(_SERIES.fullmatch, slugs) if each and each["stem"] == stem]
    waiting = sorted(int(each["number"]) for each in known if each[0] not in served)
    last = max(int(each["number"]) for each in known)
    return f"{stem}{waiting[0] if waiting else last + 1:0{width}}"


def _write_report(path: Path, outcomes: list[Outcome]) -> None:
    try:
        with path.open("w", newline="", encoding="utf-8") as report:
            writer = csv.writer(report)
            writer.writerow(["line", "vendorId", "result", "reason", "webhookUrl"])
            for each in outcomes:
                writer.writerow([each.line, each.slug, each.result, each.reason, each.webhook_url])
    except OSError as exc:
        raise CommandError(f"report: {exc.strerror}.") from exc
