"""Who wants no messages at an address: kept on the identity, asked before anything leaves."""

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from messaging import addressing, numbering, signals
from messaging.models import Conversation, LeadIdentity

CODE = "opted_out"
Source = LeadIdentity.ConsentSource

_REFUSALS = {
    LeadIdentity.Kind.EMAIL: _(
        "This contact unsubscribed from your e-mails. "
        "The link at the end of the last one lets them subscribe again."
    ),
}
_REFUSAL = _(
    "This contact asked for no more messages at this number. They can undo it by writing START."
)


@transaction.atomic
def change(
    addresses: Iterable[addressing.Address], *, opted_out: bool, by: str, at: datetime
) -> list[LeadIdentity]:
    """Write down what somebody wants at these addresses; the identities that it changed.

    What was said later stays, whatever order it is told in.
    """
    changed = []
    for identity in LeadIdentity.objects.filter(_any_of(addresses)).select_for_update():
        if identity.consent_changed_at and identity.consent_changed_at > at:
            continue
        is_news = identity.opted_out != opted_out
        identity.opted_out, identity.consent_changed_at = opted_out, at
        identity.consent_changed_by = by
        identity.save(update_fields=["opted_out", "consent_changed_at", "consent_changed_by"])
        if is_news:
            changed.append(identity)
    signals.leads_touched([identity.lead_id for identity in changed])
    return changed


def of(conversation: Conversation) -> LeadIdentity | None:
    """The address of a conversation whose owner wants nothing there; None where they may be
    written to."""
    return LeadIdentity.objects.filter(
        lead=conversation.lead_id, value__in=numbering.forms(conversation.peer), opted_out=True
    ).first()


def conversations_at(identities: Iterable[LeadIdentity]) -> list[int]:
    """The conversations that are held at these addresses, by id."""
    held = Q(pk=None)
    for identity in identities:
        held |= Q(lead=identity.lead_id, peer__in=numbering.forms(identity.value))
    return list(Conversation.objects.filter(held).values_list("pk", flat=True))


def why_refused(kind: str):
    """What to tell whoever wants to write to an address of this kind."""
    return _REFUSALS.get(LeadIdentity.Kind(kind), _REFUSAL)


def _any_of(addresses: Iterable[addressing.Address]) -> Q:
    wanted = Q(pk=None)
    for address in addresses:
        for same in addressing.same_as(address):
            wanted |= Q(kind=same.kind, value=same.value)
    return wanted
