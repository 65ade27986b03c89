"""What lists and pages read: keyset pages, never a count, never a query per row."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import F, OuterRef, Q, QuerySet, Subquery

from messaging.models import Conversation, Lead, LeadIdentity, Message, MessageFile

PAGE = 30


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
        if moment.tzinfo is None or not identity.isdecimal():
            raise ValueError(text)
        return cls(moment, int(identity))


@dataclass(frozen=True)
class Page:
    """Some rows of a list, and the cursor of the rest (None at the end)."""

    rows: Sequence[Any]
    next: Cursor | int | None


VIEWS = ("mine", "unassigned", "all", "closed")


def visible_conversations(user) -> QuerySet[Conversation]:
    """The conversations this person may see."""
    return Conversation.objects.filter(folded_into=None).select_related("lead", "assignee")


def conversation_of(user, pk: int) -> Conversation | None:
    """One conversation this person may see, or None; `opted_out_as` is the kind of the address it
    is held at, where its owner wants no messages there. A folded one leads to the other."""
    opted_out = LeadIdentity.objects.filter(
        lead=OuterRef("lead"), value=OuterRef("peer"), opted_out=True
    )
    shown = visible_conversations(user).annotate(
        opted_out_as=Subquery(opted_out.values("kind")[:1])
    )
    found = shown.filter(pk=pk).first()
    if found is None:
        folded = Conversation.objects.filter(pk=pk, folded_into__isnull=False).first()
        if folded is not None and folded.folded_into_id is not None:
            return conversation_of(user, folded.folded_into_id)
    return found


def conversations(user, view: str = "all", after: Cursor | None = None, size: int = PAGE) -> Page:
    """A page of the inbox: one of VIEWS, newest first."""
    state = Conversation.State.CLOSED if view == "closed" else Conversation.State.OPEN
    rows = visible_conversations(user).filter(state=state, last_message_at__isnull=False)
    if view == "mine":
        rows = rows.filter(assignee=user)
    if view == "unassigned":
        rows = rows.filter(assignee=None)
    return _page(rows, "last_message_at", after, size)


def messages(conversation: Conversation, before: Cursor | None = None, size: int = PAGE) -> Page:
    """A page of a conversation, newest first; `before` goes back in time."""
    rows = conversation.messages.select_related("by").prefetch_related("files")
    return _page(rows, "sent_at", before, size)


def leads(after: int | None = None, size: int = PAGE, text: str = "") -> Page:
    """A page of leads, newest first; `after` is the last id seen."""
    rows = Lead.objects.filter(merged_into=None).select_related("owner")
    rows = rows.prefetch_related("identities").order_by("-id")
    if text:
        rows = rows.filter(
            Q(name__icontains=text) | Q(identities__value__icontains=text)
        ).distinct()
    if after is not None:
        rows = rows.filter(id__lt=after)
    found = list(rows[: size + 1])
    return Page(found[:size], found[size - 1].pk if len(found) > size else None)


def has_unread(user) -> bool:
    """Whether anything open is unread; cheap enough for every page."""
    return visible_conversations(user).filter(state="open", unread_count__gt=0).exists()


def _page(rows: QuerySet, time: str, cursor: Cursor | None, size: int) -> Page:
    rows = rows.order_by(F(time).desc(), F("id").desc())
    if cursor:
        at_or_before = Q(**{f"{time}__lt": cursor.at}) | Q(**{time: cursor.at, "id__lt": cursor.id})
        rows = rows.filter(Q(**{f"{time}__lte": cursor.at}) & at_or_before)
    found = list(rows[: size + 1])
    last = found[size - 1] if len(found) > size else None
    return Page(found[:size], Cursor(getattr(last, time), last.pk) if last else None)


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
