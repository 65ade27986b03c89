"""`manage.py doctor` says what is wrong with this installation, and what to do; docs/doctor.md."""

import json
import logging
import os
import sys

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils import formats, timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from amda.doctoring.examining import examine
from amda.doctoring.findings import Finding, Severity

LANGUAGE_VARIABLES = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")


class Command(BaseCommand):
    help = "Says what is wrong with this installation, since when, and what to do about it."
    requires_system_checks = ()

    def add_arguments(self, parser):
        parser.add_argument("--json", action="store_true", help="for programs")
        parser.add_argument(
            "--language",
            choices=[code for code, _name in settings.LANGUAGES],
            default=_language(os.environ),
            help="otherwise that of LANGUAGE or LANG",
        )

    def handle(self, *args, language, **options):
        # That the database is away is said once, and below.
        logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
        with translation.override(language):
            now = timezone.now()
            found = examine(now)
            if options["json"]:
                self._say_json(found, now)
            else:
                self._say(found)
        if any(each.severity is Severity.BROKEN for each in found):
            sys.exit(1)

    def _say(self, found: list[Finding]) -> None:
        for each in found:
            paint = self.style.ERROR if each.severity is Severity.BROKEN else self.style.WARNING
            label = _("BROKEN") if each.severity is Severity.BROKEN else _("WARNING")
            since = _(" Since %(when)s.") % {"when": _when(each.since)} if each.since else ""
            self.stdout.write(f"{paint(label)}  {each.what}{since}")
            if each.todo:
                self.stdout.write(f"  → {each.todo}")
        self.stdout.write(_summary(found))

    def _say_json(self, found: list[Finding], now) -> None:
        worst = found[0].severity.name.lower() if found else "well"
        told = {
            "at": now.isoformat(),
            "status": worst,
            "findings": [each.as_json() for each in found],
        }
        self.stdout.write(json.dumps(told, ensure_ascii=False, indent=2))


def _summary(found: list[Finding]) -> str:
    if not found:
        return _("Nothing is wrong.")
    bad = sum(each.severity is Severity.BROKEN for each in found)
    mild = len(found) - bad
    told = [
        ngettext("%(count)d thing is broken", "%(count)d things are broken", bad) % {"count": bad},
        ngettext("%(count)d warning", "%(count)d warnings", mild) % {"count": mild},
    ]
    return ", ".join(told) + "."


def _when(moment) -> str:
    return formats.date_format(timezone.localtime(moment), "DATETIME_FORMAT") + " UTC"


def _language(environment) -> str:
    """The operator's, where we speak it."""
    ours = {code for code, _name in settings.LANGUAGES}
    for name in LANGUAGE_VARIABLES:
        for wanted in environment.get(name, "").split(":"):
            if wanted[:2].lower() in ours:
                return wanted[:2].lower()
    return settings.LANGUAGE_CODE
