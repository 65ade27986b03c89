"""What lists and pages read: keyset pages, never a count, never a query per row."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import F, OuterRef, Q, QuerySet, Subquery

from messaging import drafting, pipeline
from messaging.filters import NO_FILTERS, Filters
from messaging.models import Activity, Conversation, Lead, LeadIdentity, Message, MessageFile
from tenants.accounts.models import User
from tenants.permissions import Action, may, roles_that_may

PAGE = 20
# Around a message that was jumped to: as much before it as after it.
AROUND = 10
LARGEST_ID = 2**63 - 1


@dataclass(frozen=True)
class Cursor:
    """A place in a list that is ordered by (time, id)."""

    at: datetime
    id: int

    def __str__(self) -> str:
        return f"{self.at.isoformat()}~{self.id}"

    @classmethod
    def read(cls, text: str) -> "Cursor":
        """The cursor in an address, or ValueError."""
        at, _, identity = text.partition("~")
        moment = datetime.fromisoformat(at.replace(" ", "+"))
        if moment.tzinfo is None or not identity.isdecimal() or int(identity) > LARGEST_ID:
            raise ValueError(text)
        return cls(moment, int(identity))


@dataclass(frozen=True)
class Page:
    """Some rows of a list, and the cursor of the rest (None at the end)."""

    rows: Sequence[Any]
    next: Cursor | int | None


@dataclass(frozen=True)
class Stretch:
    """Some messages of a conversation, newest first, and the cursors of what lies on both sides.

    It has the time from `begins_at` until before `ends_at`, without an end where there is None.
    """

    rows: Sequence[Message]
    older: Cursor | None
    newer: Cursor | None = None
    begins_at: datetime | None = None
    ends_at: datetime | None = None


def visible_conversations(user) -> QuerySet[Conversation]:
    """The conversations this person may see: the one door for lists, search, counts, files."""
    rows = Conversation.objects.filter(folded_into=None).select_related("lead", "assignee")
    if not may(user, Action.SEE_ALL_CONVERSATIONS):
        rows = rows.filter(Q(assignee=user) | Q(assignee=None))
    return rows.defer("lead__words")


def is_visible(conversation: Conversation, user) -> bool:
    """The same for a conversation one has already."""
    mine = conversation.assignee_id in (None, user.pk)
    return mine or may(user, Action.SEE_ALL_CONVERSATIONS)


def who_may_see(conversation: Conversation) -> QuerySet[User]:
    """The people of the team who may see a conversation: `is_visible`, asked the other way."""
    rows = User.objects.filter(is_active=True, role__in=roles_that_may(Action.READ))
    if conversation.assignee_id is None:
        return rows
    sees_all = Q(role__in=roles_that_may(Action.SEE_ALL_CONVERSATIONS))
    return rows.filter(sees_all | Q(pk=conversation.assignee_id))


def conversation_of(user, pk: int) -> Conversation | None:
    """One conversation this person may see, or None; `opted_out_as` is the kind of the address it
    is held at, where its owner wants no messages there. A folded one leads to the other."""
    opted_out = LeadIdentity.objects.filter(
        lead=OuterRef("lead"), value=OuterRef("peer"), opted_out=True
    )
    shown = drafting.with_drafts(visible_conversations(user), user)
    found = (
        shown.annotate(opted_out_as=Subquery(opted_out.values("kind")[:1])).filter(pk=pk).first()
    )
    if found is None:
        folded = Conversation.objects.filter(pk=pk, folded_into__isnull=False).first()
        if folded is not None and folded.folded_into_id is not None:
            return conversation_of(user, folded.folded_into_id)
    return found


def matching(user, filters: Filters, *, closed_too: bool = False) -> QuerySet[Conversation]:
    """The conversations this person may see that fit the filters, in no order."""
    rows = visible_conversations(user)
    if filters.view == "closed":
        rows = rows.filter(state=Conversation.State.CLOSED)
    elif not closed_too:
        rows = rows.filter(state=Conversation.State.OPEN)
    if filters.view == "mine":
        rows = rows.filter(assignee=user)
    if filters.view == "unassigned":
        rows = rows.filter(assignee=None)
    if filters.number:
        rows = rows.filter(instance_id=filters.number)
    if filters.person:
        rows = rows.filter(assignee=filters.person)
    if filters.stage:
        rows = rows.filter(pipeline.standing_at(filters.stage, "lead__"))
    if filters.tag:
        rows = rows.filter(lead__tags=filters.tag)
    if filters.vip:
        rows = rows.filter(lead__is_vip=True)
    if filters.unread:
        rows = rows.filter(unread_count__gt=0)
    return rows


def conversations(
    user, filters: Filters = NO_FILTERS, after: Cursor | None = None, size: int = PAGE
) -> Page:
    """A page of the inbox, newest first."""
    rows = matching(user, filters).filter(last_message_at__isnull=False)
    rows = drafting.with_drafts(rows, user)
    return Page(*_page(rows, "last_message_at", after, size))


def messages(conversation: Conversation, before: Cursor | None = None, size: int = PAGE) -> Page:
    """A page of a conversation, newest first; `before` goes back in time."""
    return Page(*_page(_messages(conversation), "sent_at", before, size))


def timeline(user, lead: Lead, before: Cursor | None = None, size: int = PAGE) -> Page:
    """A page of a lead's history as this person may see it, newest first; `before` goes back in
    time."""
    rows = Activity.objects.filter(lead=lead)
    if not may(user, Action.SEE_ALL_CONVERSATIONS):
        said = Q(message__conversation__in=visible_conversations(user))
        rows = rows.filter(Q(message=None) | said)
    rows = rows.select_related("by", "follow_up", "stage_change__before", "stage_change__after")
    return Page(*_page(rows, "at", before, size))


def newest(conversation: Conversation, before: Cursor | None = None, size: int = PAGE) -> Stretch:
    """The end of a conversation, or what stands before a cursor."""
    rows, older = _page(_messages(conversation), "sent_at", before, size)
    return Stretch(
        rows,
        older,
        begins_at=rows[-1].sent_at if older else None,
        ends_at=before.at if before else None,
    )


def newer(conversation: Conversation, after: Cursor, size: int = PAGE) -> Stretch:
    """What follows a cursor."""
    rows = _messages(conversation).order_by("sent_at", "id").filter(beyond("sent_at", after, "gt"))
    found = list(rows[: size + 1])
    end = place_of(found[size - 1]) if len(found) > size else None
    return Stretch(
        found[:size][::-1],
        older=None,
        newer=end,
        begins_at=after.at,
        ends_at=end.at if end else None,
    )


def around(conversation: Conversation, place: Cursor, size: int = AROUND) -> Stretch:
    """What stands on both sides of a place; the message at the place is on the older side."""
    just_after = Cursor(place.at, place.id + 1)
    before = newest(conversation, just_after, size)
    after = newer(conversation, place, size)
    return Stretch(
        [*after.rows, *before.rows],
        older=before.older,
        newer=after.newer,
        begins_at=before.begins_at,
        ends_at=after.ends_at,
    )


def first_unread(conversation: Conversation, known: Sequence[Message]) -> Message | None:
    """The oldest of the unread messages; looked up only where it is not among the known ones."""
    unread = conversation.unread_count
    if not unread:
        return None
    received = [each for each in known if each.direction == Message.Direction.IN]
    if len(received) >= unread:
        return received[unread - 1]
    rows = conversation.messages.filter(direction=Message.Direction.IN)
    return rows.order_by("-sent_at", "-id")[unread - 1 : unread].first()


def place_of(message: Message) -> Cursor:
    """Where a message stands in its conversation."""
    return Cursor(message.sent_at, message.pk)


def leads(
    after: int | None = None,
    size: int = PAGE,
    among: QuerySet | None = None,
    *,
    only_unknown: bool = False,
    stage: int | None = None,
    tag: int | None = None,
    only_vip: bool = False,
) -> Page:
    """A page of leads, newest first; `after` is the last id seen."""
    rows = Lead.objects.filter(merged_into=None).select_related("owner", "stage")
    rows = rows.prefetch_related("identities", "tags").order_by("-id")
    if stage is not None:
        rows = rows.filter(pipeline.standing_at(stage))
    if tag is not None:
        rows = rows.filter(tags=tag)
    if only_vip:
        rows = rows.filter(is_vip=True)
    if among is not None:
        rows = rows.filter(pk__in=among)
    if only_unknown:
        rows = rows.filter(recognised_at=None)
    if after is not None:
        rows = rows.filter(id__lt=after)
    found = list(rows[: size + 1])
    return Page(found[:size], found[size - 1].pk if len(found) > size else None)


def has_unread(user) -> bool:
    """Whether anything open is unread; cheap enough for every page."""
    return visible_conversations(user).filter(state="open", unread_count__gt=0).exists()


def message_of(user, pk: int) -> Message | None:
    """One message this person may see, or None."""
    return (
        Message.objects.filter(pk=pk, conversation__in=visible_conversations(user))
        .select_related("by", "conversation")
        .prefetch_related("files")
        .first()
    )


def file_of(user, pk: int) -> MessageFile | None:
    """One file this person may see: of a message, or an upload of their own; or None."""
    seen = Q(message__conversation__in=visible_conversations(user), message__deleted_at=None)
    own = Q(message=None, uploaded_by=user)
    return MessageFile.objects.filter(seen | own, pk=pk).select_related("message").first()


def outgoing_file(pk: int) -> MessageFile | None:
    """A file of a message that we send, or None."""
    sent = MessageFile.objects.filter(message__direction="out", message__deleted_at=None)
    return sent.filter(pk=pk).first()


def _messages(conversation: Conversation) -> QuerySet[Message]:
    return conversation.messages.select_related("by").prefetch_related("files")


def _page(
    rows: QuerySet, time: str, cursor: Cursor | None, size: int
) -> tuple[list[Any], Cursor | None]:
    rows = rows.order_by(F(time).desc(), F("id").desc())
    if cursor:
        rows = rows.filter(beyond(time, cursor, "lt"))
    found = list(rows[: size + 1])
    last = found[size - 1] if len(found) > size else None
    return found[:size], Cursor(getattr(last, time), last.pk) if last else None


def beyond(time: str, cursor: Cursor, way: str) -> Q:
    """On one side of a cursor: "lt" or "gt". The first condition is for the index."""
    further = Q(**{f"{time}__{way}": cursor.at})
    return Q(**{f"{time}__{way}e": cursor.at}) & (
        further | Q(**{time: cursor.at, f"id__{way}": cursor.id})
    )
