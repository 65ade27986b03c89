"""What the product is doing: workers, queues, deliveries, numbers, and the keys to them."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.models import Count, Min
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from amda import queues
from amda.doctoring.findings import Finding, broken, warning
from messaging.providers import REGISTRY
from messaging.providers import get as provider_of
from tenants import secrets
from tenants.models import ProviderInstance, WebhookDelivery

LATE = timedelta(minutes=1)
TOO_LATE = timedelta(minutes=10)
LATELY = timedelta(hours=24)
MOST_TOLD = 10
LATEST = 100

State = ProviderInstance.State
_DOWN = (State.DISCONNECTED, State.CONFLICT, State.BLOCKED)


def workers(now: datetime) -> Iterator[Finding]:
    """Somebody works, and nothing waits for long."""
    state = queues.state()
    if not state.is_well:
        heard = max((worker.heard_at for worker in state.workers), default=None)
        yield broken(
            "workers.none",
            _("No worker is alive: nothing that comes in is shown, nothing leaves."),
            _("Start manage.py work."),
            heard,
        )
    for queue in state.queues:
        if queue.waiting_since and now - queue.waiting_since > LATE:
            make = broken if now - queue.waiting_since > TOO_LATE else warning
            yield make(
                "queues.late",
                _("Jobs wait in the queue “%(queue)s”: %(count)d.")
                % {"queue": queue.name, "count": queue.waiting},
                _("Start further workers (manage.py work), or see what holds them up."),
                queue.waiting_since,
            )
        if queue.failed:
            yield warning(
                "queues.failed",
                _("Jobs of the queue “%(queue)s” failed: %(count)d.")
                % {"queue": queue.name, "count": queue.failed},
                _("See why under Jobs in the admin, and do them again there."),
            )


def deliveries(now: datetime) -> Iterator[Finding]:
    """What providers post is read."""
    posts = WebhookDelivery.objects.across_tenants()
    waiting = posts.filter(
        state=WebhookDelivery.State.WAITING, received_at__lt=now - LATE
    ).aggregate(count=Count("pk"), oldest=Min("received_at"))
    if waiting["count"]:
        yield broken(
            "deliveries.waiting",
            ngettext(
                "%(count)d delivery waits to be read.",
                "%(count)d deliveries wait to be read.",
                waiting["count"],
            )
            % waiting,
            _("See that a worker runs: manage.py work."),
            waiting["oldest"],
        )
    for state in (WebhookDelivery.State.FAILED, WebhookDelivery.State.UNREADABLE):
        lately = posts.filter(state=state, received_at__gte=now - LATELY)
        found = lately.values("provider").annotate(count=Count("pk"), oldest=Min("received_at"))
        for each in found.order_by("provider"):
            yield warning(
                f"deliveries.{state}",
                _("Deliveries of %(provider)s not taken in since yesterday: %(count)d.")
                % {"provider": _label(each["provider"]), "count": each["count"]},
                _("See why under Deliveries in the admin; replay_webhooks reads them again."),
                each["oldest"],
            )


def keys(now: datetime) -> Iterator[Finding]:
    """FIELD_KEYS open what is sealed: secrets of numbers, and the latest deliveries."""
    closed = [each for each in _instances() if not _opens(each.sealed_secrets)]
    if closed:
        yield broken(
            "keys.missing",
            ngettext(
                "The secrets of %(count)d number cannot be decrypted: %(names)s.",
                "The secrets of %(count)d numbers cannot be decrypted: %(names)s.",
                len(closed),
            )
            % {"count": len(closed), "names": ", ".join(map(_named, closed[:MOST_TOLD]))},
            _("Add the key they were sealed with to FIELD_KEYS, behind the present one."),
        )
    posts = WebhookDelivery.objects.across_tenants().filter(erased_at=None).order_by("-pk")
    latest = list(posts.values_list("body", "received_at")[:LATEST])
    lost = [received_at for body, received_at in latest if body and not _opens(body)]
    if lost:
        yield broken(
            "keys.deliveries",
            _("Of the latest %(latest)d deliveries %(count)d cannot be decrypted.")
            % {"latest": len(latest), "count": len(lost)},
            _("Add the key they were sealed with to FIELD_KEYS, behind the present one."),
            min(lost),
        )


def numbers(now: datetime) -> Iterator[Finding]:
    """Numbers are connected, can send, and are told of."""
    mine = [each for each in _instances() if not each.is_held]
    yield from _down([each for each in mine if each.state in _DOWN])
    for each in [each for each in mine if _lacks(each)][:MOST_TOLD]:
        yield warning(
            "numbers.secrets",
            _("%(number)s cannot send: %(names)s is missing.")
            % {"number": _named(each), "names": ", ".join(_lacks(each))},
            _("Give it with manage.py connect_instance %(slug)s %(provider)s --phone … --set …")
            % {"slug": each.tenant.slug, "provider": each.provider},
        )
    for each in [each for each in mine if _was_never_told_of(each, now)][:MOST_TOLD]:
        yield warning(
            "numbers.silent",
            _("%(number)s is connected, and its provider has never posted anything.")
            % {"number": _named(each)},
            _("Run manage.py check_instance %(slug)s %(pk)d: it says which address to give it.")
            % {"slug": each.tenant.slug, "pk": each.pk},
            each.created_at,
        )


def _down(down: list[ProviderInstance]) -> Iterator[Finding]:
    for each in down[:MOST_TOLD]:
        reason = f" ({each.state_reason})" if each.state_reason else ""
        yield warning(
            f"numbers.{each.state}",
            _("%(number)s is not connected: %(state)s%(reason)s.")
            % {"number": _named(each), "state": each.get_state_display(), "reason": reason},
            _("Run manage.py check_instance %(slug)s %(pk)d; the page Numbers connects it again.")
            % {"slug": each.tenant.slug, "pk": each.pk},
            each.state_changed_at,
        )
    if len(down) > MOST_TOLD:
        yield warning(
            "numbers.more",
            _("%(count)d more numbers are not connected.") % {"count": len(down) - MOST_TOLD},
            _("The admin lists them under Instances."),
        )


def _instances() -> list[ProviderInstance]:
    rows = ProviderInstance.objects.across_tenants().filter(provider__in=REGISTRY, moved_to=None)
    return list(rows.select_related("tenant").order_by("pk"))


def _lacks(instance: ProviderInstance) -> list[str]:
    """Required values that may come later, and have not."""
    if not _opens(instance.sealed_secrets):
        return []
    has = {**instance.settings, **instance.secrets}
    fields = provider_of(instance.provider).fields
    return [field.name for field in fields if field.required and not has.get(field.name)]


def _was_never_told_of(instance: ProviderInstance, now: datetime) -> bool:
    return (
        instance.state == State.CONNECTED
        and instance.last_event_at is None
        and instance.created_at < now - LATELY
        and bool(provider_of(instance.provider).paths)
    )


def _opens(sealed: bytes) -> bool:
    try:
        secrets.unseal(sealed) if sealed else b""
    except secrets.Unsealable:
        return False
    return True


def _named(instance: ProviderInstance) -> str:
    return f"{instance.tenant.slug}, {_label(instance.provider)} {instance.address}"


def _label(provider: str) -> str:
    return provider_of(provider).label if provider in REGISTRY else provider
