"""What the search index knows of a row: its words as written, and their French and English stems.

Accents, case and punctuation are gone before the words are counted, so that what is typed on a
phone finds what was typed on a keyboard. `messaging.searching.folded` does the same to a question.
"""

from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import Func

# Texts longer than this are found by their beginning; a vector has room for a megabyte.
LONGEST_INDEXED = 20_000
MARKS = r"[\u0300-\u036f\u064b-\u0652]"
# Everything between words: of ASCII all but digits and (by then small) letters, then the
# punctuation, symbols and emoji of the rest.
BETWEEN = (
    r"[\u0001-\u002f\u003a-\u0060\u007b-\u00bf\u00d7\u00f7\u2000-\u2bff\u3000-\u303f"
    r"\ufe00-\ufe0f\U0001f000-\U0001faff]+"
)
LIGATURES = {"œ": "oe", "æ": "ae", "ß": "ss"}
INSIDE_NAMES = "'’-"


def _folding(text: str) -> str:
    bare = f"regexp_replace(normalize(left({text}, {LONGEST_INDEXED}), NFKD), '{MARKS}', '', 'g')"
    small = f"lower({bare})"
    for ligature, letters in LIGATURES.items():
        small = f"replace({small}, '{ligature}', '{letters}')"
    return f"regexp_replace({small}, '{BETWEEN}', ' ', 'g')"


def _lowering(text: str) -> str:
    small = f"lower(normalize(left({text}, {LONGEST_INDEXED}), NFKC))"
    return f"regexp_replace({small}, '{BETWEEN}', ' ', 'g')"


def _words(text: str) -> str:
    # Only with its accents has "livrées" the stem of "livrer".
    parts = (
        ("simple", _folding),
        ("french", _lowering),
        ("french", _folding),
        ("english", _folding),
    )
    vectors = (f"to_tsvector('{each}'::regconfig, {form(text)})" for each, form in parts)
    return f"strip({' || '.join(vectors)})"


class Words(Func):
    """The words of some text columns, as PostgreSQL counts them."""

    template = _words("%(expressions)s")
    arg_joiner = " || ' ' || "
    output_field = SearchVectorField()


class Joined(Func):
    """A name without what stands inside it: N'Diaye is also looked for as Ndiaye."""

    template = f"translate(%(expressions)s, '{INSIDE_NAMES.replace(chr(39), chr(39) * 2)}', '')"
    output_field = models.TextField()


def words_of(*columns: str | Func) -> models.GeneratedField:
    """A column that follows these text columns by itself, edits and deletions included."""
    return models.GeneratedField(
        expression=Words(*columns), output_field=SearchVectorField(), db_persist=True
    )


class WithoutWords(models.Manager):
    """Rows without what only the search reads."""

    def get_queryset(self) -> models.QuerySet:
        return super().get_queryset().defer("words")
