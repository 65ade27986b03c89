"""Rows as a file that spreadsheets open, whatever people wrote into them."""

import csv
import re
from collections.abc import Iterable, Sequence

from django.http import HttpResponse

# Without it spreadsheets take the file for another encoding.
_BYTE_ORDER = "\ufeff"
# What a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-]?\d+")


def answer(name: str, headings: Sequence, rows: Iterable[Sequence[str]]) -> HttpResponse:
    """The rows as an answer to be saved as `name`.csv; callers bound how many there are."""
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    response["Cache-Control"] = "no-store, private"
    response.write(_BYTE_ORDER)
    writer = csv.writer(response)
    writer.writerow(headings)
    for row in rows:
        writer.writerow([_plain(cell) for cell in row])
    return response


def _plain(cell: str) -> str:
    is_formula = cell.startswith(_FORMULA) and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if is_formula else cell
