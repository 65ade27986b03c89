"""What a number risks at a provider that WhatsApp does not authorise, and its owner's word on it.

Whoever connects such a number is told, whichever way they do it; an owner confirms it once for each
number. Until then the page Numbers asks for it and links no phone. Messages come and leave all
the same: none is lost over a box that nobody ticked.
"""

from django.db import transaction
from django.utils.translation import gettext as _

from messaging import realtime
from messaging.providers import get as provider_of
from messaging.providers.base import Provider
from messaging.refusing import Refused
from tenants import audit
from tenants.accounts.models import User
from tenants.models import ProviderInstance
from tenants.permissions import Action, may

FIELD = "risk_accepted"
# Raise it when the words change in substance: owners are then asked again.
VERSION = 1


def words(provider: Provider) -> str:
    """What a number risks at this provider, in the reader's language; "" where it risks nothing."""
    if provider.is_official:
        return ""
    return _(
        "WhatsApp does not authorise %(provider)s, which works as a device linked to the phone. "
        "WhatsApp may limit or block a number used this way at any time and without appeal: the "
        "number and its conversations on WhatsApp would be lost. Link no number that you cannot do "
        "without."
    ) % {"provider": provider.label}


def to_confirm(instance: ProviderInstance) -> str:
    """The words that an owner has still to confirm for this number; "" for none."""
    if instance.risk_confirmed >= VERSION:
        return ""
    return words(provider_of(instance.provider))


def confirm(instance: ProviderInstance, *, by: User) -> None:
    """Keep an owner's word, with the words they read; `Refused` to everybody else."""
    read = to_confirm(instance)
    if not read:
        return
    if not may(by, Action.ACCEPT_RISKS):
        raise Refused("owner_only", _("Only an owner can confirm this."), FIELD)
    mine = ProviderInstance.objects.of(instance.tenant_id).filter(pk=instance.pk)
    with transaction.atomic():
        if mine.filter(risk_confirmed__lt=VERSION).update(risk_confirmed=VERSION):
            audit.record(
                "instance.risk_confirmed",
                by=by,
                subject=instance,
                tenant=instance.tenant_id,
                after={"version": VERSION, "words": read},
            )
    instance.risk_confirmed = VERSION
    realtime.publish("instance", conversation=0, message=instance.pk)


def require_confirmed(instance: ProviderInstance) -> None:
    """`Refused`, naming the box to tick, while no owner confirmed what this number risks."""
    if to_confirm(instance):
        raise Refused(
            "risk_unconfirmed",
            _("An owner must first confirm that they know what this number risks."),
            FIELD,
        )
