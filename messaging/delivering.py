"""Sending what is queued: claim, call the provider once, write the outcome down."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F
from django.utils import timezone, translation

from amda import crashpoints
from messaging import (
    activities,
    addressing,
    claiming,
    enclosing,
    facts,
    links,
    mailing,
    matching,
    media,
    optouts,
    pacing,
    quoting,
    realtime,
    signals,
    standing_in,
    statuses,
    tapping,
    templates,
)
from messaging.calling import is_of_a_former_key, let_go_of_the_connection, open_via
from messaging.events import Kind
from messaging.models import Message, MessageEvent, MessageFile
from messaging.providers import get as provider_of
from messaging.providers.base import Blame, Feature, File, Outgoing, Provider, SendError, Sent, Via
from tenants import limits, orders
from tenants.context import current_number
from tenants.models import ProviderInstance

logger = logging.getLogger(__name__)

Status = Message.Status
ATTEMPTS = 4
UNPROVEN = "unproven"
"""Why an instance waits whose provider could not be asked yet whether its secrets own it."""
# Longer than any provider call may take: what is claimed longer ago lost its worker.
CLAIM_SECONDS = 60
SLICE_SECONDS = 20


@dataclass(frozen=True)
class Paused:
    """The provider asked for a pause: nothing of this instance leaves before then."""

    until: datetime


def order(tenant_number: int, instance_id: int) -> None:
    """Order a drain of an instance's outbox, in the transaction that queued the message.

    The order commits or vanishes with the message, so no message is ever left behind.
    """
    orders.order("drain_outbox", "outbox", tenant=tenant_number, instance=instance_id)


def drain(tenant_number: int, instance_id: int) -> None:
    """Send what is due, one after the other, then leave an order for what is not due yet."""
    instance = ProviderInstance.objects.of(tenant_number).filter(pk=instance_id).first()
    if instance is None:
        return
    own_up_to_lost_claims(instance_id)
    try:
        limits.require_may_send(tenant_number)
    except limits.LimitReached as refusal:
        return refuse_all(instance_id, refusal)
    provider = provider_of(instance.provider)
    if instance.state_reason == UNPROVEN:
        # It is not known yet whose number this is; whoever proves it orders a drain.
        return
    standing_in.hand_over(instance, timezone.now())
    if instance.key_in_doubt_since:
        # Which key is good is not known yet; whoever finds out orders a drain.
        return
    via = open_via(instance)
    until = timezone.now() + timedelta(seconds=SLICE_SECONDS)
    pause = None
    with via.http, translation.override(instance.tenant.language):
        while pause is None and timezone.now() < until:
            pause = _pause_of_the_hour(instance_id, provider.hourly_limit(via), timezone.now())
            pause = pause or _pause_of_the_pace(instance)
            message = None if pause else claiming.claim(instance_id, timezone.now())
            if message is None:
                if not pause:
                    pacing.give_back(instance)
                break
            pause = send(message, provider, via)
        _link_what_is_unlinked(instance_id, provider, via)
    _order_the_rest(tenant_number, instance_id, pause)


def _pause_of_the_hour(instance_id: int, limit: int | None, now: datetime) -> Paused | None:
    """What the server takes in an hour has left already: the rest waits until it has room."""
    if limit is None:
        return None
    within = Message.objects.filter(
        instance_id=instance_id, claimed_at__gt=now - timedelta(hours=1)
    ).exclude(status__in=(Status.QUEUED, Status.FAILED))
    times = within.order_by("-claimed_at").values_list("claimed_at", flat=True)
    first_of_as_many = next(iter(times[limit - 1 : limit]), None)
    return Paused(first_of_as_many + timedelta(hours=1)) if first_of_as_many else None


def _pause_of_the_pace(instance: ProviderInstance) -> Paused | None:
    """Takes a send from the bucket that all workers share; the pause where it is empty."""
    turn = pacing.turn(instance, timezone.now())
    return None if turn.again_at is None else Paused(turn.again_at)


def send(message: Message, provider: Provider, via: Via) -> Paused | None:
    """One call to the provider, outside any transaction, and its outcome."""
    try:
        _require_consent(message)
        outgoing = _outgoing(message, provider)
        _name(message, provider.external_id_of(outgoing, via))
        let_go_of_the_connection()
        sent = provider.send(outgoing, via)
    except SendError as error:
        if is_of_a_former_key(error, via):
            return _put_back(message, timezone.now())
        return record_failure(message, error, timezone.now())
    crashpoints.reached("after_provider_took_message")
    record_sent(message, sent)
    return None


def _put_back(message: Message, now: datetime) -> Paused:
    """What a dead key was refused for is no attempt: it leaves with the key that is good."""
    Message.objects.filter(pk=message.pk, status=Status.SENDING).update(
        status=Status.QUEUED, attempts=F("attempts") - 1
    )
    _tell(message)
    return Paused(now)


def _require_consent(message: Message) -> None:
    """Whoever opted out since the message was queued does not get it."""
    if optouts.of(message.conversation) is not None:
        raise SendError(optouts.CODE, blame=Blame.RECIPIENT)


def _name(message: Message, external_id: str) -> None:
    """Write down the id that we give the message ourselves, before it leaves: the same each time,
    so that a second attempt cannot become a second message."""
    if external_id and not message.external_id:
        Message.objects.filter(pk=message.pk).update(external_id=external_id)


def _outgoing(message: Message, provider: Provider) -> Outgoing:
    """The message as an adapter takes it, its file included; `SendError` where that is lost."""
    file = message.files.first()
    has_subject = Feature.SUBJECTS in provider.supports
    return Outgoing(
        reference=str(message.reference),
        to=message.conversation.peer,
        text=message.text,
        kind=Kind(message.kind),
        subject=message.subject,
        **quoting.as_outgoing(message, provider),
        file=_file(file, provider) if file else None,
        **enclosing.as_outgoing(message.parts),
        template=templates.as_outgoing(message.parts),
        choices=tapping.as_outgoing(message.parts),
        thread=mailing.thread_of(message) if has_subject else (),
        unsubscribe_url=mailing.unsubscribe_url(message) if has_subject else "",
        is_automatic=message.origin in (Message.Origin.AUTOMATION, Message.Origin.CAMPAIGN),
    )


def _file(file: MessageFile, provider: Provider) -> File:
    if provider.fetches_files:
        url = links.for_provider(file)
        return File(file.mime_type, file.file_name, url=url, size=file.size or 0)
    try:
        content = media.content_of(file)
    except FileNotFoundError as exc:
        raise SendError("file_missing", blame=Blame.MESSAGE) from exc
    except Exception as exc:
        # Whatever kind of storage it is, its errors are its own; nothing has left yet.
        raise SendError("storage_away", type(exc).__name__, retry=True) from exc
    return File(file.mime_type, file.file_name, content=content, size=len(content))


def record_sent(message: Message, sent: Sent) -> None:
    """The provider took it. A status that came meanwhile already says more and stays."""
    # A status may have been quicker than the answer: it waits for these ids.
    matching.link(message, external_id=sent.external_id, provider_number=sent.provider_number)
    with transaction.atomic():
        moved = Message.objects.filter(pk=message.pk, status__in=(Status.SENDING, Status.UNKNOWN))
        moved.update(status=Status.SENT)
        _keep(message, Status.SENT)
    _tell(message)


def record_failure(message: Message, error: SendError, now: datetime) -> Paused | None:
    """Write down what went wrong: tried again later, perhaps sent, or failed."""
    mine = Message.objects.filter(pk=message.pk, status=Status.SENDING)
    if error.opted_out:
        _keep_opt_out(message, now)
    told = {
        "error_code": error.code[:60],
        "error_detail": error.detail[:500],
        "error_blame": error.blame,
    }
    if error.unknown:
        _end(message, Status.UNKNOWN, told)
    elif pacing.is_too_fast(message.provider, error):
        return _wait_for_peace(message, error, told, now)
    elif error.retry and message.attempts < ATTEMPTS:
        not_before = now + timedelta(seconds=_wait(message.attempts, error.retry_after))
        mine.update(status=Status.QUEUED, not_before=not_before, **told)
        _tell(message)
        return Paused(not_before) if error.retry_after is not None else None
    else:
        _end(message, Status.FAILED, told)
        signals.failed(message.pk)
    _tell(message)
    return None


def _end(message: Message, status: Status, told: dict[str, str]) -> None:
    """An attempt came to this end, unless the message is no longer on its way."""
    with transaction.atomic():
        mine = Message.objects.filter(pk=message.pk, status=Status.SENDING)
        if mine.update(status=status, **told):
            _keep(message, status)


def _keep(message: Message, status: Status) -> None:
    message.refresh_from_db()
    facts.keep_outcome(message, status, now=timezone.now())


def _wait_for_peace(
    message: Message, error: SendError, told: dict[str, str], now: datetime
) -> Paused:
    """Too much at once is no attempt: the message waits, and the whole instance sends slower."""
    instance = ProviderInstance.objects.of(current_number()).get(pk=message.instance_id)
    until = pacing.slow_down(instance, error, now)
    Message.objects.filter(pk=message.pk, status=Status.SENDING).update(
        status=Status.QUEUED, not_before=until, attempts=F("attempts") - 1, **told
    )
    _tell(message)
    return Paused(until)


def refuse_all(instance_id: int, refusal: limits.LimitReached) -> None:
    """Nothing may be sent any more: what waits has failed, to be tried again by a person.

    It does not wait for better times: who wrote it may not want it sent weeks later.
    """
    waiting = Message.objects.filter(instance_id=instance_id, status=Status.QUEUED)
    for message in waiting.select_related("conversation"):
        with transaction.atomic():
            mine = Message.objects.filter(pk=message.pk, status=Status.QUEUED)
            taken = mine.update(
                status=Status.FAILED, error_code=refusal.code[:60], error_blame=Blame.ACCOUNT
            )
            if taken:
                _keep(message, Status.FAILED)
        if taken:
            signals.failed(message.pk)
            _tell(message)


def _keep_opt_out(message: Message, now: datetime) -> None:
    """The provider knows that the recipient wants nothing of ours: the next one is not tried."""
    peer = message.conversation.peer
    kind = addressing.Kind.EMAIL if "@" in peer else addressing.Kind.PHONE
    optouts.change(
        [addressing.Address(kind, peer)], opted_out=True, by=optouts.Source.PROVIDER, at=now
    )


def own_up_to_lost_claims(instance_id: int) -> None:
    """What a worker claimed and never finished may have been sent: say so, do not resend."""
    lost = Message.objects.filter(
        instance_id=instance_id,
        status=Status.SENDING,
        claimed_at__lt=timezone.now() - timedelta(seconds=CLAIM_SECONDS),
    ).select_related("conversation")
    for message in lost:
        with transaction.atomic():
            taken = Message.objects.filter(pk=message.pk, status=Status.SENDING).update(
                status=Status.UNKNOWN, error_code="outcome_unknown", error_blame=Blame.PROVIDER
            )
            if taken:
                _keep(message, Status.UNKNOWN)
        if taken:
            _tell(message)


def _wait(attempts: int, retry_after: float | None) -> float:
    if retry_after is not None:
        return max(retry_after, 1)
    return min(5 * 4 ** (attempts - 1), 600)


def _tell(message: Message) -> None:
    message.refresh_from_db()
    statuses.mirror(message)
    activities.order([message.pk])
    realtime.publish("message", conversation=message.conversation_id, message=message.pk)


def _link_what_is_unlinked(instance_id: int, provider: Provider, via: Via) -> None:
    """Ask for the external id of messages that statuses may already wait for."""
    waiting = MessageEvent.objects.filter(
        instance_id=instance_id, message=None, kind="status"
    ).exists()
    if not waiting:
        return
    unlinked = Message.objects.filter(
        instance_id=instance_id, external_id="", status=Status.SENT
    ).exclude(provider_number="")
    for message in unlinked.order_by("-id")[:20]:
        _link(message, provider, via)


def _link(message: Message, provider: Provider, via: Via) -> None:
    let_go_of_the_connection()
    try:
        found = provider.find_sent(via, message.provider_number)
    except SendError as error:
        logger.info("message %s could not be looked up: %s", message.pk, error.code)
        return
    if found and found.external_id:
        matching.link(message, external_id=found.external_id)


def _order_the_rest(tenant_number: int, instance_id: int, pause: Paused | None) -> None:
    """Leave one order for the next moment at which something can be done."""
    left = Message.objects.filter(
        instance_id=instance_id, status__in=(Status.QUEUED, Status.SENDING)
    )
    moments = [_moment(message) for message in left.order_by("not_before", "id")[:50]]
    if not moments:
        return
    due = min(moments)
    if pause:
        due = max(due, pause.until)
    orders.order_once(
        "drain_outbox",
        "outbox",
        key=f"outbox:{tenant_number}:{instance_id}",
        at=due,
        tenant=tenant_number,
        instance=instance_id,
    )


def _moment(message: Message) -> datetime:
    if message.status == Status.SENDING and message.claimed_at:
        return message.claimed_at + timedelta(seconds=CLAIM_SECONDS + 1)
    return message.not_before or timezone.now()
