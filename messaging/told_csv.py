"""Facts about messages as a file that spreadsheets open."""

from collections.abc import Iterable, Iterator

from django.http import HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from messaging import providers, queries, told
from tenants import spreadsheets

MOST_ROWS = 50_000
METADATA = (
    "at", "medium", "provider", "instance", "direction", "status", "told_by", "lead", "message",
    "external_id",
)  # fmt: skip
EVERYTHING = (*METADATA, "lead_name", "address", "snippet")


def read(
    narrowed: told.Narrowed, before: queries.Cursor | None = None, *, with_content: bool = True
) -> tuple[list[told.Fact], queries.Cursor | None]:
    """The newest facts, as many as a file takes, and the place where the rest begins."""
    facts: list[told.Fact] = []
    while len(facts) < MOST_ROWS:
        size = min(told.AT_ONCE, MOST_ROWS - len(facts))
        found = told.page(narrowed, before, size, with_content=with_content)
        facts += found.rows
        if found.next is None:
            return facts, None
        before = facts[-1].place
    return facts, before


def for_people(facts: Iterable[told.Fact], name: str, columns=EVERYTHING) -> HttpResponse:
    """The facts in the words of whoever reads them."""
    headings = _headings()
    rows = (_cells(fact, columns, _in_words(fact)) for fact in facts)
    return spreadsheets.answer(name, [headings[each] for each in columns], rows)


def for_programs(facts: Iterable[told.Fact], name: str) -> HttpResponse:
    """The facts under the names that the API has for them."""
    return spreadsheets.answer(name, EVERYTHING, (_cells(fact, EVERYTHING, {}) for fact in facts))


def _cells(fact: told.Fact, columns: Iterable[str], words: dict[str, str]) -> list[str]:
    return list(_shown(fact, columns, words))


def _shown(fact: told.Fact, columns: Iterable[str], words: dict[str, str]) -> Iterator[str]:
    for column in columns:
        if column in words:
            yield words[column]
            continue
        value = getattr(fact, column)
        if column == "at":
            value = timezone.localtime(value).isoformat(timespec="seconds")
        yield "" if value is None else str(value)


def _in_words(fact: told.Fact) -> dict[str, str]:
    return {
        "medium": str(told.MEDIA[fact.medium]),
        "provider": str(providers.get(fact.provider).label),
        "direction": str(dict(told.Direction.choices).get(fact.direction, "")),
        "status": str(told.STATUSES.get(fact.status, fact.status)),
        "told_by": _("AMDA") if fact.told_by == "us" else str(providers.get(fact.provider).label),
    }


def _headings() -> dict[str, str]:
    return {
        "at": _("When"),
        "medium": pgettext("of a message", "Medium"),
        "provider": _("Provider"),
        "instance": _("Number"),
        "direction": _("Direction"),
        "status": _("Status"),
        "told_by": _("Told by"),
        "lead": _("Lead"),
        "message": _("Message"),
        "external_id": _("Id at the provider"),
        "lead_name": _("Name of the lead"),
        "address": _("Number or address"),
        "snippet": _("Snippet"),
    }
