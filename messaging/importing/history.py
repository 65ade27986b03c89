"""Taking in what was said elsewhere, as ingest would have, but as history: nobody is told.

A message is a fact with an id, and ingest's unique facts decide what is told already: a second
run, or one that goes on after a crash, adds nothing. What was said long before it came here is
there to be read; alerts do not wait for an answer to it, and unread counts do not know it.
"""

import hashlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import DataError, IntegrityError, transaction

from messaging import activities, changing, facts, folding, inbox, matching, statuses
from messaging.addressing import Address
from messaging.events import Kind, Person, Received
from messaging.importing import values
from messaging.importing.numbers import Numbers
from messaging.importing.rows import BadRow, Outcome, Result, Row, batches, sorted_out
from messaging.models import Conversation, Message, MessageEvent, MessageFile
from messaging.placing import Places
from messaging.providers import get as provider_of
from messaging.providers.base import Medium
from tenants import orders
from tenants.accounts.models import User
from tenants.models import ProviderInstance, Tenant, WebhookDelivery

logger = logging.getLogger(__name__)

BATCH = 500
# What is older when it comes in is history: nobody waits for an answer to it.
RECENT = timedelta(days=7)
AHEAD_ALLOWED = timedelta(minutes=5)
LONGEST_ID = 200

Direction = Message.Direction
Status = Message.Status
State = Conversation.State
COLUMNS = (
    "id", "phone", "email", "name", "direction", "sent_at", "text", "kind", "status", "error",
    "subject", "reply_to", "file_name", "origin", "by", "number", "provider", "medium",
)  # fmt: skip
_DIRECTIONS = {
    **dict.fromkeys(("in", "inbound", "incoming", "received", "contact"), Direction.IN),
    **dict.fromkeys(("out", "outbound", "outgoing", "sent", "us"), Direction.OUT),
}
_STATUSES = {
    "": Status.SENT,
    **{each.value: each for each in (Status.SENT, Status.DELIVERED, Status.READ, Status.PLAYED)},
    **dict.fromkeys(("failed", "undelivered", "error"), Status.FAILED),
}
_KINDS = {"": Kind.TEXT, **{each.value: each for each in Kind if each is not Kind.REACTION}}
_ORIGINS = {each.value: each for each in Message.Origin if each != Message.Origin.CONTACT}
_WITH_FILES = (Kind.IMAGE, Kind.VIDEO, Kind.AUDIO, Kind.VOICE, Kind.DOCUMENT, Kind.STICKER)


@dataclass(frozen=True)
class _Told:
    """A row that can be taken in."""

    line: int
    event: Received
    instance: ProviderInstance
    address: Address
    at: datetime
    status: str
    origin: str
    by: int | None
    file_name: str
    error: str

    @property
    def key(self) -> tuple[int, str]:
        """By which a fact is known."""
        return self.instance.pk, self.event.event_id


@dataclass
class Importer:
    """Takes messages into a tenant, batch by batch, each row by itself. Used inside the tenant.

    `number` is the instance that rows mean which name none. With `dry_run` nothing is written.
    """

    tenant: Tenant
    now: datetime
    number: ProviderInstance | None = None
    dry_run: bool = False
    _people: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._zone = ZoneInfo(self.tenant.time_zone)
        self._numbers = Numbers(self.tenant, self.number)
        self._people = {user.email.lower(): user.pk for user in User.objects.all()}

    def take_in(self, rows: Iterable[Row]) -> Iterator[list[Outcome]]:
        """What became of the rows, a batch at a time, once it is committed."""
        for batch in batches(rows, BATCH):
            told, outcomes = sorted_out(batch, self._told)
            if self.dry_run:
                outcomes += self._as_known(told)
            else:
                outcomes += self._written(told)
                self._let_live_ones_pass()
            yield sorted(outcomes, key=lambda each: each.line)

    def _told(self, row: Row) -> _Told:
        instance = self._numbers.meant_by(row)
        address = self._address(row, provider_of(instance.provider).medium)
        direction = values.one_of("direction", row["direction"], _DIRECTIONS)
        at = self._moment(row["sent_at"])
        kind = Kind(values.one_of("kind", row["kind"], _KINDS))
        if not row["text"] and kind is Kind.TEXT:
            raise BadRow("text", "missing")
        is_ours = direction == Direction.OUT
        by = self._author(row["by"]) if is_ours else None
        event = Received(
            event_id=_event_id(row, address, at),
            instance_ref=instance.reference,
            at=at,
            external_id=values.at_most("id", row["id"], LONGEST_ID),
            person=Person(name=row["name"]),
            kind=kind,
            text=row["text"],
            from_us=is_ours,
            reply_to=values.at_most("reply_to", row["reply_to"], LONGEST_ID),
            subject=row["subject"][:250],
        )
        return _Told(
            line=row.line,
            event=event,
            instance=instance,
            address=address,
            at=at,
            status=values.one_of("status", row["status"], _STATUSES) if is_ours else "received",
            origin=_origin(row["origin"], by) if is_ours else Message.Origin.CONTACT,
            by=by,
            file_name=row["file_name"][:255],
            error=row["error"][:500],
        )

    def _address(self, row: Row, medium: Medium) -> Address:
        column = "email" if medium is Medium.EMAIL else "phone"
        if not row[column]:
            raise BadRow(column, f"missing, and needed for {medium.value}")
        return values.address(column, row[column], self.tenant.default_country)

    def _moment(self, written: str) -> datetime:
        at = values.moment("sent_at", written, self._zone)
        if at > self.now + AHEAD_ALLOWED:
            raise BadRow("sent_at", f"{written} has not come yet")
        days = self.tenant.retention_days
        if days and at < self.now - timedelta(days=days):
            raise BadRow("sent_at", f"older than the {days} days this vendor keeps messages")
        return at

    def _author(self, email: str) -> int | None:
        if email and email.lower() not in self._people:
            raise BadRow("by", f"nobody of the team has the address {email[:80]}")
        return self._people.get(email.lower())

    def _as_known(self, told: Sequence[_Told]) -> list[Outcome]:
        """What would become of these; the same row twice is told once."""
        seen = set(_known_facts(told)) | _known_messages(told)
        outcomes = []
        for each in told:
            named = (each.instance.pk, each.event.external_id)
            is_known = each.key in seen or (each.event.external_id and named in seen)
            outcomes.append(Outcome(each.line, Result.KNOWN if is_known else Result.NEW))
            seen.add(each.key)
        return outcomes

    def _written(self, told: Sequence[_Told]) -> list[Outcome]:
        """One transaction; where a row brings it down, each by itself."""
        try:
            with transaction.atomic():
                orders.hold_inbox(self.tenant.number)
                return self._take(told) if told else []
        except (DataError, IntegrityError) as exc:
            if len(told) > 1:
                return [outcome for each in told for outcome in self._written([each])]
            logger.exception("line %d could not be taken in", told[0].line)
            return [Outcome(told[0].line, Result.FAILED, type(exc).__name__)]

    def _take(self, told: Sequence[_Told]) -> list[Outcome]:
        new = facts.record_imported([(each.event, each.instance, each.at) for each in told])
        fresh = list({each.key: each for each in reversed(told) if each.key in new}.values())[::-1]
        written = self._say(fresh, new) if fresh else set()
        return [
            Outcome(each.line, Result.NEW if each.line in written else Result.KNOWN)
            for each in told
        ]

    def _say(self, fresh: Sequence[_Told], new: dict[tuple[int, str], int]) -> set[int]:
        """Put messages where they belong; the lines of those that were not there in any form."""
        homes = _homes(fresh, self.now)
        shown = _echoes(fresh, homes)
        messages = {each.line: _message(each, homes[each.line]) for each in fresh}
        for line in shown:
            del messages[line]
        there = _insert(messages)
        facts.belong_to({new[each.key]: (shown | there)[each.line].pk for each in fresh})
        written = {line for line, message in messages.items() if there[line] is message}
        _keep_files([each for each in fresh if each.line in written], there)
        _adopt_waiting([there[line] for line in written])
        self._renew({homes[each.line].pk for each in fresh})
        self._write_history([there[line] for line in written])
        return written

    def _renew(self, conversations: set[int]) -> None:
        """Rows true again; one in which nothing was said for a while is closed, not unread."""
        rows = Conversation.objects.select_for_update(no_key=True).filter(pk__in=conversations)
        mine = list(rows.order_by("pk"))
        folding.draw(mine)
        for conversation in mine:
            last = conversation.last_message_at
            if last is None or (conversation.closed_at and last <= conversation.closed_at):
                continue
            if last > self.now - RECENT:
                conversation.state, conversation.closed_at = State.OPEN, None
            elif conversation.closed_at or _is_only_history(conversation, self.now):
                conversation.state, conversation.closed_at = State.CLOSED, last
        folding.save_rows(mine)

    def _write_history(self, written: Sequence[Message]) -> None:
        old = [message.pk for message in written if message.sent_at < self.now - RECENT]
        recent = [message.pk for message in written if message.sent_at >= self.now - RECENT]
        activities.keep_imported(old, now=self.now, is_history=True)
        activities.keep_imported(recent, now=self.now, is_history=False)

    def _let_live_ones_pass(self) -> None:
        """What providers posted meanwhile found the inbox held: it goes before the next batch."""
        waiting = WebhookDelivery.objects.of(self.tenant).filter(
            state=WebhookDelivery.State.WAITING
        )
        if waiting.exists():
            inbox.drain(self.tenant.number)


def _event_id(row: Row, address: Address, at: datetime) -> str:
    """Repeats when the row repeats: the message's own id, else a fingerprint of what it says."""
    if row["id"]:
        return f"import:{row['id']}"
    told = (address.value, row["direction"].lower(), at.isoformat(), row["kind"], row["text"])
    return f"import:{hashlib.sha256(chr(31).join(told).encode()).hexdigest()}"


def _origin(written: str, by: int | None) -> str:
    if written:
        return values.one_of("origin", written, _ORIGINS)
    # Whoever wrote it, it did not leave from here.
    return Message.Origin.PERSON if by else Message.Origin.PHONE


def _known_facts(told: Sequence[_Told]) -> Iterator[tuple[int, str]]:
    rows = MessageEvent.objects.filter(
        instance_id__in={each.instance.pk for each in told},
        event_id__in=[each.event.event_id for each in told],
    )
    yield from rows.values_list("instance_id", "event_id")


def _known_messages(told: Sequence[_Told]) -> set[tuple[int, str]]:
    rows = Message.objects.filter(
        instance_id__in={each.instance.pk for each in told},
        external_id__in=[each.event.external_id for each in told if each.event.external_id],
    )
    return set(rows.values_list("instance_id", "external_id"))


def _homes(fresh: Sequence[_Told], now: datetime) -> dict[int, Conversation]:
    """The conversation of each line."""
    people: dict[ProviderInstance, dict[Address, str]] = {}
    for each in fresh:
        names = people.setdefault(each.instance, {})
        names[each.address] = names.get(each.address) or each.event.person.name
    places = Places()
    found = {instance: places.imported(instance, names, now) for instance, names in people.items()}
    return {each.line: found[each.instance][each.address] for each in fresh}


def _echoes(fresh: Sequence[_Told], homes: dict[int, Conversation]) -> dict[int, Message]:
    """By line, the messages that we sent ourselves and the provider only knows the ids of."""
    unnamed = set(
        Message.objects.filter(
            conversation__in={conversation.pk for conversation in homes.values()},
            direction=Direction.OUT,
            external_id="",
        ).values_list("conversation_id", flat=True)
    )
    shown = {}
    for each in fresh:
        home = homes[each.line]
        if home.pk in unnamed and each.event.from_us and each.event.external_id:
            own = matching.shown_by(each.event, home, each.instance.pk, each.at)
            if own is not None:
                matching.learn_ids(own, external_id=each.event.external_id)
                statuses.apply(own, each.status)
                shown[each.line] = own
    return shown


def _message(told: _Told, conversation: Conversation) -> Message:
    event = told.event
    return Message(
        conversation=conversation,
        lead_id=conversation.lead_id,
        instance_id=told.instance.pk,
        peer=told.address.value,
        provider=told.instance.provider,
        medium=conversation.medium,
        direction=Direction.OUT if event.from_us else Direction.IN,
        origin=told.origin,
        by_id=told.by,
        kind=event.kind.value,
        text=event.text,
        subject=event.subject,
        reply_to=event.reply_to,
        status=told.status,
        error_detail=told.error if told.status == Status.FAILED else "",
        external_id=event.external_id,
        sent_at=told.at,
        # The other system heard it then: what is kept for some days is counted from there.
        received_at=told.at,
    )


def _insert(messages: dict[int, Message]) -> dict[int, Message]:
    """The message of each line: itself, or the one that has its id already."""
    Message.objects.bulk_create(messages.values(), ignore_conflicts=True)
    rows = Message.objects.filter(reference__in=[each.reference for each in messages.values()])
    inserted = dict(rows.values_list("reference", "pk"))
    there = {}
    for line, message in messages.items():
        message.pk = inserted.get(message.reference)
        there[line] = message if message.pk else _of_same_id(message)
    return there


def _of_same_id(message: Message) -> Message:
    return Message.objects.get(instance_id=message.instance_id, external_id=message.external_id)


def _keep_files(told: Sequence[_Told], there: dict[int, Message]) -> None:
    """That there was a file is history, too, though the file itself stayed behind."""
    MessageFile.objects.bulk_create(
        MessageFile(
            message=there[each.line],
            kind=each.event.kind.value,
            file_name=each.file_name,
            state=MessageFile.State.GONE,
            error="expired",
        )
        for each in told
        if each.event.kind in _WITH_FILES
    )


def _adopt_waiting(written: Sequence[Message]) -> None:
    """What was told of a message before the message itself: a withdrawal above all."""
    by_id = {message.external_id: message for message in written if message.external_id}
    waiting = MessageEvent.objects.filter(
        instance_id__in={message.instance_id for message in written},
        external_id__in=list(by_id),
        message=None,
    )
    for external_id in set(waiting.values_list("external_id", flat=True)):
        changing.adopt_waiting(by_id[external_id])


def _is_only_history(conversation: Conversation, now: datetime) -> bool:
    """Whether it was opened by this import: nobody here ever said or heard anything in it."""
    return conversation.created_at >= now
