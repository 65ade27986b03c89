"""From rows to what a template draws: bubbles, numbers, toasts."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django_htmx.http import trigger_client_event

from messaging import changing, mailing, noting, optouts, sniffing, windows
from messaging.addressing import Kind as AddressKind
from messaging.models import Conversation, Message, Note
from messaging.providers import get as provider_of
from messaging.providers.base import Feature
from messaging.queries import Stretch
from messaging.searching import Piece
from tenants.models import ProviderInstance
from tenants.permissions import Action, may

TOGETHER = timedelta(minutes=5)
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


@dataclass
class Bubble:
    """A message as it is drawn among its neighbours."""

    message: Message
    quoted: Message | None = None
    begins: bool = True
    ends: bool = True
    first_of_day: bool = True

    @property
    def day(self):
        return timezone.localtime(self.message.sent_at).date()

    @property
    def order(self) -> int:
        """Microseconds, so that the page sorts exactly as the database does."""
        return _microseconds(self.message.sent_at)

    @property
    def sender(self) -> str:
        """Neighbours with the same sender are drawn as one group."""
        return f"{self.message.direction}-{self.message.origin}-{self.message.by_id or ''}"

    @property
    def is_automatic(self) -> bool:
        return self.message.origin in AUTOMATIC

    @property
    def clocks_differ(self) -> bool:
        """Whether the provider's time and ours are more than a minute apart."""
        apart = abs(self.message.received_at - self.message.sent_at)
        return apart > timedelta(minutes=1)

    @property
    def reactions(self) -> list[Reaction]:
        """The emojis on it, in the order they came."""
        people: dict[str, list[str]] = {}
        told = sorted(self.message.reactions.items(), key=lambda each: each[1]["at"])
        for who, reaction in told:
            if reaction["emoji"]:
                people.setdefault(reaction["emoji"], []).append(_reactor(who, reaction["name"]))
        return [Reaction(emoji, tuple(names)) for emoji, names in people.items()]


@dataclass
class NoteEntry:
    """A note as it is drawn among the messages."""

    note: Note
    begins: bool = True
    ends: bool = True
    first_of_day: bool = True

    @property
    def day(self):
        return timezone.localtime(self.note.created_at).date()

    @property
    def order(self) -> int:
        return _microseconds(self.note.created_at)

    @property
    def sender(self) -> str:
        return f"note-{self.note.by_id or ''}"

    @property
    def pieces(self) -> list[Piece]:
        """The text, the names in it apart."""
        names = [re.escape(name) for name in self.note.names]
        cut = re.split(f"({'|'.join(names)})", self.note.text) if names else [self.note.text]
        return [Piece(part, part in self.note.names) for part in cut if part]


Entry = Bubble | NoteEntry


def bubbles(conversation: Conversation, newest_first: Iterable[Message]) -> list[Bubble]:
    """Bubbles in reading order, grouped by sender and day."""
    messages = list(newest_first)[::-1]
    quoted = _quoted(conversation, messages)
    return _grouped([Bubble(message, quoted.get(message.reply_to)) for message in messages])


def bubble(message: Message) -> Bubble:
    """One bubble on its own; the page finds its neighbours."""
    return bubbles(message.conversation, [message])[0]


def numbers(request) -> dict[int, ProviderInstance]:
    """The tenant's numbers by id, in the order they were connected; looked up once a request."""
    if not hasattr(request, "numbers"):
        rows = ProviderInstance.objects.serving(request.tenant).order_by("pk")
        request.numbers = {each.pk: each for each in rows}
    return request.numbers


def pane(request, conversation: Conversation, shown: Stretch) -> dict[str, Any]:
    """What an open conversation shows."""
    drawn = bubbles(conversation, shown.rows)
    notes = [NoteEntry(note) for note in noting.beside(conversation, shown)]
    woven = sorted([*drawn, *notes], key=lambda entry: entry.order)
    with_subject = has_subject(conversation.provider)
    return {
        **head(request, conversation),
        "has_subject": with_subject,
        "proposed_subject": mailing.proposed_subject(conversation) if with_subject else "",
        "bubbles": drawn,
        "entries": _grouped(woven) if notes else drawn,
        "older": shown.older,
        "newer": shown.newer,
    }


def head(request, conversation: Conversation) -> dict[str, Any]:
    """What stands above a conversation, and whether one can answer below it."""
    known = numbers(request)
    number = known.get(conversation.instance_id)
    provider = provider_of(conversation.provider)
    return {
        "conversation": conversation,
        "number": number,
        "several_numbers": len(known) > 1,
        "number_is_down": number is not None and number.state != ProviderInstance.State.CONNECTED,
        "may_reply": may(request.user, Action.REPLY) and number is not None,
        "why_opted_out": _why_opted_out(conversation),
        "window": windows.of(conversation, timezone.now()),
        "may_send_files": Feature.MEDIA in provider.supports,
        "largest_file": min(sniffing.LARGEST, provider.largest_file),
        "longest_text": provider.longest_text,
    }


def _why_opted_out(conversation: Conversation):
    kind = getattr(conversation, "opted_out_as", None)
    return optouts.why_refused(kind) if kind else None


def has_subject(provider: str) -> bool:
    """Whether what is written through this provider has a subject."""
    return Feature.SUBJECTS in provider_of(provider).supports


def row_order(conversation: Conversation) -> int:
    """Microseconds of the last message, by which the page keeps its list sorted."""
    return _microseconds(conversation.last_message_at or conversation.created_at)


def address_icon(kind: str) -> str:
    """The icon of a way to reach somebody."""
    return {AddressKind.EMAIL: "email", AddressKind.PHONE: "phone"}.get(kind, "whatsapp")


def with_toast(response, text: str, *, undo: str = "", values: dict | None = None):
    """Say what was done, for a few seconds, with a way back."""
    toast = {"text": text, "undo": undo, "values": values or {}, "undo_word": _("Undo")}
    return trigger_client_event(response, "toast", toast)


def with_change(response, conversation: Conversation):
    """Have the page refresh a conversation at once, whether or not its socket is up."""
    return trigger_client_event(response, "changed", {"conversation": conversation.pk})


def _quoted(conversation: Conversation, messages: list[Message]) -> dict[str, Message]:
    wanted = {message.reply_to for message in messages if message.reply_to}
    if not wanted:
        return {}
    found = Message.objects.filter(
        conversation=conversation, instance_id=conversation.instance_id, external_id__in=wanted
    )
    return {message.external_id: message for message in found}


def _grouped(entries: list) -> list:
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


def _reactor(who: str, name: str) -> str:
    sides = {changing.US: _("us"), changing.CONTACT: _("the contact")}
    return name or sides.get(who, who)


def _microseconds(moment) -> int:
    return round(moment.timestamp() * 1_000_000)
