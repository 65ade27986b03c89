"""Audit entries as a file that spreadsheets open."""

import json
from collections.abc import Iterable

from django.http import HttpResponse
from django.utils import formats, timezone
from django.utils.translation import gettext as _

from tenants import audit, spreadsheets
from tenants.accounts.models import AuditEntry

MOST_ROWS = 50_000


def answer(entries: Iterable[AuditEntry], name: str) -> HttpResponse:
    """The newest of the entries as an answer to be saved as a file, which says so where there are
    more. Callers give at most MOST_ROWS and one."""
    found = list(entries)
    rows = [_cells(entry) for entry in found[:MOST_ROWS]]
    if len(found) > MOST_ROWS:
        rows.append([_cut_short(found[MOST_ROWS - 1])])
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
    return spreadsheets.answer(name, headings, rows)


def _cut_short(last: AuditEntry) -> str:
    return _(
        "There are more: this file holds the %(count)s newest, back to %(day)s."
        " Narrow the days to export the others."
    ) % {
        "count": formats.number_format(MOST_ROWS, force_grouping=True),
        "day": formats.date_format(timezone.localtime(last.at), "DATE_FORMAT"),
    }


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
