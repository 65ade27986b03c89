"""Whom a message reaches, and from which of the tenant's instances."""

from collections.abc import Collection

from django.utils.translation import gettext_lazy as _

from messaging import addressing
from messaging.providers import get as provider_of
from messaging.providers.base import Medium
from messaging.refusing import Refused
from tenants import directory
from tenants.context import current_number
from tenants.models import ProviderInstance


def instance_for(to: str, lead, instance_id: int | None) -> ProviderInstance:
    """The instance asked for, else the one that can write to this address or lead."""
    return choose_instance(instance_id, _kinds_of(typed(to), lead))


def choose_instance(instance_id: int | None, kinds: Collection[str] = ()) -> ProviderInstance:
    """The instance asked for, else the only one that reaches addresses of these kinds; `Refused`
    where it is not clear."""
    mine = ProviderInstance.objects.serving(current_number())
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


def instance_numbered(instance_id: int) -> ProviderInstance:
    """The tenant's instance of this id; `Refused` once it is gone."""
    instance = ProviderInstance.objects.of(current_number()).filter(pk=instance_id).first()
    if instance is None:
        raise Refused("instance_gone", _("The number of this conversation is no longer connected."))
    return instance


def typed(to: str) -> addressing.Address | None:
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


def recipient(
    to: addressing.Address | None, lead, instance: ProviderInstance
) -> addressing.Address:
    """The address a message goes to: the one typed, else the lead's first that the instance
    reaches; `Refused` where there is none."""
    wanted = _kinds_reached_by(instance)
    if to is not None:
        if to.kind not in wanted:
            raise Refused(
                "recipient_unreachable",
                _("This address cannot be reached from the chosen number."),
                "to",
            )
        return to
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


def _kinds_of(to: addressing.Address | None, lead) -> Collection[str]:
    """The kinds of addresses that a message may go to."""
    if to is not None:
        return {to.kind}
    return set(lead.identities.values_list("kind", flat=True)) if lead is not None else ()


def _kinds_reached_by(instance: ProviderInstance) -> tuple[str, ...]:
    kinds = addressing.Kind
    return {
        Medium.WHATSAPP: (kinds.PHONE, kinds.LID, kinds.BSUID),
        Medium.SMS: (kinds.PHONE,),
        Medium.EMAIL: (kinds.EMAIL,),
    }[provider_of(instance.provider).medium]
