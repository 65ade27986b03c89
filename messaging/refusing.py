"""What may not leave, and what is said then: the rules at the outbox's door."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils import formats, timezone
from django.utils.translation import gettext_lazy as _

from messaging import (
    enclosing,
    mailing,
    optouts,
    pacing,
    queries,
    sniffing,
    standing_in,
    tapping,
    templates,
    windows,
)
from messaging.events import Kind
from messaging.models import Conversation, Message, MessageFile, MessageTemplate
from messaging.providers import get as provider_of
from messaging.providers.base import Feature
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


# What the plan must have for a message of this origin.
_FEATURES: dict[str, limits.Feature] = {
    Message.Origin.AUTOMATION: limits.Feature.AUTOMATION,
    Message.Origin.CAMPAIGN: limits.Feature.CAMPAIGNS,
}

_BY_THEMSELVES = frozenset(_FEATURES)

_CANNOT_BE_SENT = {
    enclosing.PLACE: _("Places cannot be sent from this number."),
    enclosing.CONTACT: _("Contact cards cannot be sent from this number."),
    enclosing.POLL: _("Polls cannot be sent from this number."),
}


def require_leave(conversation: Conversation, origin: str, by) -> None:
    """What holds for everything said in a conversation: the writer sees it, a person writes where
    many read, the plan lets this origin write, and the contact did not ask for silence."""
    _require_visible(conversation, by)
    _require_a_person_in_groups(conversation, origin)
    require_may_send(origin)
    require_consent(conversation)


def require_may_send(origin: str) -> None:
    """The tenant may send, and its plan knows messages of this origin; else `LimitReached`."""
    limits.require_may_send(current_number())
    if origin in _FEATURES:
        limits.require_feature(current_number(), _FEATURES[origin])


def require_consent(conversation: Conversation) -> None:
    """Nobody writes to an address that opted out, whichever way the message comes."""
    identity = optouts.of(conversation)
    if identity is not None:
        raise Refused(optouts.CODE, optouts.why_refused(identity.kind))


def require_window(conversation: Conversation, instance: ProviderInstance, now: datetime) -> None:
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


def require_room_today(instance: ProviderInstance, now: datetime) -> None:
    """What does not leave today is refused: nobody wants it sent at midnight."""
    left = pacing.allowed(instance, now)
    if left.remaining != 0:
        return
    raise Refused(
        "daily_limit",
        _("This number has sent its %(limit)d messages of today. It may send again at %(when)s.")
        % {
            "limit": left.limit,
            "when": formats.date_format(timezone.localtime(left.reset_at), "SHORT_DATETIME_FORMAT"),
        },
        limit=left.limit,
        remaining=0,
        reset_at=left.reset_at,
    )


def checked_text(text: str, *, may_be_empty: bool = False) -> str:
    """The text as it may be kept and sent: trimmed, not empty, of characters that can be sent."""
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


def require_fits(body: str, instance: ProviderInstance) -> None:
    """The text is not longer than the instance's provider takes."""
    limit = provider_of(instance.provider).longest_text
    if len(body) > limit:
        raise _too_long(body, limit)


def checked_subject(
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


def checked_choices(
    choices: Mapping[str, Any], body: str, instance: ProviderInstance
) -> dict[str, Any]:
    """The answers to tap as a message keeps them; `Refused` names the one that does not fit."""
    if Feature.CHOICES not in provider_of(instance.provider).supports:
        said = _("Answers to tap cannot be sent from this number.")
        raise Refused("choices_unsupported", said, "choices")
    try:
        return tapping.checked(body, choices)
    except templates.Unfit as unfit:
        raise Refused("choices_unfit", unfit.message, unfit.field) from unfit


def checked_enclosed(
    what: str, wanted: Mapping[str, Any], instance: ProviderInstance
) -> enclosing.Enclosed:
    """A place, contact card or poll as a message keeps it; `Refused` names what does not fit."""
    if what not in enclosing.offered_by(provider_of(instance.provider)):
        raise Refused(f"{what}_unsupported", _CANNOT_BE_SENT[what], what)
    country = directory.tenant_numbered(current_number()).default_country
    try:
        return enclosing.checked(what, wanted, country)
    except templates.Unfit as unfit:
        raise Refused(f"{what}_unfit", unfit.message, unfit.field) from unfit


def checked_header(
    template: MessageTemplate, files: Sequence[MessageFile], instance: ProviderInstance
) -> Kind:
    """The kind of a message made of a template: that of the file at its head."""
    wanted = templates.needs_file(template)
    kind = checked_files(files, instance, "")
    if not wanted and files:
        said = _("This template has no place for a file.")
        raise Refused("template_unfit", said, "files")
    if wanted and kind.value != wanted:
        said = _("This template needs a file of its kind at its head.")
        raise Refused("template_unfit", said, "files")
    return kind


def checked_files(files: Sequence[MessageFile], instance: ProviderInstance, caption: str) -> Kind:
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


def _require_visible(conversation: Conversation, by) -> None:
    if by is not None and not queries.is_visible(conversation, by):
        raise Refused(
            "conversation_of_a_colleague",
            _("A colleague looks after this conversation: ask them, or an administrator."),
        )


def _require_a_person_in_groups(conversation: Conversation, origin: str) -> None:
    if conversation.is_group and origin in _BY_THEMSELVES:
        raise Refused("group", _("A group is never written to automatically: a person may answer."))


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


def _too_long(body: str, limit: int) -> Refused:
    return Refused(
        "text_too_long",
        _("The text has %(length)d characters; %(limit)d are allowed.")
        % {"length": len(body), "limit": limit},
        "text",
    )
