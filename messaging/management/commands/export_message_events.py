"""`manage.py export_message_events SLUG --day D`: a day's message events as one JSON file."""

import os
from collections.abc import Iterable
from datetime import date
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from messaging import daily_json, told
from tenants import context, directory


class Command(BaseCommand):
    help = (
        "Writes what became of a vendor's messages on a day as the replaced systems did: one JSON "
        "array, one event on each line, the oldest first."
    )

    def add_arguments(self, parser) -> None:
        parser.add_argument("slug", help="the vendor's slug")
        parser.add_argument(
            "--day", required=True, help="the day in the vendor's time zone, as 2026-01-31"
        )
        parser.add_argument(
            "--output",
            type=Path,
            help="the file to write, or a folder for message_events_DAY.json; else it is printed",
        )

    def handle(self, *args, slug: str, day: str, output: Path | None = None, **options) -> None:
        chosen = _day(day)
        tenant = directory.tenant_of_slug(slug)
        if tenant is None:
            raise CommandError(f"No tenant has the slug {slug}.")
        with context.entered(tenant):
            lines = daily_json.lines(tenant, chosen)
            if output is None:
                for line in lines:
                    self.stdout.write(line, ending="")
                return
            path = output / daily_json.file_name(chosen) if output.is_dir() else output
            _write(path, lines)
        self.stderr.write(f"Written: {path}")


def _day(written: str) -> date:
    try:
        day = date.fromisoformat(written)
    except ValueError as exc:
        raise CommandError(f"--day: {written!r} is no day; write it as 2026-01-31.") from exc
    if not told.EARLIEST <= day <= told.LATEST:
        raise CommandError(f"--day: give a day from {told.EARLIEST} to {told.LATEST}.")
    return day


def _write(path: Path, lines: Iterable[str]) -> None:
    """The whole file or none: it gets its name once everything stands in it."""
    unfinished = path.with_name(f"{path.name}.part")
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            file.writelines(lines)
        os.replace(unfinished, path)
    except OSError as exc:
        unfinished.unlink(missing_ok=True)
        raise CommandError(f"--output: {path} cannot be written: {exc.strerror}.") from exc
