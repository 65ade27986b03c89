"""What stored deliveries carry of messages, and how they lose it when a message is taken back.

A delivery names every message that its events are about or quote. Once it was taken in well its
rows are all that is needed, so that a body which names a withdrawn message goes as a whole, with
whatever arrived beside it. One that could not be taken in is the only copy of those others: it
loses the withdrawn message alone, and stays to be replayed. Where a post is stored whole
for several instances, what one of them loses the others lose, too.
"""

import json
from collections.abc import Collection, Iterable
from typing import Any
from uuid import UUID

from django.utils import timezone

from messaging import events
from messaging.providers import get as provider_of
from messaging.providers.base import BadPayload, Hook
from tenants import secrets
from tenants.models import ProviderInstance, WebhookDelivery

State = WebhookDelivery.State
LONGEST_ID = 200


def read(delivery: WebhookDelivery) -> list[events.Event]:
    """The events in a delivery, or `BadPayload`."""
    return _parsed(delivery, secrets.unseal(delivery.body))


def named_in(told: Iterable[events.Event]) -> list[str]:
    """The messages that events are about or quote, by the provider's ids."""
    named = {getattr(event, name, "") for event in told for name in ("external_id", "reply_to")}
    return sorted(each[:LONGEST_ID] for each in named if each)


def is_fleeting(told: Iterable[events.Event]) -> bool:
    """Whether somebody meant this to be seen for a moment only: view-once media, a story."""
    return any(
        (isinstance(event, events.Received) and event.view_once)
        or (isinstance(event, events.Ignored) and event.reason == events.STORY)
        for event in told
    )


def erase(deliveries) -> int:
    """Remove the bodies of a queryset's deliveries; what is known of them otherwise stays."""
    return deliveries.update(body=b"", query="", erased_at=timezone.now())


def erase_post(delivery: WebhookDelivery) -> None:
    """Remove the body of a delivery, and of what else was stored of the same post."""
    erase(WebhookDelivery.objects.of(delivery.tenant_id).filter(pk=delivery.pk))
    if delivery.post is not None:
        erase(_stored_of([delivery.post]).filter(state=State.DONE))


def was_erased_elsewhere(delivery: WebhookDelivery) -> bool:
    """Whether another instance lost this post already."""
    if delivery.post is None:
        return False
    posts = WebhookDelivery.objects.across_tenants().filter(post=delivery.post)
    return posts.filter(erased_at__isnull=False).exists()


def erase_naming(tenant: int, instance: int, gone: Collection[str], *, withdrawn: bool) -> None:
    """Take messages out of every delivery that carries them.

    After an edit (`withdrawn=False`) only what was taken in well is touched: elsewhere the new
    text may still be waiting.
    """
    mine = WebhookDelivery.objects.of(tenant).filter(instance_id=instance, erased_at=None)
    naming = mine.filter(message_ids__overlap=list(gone))
    shared = _stored_of(set(naming.exclude(post=None).values_list("post", flat=True)))
    if withdrawn:
        parked = [*naming.filter(state=State.FAILED), *shared.filter(state=State.FAILED)]
        for delivery in {each.pk: each for each in parked}.values():
            _take_out(delivery, gone)
        for delivery in mine.filter(state=State.UNREADABLE).iterator(chunk_size=50):
            if _mentions(delivery, gone):
                erase_post(delivery)
    erase(naming.filter(state=State.DONE))
    erase(shared.filter(state=State.DONE))


def _stored_of(posts: Collection[UUID]):
    """What posts were stored as, for whichever instance and tenant."""
    return WebhookDelivery.objects.across_tenants().filter(post__in=posts, erased_at=None)


def without(value: Any, gone: str, others: Collection[str]) -> Any:
    """A JSON value without a message: its items of lists go; an item that is about another
    message loses only the object that names this one, such as a quote."""
    if isinstance(value, list):
        return [
            without(item, gone, others)
            for item in value
            if not _holds(item, gone) or any(_holds(item, other) for other in others)
        ]
    if isinstance(value, dict):
        if gone in value.values():
            return {}
        return {name: without(item, gone, others) for name, item in value.items()}
    return value


def _parsed(delivery: WebhookDelivery, body: bytes) -> list[events.Event]:
    provider = provider_of(delivery.provider)
    mine = ProviderInstance.objects.of(delivery.tenant_id)
    instance = mine.filter(pk=delivery.instance_id).first()
    known = instance.settings if instance else {}
    hook = Hook(
        body=body,
        route=delivery.route,
        query=delivery.query,
        content_type=delivery.content_type,
        account=str(known.get(provider.account_field, "")),
    )
    return provider.parse(hook, instance.reference if instance else "")


def _mentions(delivery: WebhookDelivery, gone: Collection[str]) -> bool:
    """Whether a body that no adapter can read has one of these ids anywhere in it."""
    try:
        body = secrets.unseal(delivery.body)
    except secrets.Unsealable:
        # Nobody will ever read this again, us included.
        return False
    return any(name.encode() in body for name in gone)


def _take_out(delivery: WebhookDelivery, gone: Collection[str]) -> None:
    """Seal the body again without these messages; it goes where nothing else is left in it."""
    mine = WebhookDelivery.objects.of(delivery.tenant_id).filter(pk=delivery.pk)
    others = _others(delivery, gone)
    body = _body_without(delivery, gone, others) if others else b""
    if body:
        names = [each for each in delivery.message_ids or () if each not in gone]
        mine.update(body=secrets.seal(body), message_ids=names)
    else:
        erase(mine)


def _others(delivery: WebhookDelivery, gone: Collection[str]) -> set[str]:
    """The messages that are in a delivery themselves, beside those that go."""
    try:
        told = read(delivery)
    except BadPayload:
        return set()
    return {event.external_id for event in told if isinstance(event, events.Received)} - set(gone)


def _body_without(delivery: WebhookDelivery, gone: Collection[str], others: set[str]) -> bytes:
    """The rest of a body; nothing where that cannot be told apart from what goes."""
    try:
        value = json.loads(secrets.unseal(delivery.body))
        for name in gone:
            value = without(value, name, others)
        body = json.dumps(value).encode()
        kept = set(named_in(_parsed(delivery, body)))
    except (ValueError, RecursionError, BadPayload):
        return b""
    return body if others <= kept and not kept & set(gone) else b""


def _holds(value: Any, text: str) -> bool:
    """Whether a value is or contains this text."""
    if isinstance(value, dict):
        return any(_holds(item, text) for item in value.values())
    if isinstance(value, list):
        return any(_holds(item, text) for item in value)
    return value == text
