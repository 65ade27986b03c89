"""What happens to a message after it was said: a status, another text, an emoji, its withdrawal.

Each may come before the message itself. Then it waits as a fact and is told once the message is
there; what a fact does not hold is read again in the delivery that told it.
"""

import logging
from datetime import datetime

from messaging import bodies, erasing, events, facts, statuses
from messaging.models import Message, MessageEvent
from messaging.providers.base import BadPayload
from tenants import secrets
from tenants.context import current_number
from tenants.models import WebhookDelivery

logger = logging.getLogger(__name__)

LONGEST_EMOJI = 32
US, CONTACT = "us", "contact"


def adopt_waiting(message: Message) -> None:
    """Tell a message what came before it, in its own order."""
    if not message.external_id:
        return
    for fact in facts.waiting_for(message):
        facts.belongs_to(fact, message)
        _tell(message, fact)


def edit(message: Message, event: events.Edited, at: datetime) -> None:
    """Give it the newest text, whichever edit came last to us."""
    if message.edited_at is None or message.edited_at <= at:
        erasing.rewrite(message, event.text, at)


def react(message: Message, event: events.Reacted, at: datetime) -> None:
    """Put somebody's emoji on it, or take it back: of each person the newest counts."""
    if message.deleted_at:
        return
    # The team may be putting its own there at the same moment.
    held = Message.objects.select_for_update(of=("self",))
    message.refresh_from_db(fields=["reactions"], from_queryset=held)
    who = _who(message, event)
    known = message.reactions.get(who)
    if known is None or known["at"] <= at.timestamp():
        message.reactions[who] = {
            "emoji": event.emoji.strip()[:LONGEST_EMOJI],
            "name": event.person.name[:200] if message.conversation.is_group else "",
            "at": at.timestamp(),
        }
        message.save(update_fields=["reactions"])


def _tell(message: Message, fact: MessageEvent) -> None:
    match fact.kind:
        case "status":
            code, _, detail = fact.detail.partition(" ")
            statuses.apply(message, fact.status, code, detail)
        case "deleted":
            erasing.bury(message, fact.at)
        case "edited" | "reaction":
            _tell_again(message, fact)


def _tell_again(message: Message, fact: MessageEvent) -> None:
    match _event_of(fact):
        case events.Edited() as event:
            edit(message, event, fact.at)
        case events.Reacted() as event:
            react(message, event, fact.at)


def _event_of(fact: MessageEvent) -> events.Event | None:
    """The event behind a fact; None where its delivery is gone, or carries it no longer."""
    mine = WebhookDelivery.objects.of(current_number())
    delivery = mine.filter(pk=fact.delivery_id, erased_at=None).first()
    if delivery is None:
        return None
    try:
        told = bodies.read(delivery)
    except (BadPayload, secrets.Unsealable):
        logger.warning("fact %s waited, and its delivery cannot be read any more", fact.pk)
        return None
    return next((each for each in told if each.event_id[:250] == fact.event_id), None)


def _who(message: Message, event: events.Reacted) -> str:
    """Between two people only the side counts: the contact may be named in several ways."""
    if event.from_us:
        return US
    if not message.conversation.is_group:
        return CONTACT
    person = event.person
    return (person.phone or person.lid or person.bsuid)[:200] or CONTACT
