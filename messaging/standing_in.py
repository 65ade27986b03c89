"""Another instance sends while a conversation's own is away.

First another provider of the same number, which the contact cannot tell apart; then the number that
the team chose for this, once the own one has been away for a minute. The conversation stays one:
its messages say which number they took, an answer to that number joins it, and what is queued once
the own instance is back leaves by that.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import Q

from messaging import enclosing, tapping, windows
from messaging.models import Conversation, Lead, Message
from messaging.providers import get as provider_of
from messaging.providers.base import Feature, Provider
from tenants import orders
from tenants.context import current_number
from tenants.models import ProviderInstance

State = ProviderInstance.State
# A number that is back within a minute need not be told apart from another one.
PATIENCE = timedelta(minutes=1)
PART = "stand_in"
"""Which part of a message names the number that stood in."""
_AT_ONCE = 500
_AWAY = (State.DISCONNECTED, State.CONFLICT, State.BLOCKED)


def is_away(instance: ProviderInstance) -> bool:
    """Whether nothing can leave by this instance now."""
    waits_for_person = instance.state == State.PENDING and instance.look_again_at is None
    return instance.state in _AWAY or waits_for_person


def candidates(instance: ProviderInstance, now: datetime) -> list[ProviderInstance]:
    """Who may send in its place now, the best one first; nobody while it is there itself."""
    if not is_away(instance):
        return []
    medium = provider_of(instance.provider).medium
    mine = ProviderInstance.objects.serving(instance.tenant_id).filter(state=State.CONNECTED)
    same = mine.filter(address=instance.address).exclude(pk=instance.pk).order_by("pk")
    found = list(same)
    if (instance.state_changed_at or now) <= now - PATIENCE:
        found += list(mine.filter(pk=instance.failover_id).exclude(address=instance.address))
    return [each for each in found if provider_of(each.provider).medium == medium]


def reaches(
    conversation: Conversation, others: Sequence[ProviderInstance], now: datetime
) -> ProviderInstance | None:
    """The first of them that may write what it likes to this contact now."""
    return next((each for each in others if _may_write(each, conversation, now)), None)


def hand_over(instance: ProviderInstance, now: datetime) -> int:
    """Give what waits at an instance that is away to whoever may send it; how many messages."""
    others = candidates(instance, now)
    if not others:
        return 0
    waiting = Message.objects.filter(instance_id=instance.pk, status=Message.Status.QUEUED)
    given = 0
    for message in waiting.select_related("conversation").order_by("id")[:_AT_ONCE]:
        other = next((each for each in others if _may_carry(each, message, now)), None)
        given += _give(message, instance, other) if other else 0
    for other in others if given else ():
        orders.order("drain_outbox", "outbox", tenant=other.tenant_id, instance=other.pk)
    return given


def give_back(message: Message) -> None:
    """What failed elsewhere is tried again by the conversation's own instance."""
    own = message.conversation
    if message.instance_id == own.instance_id:
        return
    message.instance_id, message.provider = own.instance_id, own.provider
    message.external_id = message.provider_number = ""
    message.parts.pop(PART, None)
    message.save(
        update_fields=["instance_id", "provider", "external_id", "provider_number", "parts"]
    )


def homes_of(instance: ProviderInstance) -> list[int]:
    """The instances for which this one may have stood in."""
    same = Q(address=instance.address) | Q(failover=instance)
    others = ProviderInstance.objects.of(instance.tenant_id).filter(same).exclude(pk=instance.pk)
    return list(others.values_list("pk", flat=True))


def joined(lead: Lead, instance: ProviderInstance, homes: Sequence[int]) -> Conversation | None:
    """The conversation for which this instance last wrote to a lead in another one's place; None
    where it wrote or heard something of its own since."""
    if not homes:
        return None
    stood_in = Message.objects.filter(
        conversation__in=Conversation.objects.filter(
            lead=lead, instance_id__in=homes, folded_into=None, is_group=False
        ),
        instance_id=instance.pk,
    )
    last = stood_in.select_related("conversation").order_by("-sent_at", "-id").first()
    if last is None:
        return None
    own = Conversation.objects.filter(lead=lead, instance_id=instance.pk, folded_into=None)
    is_newer = own.filter(last_message_at__gt=last.sent_at).exists()
    return None if is_newer else last.conversation


def named(instance: ProviderInstance, conversation: Conversation) -> dict[str, str]:
    """The part of a message that says by which number it went or came; nothing where it is the
    conversation's own."""
    return {} if instance.pk == conversation.instance_id else {PART: instance.address}


def _give(message: Message, instance: ProviderInstance, other: ProviderInstance) -> int:
    mine = Message.objects.filter(
        pk=message.pk, status=Message.Status.QUEUED, instance_id=instance.pk, external_id=""
    )
    return mine.update(
        instance_id=other.pk,
        provider=other.provider,
        not_before=None,
        parts={**message.parts, **named(other, message.conversation)},
    )


def _may_carry(other: ProviderInstance, message: Message, now: datetime) -> bool:
    provider = provider_of(other.provider)
    # A template belongs to its account.
    if message.external_id or "template" in message.parts:
        return False
    if tapping.as_outgoing(message.parts) and Feature.CHOICES not in provider.supports:
        return False
    if not enclosing.is_carried(message.parts, provider):
        return False
    if len(message.text) > provider.longest_text or not _takes_files(provider, message):
        return False
    return _may_write(other, message.conversation, now)


def _takes_files(provider: Provider, message: Message) -> bool:
    files = list(message.files.all())
    if not files:
        return True
    fits = all((file.size or 0) <= provider.largest_file for file in files)
    has_words = len(message.text) <= provider.longest_caption
    return Feature.MEDIA in provider.supports and fits and has_words


def _may_write(other: ProviderInstance, conversation: Conversation, now: datetime) -> bool:
    # Groups and WhatsApp's own names of people are one number's or one provider's.
    if conversation.is_group or not conversation.peer.startswith("+"):
        return False
    if Feature.WINDOW_24H not in provider_of(other.provider).supports:
        return True
    heard = Message.objects.filter(
        conversation__lead=conversation.lead_id,
        instance_id=other.pk,
        direction=Message.Direction.IN,
        sent_at__gt=now - windows.WINDOW,
    )
    return heard.exists()


def of(conversation: Conversation, now: datetime) -> ProviderInstance | None:
    """Who would send for this conversation now in the place of its own instance."""
    own = ProviderInstance.objects.of(current_number()).filter(pk=conversation.instance_id).first()
    return reaches(conversation, candidates(own, now), now) if own else None
