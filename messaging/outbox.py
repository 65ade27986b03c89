"""The way out: every message that leaves is queued here, whoever asks, and sent from here."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import formats, timezone
from django.utils.translation import gettext_lazy as _

from messaging import (
    activities,
    addressing,
    delivering,
    mailing,
    media,
    numbering,
    optouts,
    pacing,
    previews,
    queries,
    realtime,
    sniffing,
    standing_in,
    statuses,
    tapping,
    templates,
    windows,
)
from messaging.events import Kind
from messaging.models import Conversation, Message, MessageFile, MessageTemplate
from messaging.providers import get as provider_of
from messaging.providers.base import Feature, Medium
from tenants import directory, limits
from tenants.context import current_number
from tenants.models import ProviderInstance

LONGEST_TEXT = 20_000
MOST_TEMPLATES_NAMED = 20
WINDOW_CLOSED = "window_closed"


class Refused(Exception):
    """A message that was not queued: why, in the reader's language, and which field."""

    def __init__(self, code: str, message: Any, field: str | None = None, **facts: Any) -> None:
        super().__init__(code)
        self.code = code
        self.message = message
        self.field = field
        self.facts = facts


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
    body = _checked_text(text, may_be_empty=bool(files))
    _require_visible(conversation, by)
    instance = _instance(conversation.instance_id)
    _require_fits(body, instance)
    _require_may_send(origin)
    _require_consent(conversation)
    known = _known(reference)
    if known is not None:
        return known
    _require_window(conversation, instance, now)
    kind = _checked_files(files, instance, body)
    parts = _checked_choices(choices, body, instance) if choices else {}
    subject = _checked_subject(conversation, instance, subject, body)
    _require_room_today(instance, now)
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
    instance = _instance(conversation.instance_id)
    _require_may_send(origin)
    _require_consent(conversation)
    known = _known(reference)
    if known is not None:
        return known
    if not template.may_be_sent or not templates.of(instance).filter(pk=template.pk).exists():
        raise Refused(
            "template_gone", _("This template cannot be sent now. Choose another one."), "template"
        )
    kind = _checked_header(template, files, instance)
    try:
        filled = templates.fill(template, values)
    except templates.Unfit as unfit:
        raise Refused("template_unfit", unfit.message, f"template.{unfit.field}") from unfit
    _require_room_today(instance, now)
    draft = _Draft(filled.text, kind, files=files, parts=filled.parts)
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
    _checked_text(text, may_be_empty=template is not None)
    _require_may_send(origin)
    instance = instance_reaching(to, lead, instance_id)
    address = _recipient(_typed(to), lead, instance)
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
            if refused.code != WINDOW_CLOSED:
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
    _require_consent(message.conversation)
    if "template" not in message.parts:
        instance = _instance(message.conversation.instance_id)
        _require_window(message.conversation, instance, timezone.now())
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


def instance_reaching(to: str, lead, instance_id: int | None) -> ProviderInstance:
    """The instance asked for, else the one that can write to this address or lead."""
    return choose_instance(instance_id, _kinds_of(_typed(to), lead))


def choose_instance(instance_id: int | None, kinds: Collection[str] = ()) -> ProviderInstance:
    """The instance asked for, else the only one that reaches addresses of these kinds; `Refused`
    where it is not clear."""
    mine = ProviderInstance.objects.of(current_number())
    if instance_id is not None:
        found = mine.filter(pk=instance_id).first()
        if found is None:
            raise Refused("instance_unknown", _("There is no such number here."), "instance")
        return found
    connected = list(mine.order_by("pk"))
    if not connected:
        raise Refused("instance_missing", _("No number is connected yet."), "instance")
    reaching = [each for each in connected if not set(kinds).isdisjoint(_kinds_reached_by(each))]
    candidates = reaching or connected
    if len(candidates) > 1:
        raise Refused(
            "instance_ambiguous", _("Several numbers are connected: choose one."), "instance"
        )
    return candidates[0]


def _require_may_send(origin: str) -> None:
    limits.require_may_send(current_number())
    if origin in _FEATURES:
        limits.require_feature(current_number(), _FEATURES[origin])


# What the plan must have for a message of this origin.
_FEATURES: dict[str, limits.Feature] = {
    Message.Origin.AUTOMATION: limits.Feature.AUTOMATION,
    Message.Origin.CAMPAIGN: limits.Feature.CAMPAIGNS,
}


def _held(conversation: Conversation) -> Conversation:
    """The conversation where things are said now; nobody folds it while we write in it."""
    rows = Conversation.objects.select_for_update(no_key=True)
    held = rows.get(pk=conversation.pk)
    while held.folded_into_id is not None:
        held = rows.get(pk=held.folded_into_id)
    return held


def _instance(instance_id: int) -> ProviderInstance:
    instance = ProviderInstance.objects.of(current_number()).filter(pk=instance_id).first()
    if instance is None:
        raise Refused("instance_gone", _("The number of this conversation is no longer connected."))
    return instance


def _require_visible(conversation: Conversation, by) -> None:
    if by is not None and not queries.is_visible(conversation, by):
        raise Refused(
            "conversation_of_a_colleague",
            _("A colleague looks after this conversation: ask them, or an administrator."),
        )


def _require_consent(conversation: Conversation) -> None:
    identity = optouts.of(conversation)
    if identity is not None:
        raise Refused(optouts.CODE, optouts.why_refused(identity.kind))


def _known(reference: uuid.UUID | None) -> Message | None:
    return Message.objects.filter(reference=reference).first() if reference else None


def _require_window(conversation: Conversation, instance: ProviderInstance, now: datetime) -> None:
    """Outside WhatsApp's 24 hours only a template reaches the contact: say which there are."""
    window = windows.of(conversation, now)
    if window is None or window.is_open or standing_in.of(conversation, now):
        return
    names = list(templates.sendable(instance).values("name", "language")[:MOST_TEMPLATES_NAMED])
    raise Refused(
        WINDOW_CLOSED,
        _(
            "This contact has not written in the last 24 hours: WhatsApp only lets a template"
            " through."
        ),
        "text",
        templates=names,
        conversation=conversation.pk,
    )


def _require_room_today(instance: ProviderInstance, now: datetime) -> None:
    """What does not leave today is refused: nobody wants it sent at midnight."""
    left = pacing.allowed(instance, now)
    if left.remaining != 0:
        return
    raise Refused(
        "daily_limit",
        _("This number has sent its %(limit)d messages of today. It may send again at %(when)s.")
        % {
            "limit": left.limit,
            "when": formats.date_format(left.reset_at, "SHORT_DATETIME_FORMAT"),
        },
        limit=left.limit,
        remaining=0,
        reset_at=left.reset_at,
    )


def _checked_choices(
    choices: Mapping[str, Any], body: str, instance: ProviderInstance
) -> dict[str, Any]:
    if Feature.CHOICES not in provider_of(instance.provider).supports:
        said = _("Answers to tap cannot be sent from this number.")
        raise Refused("choices_unsupported", said, "choices")
    try:
        return tapping.checked(body, choices)
    except templates.Unfit as unfit:
        raise Refused("choices_unfit", unfit.message, unfit.field) from unfit


def _checked_header(
    template: MessageTemplate, files: Sequence[MessageFile], instance: ProviderInstance
) -> Kind:
    """The kind of a message made of a template: that of the file at its head."""
    wanted = templates.needs_file(template)
    kind = _checked_files(files, instance, "")
    if not wanted and files:
        said = _("This template has no place for a file.")
        raise Refused("template_unfit", said, "files")
    if wanted and kind.value != wanted:
        said = _("This template needs a file of its kind at its head.")
        raise Refused("template_unfit", said, "files")
    return kind


def _require_fits(body: str, instance: ProviderInstance) -> None:
    limit = provider_of(instance.provider).longest_text
    if len(body) > limit:
        raise _too_long(body, limit)


def _too_long(body: str, limit: int) -> Refused:
    return Refused(
        "text_too_long",
        _("The text has %(length)d characters; %(limit)d are allowed.")
        % {"length": len(body), "limit": limit},
        "text",
    )


def _typed(to: str) -> addressing.Address | None:
    """The address that somebody typed; None where they typed none."""
    if not to:
        return None
    country = directory.tenant_numbered(current_number()).default_country
    try:
        return addressing.as_address(to, country)
    except addressing.NotAnAddress as exc:
        raise Refused(
            "recipient_invalid",
            _("This is neither a phone number nor an e-mail address."),
            "to",
        ) from exc


def _kinds_of(typed: addressing.Address | None, lead) -> Collection[str]:
    """The kinds of addresses that a message may go to."""
    if typed is not None:
        return {typed.kind}
    return set(lead.identities.values_list("kind", flat=True)) if lead is not None else ()


def _recipient(
    typed: addressing.Address | None, lead, instance: ProviderInstance
) -> addressing.Address:
    wanted = _kinds_reached_by(instance)
    if typed is not None:
        if typed.kind not in wanted:
            raise Refused(
                "recipient_unreachable",
                _("This address cannot be reached from the chosen number."),
                "to",
            )
        return typed
    if lead is None:
        raise Refused("recipient_missing", _("Say who the message is for."), "to")
    identity = next(
        (each for kind in wanted for each in lead.identities.filter(kind=kind)[:1]), None
    )
    if identity is None:
        raise Refused(
            "recipient_unreachable",
            _("This lead has no address that this number can reach."),
            "lead",
        )
    return addressing.Address(identity.kind, identity.value)


def _kinds_reached_by(instance: ProviderInstance) -> tuple[str, ...]:
    kinds = addressing.Kind
    return {
        Medium.WHATSAPP: (kinds.PHONE, kinds.LID, kinds.BSUID),
        Medium.SMS: (kinds.PHONE,),
        Medium.EMAIL: (kinds.EMAIL,),
    }[provider_of(instance.provider).medium]


def _checked_text(text: str, *, may_be_empty: bool = False) -> str:
    body = text.replace("\x00", "").strip()
    if not body and not may_be_empty:
        raise Refused("text_empty", _("Write something first."), "text")
    if len(body) > LONGEST_TEXT:
        raise _too_long(body, LONGEST_TEXT)
    try:
        body.encode()
    except UnicodeEncodeError as exc:
        raise Refused(
            "text_invalid", _("The text has a character that cannot be sent."), "text"
        ) from exc
    return body


def _checked_subject(
    conversation: Conversation, instance: ProviderInstance, given: str, text: str
) -> str:
    """The subject of a message; "" where messages have none."""
    if Feature.SUBJECTS not in provider_of(instance.provider).supports:
        return ""
    try:
        return mailing.subject_of(conversation, given, text)
    except mailing.BadSubject as exc:
        raise Refused(
            "subject_invalid",
            _("The subject must be one line, without control characters."),
            "subject",
        ) from exc


def _checked_files(files: Sequence[MessageFile], instance: ProviderInstance, caption: str) -> Kind:
    """The kind of a message with these files, each of which was looked at when it was kept."""
    if not files:
        return Kind.TEXT
    if Feature.MEDIA not in provider_of(instance.provider).supports:
        raise Refused("files_unsupported", _("Files cannot be sent from this number."), "files")
    if len(files) > 1:
        raise Refused("files_too_many", _("Send one file with each message."), "files")
    file = files[0]
    if file.state != MessageFile.State.STORED or file.message_id is not None:
        raise Refused("file_gone", _("This file is no longer there. Please add it again."), "files")
    _require_size(file, provider_of(instance.provider).largest_file)
    _require_caption_fits(Kind(file.kind), caption, instance)
    return Kind(file.kind)


def _require_caption_fits(kind: Kind, caption: str, instance: ProviderInstance) -> None:
    provider = provider_of(instance.provider)
    if caption and kind in provider.without_caption:
        said = _("A file of this kind carries no text. Send the text as a message of its own.")
        raise Refused("caption_unsupported", said, "text")
    if len(caption) > provider.longest_caption:
        raise _too_long(caption, provider.longest_caption)


def _require_size(file: MessageFile, limit: int) -> None:
    if (file.size or 0) > limit:
        raise Refused(
            "file_too_large",
            _("This file is too large for this number: %(limit)d MB are allowed.")
            % {"limit": limit // sniffing.MEGABYTE},
            "files",
        )


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
