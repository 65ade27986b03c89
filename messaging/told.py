"""What was told about messages, fact by fact: narrowed, and read on from a place, newest first.

Nothing is copied for it: number, lead and words are those of the message as it now stands, so that
what is withdrawn is gone from here, too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Case, CharField, F, Q, QuerySet, Value, When
from django.db.models.functions import Left
from django.utils.translation import gettext_lazy as _

from messaging import providers, queries
from messaging.facts import OUTCOME
from messaging.models import Message, MessageEvent
from messaging.providers.base import Medium

PAGE = 50
AT_ONCE = 1000
MOST_DAYS = 92
EARLIEST, LATEST = date(2000, 1, 1), date(2099, 12, 31)
USUAL_DAYS = 7
SNIPPET = 200
# The facts that are about messages; the others are about instances, templates and consent.
KINDS = ("message", "status", OUTCOME, "deleted", "edited", "reaction")

Status = Message.Status
Direction = Message.Direction
MEDIA = {
    Medium.WHATSAPP.value: "WhatsApp",
    Medium.SMS.value: _("SMS"),
    Medium.EMAIL.value: _("e-mail"),
}
STATUSES: dict[str, Any] = {
    **{
        each.value: each.label
        for each in (
            Status.RECEIVED,
            Status.SENT,
            Status.UNKNOWN,
            Status.DELIVERED,
            Status.READ,
            Status.PLAYED,
            Status.FAILED,
        )
    },
    "edited": _("edited"),
    "deleted": _("withdrawn"),
    "reaction": _("reaction"),
}


class WrongDays(ValueError):
    """Days that cannot be shown: which of the two, and why, in the reader's language."""

    def __init__(self, field: str, message: Any) -> None:
        super().__init__(str(message))
        self.field = field
        self.message = message


@dataclass(frozen=True)
class Days:
    """From the beginning of one day to the end of another, as a time zone has them."""

    first: date
    last: date
    zone: ZoneInfo

    @classmethod
    def asked(cls, since: date | None, until: date | None, today: date, zone: ZoneInfo) -> "Days":
        """The days that are asked for; the last seven where none are. `WrongDays` where they make
        no sense, or are so many that a rare fact among them would take long to find."""
        for field, day in (("since", since), ("until", until)):
            if day and not EARLIEST <= day <= LATEST:
                raise WrongDays(field, _("This day lies too far away."))
        last = until or (min(today, since + timedelta(days=MOST_DAYS - 1)) if since else today)
        first = since or last - timedelta(days=USUAL_DAYS - 1)
        if first > last:
            raise WrongDays("since", _("The first day lies after the last one."))
        if (last - first).days >= MOST_DAYS:
            said = _("At most %(days)d days are shown at once.") % {"days": MOST_DAYS}
            raise WrongDays("since", said)
        return cls(first, last, zone)

    @property
    def begin_at(self) -> datetime:
        return datetime.combine(self.first, time.min, self.zone)

    @property
    def end_at(self) -> datetime:
        return datetime.combine(self.last + timedelta(days=1), time.min, self.zone)


@dataclass(frozen=True)
class Narrowed:
    """Which facts; what is empty narrows nothing. `leads` are ids, or a query that finds them."""

    days: Days
    medium: str = ""
    provider: str = ""
    direction: str = ""
    status: str = ""
    leads: Any = None


@dataclass(frozen=True)
class Fact:
    """One fact about a message, told by a provider or by us."""

    id: int
    at: datetime
    provider: str
    instance: int
    direction: str
    status: str
    told_by: str
    message: int | None
    conversation: int | None
    lead: int | None
    external_id: str
    lead_name: str = ""
    address: str = ""
    snippet: str = ""

    @property
    def medium(self) -> str:
        return providers.get(self.provider).medium.value

    @property
    def place(self) -> queries.Cursor:
        """Where it stands in the list."""
        return queries.Cursor(self.at, self.id)


def page(
    narrowed: Narrowed,
    before: queries.Cursor | None = None,
    size: int = PAGE,
    *,
    with_content: bool = True,
) -> queries.Page:
    """A page of facts, newest first; without content neither names, addresses nor words are
    read."""
    rows = _rows(narrowed, with_content)
    if before is not None:
        rows = rows.filter(queries.beyond("at", before, "lt"))
    found = [_fact(row) for row in rows.order_by("-at", "-id")[: size + 1]]
    shown = found[:size]
    return queries.Page(shown, shown[-1].place if len(found) > size else None)


def from_the_oldest(narrowed: Narrowed) -> Iterator[Fact]:
    """Every fact in the order of time, read a thousand at once."""
    after: queries.Cursor | None = None
    while True:
        rows = _rows(narrowed, with_content=True)
        if after is not None:
            rows = rows.filter(queries.beyond("at", after, "gt"))
        found = [_fact(row) for row in rows.order_by("at", "id")[:AT_ONCE]]
        yield from found
        if len(found) < AT_ONCE:
            return
        after = found[-1].place


def of_one_day(day: date, zone: ZoneInfo) -> Narrowed:
    """All facts of a day."""
    return Narrowed(Days(day, day, zone))


def _rows(narrowed: Narrowed, with_content: bool) -> QuerySet:
    rows = MessageEvent.objects.filter(
        kind__in=KINDS, at__gte=narrowed.days.begin_at, at__lt=narrowed.days.end_at
    )
    if narrowed.medium:
        rows = rows.filter(provider__in=_of_medium(narrowed.medium))
    if narrowed.provider:
        rows = rows.filter(provider=narrowed.provider)
    if narrowed.direction:
        rows = rows.filter(message__direction=narrowed.direction)
    if narrowed.status:
        rows = rows.filter(_said(narrowed.status))
    if narrowed.leads is not None:
        rows = rows.filter(message__lead__in=narrowed.leads)
    rows = rows.annotate(said=_SAID, way=F("message__direction"), whose=F("message__lead_id"))
    if with_content:
        rows = rows.annotate(words=Left("message__text", SNIPPET), peer=F("message__peer"))
    return rows.values(*_PLAIN, *(_CONTENT if with_content else ()))


def _said(status: str) -> Q:
    """What counts as a status: a message itself says that it was received, or sent elsewhere."""
    match status:
        case Status.RECEIVED:
            return Q(kind="message", message__direction=Direction.IN)
        case Status.SENT:
            sent_elsewhere = Q(kind="message", message__direction=Direction.OUT)
            return Q(kind__in=_TELLS_STATUS, status=status) | sent_elsewhere
        case "deleted" | "edited" | "reaction":
            return Q(kind=status)
    return Q(kind__in=_TELLS_STATUS, status=status)


_TELLS_STATUS = ("status", OUTCOME)
_SAID = Case(
    When(kind="message", message__direction=Direction.IN, then=Value(Status.RECEIVED.value)),
    When(kind="message", then=Value(Status.SENT.value)),
    When(kind__in=_TELLS_STATUS, then=F("status")),
    default=F("kind"),
    output_field=CharField(),
)
_PLAIN = (
    "id", "at", "kind", "provider", "instance_id", "way", "said", "message_id",
    "message__conversation_id", "whose", "external_id",
)  # fmt: skip
_CONTENT = ("message__lead__name", "peer", "message__conversation__peer", "words")


def _of_medium(medium: str) -> list[str]:
    return [each.slug for each in providers.every() if each.medium == medium]


def _fact(row: dict[str, Any]) -> Fact:
    waits_for_ours = row["kind"] == "status"
    return Fact(
        id=row["id"],
        at=row["at"],
        provider=row["provider"],
        instance=row["instance_id"],
        direction=row["way"] or (Direction.OUT.value if waits_for_ours else ""),
        status=row["said"],
        told_by="us" if row["kind"] == OUTCOME else "provider",
        message=row["message_id"],
        conversation=row["message__conversation_id"],
        lead=row["whose"],
        external_id=row["external_id"],
        lead_name=row.get("message__lead__name") or "",
        address=row.get("peer") or row.get("message__conversation__peer") or "",
        snippet=row.get("words") or "",
    )
