"""Replacing an instance's key at its provider, where the former one is dead at once.

Nothing is sent meanwhile: what waits leaves with the new key, and what the former one was refused
for is put back. Where no answer comes the key is read back; as long as nobody knows which one is
good it stays in doubt, and nothing is sent with a key that may be dead.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import Enum, auto
from typing import TypeVar

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from messaging import calling, connecting, delivering
from messaging.providers import get as provider_of
from messaging.providers.base import Blame, Feature, SendError, Via
from messaging.refusing import Refused
from tenants import audit, directory
from tenants.accounts.models import User
from tenants.models import ProviderInstance, Tenant

T = TypeVar("T")


class Outcome(Enum):
    """What became of a key: replaced and kept; replaced as the account shows, which gave no
    answer; the former one still, as the account shows; nobody knows."""

    RENEWED = auto()
    READ_BACK = auto()
    UNCHANGED = auto()
    IN_DOUBT = auto()


def renew(instance: ProviderInstance, *, by: User, by_platform: bool = False) -> Outcome:
    """Have the key replaced and keep the new one; `Refused` where the former one stays good.

    With `by_platform` the platform's own credentials serve where the instance has none. Never
    call it inside `atomic`.
    """
    _require(instance, Feature.NEW_KEYS)
    _begin(instance, by)
    adapter = provider_of(instance.provider)
    try:
        new = _call(instance, adapter.regenerate_key, by_platform)
    except SendError as error:
        if error.unknown:
            return _after_no_answer(instance, by, by_platform)
        _give_up(instance, error, by)
        raise _refusal(error) from error
    _keep(instance, new, by)
    return Outcome.RENEWED


def read_back(instance: ProviderInstance, *, by: User, by_platform: bool = False) -> Outcome:
    """Take the key over that the account shows; `Refused` where it shows none or is away."""
    _require(instance, Feature.SETS_WEBHOOK)
    try:
        shown = _shown(instance, by_platform)
    except SendError as error:
        raise _refusal(error) from error
    if not shown:
        raise Refused("key_not_shown", _("The account does not show the key."))
    if _differs(instance, shown):
        _keep(instance, shown, by)
        return Outcome.READ_BACK
    connecting.end_doubt(instance)
    return Outcome.UNCHANGED


def _begin(instance: ProviderInstance, by: User) -> None:
    """From now on nothing is sent; whoever dies here leaves it to be looked at in a while."""
    now = timezone.now()
    mine = ProviderInstance.objects.of(instance.tenant_id).filter(pk=instance.pk)
    # Who asked longer ago waits no more.
    free = Q(key_in_doubt_since=None) | Q(key_in_doubt_since__lt=now - connecting.KEY_SETTLES)
    with transaction.atomic():
        _hold_off_connecting(instance)
        begun = mine.filter(free).update(
            key_in_doubt_since=now,
            look_again_at=now + connecting.KEY_SETTLES + timedelta(seconds=10),
        )
        if not begun:
            raise Refused(
                "key_in_doubt",
                _("A new key was asked for a moment ago. Read the key back instead."),
            )
        _record("instance.key_asked_for", instance, by)
    instance.key_in_doubt_since = now


def _after_no_answer(instance: ProviderInstance, by: User, by_platform: bool) -> Outcome:
    """The provider may have replaced the key, or may still do it: its account is looked at."""
    try:
        shown = _shown(instance, by_platform)
    except SendError:
        return Outcome.IN_DOUBT
    if not shown:
        return Outcome.IN_DOUBT
    if _differs(instance, shown):
        _keep(instance, shown, by)
        return Outcome.READ_BACK
    return Outcome.UNCHANGED


def _give_up(instance: ProviderInstance, error: SendError, by: User) -> None:
    """The provider said no: the key is what it was, and what waits may leave."""
    with transaction.atomic():
        mine = ProviderInstance.objects.of(instance.tenant_id).filter(pk=instance.pk)
        mine.update(key_in_doubt_since=None)
        _record("instance.key_not_renewed", instance, by, reason=error.code)
        delivering.order(instance.tenant_id, instance.pk)
    instance.key_in_doubt_since = None


def _keep(instance: ProviderInstance, new: Mapping[str, str], by: User) -> None:
    """Store the key, and nothing else of what may have changed meanwhile.

    The secrets before the last change stay accepted as long as they are: no post is verified with
    a key.
    """
    with transaction.atomic():
        _hold_off_connecting(instance)
        kept = ProviderInstance.objects.of(instance.tenant_id).get(pk=instance.pk)
        kept.secrets = {**kept.secrets, **new}
        kept.key_in_doubt_since = None
        kept.save(update_fields=["sealed_secrets", "key_in_doubt_since"])
        _record("instance.key_renewed", instance, by, replaced=sorted(new))
        directory.changed()
        delivering.order(instance.tenant_id, instance.pk)
    directory.forget()
    instance.secrets, instance.key_in_doubt_since = kept.secrets, None


def _hold_off_connecting(instance: ProviderInstance) -> None:
    """Whoever connects the number anew waits, and reads what is written here."""
    Tenant.objects.select_for_update().get(number=instance.tenant_id)


def _shown(instance: ProviderInstance, by_platform: bool) -> dict[str, str]:
    adapter = provider_of(instance.provider)
    values = _call(instance, adapter.read_webhook, by_platform).values
    return {name: values[name] for name in adapter.renewed_fields if values.get(name)}


def _differs(instance: ProviderInstance, shown: Mapping[str, str]) -> bool:
    has = instance.secrets
    return any(has.get(name) != value for name, value in shown.items())


def _call(instance: ProviderInstance, ask: Callable[[Via], T], by_platform: bool) -> T:
    calling.let_go_of_the_connection()
    via = calling.open_via(instance, by_platform=by_platform)
    with via.http:
        return ask(via)


def _require(instance: ProviderInstance, feature: Feature) -> None:
    if feature not in provider_of(instance.provider).supports:
        raise Refused("unsupported", _("This provider does not do that: do it on its own site."))


def _refusal(error: SendError) -> Refused:
    said = {"said": f"{error.code} {error.detail}".strip(" .")}
    if error.blame is Blame.ACCOUNT:
        return Refused(
            "provider_refused",
            _(
                "The provider did not do it: %(said)s. The key is what it was. Check the number's "
                "id and the token of its account; “Numbers at a provider” reads them again."
            )
            % said,
        )
    return Refused(
        "provider_refused",
        _("The provider did not do it: %(said)s. The key is what it was.") % said,
    )


def _record(act: str, instance: ProviderInstance, by: User, reason: str = "", **facts) -> None:
    audit.record(
        act, by=by, subject=instance, tenant=instance.tenant_id, after=facts, reason=reason
    )
