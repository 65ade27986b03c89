"""The way out: every message that leaves is queued here, whoever asks, and sent from here."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from messaging import (
    activities,
    addressing,
    delivering,
    media,
    numbering,
    previews,
    reaching,
    realtime,
    refusing,
    standing_in,
    statuses,
    templates,
)
from messaging.events import Kind
from messaging.models import Conversation, Message, MessageFile, MessageTemplate
from messaging.providers import get as provider_of
from messaging.refusing import Refused
from tenants import limits
from tenants.context import current_number
from tenants.models import ProviderInstance

__all__ = [
    "Refused",
    "open_conversation",
    "queue",
    "queue_enclosed",
    "queue_template",
    "retry",
    "start",
]


@dataclass(frozen=True)
class _Draft:
    """What a message will say, once nothing speaks against it."""

    text: str
    kind: Kind = Kind.TEXT
    subject: str = ""
    reply_to: str = ""
    files: Sequence[MessageFile] = ()
    parts: Mapping[str, Any] = field(default_factory=dict)


def queue(
    conversation: Conversation,
    text: str,
    *,
    origin: str,
    by=None,
    subject: str = "",
    reply_to: str = "",
    files: Sequence[MessageFile] = (),
    choices: Mapping[str, Any] | None = None,
    reference: uuid.UUID | None = None,
    now: datetime | None = None,
) -> Message:
    """Queue one text or file in a conversation. The only door: refusals are decided here.

    `choices` are answers to tap below the text. The same `reference` twice is the same message:
    the first one is returned.
    """
    now = now or timezone.now()
    body = refusing.checked_text(text, may_be_empty=bool(files))
    instance = reaching.instance_numbered(conversation.instance_id)
    refusing.require_leave(conversation, origin, by)
    refusing.require_fits(body, instance)
    known = _known(reference)
    if known is not None:
        return known
    refusing.require_window(conversation, instance, now)
    kind = refusing.checked_files(files, instance, body)
    parts = refusing.checked_choices(choices, body, instance) if choices else {}
    subject = refusing.checked_subject(conversation, instance, subject, body)
    refusing.require_room_today(instance, now)
    draft = _Draft(body, kind, subject, reply_to, files, parts)
    return _put(conversation, instance, draft, origin, by, reference, now)


def queue_template(
    conversation: Conversation,
    template: MessageTemplate,
    values: Mapping[str, str],
    *,
    origin: str,
    by=None,
    files: Sequence[MessageFile] = (),
    reference: uuid.UUID | None = None,
    now: datetime | None = None,
) -> Message:
    """Queue a template with its places filled, which may be sent at any time."""
    now = now or timezone.now()
    instance = reaching.instance_numbered(conversation.instance_id)
    refusing.require_leave(conversation, origin, by)
    known = _known(reference)
    if known is not None:
        return known
    if not template.may_be_sent or not templates.of(instance).filter(pk=template.pk).exists():
        raise Refused(
            "template_gone", _("This template cannot be sent now. Choose another one."), "template"
        )
    kind = refusing.checked_header(template, files, instance)
    try:
        filled = templates.fill(template, values)
    except templates.Unfit as unfit:
        raise Refused("template_unfit", unfit.message, f"template.{unfit.field}") from unfit
    refusing.require_room_today(instance, now)
    draft = _Draft(filled.text, kind, files=files, parts=filled.parts)
    return _put(conversation, instance, draft, origin, by, reference, now)


def queue_enclosed(
    conversation: Conversation,
    what: str,
    wanted: Mapping[str, Any],
    *,
    origin: str,
    by=None,
    reply_to: str = "",
    reference: uuid.UUID | None = None,
    now: datetime | None = None,
) -> Message:
    """Queue a place, a contact card or a poll, which takes the place of a text."""
    now = now or timezone.now()
    instance = reaching.instance_numbered(conversation.instance_id)
    refusing.require_leave(conversation, origin, by)
    known = _known(reference)
    if known is not None:
        return known
    enclosed = refusing.checked_enclosed(what, wanted, instance)
    refusing.require_window(conversation, instance, now)
    refusing.require_room_today(instance, now)
    draft = _Draft(enclosed.text, enclosed.kind, reply_to=reply_to, parts=enclosed.parts)
    return _put(conversation, instance, draft, origin, by, reference, now)


def _put(
    conversation: Conversation,
    instance: ProviderInstance,
    draft: _Draft,
    origin,
    by,
    reference,
    now,
) -> Message:
    with transaction.atomic():
        conversation = _held(conversation)
        message, is_new = _insert(conversation, instance, draft, origin, by, reference, now)
        if is_new:
            _attach(draft.files, message)
            _show_as_last(conversation, message)
            delivering.order(current_number(), instance.pk)
            limits.take(current_number(), limits.Kind.MESSAGES, now=now)
    if is_new:
        activities.order([message.pk])
        realtime.publish("message", conversation=conversation.pk, message=message.pk)
    return message


def start(
    to: str,
    text: str,
    *,
    origin: str,
    instance_id: int | None = None,
    lead=None,
    by=None,
    subject: str = "",
    template: MessageTemplate | None = None,
    values: Mapping[str, str] = MappingProxyType({}),
    reference: uuid.UUID | None = None,
    now: datetime | None = None,
) -> Message:
    """Write to anybody: finds or makes the lead and the conversation, then queues."""
    refusing.checked_text(text, may_be_empty=template is not None)
    refusing.require_may_send(origin)
    instance = reaching.instance_for(to, lead, instance_id)
    address = reaching.recipient(reaching.typed(to), lead, instance)
    # A message that is refused leaves neither a lead nor a conversation behind, unless a template
    # may still be chosen in it.
    with transaction.atomic():
        if lead is None:
            lead, _is_new = addressing.lead_for([address], by=by)
        conversation = open_conversation(lead, instance, address.value)
        if template is not None:
            return queue_template(
                conversation, template, values, origin=origin, by=by, reference=reference, now=now
            )
        try:
            return queue(
                conversation,
                text,
                origin=origin,
                by=by,
                subject=subject,
                reference=reference,
                now=now,
            )
        except Refused as refused:
            if refused.code != refusing.WINDOW_CLOSED:
                raise
            closed = refused
    raise closed


def open_conversation(lead, instance: ProviderInstance, peer: str) -> Conversation:
    """The conversation between a lead and an instance at an address, in whichever form it is
    written; made where there is none yet."""
    mine = Conversation.objects.filter(lead=lead, instance_id=instance.pk, folded_into=None)
    known = mine.filter(peer__in=numbering.forms(peer)).order_by("-last_message_at").first()
    if known is not None:
        return known
    conversation, _is_new = Conversation.objects.get_or_create(
        lead=lead,
        instance_id=instance.pk,
        peer=peer,
        defaults={
            "provider": instance.provider,
            "medium": provider_of(instance.provider).medium,
            "assignee": lead.owner,
        },
    )
    return conversation


def retry(message: Message) -> Message:
    """Queue a failed message again, at a person's wish; anything else is left as it is."""
    limits.require_may_send(current_number())
    refusing.require_consent(message.conversation)
    if "template" not in message.parts:
        instance = reaching.instance_numbered(message.conversation.instance_id)
        refusing.require_window(message.conversation, instance, timezone.now())
    with transaction.atomic():
        standing_in.give_back(message)
        moved = Message.objects.filter(pk=message.pk, status=Message.Status.FAILED).update(
            status=Message.Status.QUEUED,
            attempts=0,
            not_before=None,
            error_code="",
            error_detail="",
            error_blame="",
        )
        if moved:
            delivering.order(current_number(), message.instance_id)
    message.refresh_from_db()
    if moved:
        statuses.mirror(message)
        activities.order([message.pk])
        realtime.publish("message", conversation=message.conversation_id, message=message.pk)
    return message


def _held(conversation: Conversation) -> Conversation:
    """The conversation where things are said now; nobody folds it while we write in it."""
    rows = Conversation.objects.select_for_update(no_key=True)
    held = rows.get(pk=conversation.pk)
    while held.folded_into_id is not None:
        held = rows.get(pk=held.folded_into_id)
    return held


def _known(reference: uuid.UUID | None) -> Message | None:
    return Message.objects.filter(reference=reference).first() if reference else None


def _attach(files: Sequence[MessageFile], message: Message) -> None:
    if files and not media.attach(files, message):
        raise Refused("file_gone", _("This file is no longer there. Please add it again."), "files")


def _insert(
    conversation, instance, draft: _Draft, origin, by, reference, now
) -> tuple[Message, bool]:
    reference = reference or uuid.uuid4()
    return Message.objects.get_or_create(
        reference=reference,
        defaults={
            "conversation": conversation,
            "lead_id": conversation.lead_id,
            "peer": conversation.peer,
            "instance_id": instance.pk,
            "provider": instance.provider,
            "medium": conversation.medium,
            "direction": Message.Direction.OUT,
            "origin": origin,
            "kind": draft.kind.value,
            "text": draft.text,
            "subject": draft.subject,
            "reply_to": draft.reply_to[:200],
            "parts": dict(draft.parts),
            "status": Message.Status.QUEUED,
            "by": by,
            "sent_at": now,
            "received_at": now,
        },
    )


def _show_as_last(conversation: Conversation, message: Message) -> None:
    """An answer is the last message, reads what came before, and reopens the conversation."""
    Conversation.objects.filter(pk=conversation.pk).update(
        **previews.of(message),
        unread_count=0 if message.origin == Message.Origin.PERSON else F("unread_count"),
        state=Conversation.State.OPEN,
        closed_at=None,
    )
    conversation.refresh_from_db()
