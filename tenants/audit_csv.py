"""Audit entries as a file that spreadsheets open."""

import json
from collections.abc import Iterable

from django.http import HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from tenants import audit, spreadsheets
from tenants.accounts.models import AuditEntry

MOST_ROWS = 50_000


def answer(entries: Iterable[AuditEntry], name: str) -> HttpResponse:
    """The entries as an answer to be saved as a file; callers give at most MOST_ROWS."""
    headings = [
        _("When"),
        _("What"),
        _("Who"),
        _("Role"),
        _("On what"),
        _("Before"),
        _("After"),
        _("Reason"),
        _("Through"),
        _("From"),
    ]
    return spreadsheets.answer(name, headings, (_cells(entry) for entry in entries))


def _cells(entry: AuditEntry) -> list[str]:
    return [
        timezone.localtime(entry.at).isoformat(timespec="seconds"),
        str(audit.ACTS.get(entry.act, entry.act)),
        entry.by_name,
        entry.by_role,
        entry.subject_name,
        _facts(entry.before),
        _facts(entry.after),
        entry.reason,
        entry.door,
        "" if "address" in entry.get_deferred_fields() else entry.address or "",
    ]


def _facts(facts: dict) -> str:
    return json.dumps(facts, ensure_ascii=False) if facts else ""
