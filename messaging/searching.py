"""Finding what was said and who said it: words, their stems and beginnings, without accents."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace

from django.contrib.postgres.search import SearchQuery, SearchQueryCombinable
from django.db.models import F, Q, QuerySet

from messaging import drafting, queries
from messaging.filters import Filters
from messaging.models import Conversation, Lead, LeadIdentity, Message
from messaging.models.words import BETWEEN, INSIDE_NAMES, LIGATURES, MARKS

PAGE = 20
MOST_CONVERSATIONS = 5
# A word that these do not hold a page of is rare enough for its index.
LATEST = 5_000
# What somebody types who knows what they are looking for; the rest of a pasted page is ignored.
MOST_WORDS = 8
LONGEST_WORD = 60
# Beginnings shorter than this are words of their own: everything begins with "a".
SHORTEST_BEGINNING = 2
SHORTEST_NUMBER = 3
SNIPPET = 160
# A word and another of the same stem begin alike and differ by an ending.
SHORTEST_STEM, LONGEST_ENDING = 4, 4

_MARKS = re.compile(MARKS)
_BETWEEN = re.compile(BETWEEN)
_TELEPHONE = re.compile(r"[\d\s().+-]+")


@dataclass(frozen=True)
class Piece:
    """A piece of a text, and whether it is what was looked for."""

    text: str
    is_found: bool


@dataclass(frozen=True)
class Found:
    """A message that was found, and its words around the ones looked for."""

    message: Message
    pieces: list[Piece]


def folded(text: str) -> str:
    """A text as the index counts it: small letters without accents, one space between words."""
    bare = _MARKS.sub("", unicodedata.normalize("NFKD", text.replace("\0", " "))).lower()
    for ligature, letters in LIGATURES.items():
        bare = bare.replace(ligature, letters)
    return _BETWEEN.sub(" ", bare)


def asked(text: str) -> SearchQueryCombinable | None:
    """All of these words: each as a beginning, or by its French or English stem."""
    every = None
    for word, accented in _asked_words(text):
        one = _one_word(word, accented)
        every = one if every is None else every & one
    return every


def messages(user, filters: Filters, after: int | None = None, size: int = PAGE):
    """A page of messages with these words, latest first; `after` is the last id seen.

    A frequent word is met at once among the latest messages, a rare one through the index of words.
    PostgreSQL cannot tell one from the other for beginnings of words, and where it takes the
    wrong way it reads every message there is: so the two are tried in turn.
    """
    wanted = asked(filters.text)
    if wanted is None:
        return queries.Page([], None)
    rows = Message.objects.filter(words=wanted, conversation__in=_searched(user, filters))
    rows = rows.select_related("conversation__lead", "by")
    rows = rows.defer("words", "conversation__lead__words")
    if after is not None:
        rows = rows.filter(pk__lt=after)
    found = _among_latest(rows, after, size + 1) or _by_index(rows, size + 1)
    shown = [Found(each, _excerpt(each, filters.text)) for each in found[:size]]
    return queries.Page(shown, found[size - 1].pk if len(found) > size else None)


def conversations(user, filters: Filters) -> queries.Page:
    """The latest conversations with somebody of this name, number or address; where there are
    more, the list of leads has them."""
    known = leads_meant(filters.text)
    if known is None:
        return queries.Page([], None)
    rows = _searched(user, filters).filter(lead__in=known, last_message_at__isnull=False)
    rows = drafting.with_drafts(rows, user).order_by("-last_message_at", "-pk")
    found = list(rows[: MOST_CONVERSATIONS + 1])
    shown = found[:MOST_CONVERSATIONS]
    return queries.Page(shown, shown[-1].pk if len(found) > len(shown) else None)


def leads(
    text: str,
    after: int | None = None,
    size: int = queries.PAGE,
    *,
    only_unknown: bool = False,
    stage: int | None = None,
    tag: int | None = None,
    only_vip: bool = False,
) -> queries.Page:
    """A page of leads by name, note, number or address, newest first; all where none is given."""
    known = leads_meant(text) if text.strip() else None
    if known is None and text.strip():
        return queries.Page([], None)
    narrowed = {"only_unknown": only_unknown, "stage": stage, "tag": tag, "only_vip": only_vip}
    return queries.leads(after, size, among=known, **narrowed)


def leads_meant(text: str) -> QuerySet | None:
    """The ids of leads that are meant; None where nothing is asked for."""
    wanted, joined, address = asked(text), asked(_joined(text)), _address(text)
    if wanted is not None and joined is not None:
        wanted = wanted | joined
    by_words = Lead.objects.filter(words=wanted).values("pk") if wanted is not None else None
    if address is None or by_words is None:
        return by_words
    return LeadIdentity.objects.filter(address).values("lead").union(by_words)


def pieces(text: str, looked_for: str) -> list[Piece]:
    """The text cut into what was looked for and what stands between."""
    words = [word for word, _accented in _asked_words(looked_for)]
    cut: list[Piece] = []
    for word, is_word in _cut(text):
        is_found = is_word and any(_is_meant(folded(word).strip(), each) for each in words)
        if cut and cut[-1].is_found == is_found:
            cut[-1] = replace(cut[-1], text=cut[-1].text + word)
        else:
            cut.append(Piece(word, is_found))
    return cut


def _among_latest(rows: QuerySet[Message], after: int | None, size: int) -> list[Message]:
    """So many of the latest messages, or none where they hold fewer."""
    newest = after or Message.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    found = list(rows.filter(pk__gt=newest - LATEST).order_by("-pk")[:size])
    return found if len(found) == size else []


def _by_index(rows: QuerySet[Message], size: int) -> list[Message]:
    # A sum is no column: so ordered, the rows cannot be read along the primary key.
    return list(rows.order_by((F("pk") + 0).desc())[:size])


def _searched(user, filters: Filters) -> QuerySet[Conversation]:
    """While something is looked for, "all" means closed conversations, too."""
    return queries.matching(user, replace(filters, text=""), closed_too=True)


def _asked_words(text: str) -> list[tuple[str, str]]:
    """Each word without and with its accents."""
    bare, accented = folded(text).split(), _lowered(text).split()
    if len(bare) != len(accented):
        accented = bare
    words = dict(zip(bare, accented, strict=True))
    return [each for each in words.items() if len(each[0]) <= LONGEST_WORD][:MOST_WORDS]


def _lowered(text: str) -> str:
    return _BETWEEN.sub(" ", unicodedata.normalize("NFKC", text.replace("\0", " ")).lower())


def _one_word(word: str, accented: str) -> SearchQueryCombinable:
    beginning = f"{word}:*" if len(word) >= SHORTEST_BEGINNING else word
    stems = {("french", accented), ("french", word), ("english", word)}
    query: SearchQueryCombinable = SearchQuery(beginning, search_type="raw", config="simple")
    for language, each in sorted(stems):
        query = query | SearchQuery(each, search_type="plain", config=language)
    return query


def _joined(text: str) -> str:
    return text.translate(dict.fromkeys(map(ord, INSIDE_NAMES)))


def _address(text: str) -> Q | None:
    """A part of a number or an address; a national number has its zero taken off."""
    text = text.strip()
    if "@" in text or ("." in text and " " not in text and not text[0].isdigit()):
        return Q(value__icontains=text.replace("\0", ""))
    if not _TELEPHONE.fullmatch(text):
        return None
    digits = re.sub(r"\D", "", text).lstrip("0")
    return Q(value__contains=digits) if len(digits) >= SHORTEST_NUMBER else None


def _excerpt(message: Message, looked_for: str) -> list[Piece]:
    whole = pieces(" ".join(filter(None, (message.subject, message.text))), looked_for)
    start = next((place for place, piece in enumerate(whole) if piece.is_found), 0)
    before = "".join(piece.text for piece in whole[:start])
    if len(before) > SNIPPET // 3:
        cut_at = before.find(" ", len(before) - SNIPPET // 3)
        before = "…" + before[cut_at + 1 :] if cut_at >= 0 else "…" + before[-SNIPPET // 3 :]
    return _shortened([Piece(before, False), *whole[start:]])


def _shortened(cut: list[Piece]) -> list[Piece]:
    left, kept = SNIPPET, []
    for piece in cut:
        if piece.text:
            kept.append(replace(piece, text=piece.text[:left]))
        left -= len(piece.text)
        if left <= 0:
            break
    return kept


def _cut(text: str) -> Iterator[tuple[str, bool]]:
    """Words and what stands between them, in order; together they are the text."""
    for part in re.split(r"(\w+)", text):
        if part:
            yield part, part[0].isalnum()


def _is_meant(word: str, looked_for: str) -> bool:
    """Whether PostgreSQL could have taken one for the other; near enough for a mark."""
    if word == looked_for or (word.startswith(looked_for) and len(looked_for) > 1):
        return True
    alike = _length_alike(word, looked_for)
    ending = max(len(word), len(looked_for)) - alike
    return alike >= SHORTEST_STEM and ending <= min(LONGEST_ENDING, alike)


def _length_alike(one: str, other: str) -> int:
    return next(
        (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )
