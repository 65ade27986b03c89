"""Numbers behind LIDs: of a new sender who is known by one only, the provider is asked once.

What it answers counts as an event that brings both would: the lead has the number from then on, or
turns out to be the one who had it already. A number that stays hidden is not asked for again.
"""

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from messaging import addressing, placing, realtime, signals
from messaging.addressing import Address, Kind
from messaging.calling import let_go_of_the_connection, open_via
from messaging.models import Lead, LeadIdentity
from messaging.providers import get as provider_of
from messaging.providers.base import Feature, SendError
from tenants import orders
from tenants.context import current_number
from tenants.models import ProviderInstance

logger = logging.getLogger(__name__)

ATTEMPTS = 6
FIRST_WAIT_SECONDS = 30


def order_for(lead: Lead, instance: ProviderInstance) -> None:
    """Order that an instance's provider is asked for a new lead's number, where that hides."""
    if Feature.FINDS_PHONES not in provider_of(instance.provider).supports:
        return
    hidden = _hidden(lead)
    if hidden is not None:
        _order(hidden, instance, attempt=1)


def reveal(identity_id: int, instance_id: int, attempt: int) -> None:
    """Ask for the number behind a LID and put it beside; a question that failed is asked later."""
    identity = LeadIdentity.objects.filter(pk=identity_id).select_related("lead").first()
    instance = ProviderInstance.objects.of(current_number()).filter(pk=instance_id).first()
    if identity is None or instance is None or _hidden(identity.lead) is None:
        return
    via = open_via(instance)
    let_go_of_the_connection()
    try:
        with via.http:
            phone = provider_of(instance.provider).find_phone(identity.value, via)
    except SendError as error:
        return _ask_again(identity, instance, attempt, error, timezone.now())
    if phone:
        learn(identity, addressing.as_told_phone(phone), instance)


@transaction.atomic
def learn(identity: LeadIdentity, phone: str, instance: ProviderInstance) -> None:
    """The LID and the number are one person, who is answered at the number from now on."""
    orders.hold_inbox(current_number())
    places = placing.Places()
    lead = places.lead([Address(Kind.PHONE, phone), Address(Kind.LID, identity.value)], "")
    identity.refresh_from_db()
    if identity.lead_id != lead.pk:
        # A person of the team keeps the two apart.
        return
    conversation = places.with_lead(lead, instance, phone)
    realtime.publish("conversation", conversation=conversation.pk, message=0)
    signals.leads_touched([lead.pk])


def _hidden(lead: Lead) -> LeadIdentity | None:
    """The LID of a lead that has no number beside it."""
    known = {each.kind: each for each in lead.identities.all()}
    return None if Kind.PHONE in known else known.get(Kind.LID)


def _ask_again(
    identity: LeadIdentity,
    instance: ProviderInstance,
    attempt: int,
    error: SendError,
    now: datetime,
) -> None:
    # Asking does no harm, so a lost answer is only to be asked for again.
    if not (error.retry or error.unknown) or attempt >= ATTEMPTS:
        logger.info("identity %s: its number could not be asked for: %s", identity.pk, error.code)
        return
    wait = max(FIRST_WAIT_SECONDS * 4 ** (attempt - 1), error.retry_after or 0)
    _order(identity, instance, attempt=attempt + 1, at=now + timedelta(seconds=wait))


def _order(
    identity: LeadIdentity,
    instance: ProviderInstance,
    *,
    attempt: int,
    at: datetime | None = None,
) -> None:
    orders.order(
        "find_phone",
        "instances",
        at=at,
        tenant=current_number(),
        instance=instance.pk,
        identity=identity.pk,
        attempt=attempt,
    )
