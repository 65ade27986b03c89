"""What was said in a conversation, as it is drawn: messages and notes among their neighbours."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from itertools import pairwise

from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from messaging import changing, noting, quoting, reacting, revising
from messaging.events import Kind
from messaging.models import Conversation, Message, MessageFile, Note
from messaging.queries import Stretch
from messaging.searching import Piece
from messaging.templatetags import saying

TOGETHER = timedelta(minutes=5)
# Further apart than this, the provider's clock and ours are both said.
APART = timedelta(minutes=1)
AUTOMATIC = frozenset({Message.Origin.AUTOMATION, Message.Origin.CAMPAIGN})


@dataclass(frozen=True)
class Reaction:
    """An emoji on a message, and who put it there."""

    emoji: str
    people: tuple[str, ...]

    @property
    def label(self) -> str:
        return _("%(emoji)s by %(people)s") % {
            "emoji": self.emoji,
            "people": ", ".join(self.people),
        }


@dataclass(frozen=True)
class Remark:
    """A few words beside a message's time; the whole of it on hover, where there is more."""

    text: str
    title: str = ""


@dataclass(kw_only=True)
class Entry(ABC):
    """Something in a conversation, and where it stands among its neighbours."""

    begins: bool = True
    ends: bool = True
    first_of_day: bool = True
    is_first_unread: bool = False

    @property
    @abstractmethod
    def at(self) -> datetime:
        """When it was said."""

    @property
    @abstractmethod
    def sender(self) -> str:
        """Neighbours with the same sender are drawn as one group."""

    @cached_property
    def day(self) -> date:
        return timezone.localtime(self.at).date()

    @cached_property
    def order(self) -> int:
        """Microseconds, so that the page sorts exactly as the database does."""
        return microseconds(self.at)

    @property
    def place(self) -> str:
        """Where a group and where a day begin and end, in classes."""
        told = {"begins": self.begins, "ends": self.ends, "first-of-day": self.first_of_day}
        return " ".join(name for name, is_so in told.items() if is_so)


@dataclass
class Bubble(Entry):
    """A message."""

    message: Message
    quoted: Message | None = None
    may_be_quoted: bool = False
    is_in_group: bool = False
    may_be_changed: bool = False
    may_be_reacted_to: bool = False
    refused_change: str = ""
    # What a note has and a message has not.
    note: None = None

    @property
    def at(self) -> datetime:
        return self.message.sent_at

    @property
    def sender(self) -> str:
        message = self.message
        return f"{message.direction}-{message.origin}-{message.by_id or message.author}"

    @property
    def is_ours(self) -> bool:
        return self.message.direction == Message.Direction.OUT

    @property
    def is_automatic(self) -> bool:
        return self.message.origin in AUTOMATIC

    @property
    def look(self) -> str:
        """What it is and where it stands, in classes."""
        told = {
            "automatic": self.is_automatic,
            "failed": self.message.status == Message.Status.FAILED,
        }
        own = [name for name, is_so in told.items() if is_so]
        return " ".join(["message", self.message.direction, *own, self.place])

    @property
    def attributes(self) -> SafeString:
        """What the page goes by: which one it is, where it stands, how far it came."""
        message = self.message
        return format_html(
            'class="{}" data-message="{}" data-status="{}" data-at="{}" data-day="{}"'
            ' data-sender="{}" data-reference="{}" data-entry="message-{}"',
            self.look,
            message.pk,
            message.status,
            self.order,
            self.day,
            self.sender,
            message.reference,
            message.pk,
        )

    @cached_property
    def files(self) -> Sequence[MessageFile]:
        return self.message.files.all()

    @property
    def is_text_alone(self) -> bool:
        """Whether there is nothing else to draw, as with most messages."""
        message = self.message
        is_more = message.deleted_at or self.quoted or message.subject or message.parts.get("taps")
        is_text = message.kind == Kind.TEXT and message.text != ""
        return is_text and not is_more and not self.files

    @property
    def is_unsent(self) -> bool:
        """Whether it did not leave, or perhaps not."""
        return self.message.status in (Message.Status.FAILED, Message.Status.UNKNOWN)

    @property
    def remarks(self) -> list[Remark]:
        """What else is to be said of it, beside its time."""
        return list(_remarks(self.message))

    @cached_property
    def reactions(self) -> list[Reaction]:
        """The emojis on it, in the order they came."""
        people: dict[str, list[str]] = {}
        told = sorted(self.message.reactions.items(), key=lambda each: each[1]["at"])
        for who, reaction in told:
            if reaction["emoji"]:
                people.setdefault(reaction["emoji"], []).append(_reactor(who, reaction["name"]))
        return [Reaction(emoji, tuple(names)) for emoji, names in people.items()]


@dataclass
class NoteEntry(Entry):
    """A note for the team."""

    note: Note

    @property
    def at(self) -> datetime:
        return self.note.created_at

    @property
    def sender(self) -> str:
        return f"note-{self.note.by_id or ''}"

    @property
    def pieces(self) -> list[Piece]:
        """The text, the names in it apart."""
        names = [re.escape(name) for name in self.note.names]
        cut = re.split(f"({'|'.join(names)})", self.note.text) if names else [self.note.text]
        return [Piece(part, part in self.note.names) for part in cut if part]


def entries(
    conversation: Conversation, shown: Stretch, first_unread: int | None = None
) -> Sequence[Entry]:
    """A stretch of a conversation in reading order, grouped by sender and day, notes woven in;
    `first_unread` is the message that a line stands before."""
    said: list[Entry] = []
    for each in _bubbles(conversation, list(shown.rows)[::-1]):
        each.is_first_unread = each.message.pk == first_unread
        said.append(each)
    noted = [NoteEntry(note) for note in noting.beside(conversation, shown)]
    return _grouped(sorted([*said, *noted], key=lambda entry: entry.order) if noted else said)


def bubble(message: Message) -> Bubble:
    """One message on its own; the page finds its neighbours."""
    return _bubbles(message.conversation, [message])[0]


def microseconds(moment: datetime) -> int:
    """By which a page sorts as the database does."""
    return round(moment.timestamp() * 1_000_000)


def _bubbles(conversation: Conversation, messages: Sequence[Message]) -> list[Bubble]:
    quoted = _quoted(conversation, messages)
    now = timezone.now()
    return [
        Bubble(
            message,
            quoted.get(message.reply_to),
            quoting.may_be_quoted(message, conversation, now),
            conversation.is_group,
            revising.may_edit(message, now) or revising.may_withdraw(message, now),
            reacting.may_react(message, now),
            _refused(message, now) if message.parts else "",
        )
        for message in messages
    ]


def _refused(message: Message, now: datetime) -> str:
    """What the message service did not do with a message a moment ago."""
    told = (
        saying.why_not_changed(revising.refusal(message, now)),
        saying.why_no_reaction(reacting.refusal(message, now)),
    )
    return " ".join(each for each in told if each)


def _quoted(conversation: Conversation, messages: Iterable[Message]) -> dict[str, Message]:
    wanted = {message.reply_to for message in messages if message.reply_to}
    if not wanted:
        return {}
    found = Message.objects.filter(
        conversation=conversation, instance_id=conversation.instance_id, external_id__in=wanted
    )
    return {message.external_id: message for message in found.select_related("by")}


def _grouped(entries: list[Entry]) -> list[Entry]:
    for earlier, later in pairwise(entries):
        later.first_of_day = earlier.day != later.day
        earlier.ends = later.begins = not _together(earlier, later)
    return entries


def _together(earlier: Entry, later: Entry) -> bool:
    return (
        earlier.sender == later.sender
        and earlier.day == later.day
        and later.order - earlier.order < TOGETHER / timedelta(microseconds=1)
    )


def _remarks(message: Message) -> Iterator[Remark]:
    is_ours = message.direction == Message.Direction.OUT
    if message.edited_at and not message.deleted_at:
        yield Remark(_("edited"), saying.full(message.edited_at))
    if revising.is_waiting(message, timezone.now()):
        is_going = message.parts[revising.PART]["what"] == revising.WITHDRAW
        yield Remark(_("being withdrawn…") if is_going else _("being changed…"))
    if stand_in := message.parts.get("stand_in"):
        words = _("by %(number)s") if is_ours else _("to %(number)s")
        yield Remark(words % {"number": saying.pretty(stand_in)})
    if abs(message.received_at - message.sent_at) > APART:
        words = _("(known here at %(at)s)") if is_ours else _("(reached us at %(at)s)")
        clock = saying.clock(message.received_at)
        yield Remark(words % {"at": clock}, saying.full(message.received_at))
    if message.status == Message.Status.QUEUED and message.not_before:
        clock = saying.clock(message.not_before)
        yield Remark(_("next attempt at %(at)s") % {"at": clock})


def _reactor(who: str, name: str) -> str:
    sides = {changing.US: _("us"), changing.CONTACT: _("the contact")}
    return name or sides.get(who, who)
