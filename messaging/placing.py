"""Where what was said belongs: the lead it is said with, and the conversation it is said in."""

from collections.abc import Mapping
from datetime import datetime

from messaging import addressing, merging, standing_in
from messaging.events import Received
from messaging.models import Conversation, Lead, LeadIdentity
from messaging.providers import get as provider_of
from tenants.models import ProviderInstance


class Places:
    """The leads and conversations of one transaction."""

    def __init__(self) -> None:
        self._homes: dict[int, list[int]] = {}
        self.made: set[int] = set()
        """The ids of the leads that did not exist before."""

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
        instance = instance.moved_to or instance
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
            self.made.add(lead.pk)
        if name and not lead.name:
            lead.name = name[:200]
            lead.save(update_fields=["name", "updated_at"])
        return lead

    def imported(
        self, instance: ProviderInstance, people: Mapping[addressing.Address, str], now: datetime
    ) -> dict[addressing.Address, Conversation]:
        """The same for many people at once, by their one address and name: no news, but history.

        A lead that has to be made sleeps. Raises `IntegrityError` where somebody else made it
        meanwhile.
        """
        instance = instance.moved_to or instance
        leads = self._imported_leads(people, now)
        if self._homes_of(instance):
            return {
                each: self.with_lead(lead, instance, each.value, is_news=False)
                for each, lead in leads.items()
            }
        return _find_or_open_all(leads, instance)

    def _imported_leads(
        self, people: Mapping[addressing.Address, str], now: datetime
    ) -> dict[addressing.Address, Lead]:
        known = _leads_by_address(people)
        found: dict[addressing.Address, Lead] = {}
        for address, name in people.items():
            mine = {
                lead.pk: lead
                for same in addressing.same_as(address)
                for lead in known.get(same, ())
            }
            if len(mine) == 1 and (not name or next(iter(mine.values())).name):
                found[address] = next(iter(mine.values()))
            elif mine:
                found[address] = self.lead([address], name)
        missing = [address for address in people if address not in found]
        return found | _make_leads({address: people[address] for address in missing}, now)

    def _homes_of(self, instance: ProviderInstance) -> list[int]:
        if instance.pk not in self._homes:
            self._homes[instance.pk] = standing_in.homes_of(instance)
        return self._homes[instance.pk]


def is_told_by_the_other(instance: ProviderInstance, at: datetime) -> bool:
    """Whether the instance that this one was moved to was there already when something was said:
    then it tells it itself, and once is enough."""
    other = instance.moved_to
    if other is None or instance.moved_at is None or other.last_event_at is None:
        return False
    since = max(instance.moved_at, other.state_changed_at or instance.moved_at)
    return other.state == ProviderInstance.State.CONNECTED and at > since


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


def _find_or_open_all(
    leads: Mapping[addressing.Address, Lead], instance: ProviderInstance
) -> dict[addressing.Address, Conversation]:
    mine = Conversation.objects.filter(
        lead__in=leads.values(), instance_id=instance.pk, is_group=False, folded_into=None
    )
    known: dict[int, list[Conversation]] = {}
    for conversation in mine.order_by("pk"):
        known.setdefault(conversation.lead_id, []).append(conversation)
    found = {}
    for address, lead in leads.items():
        theirs = known.get(lead.pk, [])
        same = [each for each in theirs if each.peer == address.value]
        if theirs:
            found[address] = (same or theirs)[0]
    new = {
        address: Conversation(
            lead=lead,
            instance_id=instance.pk,
            peer=address.value,
            provider=instance.provider,
            medium=provider_of(instance.provider).medium,
            assignee_id=lead.owner_id,
        )
        for address, lead in leads.items()
        if address not in found
    }
    Conversation.objects.bulk_create(new.values())
    return found | new


def _leads_by_address(
    people: Mapping[addressing.Address, str],
) -> dict[addressing.Address, list[Lead]]:
    wanted = [same for address in people for same in addressing.same_as(address)]
    rows = LeadIdentity.objects.filter(
        kind__in={each.kind for each in wanted}, value__in={each.value for each in wanted}
    )
    known: dict[addressing.Address, list[Lead]] = {}
    for each in rows.select_related("lead"):
        known.setdefault(addressing.Address(each.kind, each.value), []).append(each.lead)
    return known


def _make_leads(
    people: Mapping[addressing.Address, str], now: datetime
) -> dict[addressing.Address, Lead]:
    made = {
        address: Lead(name=name[:200], recognised_at=now, imported_at=now)
        for address, name in people.items()
    }
    Lead.objects.bulk_create(made.values())
    LeadIdentity.objects.bulk_create(
        LeadIdentity(lead=lead, kind=address.kind, value=address.value)
        for address, lead in made.items()
    )
    return made
