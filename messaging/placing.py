"""Where what was said belongs: the lead it is said with, and the conversation it is said in."""

from messaging import addressing, merging, standing_in
from messaging.events import Received
from messaging.models import Conversation, Lead
from messaging.providers import get as provider_of
from tenants.models import ProviderInstance


class Places:
    """The leads and conversations of one transaction; `made` are the leads it had to make."""

    def __init__(self) -> None:
        self.made: list[int] = []
        self._homes: dict[int, list[int]] = {}

    def of(self, event: Received, instance: ProviderInstance, peer: str) -> Conversation:
        """The conversation that a provider's news of a message belongs to."""
        addresses = (
            [addressing.Address(addressing.Kind.LID, peer)]
            if event.group
            else addressing.addresses_of(event.person)
        )
        name = "" if event.from_us or event.group else event.person.name
        lead = self.lead(addresses, name, is_known=bool(event.group))
        return self.with_lead(lead, instance, peer, is_group=bool(event.group))

    def with_lead(
        self,
        lead: Lead,
        instance: ProviderInstance,
        peer: str,
        *,
        is_group: bool = False,
        is_news: bool = True,
    ) -> Conversation:
        """The conversation with a lead in which an instance is heard, made where there is none.

        Answers go to where the lead was heard last, unless this is no news.
        """
        if not is_group:
            stood_in_for = standing_in.joined(lead, instance, self._homes_of(instance))
            if stood_in_for is not None:
                return stood_in_for
        return _find_or_open(lead, instance, peer, is_group, is_news)

    def lead(
        self, addresses: list[addressing.Address], name: str, *, is_known: bool = False
    ) -> Lead:
        """The one lead with any of these addresses; several turn out to be one person."""
        known = addressing.leads_with(addresses)
        for other in known[1:]:
            if not merging.are_kept_apart(known[0], other):
                merging.merge(known[0], other)
        lead, is_new = addressing.lead_for(addresses, name=name, is_known=is_known)
        if is_new:
            self.made.append(lead.pk)
        if name and not lead.name:
            lead.name = name[:200]
            lead.save(update_fields=["name", "updated_at"])
        return lead

    def _homes_of(self, instance: ProviderInstance) -> list[int]:
        if instance.pk not in self._homes:
            self._homes[instance.pk] = standing_in.homes_of(instance)
        return self._homes[instance.pk]


def _find_or_open(
    lead: Lead, instance: ProviderInstance, peer: str, is_group: bool, is_news: bool
) -> Conversation:
    """The lead's conversation at this instance; a lead without a number yet keeps its one."""
    mine = Conversation.objects.filter(
        lead=lead, instance_id=instance.pk, is_group=is_group, folded_into=None
    )
    conversation = mine.filter(peer=peer).first() or (mine.first() if not is_group else None)
    if conversation is None:
        conversation, _is_new = Conversation.objects.get_or_create(
            lead=lead,
            instance_id=instance.pk,
            peer=peer,
            defaults={
                "provider": instance.provider,
                "medium": provider_of(instance.provider).medium,
                "is_group": is_group,
                "assignee": lead.owner,
            },
        )
    elif is_news and conversation.peer != peer and peer.startswith("+"):
        conversation.peer = peer
        conversation.save(update_fields=["peer"])
    return conversation
