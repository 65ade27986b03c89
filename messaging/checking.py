"""Whether an instance works, step by step, and what to do where it does not.

The steps follow a message: the provider can be asked, takes a message, posts something here, and
what it posted became facts.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from django.utils import timezone
from django.utils.translation import gettext as _

from messaging import connecting, delivering, inbox, outbox
from messaging.calling import open_via
from messaging.events import Connection
from messaging.models import Message, MessageEvent
from messaging.providers import get as provider_of
from messaging.providers.base import JOURNAL_ROUTE, Blame, Feature, SendError
from tenants import context
from tenants.models import ProviderInstance, WebhookDelivery

T = TypeVar("T")

PATIENCE_SECONDS = 30
_LOOK_AGAIN_SECONDS = 1

_SENT = {
    Message.Status.SENT,
    Message.Status.DELIVERED,
    Message.Status.READ,
    Message.Status.PLAYED,
}
_ON_ITS_WAY = {Message.Status.QUEUED, Message.Status.SENDING}


@dataclass(frozen=True)
class Finding:
    """What one step showed; `passed` is None where the step does not apply."""

    step: str
    passed: bool | None
    said: str
    advice: str = ""


def check(
    instance: ProviderInstance, *, to: str = "", patience: float = PATIENCE_SECONDS
) -> Iterator[Finding]:
    """The findings about an instance, one after the other; inside its tenant.

    With `to` a message is really sent there. A step that needs an earlier one that failed is left
    out.
    """
    reachable = _reachable(instance)
    yield reachable
    since = timezone.now() - timedelta(seconds=1) if to else None
    if to:
        sent = _sent(instance, to, patience) if reachable.passed else None
        if sent is None:
            return
        yield sent
        if not sent.passed:
            return
    if not provider_of(instance.provider).paths:
        yield Finding("webhook", None, _("This provider posts nothing."))
        return
    delivery = _until(lambda: _newest_delivery(instance, since), patience if to else 0)
    yield _seen(instance, delivery)
    if delivery is not None:
        yield _kept(instance, delivery, patience)


def _reachable(instance: ProviderInstance) -> Finding:
    via = open_via(instance)
    with via.http:
        try:
            found = provider_of(instance.provider).check(via)
        except SendError as error:
            said = f"{error.code} {error.detail}".strip()
            return Finding("reachable", False, said, _advice_after(error))
    said = " ".join(each for each in (found.state.value, found.reason) if each)
    if found.state is Connection.CONNECTED:
        return Finding("reachable", True, said)
    return Finding("reachable", False, said, _STATE_ADVICE[found.state]())


_STATE_ADVICE: dict[Connection, Callable[[], str]] = {
    Connection.DISCONNECTED: lambda: _("Link the phone again: scan the code at the provider."),
    Connection.PENDING: lambda: _("Wait a few minutes; then scan the code at the provider."),
    Connection.CONFLICT: lambda: _("Another program uses this number: disconnect it there first."),
    Connection.BLOCKED: lambda: _("The number is blocked or limited: ask the provider why."),
}


def _advice_after(error: SendError) -> str:
    if error.blame is Blame.ACCOUNT:
        return _("Check the keys of the instance; run connect_instance with the right ones.")
    return _("The provider did not answer: check api_url and the network, then try again.")


def _sent(instance: ProviderInstance, to: str, patience: float) -> Finding:
    try:
        message = outbox.start(
            to,
            _("This is a test message. There is nothing to do."),
            origin=Message.Origin.API,
            instance_id=instance.pk,
        )
    except outbox.Refused as refused:
        return Finding("send", False, refused.code, str(refused.message))
    delivering.drain(context.current_number(), instance.pk)
    _until(lambda: _left(message), patience)
    message.refresh_from_db()
    if message.status in _SENT:
        return Finding("send", True, message.status)
    said = " ".join(
        each for each in (message.status, message.error_code, message.error_detail) if each
    )
    return Finding("send", False, said, _send_advice(message))


def _left(message: Message) -> bool:
    message.refresh_from_db()
    return message.status not in _ON_ITS_WAY


def _send_advice(message: Message) -> str:
    if message.status == Message.Status.UNKNOWN:
        return _("The provider took the message and did not answer: look whether it arrived.")
    if message.status in _ON_ITS_WAY:
        return _("It waits to be tried again; the provider's words are beside.")
    if message.error_blame == Blame.RECIPIENT:
        return _("Give another address: this one cannot be reached.")
    if message.error_blame == Blame.ACCOUNT:
        return _("Check the instance at the provider: its plan, its keys, its phone.")
    return _("See the page of this provider in docs/providers.")


def _newest_delivery(instance: ProviderInstance, since: datetime | None) -> WebhookDelivery | None:
    posted = WebhookDelivery.objects.of(instance.tenant_id).filter(instance=instance)
    posted = posted.exclude(route=JOURNAL_ROUTE)
    if since is not None:
        posted = posted.filter(received_at__gte=since)
    return posted.order_by("-id").first()


def _seen(instance: ProviderInstance, delivery: WebhookDelivery | None) -> Finding:
    if delivery is not None:
        return Finding("webhook", True, delivery.received_at.isoformat(timespec="seconds"))
    url = connecting.webhook_url(instance)
    advice = _("Have the provider post to %(url)s, with the same secret.") % {"url": url}
    return Finding("webhook", False, _where_it_posts(instance), advice)


def _where_it_posts(instance: ProviderInstance) -> str:
    """What the provider itself says of its webhook, where it can be asked."""
    provider = provider_of(instance.provider)
    if Feature.SETS_WEBHOOK not in provider.supports:
        return _("nothing came")
    via = open_via(instance)
    with via.http:
        try:
            kept = provider.read_webhook(via)
        except SendError as error:
            return _("nothing came; where it posts is not known: %(code)s") % {"code": error.code}
    return _("nothing came; it posts to: %(url)s") % {"url": kept.url or "-"}


def _kept(instance: ProviderInstance, delivery: WebhookDelivery, patience: float) -> Finding:
    if delivery.state == WebhookDelivery.State.WAITING:
        inbox.drain(instance.tenant_id)
    _until(lambda: not _is_waiting(delivery), patience)
    facts = MessageEvent.objects.filter(instance_id=instance.pk, delivery_id=delivery.pk)
    kinds = sorted(set(facts.values_list("kind", flat=True)))
    if delivery.state == WebhookDelivery.State.DONE:
        return Finding("kept", True, ", ".join(kinds) or _("told before"))
    advice = _("See the delivery in the admin; replay_webhooks reads it again.")
    return Finding("kept", False, f"{delivery.state} {delivery.error}".strip(), advice)


def _is_waiting(delivery: WebhookDelivery) -> bool:
    delivery.refresh_from_db()
    return delivery.state == WebhookDelivery.State.WAITING


def _until(found: Callable[[], T], seconds: float) -> T:
    """The first answer that says yes, else the last one once the time is over."""
    until = time.monotonic() + seconds
    while not (answer := found()) and time.monotonic() < until:
        time.sleep(_LOOK_AGAIN_SECONDS)
    return answer
