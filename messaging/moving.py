"""Moving a number to another provider: its conversations go along, and stay one each.

Answers leave by the new instance from then on. What was said keeps the instance that said or heard
it, so that statuses which come later still find it. The old instance sends no more; for some days
it hears what is late, then its keys are forgotten and nothing is accepted for it any more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q
from django.utils.translation import gettext as _

from messaging import connecting, delivering, folding, realtime
from messaging.models import Conversation, LeadIdentity, Message
from messaging.providers import get as provider_of
from messaging.providers.base import Medium
from tenants import audit, context, directory, limits, orders
from tenants.models import ProviderInstance
from tenants.onboarding import OnboardingError

State = ProviderInstance.State
LATE_POSTS_DAYS = 7
REASON = "moved"
"""Why an instance is away whose conversations went elsewhere."""


class NotMoved(Exception):
    """A number that was not moved: why, in the reader's language."""


@dataclass(frozen=True)
class Plan:
    """What moving a number means: how many conversations go along, how many of these are groups,
    how many messages wait to be sent."""

    conversations: int
    groups: int
    waiting: int


def plan(
    instance: ProviderInstance, provider_slug: str, *, address: str, values: Mapping[str, str]
) -> Plan:
    """What `move` would do; `NotMoved` or `OnboardingError` where it would refuse. Asks nobody and
    changes nothing."""
    limits.require_may_add(instance.tenant_id)
    if instance.moved_to_id:
        raise NotMoved(_("It was moved to instance %(pk)d already.") % {"pk": instance.moved_to_id})
    if provider_slug == instance.provider:
        raise NotMoved(_("It is there already; connect_instance gives it other keys."))
    connecting.require_possible(provider_slug, address=address, values=values)
    _require_same_medium(instance, provider_slug)
    with context.entered(instance.tenant):
        return _counted(instance)


def move(
    instance: ProviderInstance,
    provider_slug: str,
    *,
    address: str,
    values: Mapping[str, str],
    now: datetime,
) -> ProviderInstance:
    """The new instance, with everything that was the old one's. Never inside `atomic`: the new
    provider may be asked. Raises what `plan` raises, and `LimitReached`.

    Cut off, it is called again: what is done already stays.
    """
    plan(instance, provider_slug, address=address, values=values)
    new = connecting.connect_instance(
        instance.tenant,
        provider_slug,
        address=address,
        values=values,
        label=instance.label,
        replaces=instance,
    )
    with context.entered(instance.tenant):
        with transaction.atomic():
            orders.hold_inbox(instance.tenant_id)
            _hand_over(instance, new)
            _retire(instance, new, now)
            audit.record(
                "instance.moved",
                by=None,
                subject=new,
                tenant=instance.tenant_id,
                before={"instance": instance.pk, "provider": instance.provider},
                after={"instance": new.pk, "provider": new.provider},
            )
            delivering.order(instance.tenant_id, new.pk)
            directory.changed()
        realtime.stale()
    directory.forget()
    return new


def forget_keys(now: datetime) -> int:
    """Forget the keys of what was moved long enough ago; how many that were."""
    late = ProviderInstance.objects.across_tenants().filter(
        moved_at__lt=now - timedelta(days=LATE_POSTS_DAYS)
    )
    gone = late.exclude(moved_to=None).exclude(sealed_secrets=b"")
    count = gone.update(sealed_secrets=b"", sealed_previous_secrets=b"")
    if count:
        directory.changed()
    return count


def _require_same_medium(instance: ProviderInstance, provider_slug: str) -> None:
    mediums = provider_of(instance.provider).medium, provider_of(provider_slug).medium
    if mediums[0] is not mediums[1]:
        raise OnboardingError(
            "provider",
            _("A %(old)s number cannot become a %(new)s one.")
            % {"old": mediums[0].value, "new": mediums[1].value},
        )


def _counted(instance: ProviderInstance) -> Plan:
    waiting = Message.objects.filter(instance_id=instance.pk, status=Message.Status.QUEUED)
    templates = waiting.filter(parts__has_key="template").count()
    if templates:
        raise NotMoved(
            _("%(count)d templates wait to be sent and can leave by no other account: let them go.")
            % {"count": templates}
        )
    mine = Conversation.objects.filter(instance_id=instance.pk, folded_into=None)
    counts = mine.aggregate(every=Count("pk"), groups=Count("pk", filter=Q(is_group=True)))
    return Plan(counts["every"], counts["groups"], waiting.count())


def _hand_over(old: ProviderInstance, new: ProviderInstance) -> None:
    _fold_doubles(old, new)
    there = Conversation.objects.filter(
        instance_id=new.pk, lead=OuterRef("lead"), peer=OuterRef("peer")
    )
    mine = Conversation.objects.filter(instance_id=old.pk)
    # Whoever wrote to the old one opened no window at the new one.
    mine.exclude(Exists(there)).update(
        instance_id=new.pk, provider=new.provider, window_ends_at=None
    )
    if provider_of(new.provider).medium is Medium.WHATSAPP:
        _reach_by_number(new)
    waiting = Message.objects.filter(instance_id=old.pk, status=Message.Status.QUEUED)
    waiting.update(instance_id=new.pk, provider=new.provider, not_before=None)


def _fold_doubles(old: ProviderInstance, new: ProviderInstance) -> None:
    """A lead that is heard at both already has one conversation afterwards."""
    open_ones = Conversation.objects.filter(folded_into=None, is_group=False)
    at_new = open_ones.filter(instance_id=new.pk, lead=OuterRef("lead"))
    doubles = open_ones.filter(Exists(at_new), instance_id=old.pk)
    for double in doubles.select_related("lead").order_by("pk"):
        target = folding.reached_at(double.lead, new.pk)
        if target is not None:
            folding.fold(double, target)


def _reach_by_number(new: ProviderInstance) -> None:
    """What one provider calls a person, another need not know: numbers they all do."""
    named = Conversation.objects.filter(instance_id=new.pk, is_group=False, folded_into=None)
    named = named.exclude(peer__startswith="+")
    phones = LeadIdentity.objects.filter(
        kind=LeadIdentity.Kind.PHONE, lead__in=named.values("lead")
    ).order_by("-pk")
    phone_of = dict(phones.values_list("lead", "value"))
    for conversation in named:
        if conversation.lead_id in phone_of:
            conversation.peer = phone_of[conversation.lead_id]
            conversation.save(update_fields=["peer"])


def _retire(old: ProviderInstance, new: ProviderInstance, now: datetime) -> None:
    mine = ProviderInstance.objects.of(old.tenant_id)
    mine.filter(failover=old).exclude(pk=new.pk).update(failover=new)
    mine.filter(pk=new.pk).update(moved_to=None, moved_at=None, is_held=False)
    mine.filter(pk=new.pk, failover=None).exclude(pk=old.failover_id).update(
        failover=old.failover_id
    )
    mine.filter(pk=new.pk, failover=old).update(failover=None)
    mine.filter(pk=old.pk).update(
        moved_to=new,
        moved_at=now,
        failover=None,
        state=State.DISCONNECTED,
        state_reason=REASON,
        state_changed_at=now,
        is_held=True,
        look_again_at=None,
    )
