"""What stands around a conversation: its head, what can be sent in it, what is told of it."""

from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django_htmx.http import trigger_client_event

from messaging import enclosing, mailing, optouts, sniffing, windows
from messaging.models import Conversation, Message
from messaging.providers import get as provider_of
from messaging.providers.base import Feature
from messaging.queries import Stretch
from messaging.views import bubbles
from tenants.models import ProviderInstance
from tenants.permissions import Action, may


def numbers(request) -> dict[int, ProviderInstance]:
    """The tenant's numbers by id, in the order they were connected; looked up once a request."""
    if not hasattr(request, "numbers"):
        rows = ProviderInstance.objects.serving(request.tenant).order_by("pk")
        request.numbers = {each.pk: each for each in rows}
    return request.numbers


def pane(
    request, conversation: Conversation, shown: Stretch, first_unread: int | None = None
) -> dict[str, Any]:
    """What an open conversation shows; a line stands before the first unread message."""
    with_subject = has_subject(conversation.provider)
    return {
        **head(request, conversation),
        "has_subject": with_subject,
        "proposed_subject": mailing.proposed_subject(conversation) if with_subject else "",
        "entries": bubbles.entries(conversation, shown, first_unread),
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
        "may_reply": may_reply(request, conversation),
        "why_opted_out": _why_opted_out(conversation),
        "window": windows.of(conversation, timezone.now()),
        "encloses": enclosing.offered_by(provider),
        "may_send_files": Feature.MEDIA in provider.supports,
        "largest_file": min(sniffing.LARGEST, provider.largest_file),
        "longest_text": provider.longest_text,
    }


def may_reply(request, conversation: Conversation) -> bool:
    """Whether this person can say something in a conversation, or again what failed in it: its
    number has to be there, too."""
    is_there = conversation.instance_id in numbers(request)
    return is_there and may(request.user, Action.REPLY)


def one(request, message: Message) -> dict[str, Any]:
    """What one message on its own shows, for the page to put where it belongs."""
    return {
        "entries": [bubbles.bubble(message)],
        "may_reply": may_reply(request, message.conversation),
    }


def _why_opted_out(conversation: Conversation):
    kind = getattr(conversation, "opted_out_as", None)
    return optouts.why_refused(kind) if kind else None


def has_subject(provider: str) -> bool:
    """Whether what is written through this provider has a subject."""
    return Feature.SUBJECTS in provider_of(provider).supports


def with_toast(response, text: str, *, undo: str = "", values: dict | None = None):
    """Say what was done, for a few seconds, with a way back."""
    toast = {"text": text, "undo": undo, "values": values or {}, "undo_word": _("Undo")}
    return trigger_client_event(response, "toast", toast)


def with_change(response, conversation: Conversation):
    """Have the page refresh a conversation at once, whether or not its socket is up."""
    return trigger_client_event(response, "changed", {"conversation": conversation.pk})
