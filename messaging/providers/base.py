"""The contract between the product and a provider's adapter.

What arrives is read by pure functions (no database, network or clock); what leaves is one call
each, without retry or sleep. An adapter knows `messaging.events` and nothing else of ours.
"""

import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import IO, Any, ClassVar

import httpx

from messaging.events import Connection, Event, Kind, Status
from messaging.providers.templates import FilledTemplate, Template

JOURNAL_ROUTE = "journal"
"""The route of what was not posted but read from a provider's journal; no path leads to it."""


class Medium(StrEnum):
    """What people call the way a message travels."""

    WHATSAPP = "whatsapp"
    SMS = "sms"
    EMAIL = "email"


class Feature(StrEnum):
    """What a provider can do; templates and views ask for these, never for a provider."""

    MEDIA = "media"
    LOCATIONS = "locations"
    CONTACTS = "contacts"
    POLLS = "polls"
    REACTIONS = "reactions"
    QUOTES = "quotes"
    EDITS = "edits"
    DELETES = "deletes"
    MARKS_READ = "marks_read"
    GROUPS = "groups"
    TEMPLATES = "templates"
    CHOICES = "choices"
    WINDOW_24H = "window_24h"
    READ_RECEIPTS = "read_receipts"
    ECHO = "echo"
    QR_LOGIN = "qr_login"
    HOSTED_LOGIN = "hosted_login"
    STORIES = "stories"
    SETS_WEBHOOK = "sets_webhook"
    CONNECTS = "connects"
    NEW_KEYS = "new_keys"
    MAKES_INSTANCES = "makes_instances"
    FINDS_PHONES = "finds_phones"
    JOURNAL = "journal"
    SUBJECTS = "subjects"


class BadSignature(Exception):
    """The post is not from the provider. Says why in a word, never what was expected."""


class BadPayload(Exception):
    """An authentic body that cannot be read."""


@dataclass(frozen=True)
class Hook:
    """One request from a provider.

    `route` is the last part of a path the adapter listed ("" for its main one), `vendor` the
    slug in the URL ("" where the URL names none). Header names are lower case. `account` is what
    the instance that reads it has in the adapter's `account_field`, once it is known.
    """

    body: bytes = field(repr=False)
    route: str = ""
    vendor: str = ""
    method: str = "POST"
    # A provider may send the secret itself as its signature.
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: str = ""
    content_type: str = ""
    url: str = ""
    account: str = ""


@dataclass(frozen=True)
class InstanceRef:
    """Which instances a post names: by the vendor in its URL, by the provider's reference of one,
    or by an account that several share. One that is wholly empty means any of the provider's: for
    handshakes, and for bodies that name nobody and still must be answered."""

    vendor: str = ""
    reference: str = ""
    account: str = ""


@dataclass(frozen=True)
class Candidate:
    """An instance that a post may be meant for, with every secret set that is valid now.

    The platform's own connection, where there is one, is a candidate without instance: it verifies
    posts about numbers that nobody has.
    """

    instance_id: int
    tenant_number: int
    reference: str
    settings: Mapping[str, Any]
    secret_sets: tuple[Mapping[str, str], ...] = field(repr=False)


@dataclass(frozen=True)
class Answer:
    """The body and content type of the 200."""

    body: str = '{"success":true,"status":"received"}'
    content_type: str = "application/json"


@dataclass(frozen=True)
class File:
    """A file to send: its content, or a `url` from which the provider may fetch it.

    `size` is in bytes, 0 where nobody knows.
    """

    mime_type: str
    file_name: str = ""
    content: bytes = field(default=b"", repr=False)
    url: str = field(default="", repr=False)
    size: int = 0


@dataclass(frozen=True)
class Place:
    """A point on the map to send, in degrees."""

    latitude: float
    longitude: float
    name: str = ""
    address: str = ""


@dataclass(frozen=True)
class Card:
    """Somebody's name and number to send."""

    name: str
    phone: str


@dataclass(frozen=True)
class Choice:
    """One of several answers that the recipient may tap; `id` comes back with the answer."""

    id: str
    title: str
    description: str = ""


@dataclass(frozen=True)
class Choices:
    """Answers to tap below a text: as buttons, or as a list that the button `label` opens."""

    options: tuple[Choice, ...]
    label: str = ""


@dataclass(frozen=True)
class Poll:
    """A question to send, with what may be chosen."""

    question: str
    options: tuple[str, ...]
    several: bool = False


@dataclass(frozen=True)
class Outgoing:
    """One message to send. `to` is what the medium needs: E.164, a JID, an e-mail address.

    `reference` is our own id of the message, handed to the provider where it can carry one.
    `kind` says which of `file`, `place`, `card` and `poll` is sent; `text` is then the caption.
    With `template` the text is what the filled template reads, for the record only. A quoted
    message is named by its external id in `reply_to` and by the provider's number for it in
    `reply_to_number`; where `quotes_whole` asks for it, what told of it is in `reply_to_raw`.

    Where messages have subjects, `thread` are the external ids of what was said before under this
    one, oldest first, `unsubscribe_url` is where the recipient says that they want no more, and
    `is_automatic` says that nobody typed it.
    """

    reference: str
    to: str
    text: str
    kind: Kind = Kind.TEXT
    subject: str = ""
    reply_to: str = ""
    reply_to_number: str = ""
    reply_to_raw: Mapping[str, Any] = field(default_factory=dict, repr=False)
    file: File | None = None
    place: Place | None = None
    card: Card | None = None
    poll: Poll | None = None
    template: FilledTemplate | None = None
    choices: Choices | None = None
    thread: tuple[str, ...] = ()
    unsubscribe_url: str = ""
    is_automatic: bool = False


@dataclass(frozen=True)
class Known:
    """A message both sides have, by every name it may have there.

    `chat` is the address of the conversation as the provider wrote it, `author` whoever of a
    group wrote it.
    """

    external_id: str = ""
    provider_number: str = ""
    chat: str = ""
    author: str = ""
    from_us: bool = False


@dataclass(frozen=True)
class Media:
    """A file that was fetched: open at its start, in memory or on disk; whoever asked closes it."""

    file: IO[bytes] = field(repr=False)
    size: int
    mime_type: str = ""
    file_name: str = ""


def _no_way_out(host: str, port: int, encrypted: bool) -> socket.socket:
    raise PermissionError("nothing may be dialled from here")


@dataclass(frozen=True)
class Via:
    """An instance as an adapter sees it, and what to call its provider with.

    `webhooks` are the public addresses its provider posts to, by route. `dial(host, port,
    encrypted)` opens a connection for what is not HTTP; `PermissionError` for a host that a
    tenant's setting may not lead to, at all or without encryption.
    """

    instance_id: int
    reference: str
    address: str
    settings: Mapping[str, Any]
    secrets: Mapping[str, str] = field(repr=False)
    http: httpx.Client = field(repr=False)
    webhooks: Mapping[str, str] = field(default_factory=dict)
    dial: Callable[[str, int, bool], socket.socket] = field(default=_no_way_out, repr=False)


@dataclass(frozen=True)
class Sent:
    """The provider took the message. It may give two ids; either may be empty for now.

    `status` is how far it got, where the provider was asked later.
    """

    external_id: str = ""
    provider_number: str = ""
    status: Status | None = None


class Blame(StrEnum):
    """Whose fault a failed send is, which decides what the team is told to do."""

    RECIPIENT = "recipient"
    MESSAGE = "message"
    ACCOUNT = "account"
    PROVIDER = "provider"


class SendError(Exception):
    """A send that failed: what the provider said, whether to try again, whose fault it is.

    `unknown` means the request left and no answer came: the message may have been sent, so it
    is never resent blindly. `retry_after` is in seconds, where the provider says. `opted_out`
    means that the recipient told the provider to let nothing of ours through.
    """

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        retry: bool = False,
        blame: Blame = Blame.PROVIDER,
        unknown: bool = False,
        retry_after: float | None = None,
        opted_out: bool = False,
    ) -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail
        self.retry = retry
        self.blame = blame
        self.unknown = unknown
        self.retry_after = retry_after
        self.opted_out = opted_out


class NotOwned(SendError):
    """The provider was asked and says that the credentials are not what they claim.

    `field` is the one that people gave and that does not fit the others.
    """

    def __init__(self, code: str, detail: str = "", *, field: str) -> None:
        super().__init__(code, detail, blame=Blame.ACCOUNT)
        self.field = field


class Unfit(SendError):
    """A new instance was refused for what it was to be called or reached at: `field` is "name" or
    "address"."""

    def __init__(self, code: str, detail: str = "", *, field: str) -> None:
        super().__init__(code, detail, blame=Blame.MESSAGE)
        self.field = field


@dataclass(frozen=True)
class InstanceState:
    """What a provider says of an instance when asked."""

    state: Connection
    reason: str = ""
    address: str = ""
    qr: str = field(default="", repr=False)


@dataclass(frozen=True)
class WebhookState:
    """Where a provider says it posts, as it keeps it. `values` are fields of the instance that it
    showed meanwhile, such as the secret it signs with; they are stored as people's own input is."""

    url: str
    enabled: bool
    events: tuple[str, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Found:
    """An instance as the provider's account has it. `values` are its fields by name, secrets
    among them where the provider shows them: what `connect_instance` takes."""

    reference: str
    name: str
    address: str
    state: InstanceState | None = None
    values: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Field:
    """One value people give when they connect an instance. One that `is_host` names a server to
    which we connect, and only servers of the public network may be named."""

    name: str
    label: Any
    required: bool = False
    secret: bool = False
    default: str = ""
    choices: tuple[str, ...] = ()
    help: Any = ""
    is_host: bool = False
    or_platforms: bool = False
    """Whether it must be given unless the platform has one for everybody."""


class Provider(ABC):
    """Base of the adapters; what a provider does not do stays refused."""

    slug: ClassVar[str]
    label: ClassVar[str]
    medium: ClassVar[Medium]
    is_official: ClassVar[bool] = True
    """Whether the medium's own company authorises this way; if not, it may block a number for it,
    and whoever owns the number is asked to confirm that they know."""
    paths: ClassVar[Mapping[str, str]]
    """Its webhook paths below the root → route name; `{vendor}` stands for the slug."""
    status_paths: ClassVar[Mapping[str, str]] = {}
    """Paths that tell whoever asks that the webhook is up → the name it answers with."""
    routes_to_set: ClassVar[tuple[str, ...]] = ("",)
    """The routes whose addresses people give to the provider; it finds the others by itself."""
    webhook_fragment: ClassVar[str] = ""
    """What the provider reads behind the `#` of a webhook's address."""
    supports: ClassVar[frozenset[Feature]] = frozenset()
    fields: ClassVar[tuple[Field, ...]] = ()
    reference_field: ClassVar[str] = ""
    """The field whose value is the instance's reference; see `reference_of`."""
    address_field: ClassVar[str] = ""
    """The field whose value is the instance's address where no other is given."""
    account_field: ClassVar[str] = ""
    """The setting that several instances may share and by which a post may name them all."""
    opens_account: ClassVar[tuple[str, ...]] = ()
    """The fields that lead to the account of which `instances` are and open it
    (`MAKES_INSTANCES`); all instances of one account have the same values there."""
    renewed_fields: ClassVar[tuple[str, ...]] = ()
    """The fields that `regenerate_key` replaces (`NEW_KEYS`); no post is verified with them."""
    per_minute: ClassVar[int | None] = None
    """How many messages one instance may send in a minute, where nobody set another number."""
    per_day: ClassVar[int | None] = None
    """How many it may send in a day without being taken for a machine, likewise."""
    too_fast: ClassVar[frozenset[str]] = frozenset({"rate_limited"})
    """The codes of failures that only mean that too much came at once."""
    minutes_between_looks: ClassVar[int] = 5
    """How often a silent instance is asked whether it is still connected."""
    waits_for_person: ClassVar[frozenset[str]] = frozenset()
    """The reasons for which an instance is away until a person links the phone again."""
    must_prove: ClassVar[bool] = False
    """Whether an instance is live only after `check` showed that its secrets own its reference."""
    longest_text: ClassVar[int] = 20_000
    longest_caption: ClassVar[int] = 20_000
    without_caption: ClassVar[frozenset[Kind]] = frozenset()
    """Kinds of files that carry no words of their own."""
    quotes_whole: ClassVar[bool] = False
    """Whether a message that has no number there is quoted by giving back what told of it."""
    edit_minutes: ClassVar[int] = 15
    """For how many minutes after a text left it may be given other words (`EDITS`)."""
    withdraw_hours: ClassVar[int] = 48
    """For how many hours after a message left it may be taken back for everyone (`DELETES`)."""
    react_days: ClassVar[int] = 30
    """For how many days after a message an emoji of ours may be put on it (`REACTIONS`); WhatsApp's
    own limit, as Meta's page on reaction messages says."""
    reacts_to_own: ClassVar[bool] = True
    """Whether an emoji can be put on messages of ours, too (`REACTIONS`)."""
    sends_at_once: ClassVar[int] = 1
    """How many messages of one instance may be on their way to the provider together."""
    media_days: ClassVar[int] = 7
    """For how many days after a message its files may still be asked for."""
    fetches_files: ClassVar[bool] = False
    """Whether it fetches the files we send from a `url`, and takes no content."""
    largest_file: ClassVar[int] = 100 * 1024 * 1024
    advice: ClassVar[Mapping[str, Any]] = {}
    """What a failure means for whoever wrote the message, by its code."""

    @property
    def secret_fields(self) -> tuple[str, ...]:
        """Names that never appear in a log and are encrypted at rest."""
        return tuple(field.name for field in self.fields if field.secret)

    def reference_of(self, address: str, values: Mapping[str, str]) -> str:
        """What its posts call an instance with this address and these fields; "" where they do
        not name it."""
        return values.get(self.reference_field, "")

    def complaints(self, values: Mapping[str, str]) -> Mapping[str, Any]:
        """What is wrong with the fields of an instance taken together: field → sentence."""
        return {}

    def platform_secrets(self, via: Via) -> Mapping[str, str]:
        """What the platform itself has for this instance's server, by the names of our fields."""
        return {}

    def hourly_limit(self, via: Via) -> int | None:
        """How many messages an instance may send in an hour, where people said so."""
        return None

    def external_id_of(self, outgoing: Outgoing, via: Via) -> str:
        """The id a message will have, where we choose it; "" where the provider does."""
        return ""

    def answer_handshake(self, hook: Hook, candidates: Sequence[Candidate]) -> str | None:
        """The text that proves we own the URL; None where this is no handshake."""
        return None

    @abstractmethod
    def route(self, hook: Hook) -> list[InstanceRef]:
        """The instances a post names. Total: any bytes give a list, never an exception."""

    @abstractmethod
    def verify(self, hook: Hook, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The candidates whose secret signed this post; `BadSignature` when none did. A provider
        whose posts name an account gives back those it is about, which may be none of them."""

    def part_for(self, hook: Hook, candidate: Candidate) -> bytes:
        """What of a body is kept for one instance: all of it, unless it is about others too."""
        return hook.body

    def answer(self, hook: Hook) -> Answer:
        """What the 200 says."""
        return Answer()

    @abstractmethod
    def parse(self, hook: Hook, reference: str) -> list[Event]:
        """The facts in a post, or `BadPayload`. `reference` is the instance's own, for
        providers whose posts do not name it."""

    def blame_of(self, code: str) -> Blame:
        """Whose fault a failure with this code is, where a status tells it later."""
        return Blame.PROVIDER

    @abstractmethod
    def send(self, outgoing: Outgoing, via: Via) -> Sent:
        """Hand one message to the provider, or raise `SendError`."""

    @abstractmethod
    def check(self, via: Via) -> InstanceState:
        """Ask the provider how the instance is; `SendError` when it cannot be asked, `NotOwned`
        when it says that the secrets do not belong to the instance."""

    def find_sent(self, via: Via, provider_number: str) -> Sent | None:
        """What became of a message the provider gave this number; None where it does not know
        or cannot be asked. `SendError` when it did not answer."""
        return None

    # What follows is refused by providers that do not list the feature: ask `supports` first.

    def mark_read(self, known: Known, via: Via) -> None:
        """Show the sender that the message was read. Safe to repeat (`MARKS_READ`)."""
        raise self._unsupported(Feature.MARKS_READ)

    def can_change(self, known: Known) -> bool:
        """Whether what is known of a message of ours is enough to edit or delete it."""
        return True

    def edit(self, known: Known, text: str, via: Via) -> None:
        """Give a message of ours another text. Safe to repeat (`EDITS`)."""
        raise self._unsupported(Feature.EDITS)

    def delete(self, known: Known, via: Via) -> None:
        """Withdraw a message of ours for everyone. Safe to repeat (`DELETES`)."""
        raise self._unsupported(Feature.DELETES)

    def react(self, known: Known, emoji: str, via: Via) -> None:
        """Put an emoji of ours on a message; an empty one takes it back. Safe to repeat
        (`REACTIONS`)."""
        raise self._unsupported(Feature.REACTIONS)

    def read_journal(self, via: Via, *, minutes: int) -> list[bytes]:
        """What the provider itself keeps of the last minutes, one body per message, each of which
        `parse` reads on the route `JOURNAL_ROUTE` as the events that were missed (`JOURNAL`)."""
        raise self._unsupported(Feature.JOURNAL)

    def fetch_media(self, reference: Mapping[str, Any], via: Via, *, limit: int) -> Media:
        """Fetch the file that an attachment's `reference` names, of `limit` bytes at most
        (`MEDIA`). Safe to repeat."""
        raise self._unsupported(Feature.MEDIA)

    def find_phone(self, lid: str, via: Via) -> str:
        """The number behind a LID, "" where it stays hidden (`FINDS_PHONES`)."""
        raise self._unsupported(Feature.FINDS_PHONES)

    def templates(self, via: Via) -> list[Template]:
        """Every template of the instance's account (`TEMPLATES`)."""
        raise self._unsupported(Feature.TEMPLATES)

    def instances(self, via: Via) -> list[Found]:
        """Every instance of the account (`MAKES_INSTANCES`)."""
        raise self._unsupported(Feature.MAKES_INSTANCES)

    def make_instance(self, via: Via, *, name: str, address: str, webhook_url: str) -> Found:
        """Make an instance that posts to this URL (`MAKES_INSTANCES`); `Unfit` where its name or
        address is not taken. Never safe to repeat: after an unknown outcome, look at `instances`
        first."""
        raise self._unsupported(Feature.MAKES_INSTANCES)

    def connect(self, via: Via) -> InstanceState:
        """Start the connection; the answer may hold a code to scan (`CONNECTS`)."""
        raise self._unsupported(Feature.CONNECTS)

    def disconnect(self, via: Via) -> InstanceState:
        """End the connection, so that it must be scanned again (`CONNECTS`)."""
        raise self._unsupported(Feature.CONNECTS)

    def restart(self, via: Via) -> InstanceState:
        """Connect anew with what the provider already has (`CONNECTS`)."""
        raise self._unsupported(Feature.CONNECTS)

    def qr(self, via: Via) -> str:
        """The code to scan now, as its text or as a picture in a `data:` URL; it changes every few
        seconds (`QR_LOGIN`)."""
        raise self._unsupported(Feature.QR_LOGIN)

    def login_link(self, via: Via, *, back_url: str, until: datetime) -> str:
        """A page of the provider's where a person links the phone, valid until then; it leads
        back to `back_url` (`HOSTED_LOGIN`)."""
        raise self._unsupported(Feature.HOSTED_LOGIN)

    def read_webhook(self, via: Via) -> WebhookState:
        """Where the provider posts now (`SETS_WEBHOOK`)."""
        raise self._unsupported(Feature.SETS_WEBHOOK)

    def configure_webhook(self, via: Via, url: str) -> WebhookState:
        """Have everything we read posted to this URL, and read back that it is so: a provider
        that says yes and keeps nothing is a `SendError` (`SETS_WEBHOOK`)."""
        raise self._unsupported(Feature.SETS_WEBHOOK)

    def regenerate_key(self, via: Via) -> Mapping[str, str]:
        """Have the key replaced; the fields that changed, by name (`NEW_KEYS`).

        The old key is dead once this answers. After an unknown outcome it may be, too.
        """
        raise self._unsupported(Feature.NEW_KEYS)

    def _unsupported(self, feature: Feature) -> SendError:
        return SendError("unsupported", feature.value, blame=Blame.MESSAGE)
