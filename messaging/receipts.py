"""Telling contacts that what they wrote was read, where their provider can and the tenant wants it.

A receipt is not worth much: it is tried a few times within minutes and then dropped.
"""

import logging
from datetime import timedelta

from django.utils import timezone

from messaging import optouts
from messaging.calling import forgiving_a_former_key, let_go_of_the_connection, open_via
from messaging.models import Conversation, Message
from messaging.providers import get as provider_of
from messaging.providers.base import Feature, Known, SendError
from tenants import directory, limits, orders
from tenants.context import current_number
from tenants.models import ProviderInstance

logger = logging.getLogger(__name__)

TRIES = 3
WAIT = timedelta(seconds=20)


def order(conversation: Conversation) -> None:
    """Have the newest message of a contact shown as read, by a job of the open transaction."""
    if conversation.is_group or not directory.tenant_numbered(current_number()).shows_read:
        return
    if Feature.MARKS_READ not in provider_of(conversation.provider).supports:
        return
    received = conversation.messages.filter(direction=Message.Direction.IN)
    newest = received.order_by("-sent_at", "-id").values_list("pk", flat=True).first()
    if newest is not None:
        _order(newest, attempt=1)


def show(message_id: int, attempt: int) -> None:
    """Ask the provider once, outside any transaction; a failure that may pass is tried again."""
    rows = Message.objects.select_related("conversation")
    message = rows.filter(pk=message_id, deleted_at=None).exclude(external_id="").first()
    instance = _instance_of(message) if message else None
    if message is None or instance is None or not _may_be_told(message):
        return
    via = open_via(instance)
    let_go_of_the_connection()
    try:
        with via.http, forgiving_a_former_key(via):
            provider_of(instance.provider).mark_read(_known(message), via)
    except SendError as error:
        logger.info("message %s is not shown as read: %s", message_id, error.code)
        if (error.retry or error.unknown) and attempt < TRIES:
            _order(message_id, attempt=attempt + 1)


def _order(message_id: int, *, attempt: int) -> None:
    at = timezone.now() + WAIT * (attempt - 1) if attempt > 1 else None
    tenant = current_number()
    orders.order(
        "show_read", "instances", at=at, tenant=tenant, message=message_id, attempt=attempt
    )


def _instance_of(message: Message) -> ProviderInstance | None:
    """The number that heard it, which may stand in for another; None while it is away."""
    mine = ProviderInstance.objects.of(current_number()).select_related("tenant")
    instance = mine.filter(
        pk=message.instance_id, state=ProviderInstance.State.CONNECTED, state_reason=""
    ).first()
    if instance and Feature.MARKS_READ in provider_of(instance.provider).supports:
        return instance
    return None


def _may_be_told(message: Message) -> bool:
    """Nobody who wants nothing from us, and nothing while the tenant may not send."""
    try:
        limits.require_may_send(current_number())
    except limits.LimitReached:
        return False
    wants_it = directory.tenant_numbered(current_number()).shows_read
    return wants_it and optouts.of(message.conversation) is None


def _known(message: Message) -> Known:
    return Known(
        external_id=message.external_id,
        provider_number=message.provider_number,
        chat=message.peer or message.conversation.peer,
    )
