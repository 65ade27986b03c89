"""Events become rows. Every duplicate is decided here, by a MessageEvent that is unique.

Identities, lead, conversation, message, status and counters move together or not at all:
whoever calls has a transaction open.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime

from django.db.models import F
from django.utils import timezone

from messaging import (
    activities,
    addressing,
    bodies,
    changing,
    erasing,
    events,
    facts,
    matching,
    media,
    optouts,
    placing,
    previews,
    realtime,
    revealing,
    signals,
    standing_in,
    states,
    statuses,
    templates,
    windows,
)
from messaging.models import Conversation, Message, MessageEvent
from messaging.providers.base import InstanceState
from tenants.models import ProviderInstance, Tenant, WebhookDelivery

logger = logging.getLogger(__name__)

Status = Message.Status
Direction = Message.Direction
_Change = events.Edited | events.Reacted


class Batch:
    """The events of one transaction, and what has to be told once it commits."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self._named: defaultdict[int, set[str]] = defaultdict(set)
        self._changed: set[tuple[str, int, int]] = set()
        self._received: list[int] = []
        self._places = placing.Places()
        self._instances: dict[int | None, ProviderInstance | None] = {}

    def apply(self, told: Iterable[events.Event], delivery: WebhookDelivery) -> None:
        """Take in what one delivery says; raises to have its savepoint rolled back."""
        instance = self._instance(delivery.instance_id)
        if instance is None:
            return
        self._named[instance.pk] |= {*bodies.named_in(told)}
        for event in told:
            self._take(event, instance, delivery)

    def finish(self) -> None:
        """Note when instances were last heard, order what was taken back to be taken out
        everywhere, and tell pages and listeners after commit."""
        heard = [pk for pk, instance in self._instances.items() if instance]
        ProviderInstance.objects.of(self.tenant).filter(pk__in=heard).update(
            last_event_at=timezone.now()
        )
        for instance_id, named in self._named.items():
            erasing.order(
                self.tenant.number, instance_id, erasing.changed_among(instance_id, named)
            )
        for kind, conversation, message in sorted(self._changed):
            realtime.publish(kind, conversation=conversation, message=message)
        activities.order(message for kind, _at, message in self._changed if kind == "message")
        signals.received(self._received)

    def _instance(self, pk: int | None) -> ProviderInstance | None:
        if pk not in self._instances:
            mine = ProviderInstance.objects.of(self.tenant)
            self._instances[pk] = mine.filter(pk=pk).select_related("moved_to").first()
        return self._instances[pk]

    def _take(
        self, event: events.Event, instance: ProviderInstance, delivery: WebhookDelivery
    ) -> None:
        at = facts.believable(event.at, delivery.received_at)
        fact = facts.record(event, instance, at, delivery)
        if fact is None:
            return
        match event:
            case events.Received():
                self._receive(event, fact, instance, at, delivery.received_at)
            case events.StatusChanged():
                self._move_status(event, fact)
            case events.InstanceChanged():
                self._change_instance(event, instance, at)
            case events.Deleted():
                self._delete(event, fact, at)
            case events.Edited():
                self._change(event, fact, at, changing.edit)
            case events.Reacted():
                self._change(event, fact, at, changing.react)
            case events.ConsentChanged():
                self._change_consent(event, at)
            case events.NumberChanged():
                self._change_number(event, instance)
            case events.TemplateChanged():
                templates.apply(event, instance, at)
            case _:
                logger.debug("tenant %s: %s kept as a fact", self.tenant.number, fact.kind)

    def _receive(self, event, fact, instance, at, heard_at) -> None:
        if placing.is_told_by_the_other(instance, at):
            return
        peer = _peer(event)
        conversation = self._places.of(event, instance, peer)
        if event.from_us:
            own = matching.shown_by(event, conversation, instance.pk, at)
            if own is not None:
                self._adopt_echo(own, event, fact)
                return
        message, is_new = _insert_message(event, conversation, instance, peer, at, heard_at)
        facts.belongs_to(fact, message)
        if not is_new:
            return
        if conversation.lead_id in self._places.made and not (event.group or event.person.phone):
            self._places.made.discard(conversation.lead_id)
            revealing.order_for(conversation.lead, instance)
        media.note(message, event.attachments, view_once=event.view_once)
        changing.adopt_waiting(message)
        _count_in(conversation, message)
        if message.direction == Direction.IN:
            self._received.append(message.pk)
            self._changed.add(("received", message.conversation_id, message.pk))
        else:
            self._note(message)

    def _adopt_echo(self, message: Message, event: events.Received, fact: MessageEvent) -> None:
        """The provider shows us what we sent: now we know its id and that it left."""
        facts.belongs_to(fact, message)
        matching.learn_ids(message, **_ids(event))
        statuses.raise_to(message, Status.SENT)
        changing.adopt_waiting(message)
        self._note(message)

    def _move_status(self, event: events.StatusChanged, fact: MessageEvent) -> None:
        message = matching.meant_by(event, fact.instance_id)
        if message is None:
            return
        facts.belongs_to(fact, message)
        before = message.status
        statuses.apply(message, event.status, event.error_code, event.error_detail)
        if matching.learn_ids(message, **_ids(event)):
            changing.adopt_waiting(message)
        elif message.status == before:
            return
        if message.status == Status.FAILED != before:
            signals.failed(message.pk)
        self._note(message)

    def _change_number(self, event: events.NumberChanged, instance: ProviderInstance) -> None:
        """The person keeps lead and conversation; answers go to the new number."""
        new = addressing.addresses_of(event.new)
        lead = self._places.lead([*addressing.addresses_of(event.old), *new], event.new.name)
        old = [address.value for address in addressing.addresses_of(event.old)]
        known = Conversation.objects.filter(lead=lead, instance_id=instance.pk)
        already = known.filter(peer=new[0].value).exists()
        conversation = known.filter(peer__in=old).first()
        if conversation is None or already:
            return
        conversation.peer = new[0].value
        conversation.save(update_fields=["peer"])
        self._changed.add(("conversation", conversation.pk, 0))

    def _change_instance(self, event: events.InstanceChanged, instance, at: datetime) -> None:
        if at < max(instance.state_changed_at or at, instance.known_at or at):
            return
        states.enter(instance, InstanceState(event.state, event.reason), at=at)

    def _change_consent(self, event: events.ConsentChanged, at: datetime) -> None:
        source = optouts.Source.PROVIDER if event.by_provider else optouts.Source.MESSAGE
        changed = optouts.change(
            addressing.addresses_of(event.person), opted_out=event.opted_out, by=source, at=at
        )
        for conversation in optouts.conversations_at(changed):
            self._changed.add(("conversation", conversation, 0))

    def _delete(self, event: events.Deleted, fact: MessageEvent, at: datetime) -> None:
        message = _message(fact.instance_id, event.external_id)
        if message is None:
            return
        facts.belongs_to(fact, message)
        erasing.bury(message, at)
        self._note(message)

    def _change(
        self, event: _Change, fact: MessageEvent, at: datetime, change: Callable[..., None]
    ) -> None:
        message = _message(fact.instance_id, event.external_id)
        if message is None:
            return
        facts.belongs_to(fact, message)
        change(message, event, at)
        self._note(message)

    def _note(self, message: Message) -> None:
        self._changed.add(("message", message.conversation_id, message.pk))


def _ids(event: events.Received | events.StatusChanged) -> dict[str, str]:
    return {"external_id": event.external_id, "provider_number": event.provider_number}


def _peer(event: events.Received) -> str:
    """The address the message came from or went to: the group's, else the surest of a person."""
    return event.group or addressing.addresses_of(event.person)[0].value


def _authored(event: events.Received) -> dict[str, str]:
    """Who of a group wrote a message; between two, the conversation says it."""
    addresses = addressing.addresses_of(event.person)
    if event.from_us or not event.group or not addresses:
        return {}
    return {"author": addresses[0].value[:254], "author_name": event.person.name[:200]}


def _insert_message(
    event: events.Received,
    conversation: Conversation,
    instance: ProviderInstance,
    peer: str,
    at: datetime,
    heard_at: datetime,
) -> tuple[Message, bool]:
    outgoing = event.from_us
    return Message.objects.get_or_create(
        instance_id=instance.pk,
        external_id=event.external_id[:200],
        defaults={
            "conversation": conversation,
            "lead_id": conversation.lead_id,
            "peer": peer,
            **_authored(event),
            "provider": instance.provider,
            "medium": conversation.medium,
            "parts": standing_in.named(instance, conversation),
            "direction": Direction.OUT if outgoing else Direction.IN,
            "origin": Message.Origin.PHONE if outgoing else Message.Origin.CONTACT,
            "kind": event.kind.value,
            "text": event.text,
            "subject": event.subject[:250],
            "reply_to": event.reply_to[:200],
            "status": Status.SENT if outgoing else Status.RECEIVED,
            "provider_number": event.provider_number[:40],
            "sent_at": at,
            "received_at": heard_at,
        },
    )


def _message(instance_id: int, external_id: str) -> Message | None:
    return Message.objects.filter(instance_id=instance_id, external_id=external_id).first()


def _count_in(conversation: Conversation, message: Message) -> None:
    """Keep the conversation's row true: last message, unread, window; reopen it."""
    facts: dict = {}
    if _is_last(conversation, message):
        facts |= previews.of(message)
    if message.direction == Direction.IN:
        facts |= {
            "unread_count": F("unread_count") + 1,
            "state": Conversation.State.OPEN,
            "closed_at": None,
        } | _opened_by(conversation, message)
    Conversation.objects.filter(pk=conversation.pk).update(**facts) if facts else None


def _opened_by(conversation: Conversation, message: Message) -> dict:
    opened = windows.opened_by(conversation, message.sent_at)
    if message.instance_id != conversation.instance_id:
        # Who wrote to the number that stands in did not open this one's window.
        opened.pop("window_ends_at", None)
    return opened


def _is_last(conversation: Conversation, message: Message) -> bool:
    last = (
        Conversation.objects.filter(pk=conversation.pk)
        .values_list("last_message_at", "last_message_id")
        .get()
    )
    return last[0] is None or (message.sent_at, message.pk) >= last
