"""What a sender takes back or rewrites disappears from every place it was copied to.

`bury` and `rewrite` change what people see, in the transaction that heard of it. `order` then has
`take_out` go through all the other places, by a job that commits with it.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from messaging import bodies, media, previews
from messaging.espo import queueing
from messaging.models import Activity, Message, MessageEvent
from tenants import expiring, orders
from tenants.api import idempotency
from tenants.context import current_number

# Whoever was reading the old words meanwhile has written down what it made of them by then.
AFTER = timedelta(seconds=5)
# A write is remembered under the time it began, a little before its message was made.
_SLACK = timedelta(minutes=10)


def bury(message: Message, at: datetime) -> None:
    """Leave only the time of a withdrawn message; its files leave the storage, too."""
    if message.deleted_at:
        return
    message.text = message.subject = message.error_detail = ""
    message.author = message.author_name = ""
    message.parts, message.reactions = {}, {}
    message.deleted_at = at
    message.save(
        update_fields=[
            "text",
            "subject",
            "author",
            "author_name",
            "parts",
            "reactions",
            "error_detail",
            "deleted_at",
        ]
    )
    media.forget([message.pk])
    _renew(message)


def rewrite(message: Message, text: str, at: datetime) -> None:
    """Put a new text in the place of the old one; what was withdrawn stays so."""
    if message.deleted_at:
        return
    message.text, message.edited_at = text, at
    message.save(update_fields=["text", "edited_at"])
    _renew(message)


def changed_among(instance_id: int, external_ids: Collection[str]) -> list[str]:
    """Which of these messages were withdrawn or edited, whether or not they came here yet."""
    named = {"instance_id": instance_id, "external_id__in": external_ids}
    changed = Q(deleted_at__isnull=False) | Q(edited_at__isnull=False)
    here = Message.objects.filter(changed, **named).values_list("external_id", flat=True)
    waiting = MessageEvent.objects.filter(kind="deleted", message=None, **named)
    return sorted({*here, *waiting.values_list("external_id", flat=True)})


def order(tenant: int, instance_id: int, external_ids: Collection[str]) -> None:
    """Have messages taken out of every place, a few seconds after the open transaction."""
    if external_ids:
        orders.order(
            "take_out",
            "inbox",
            at=timezone.now() + AFTER,
            tenant=tenant,
            instance=instance_id,
            messages=sorted(external_ids),
        )


def take_out(tenant: int, instance_id: int, external_id: str) -> None:
    """Go through every place that the content of a withdrawn or edited message was copied to.

    This is the list of those places: who copies a message's words or files anywhere else adds
    that place here. What quotes it looks it up each time and keeps no copy.
    """
    message = Message.objects.filter(instance_id=instance_id, external_id=external_id).first()
    withdrawn = message is None or message.deleted_at is not None
    bodies.erase_naming(tenant, instance_id, [external_id], withdrawn=withdrawn)
    if message is None:
        return
    if withdrawn:
        media.forget([message.pk])
    _renew(message)
    message.events.exclude(detail="").update(detail="")
    queueing.correct(message.pk, now=timezone.now())
    _correct_remembered_answers(message)
    expiring.take_away(tenant)


def remove(messages: Collection[Message]) -> None:
    """Remove messages that are older than they are kept: their rows, and every place named above.

    Their leads' histories keep that something was said, and when.
    """
    ids = [message.pk for message in messages]
    by_instance: dict[int, list[str]] = {}
    for message in messages:
        if message.external_id:
            by_instance.setdefault(message.instance_id, []).append(message.external_id)
    for instance, external_ids in by_instance.items():
        bodies.erase_naming(current_number(), instance, external_ids, withdrawn=True)
    media.forget_old(ids)
    Activity.objects.filter(message__in=ids).update(snippet="", message=None)
    Message.objects.filter(pk__in=ids).delete()
    expiring.take_away(current_number())


def _renew(message: Message) -> None:
    previews.renew(message)
    words = message.text[: previews.SNIPPET]
    Activity.objects.filter(message=message).update(snippet=words)


def _correct_remembered_answers(message: Message) -> None:
    """The API's answers that are given again to a repeated write: whole messages, last messages."""

    def correct(told: dict) -> None:
        told["text"] = message.text
        if message.deleted_at and "subject" in told:
            told |= {"subject": "", "author": None, "attachments": [], "error": None}
            told |= {"template": None, "taps": [], "reactions": []}

    idempotency.correct_answers(
        message.pk,
        members=("text", "direction"),
        since=message.received_at - _SLACK,
        correct=correct,
    )
