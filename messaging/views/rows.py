"""The inbox's list, as it is drawn: a row for each conversation."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from messaging.filters import Filters
from messaging.models import Conversation, Lead, Message
from messaging.templatetags import pieces, saying
from messaging.views.bubbles import microseconds
from messaging.views.showing import numbers
from tenants.models import ProviderInstance
from tenants.permissions import Action, may


@dataclass(frozen=True)
class Row:
    """A conversation, as the list with these filters shows it."""

    conversation: Conversation
    filters: Filters
    numbers: Mapping[int, ProviderInstance]
    may_be_picked: bool
    is_open: bool

    @property
    def pk(self) -> str:
        return str(self.conversation.pk)

    @property
    def look(self) -> str:
        # Whoever looks at it has read it, before we are told so.
        is_being_read = self.is_open and self.may_be_picked
        return "unread" if self.conversation.unread_count and not is_being_read else ""

    @property
    def at(self) -> datetime:
        """When something was said last, else when it began."""
        return self.conversation.last_message_at or self.conversation.created_at

    @property
    def order(self) -> str:
        """Microseconds, by which the page keeps its list sorted."""
        return str(microseconds(self.at))

    @property
    def attributes(self) -> SafeString:
        """What the page goes by: which one it is, and where it stands."""
        return format_html(
            'class="{}" data-conversation="{}" data-at="{}"', self.look, self.pk, self.order
        )

    @property
    def address(self) -> str:
        """Where it opens, with the list as it is beside it."""
        page = _page(self.conversation.pk)
        return f"{page}?{self.filters.address}" if self.filters.address else page

    @property
    def face(self) -> SafeString:
        return pieces.face(self.conversation)

    @property
    def lead(self) -> Lead:
        return self.conversation.lead

    @property
    def name(self) -> str:
        return saying.named(self.conversation)

    @property
    def unread(self) -> str:
        """How many messages nobody has read, in words; nothing where all are."""
        return saying.up_to_99(self.conversation.unread_count) if self.look else ""

    @property
    def pick_word(self) -> str:
        return _("Select %(name)s") % {"name": self.name}

    @property
    def said(self) -> SafeString:
        """What this person began to write, else what was said last and how far it came."""
        if self.conversation.draft:
            return pieces.draft(self.conversation.draft)
        last = pieces.last_message(self.conversation)
        if self.conversation.last_message_direction != Message.Direction.OUT:
            return last
        return pieces.tick(self.conversation.last_message_status, "tick small") + last

    @property
    def facts(self) -> list[str]:
        """What sets it apart from its neighbours: on which number it is, whose it is."""
        told = [_("Group")] if self.conversation.is_group else []
        if len(self.numbers) > 1:
            told.append(saying.number_name(self.numbers, self.conversation.instance_id))
        if self.conversation.assignee:
            told.append(str(self.conversation.assignee))
        elif self.filters.view != "unassigned":
            told.append(_("Nobody yet"))
        return told


def rows(
    request, conversations: Iterable[Conversation], filters: Filters, opened: int | None = None
) -> list[Row]:
    """The rows of these conversations for whoever asks; `opened` stands open beside them."""
    known, may_be_picked = numbers(request), may(request.user, Action.REPLY)
    return [
        Row(each, filters, known, may_be_picked, is_open=each.pk == opened)
        for each in conversations
    ]


# Putting an address together takes longer than half of a row.
@lru_cache(maxsize=4096)
def _page(pk: int) -> str:
    return reverse("messaging:conversation", args=[pk])
