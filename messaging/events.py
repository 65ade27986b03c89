"""What a provider can tell us. Parsers make these; only `ingest` turns them into rows.

Every event carries its own slice of the provider's payload in `raw`, which takes no part in
comparisons.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What a message is made of."""

    TEXT = "text"
    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    VOICE = "voice"
    DOCUMENT = "document"
    STICKER = "sticker"
    LOCATION = "location"
    CONTACT = "contact"
    POLL = "poll"
    REACTION = "reaction"
    PLACEHOLDER = "placeholder"


class Status(StrEnum):
    """How far an outgoing message got, as a provider tells it."""

    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    PLAYED = "played"
    FAILED = "failed"


class Connection(StrEnum):
    """The state of an instance; the values are those of ProviderInstance.State."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    PENDING = "pending"
    CONFLICT = "conflict"
    BLOCKED = "blocked"


@dataclass(frozen=True, kw_only=True)
class Person:
    """The other side of a conversation: at least one of phone, lid, bsuid, email.

    `phone` is as the provider wrote it, digits with or without `+`; ingest makes it E.164.
    """

    phone: str = ""
    lid: str = ""
    bsuid: str = ""
    email: str = ""
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class Attachment:
    """A file a message brings: what the provider says of it and how to ask for it.

    `sha256` is of the file itself, in hexadecimal, where the provider tells it.
    """

    kind: Kind
    mime_type: str = ""
    file_name: str = ""
    size: int | None = None
    sha256: str = ""
    reference: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Event:
    """One fact. `event_id` repeats when the provider repeats; `at` is when it happened.

    `at` is None where the provider gives no time: ingest then uses the time of arrival.
    """

    event_id: str
    instance_ref: str
    at: datetime | None = None
    raw: Any = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True)
class Received(Event):
    """Somebody wrote to us; or, with `from_us`, we wrote from the phone or another program.

    `external_id` is the provider's id of the message. `provider_number` is a second id of it
    (Wasender's integer msgId), `echo` our own id handed back. `group` is the group's address
    for a group message; `reply_to` the external id of the quoted message. `subject` is what the
    message stands under: a mail's subject, the advertisement it answers. `view_once` says that
    the sender wants the files seen once. `person` is whoever wrote, from the phone
    whoever was written to; empty only for what we wrote to a group.
    """

    external_id: str
    person: Person
    kind: Kind = Kind.TEXT
    text: str = ""
    from_us: bool = False
    provider_number: str = ""
    echo: str = ""
    group: str = ""
    reply_to: str = ""
    subject: str = ""
    view_once: bool = False
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StatusChanged(Event):
    """An outgoing message got further, or failed.

    It is found by `external_id`, else `provider_number`, else `echo`.
    """

    status: Status
    external_id: str = ""
    provider_number: str = ""
    echo: str = ""
    error_code: str = ""
    error_detail: str = ""


@dataclass(frozen=True, kw_only=True)
class InstanceChanged(Event):
    """The connection itself changed state, or shows a QR text to scan."""

    state: Connection
    reason: str = ""
    qr: str = ""


@dataclass(frozen=True, kw_only=True)
class Deleted(Event):
    """The message `external_id` was withdrawn."""

    external_id: str


@dataclass(frozen=True, kw_only=True)
class Edited(Event):
    """The message `external_id` now says something else."""

    external_id: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Reacted(Event):
    """Somebody reacted to the message `external_id`; an empty emoji takes it back."""

    external_id: str
    person: Person
    emoji: str
    from_us: bool = False


STORY = "story"
"""Why a WhatsApp "status" post is ignored; such a post's delivery keeps no content."""


@dataclass(frozen=True, kw_only=True)
class ConsentChanged(Event):
    """Somebody asked for no more messages at this address, or for messages again.

    `by_provider` says that the provider told so, not the person themselves.
    """

    person: Person
    opted_out: bool
    by_provider: bool = False


@dataclass(frozen=True, kw_only=True)
class NumberChanged(Event):
    """The person who was reached at `old` is now reached at `new`."""

    old: Person
    new: Person


@dataclass(frozen=True, kw_only=True)
class TemplateChanged(Event):
    """Something about a template is different now; what is empty stays as it was.

    `content_changed` says that its words are others: they have to be asked for.
    """

    name: str
    language: str
    external_id: str = ""
    status: str = ""
    category: str = ""
    quality: str = ""
    reason: str = ""
    content_changed: bool = False


@dataclass(frozen=True, kw_only=True)
class Problem(Event):
    """The provider reports a problem that concerns no message: kept for who looks after it."""

    code: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Ignored(Event):
    """Nothing to keep; allowed only for kinds that the provider's table lists."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Unlisted(Event):
    """Something the provider's table does not list: kept, so that staff see what is missing.

    `name` is what the provider calls it, "" where it calls it nothing.
    """

    name: str
