"""What providers told us and what we saw, each fact once: a MessageEvent that is unique decides."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from messaging import events
from messaging.models import Message, MessageEvent
from tenants.models import ProviderInstance, WebhookDelivery

# Clocks of phones run ahead; what claims to come from later than this came now.
AHEAD_ALLOWED = timedelta(minutes=5)
# The kind of the facts that we saw ourselves.
OUTCOME = "outcome"


def record(
    event: events.Event, instance: ProviderInstance, at: datetime, delivery: WebhookDelivery
) -> MessageEvent | None:
    """Keep the fact; None when it was already told."""
    status = getattr(event, "status", None) or getattr(event, "state", None)
    fact = MessageEvent(
        provider=instance.provider,
        instance_id=instance.pk,
        event_id=_told_as(event, delivery)[:250],
        kind=KINDS.get(type(event), "other"),
        external_id=getattr(event, "external_id", "")[:200],
        status=str(status or ""),
        detail=_detail(event)[:500],
        at=at,
        delivery_id=delivery.pk,
    )
    return fact if _insert_once(fact) else None


def record_imported(
    told: Sequence[tuple[events.Event, ProviderInstance, datetime]],
) -> dict[tuple[int, str], int]:
    """Keep facts that a file tells, with when they happened: the id of each that is new, by
    (instance, event id)."""
    rows = [
        (
            instance.provider,
            instance.pk,
            event.event_id[:250],
            KINDS.get(type(event), "other"),
            getattr(event, "external_id", "")[:200],
            at,
        )
        for event, instance, at in told
    ]
    with connection.cursor() as cursor:
        columns = [list(column) for column in zip(*rows, strict=True)]
        cursor.execute(INSERT_IMPORTED, [timezone.now(), *columns])
        return {(instance, event_id): pk for pk, instance, event_id in cursor.fetchall()}


def keep_outcome(message: Message, status: str, *, now: datetime) -> None:
    """Keep what became of an attempt to send a message, as we saw it: no delivery told it.

    Callers write the message's status in the same transaction, which happens once.
    """
    fact = MessageEvent(
        provider=message.provider,
        instance_id=message.instance_id,
        event_id=f"{message.reference}:{status}:{now.timestamp()}",
        kind=OUTCOME,
        external_id=message.external_id,
        status=str(status),
        detail=f"{message.error_code} {message.error_detail}".strip()[:500],
        at=now,
        message=message,
    )
    _insert_once(fact)


def by_providers() -> QuerySet[MessageEvent]:
    """The facts that a provider told."""
    return MessageEvent.objects.exclude(kind=OUTCOME)


def believable(at: datetime | None, heard_at: datetime) -> datetime:
    """When something happened, by the provider's clock where that can be believed."""
    if at is None or at > heard_at + AHEAD_ALLOWED:
        return heard_at
    return at


def belongs_to(fact: MessageEvent, message: Message) -> None:
    """Note which message a fact is about."""
    fact.message = message
    fact.save(update_fields=["message"])


def belong_to(messages: Mapping[int, int]) -> None:
    """Note which messages facts are about, both by id."""
    with connection.cursor() as cursor:
        cursor.execute(LINK, [list(messages), list(messages.values())])


def waiting_for(message: Message) -> QuerySet[MessageEvent]:
    """The facts that came before their message, in their own order."""
    return MessageEvent.objects.filter(
        instance_id=message.instance_id, external_id=message.external_id, message=None
    ).order_by("at", "id")


def _told_as(event: events.Event, delivery: WebhookDelivery) -> str:
    """The id under which a fact counts as already told.

    A state without a time says the same each time it comes true, so each post is its own.
    """
    if isinstance(event, events.InstanceChanged) and event.at is None:
        return f"{event.event_id}:{delivery.pk}"
    return event.event_id


def _insert_once(fact: MessageEvent) -> bool:
    """Insert the fact unless it was told before; the unique index decides."""
    with connection.cursor() as cursor:
        cursor.execute(
            INSERT_FACT,
            [
                fact.provider,
                fact.instance_id,
                fact.event_id,
                fact.kind,
                fact.external_id,
                fact.status,
                fact.detail,
                fact.at,
                fact.delivery_id,
                fact.message_id,
                timezone.now(),
            ],
        )
        row = cursor.fetchone()
    if row is None:
        return False
    fact.pk = row[0]
    fact._state.adding = False
    return True


INSERT_FACT = """
INSERT INTO messaging_messageevent
    (provider, instance_id, event_id, kind, external_id, status, detail, at, delivery_id,
     message_id, recorded_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (provider, instance_id, event_id) DO NOTHING
RETURNING id
"""

INSERT_IMPORTED = """
INSERT INTO messaging_messageevent
    (provider, instance_id, event_id, kind, external_id, at, status, detail, recorded_at)
SELECT told.*, '', '', %s FROM unnest(
    %s::text[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::timestamptz[]) AS told
ON CONFLICT (provider, instance_id, event_id) DO NOTHING
RETURNING id, instance_id, event_id
"""

LINK = """
UPDATE messaging_messageevent AS fact SET message_id = known.message
FROM unnest(%s::bigint[], %s::bigint[]) AS known(fact, message) WHERE fact.id = known.fact
"""

KINDS = {
    events.Received: "message",
    events.StatusChanged: "status",
    events.InstanceChanged: "instance",
    events.Deleted: "deleted",
    events.Edited: "edited",
    events.Reacted: "reaction",
    events.ConsentChanged: "consent",
    events.NumberChanged: "number",
    events.TemplateChanged: "template",
    events.Problem: "problem",
    events.Ignored: "ignored",
    events.Unlisted: "unlisted",
}


def _detail(event: events.Event) -> str:
    match event:
        case events.StatusChanged():
            # A code that is missing leaves its place, so that the words are not taken for it.
            return f"{event.error_code} {event.error_detail}".rstrip()
        case events.InstanceChanged() | events.Ignored():
            return event.reason
        case events.Problem():
            return f"{event.code} {event.detail}".strip()
        case events.Unlisted() | events.TemplateChanged():
            return event.name
        case events.ConsentChanged():
            return "opted out" if event.opted_out else "opted in"
    return ""
