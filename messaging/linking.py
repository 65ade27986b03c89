"""What a person does with a WhatsApp number's connection: look, link the phone, let it go."""

import base64
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

import qrcode
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from qrcode.image.svg import SvgPathFillImage

from messaging import connecting, facts, states
from messaging.calling import let_go_of_the_connection, open_via
from messaging.events import Connection
from messaging.providers import get as provider_of
from messaging.providers.base import Feature, InstanceState, Medium, SendError, Via
from messaging.refusing import Refused
from tenants import audit
from tenants.accounts.models import User
from tenants.context import current_number
from tenants.models import ProviderInstance

T = TypeVar("T")
State = ProviderInstance.State
# What the provider said this long ago still holds.
FRESH = timedelta(seconds=60)
# Who told something of a message a moment ago is connected.
LIVELY = timedelta(minutes=5)
LINK_VALID = timedelta(minutes=20)
LONGEST_QR_TEXT = 2000
_NEWEST_FACTS = 500


def choose(instance_id: int | None) -> ProviderInstance:
    """The WhatsApp number asked for, else the only one; `Refused` where it is not clear."""
    mine = ProviderInstance.objects.serving(current_number()).select_related("tenant")
    if instance_id is not None:
        found = mine.filter(pk=instance_id).first()
        if found is None or not is_whatsapp(found):
            raise Refused("instance_unknown", _("There is no such number here."), "instance")
        return found
    numbers = [each for each in mine.order_by("pk") if is_whatsapp(each)]
    if not numbers:
        raise Refused("instance_missing", _("No number is connected yet."), "instance")
    if len(numbers) > 1:
        raise Refused(
            "instance_ambiguous", _("Several numbers are connected: choose one."), "instance"
        )
    return numbers[0]


def is_whatsapp(instance: ProviderInstance) -> bool:
    return provider_of(instance.provider).medium == Medium.WHATSAPP


def status(instance: ProviderInstance) -> ProviderInstance:
    """The number as it is now: its provider is asked where nothing newer than a minute is known."""
    now = timezone.now()
    heard_since = instance.last_event_at and instance.last_event_at > now - LIVELY
    if instance.known_at and instance.known_at > now - FRESH:
        return instance
    if instance.state == State.CONNECTED and heard_since:
        return instance
    if not states.is_left_alone(instance) and _said_something(instance, now - LIVELY):
        states.enter(instance, InstanceState(Connection.CONNECTED), at=now, is_told=False)
        return instance
    return look(instance)


def look(instance: ProviderInstance) -> ProviderInstance:
    """Ask the provider now."""
    let_go_of_the_connection()
    return connecting.probe(instance)


def connect(
    instance: ProviderInstance, *, by: User | None, by_platform: bool = False
) -> InstanceState:
    """Start the connection at a person's wish, after a conflict too; `Refused` where the provider
    cannot. The answer may hold a code to scan. `by` is nobody for staff, whose acts the audit of
    the platform keeps, and for whom the platform's own credentials serve too."""
    _require(instance, Feature.CONNECTS)
    provider = provider_of(instance.provider)
    found = _call(instance, provider.connect, by_platform=by_platform)
    instance.is_held, instance.tries = False, 0
    if instance.state == State.CONFLICT:
        instance.state = State.DISCONNECTED
    _enter(instance, found, "instance.linked", by)
    return found


def disconnect(instance: ProviderInstance, *, by: User) -> InstanceState:
    """End the connection; it stays so until a person connects it again."""
    _require(instance, Feature.CONNECTS)
    found = _call(instance, lambda via: provider_of(instance.provider).disconnect(via))
    instance.is_held = True
    _enter(instance, found, "instance.let_go", by)
    return found


def shows_code(instance: ProviderInstance) -> bool:
    """Whether the provider has a code that waits to be scanned."""
    waits = instance.state == State.PENDING and states.waits_for_person(instance)
    return waits and can(instance, Feature.QR_LOGIN)


def qr(instance: ProviderInstance, *, by_platform: bool = False) -> str:
    """The code to scan now, as its text or a picture; `Refused` where there is none."""
    _require(instance, Feature.QR_LOGIN)
    if instance.state == State.CONNECTED:
        raise Refused("already_connected", _("This number is connected: there is nothing to scan."))
    return _call(instance, provider_of(instance.provider).qr, by_platform=by_platform)


def picture(code: str) -> str:
    """The code as a picture's address: drawn here, unless the provider drew it."""
    if code.startswith("data:image/"):
        return code
    drawn = qrcode.make(code[:LONGEST_QR_TEXT], image_factory=SvgPathFillImage).to_string()
    return f"data:image/svg+xml;base64,{base64.b64encode(drawn).decode()}"


def may_stand_in(instance: ProviderInstance) -> list[ProviderInstance]:
    """The team's other numbers of the same medium, one of which may send in this one's place.

    Another provider of the same number does so without being chosen.
    """
    others = ProviderInstance.objects.serving(instance.tenant_id).exclude(address=instance.address)
    medium = provider_of(instance.provider).medium
    return [each for each in others.order_by("pk") if provider_of(each.provider).medium == medium]


def choose_stand_in(instance: ProviderInstance, chosen: int | None, *, by: User) -> None:
    """Let another number send while this one is away, or none any more."""
    before = instance.failover_id
    if before == chosen:
        return
    with transaction.atomic():
        instance.failover_id = chosen
        instance.save(update_fields=["failover"])
        audit.record(
            "instance.changed",
            by=by,
            subject=instance,
            tenant=instance.tenant_id,
            before={"failover": before},
            after={"failover": chosen},
        )
        states.order_drains(instance)


def login_link(instance: ProviderInstance, back_url: str) -> str:
    """The provider's own page where a person links the phone again."""
    _require(instance, Feature.HOSTED_LOGIN)
    until = timezone.now() + LINK_VALID
    provider = provider_of(instance.provider)
    return _call(instance, lambda via: provider.login_link(via, back_url=back_url, until=until))


def can(instance: ProviderInstance, feature: Feature) -> bool:
    return feature in provider_of(instance.provider).supports


def _enter(instance: ProviderInstance, found: InstanceState, act: str, by: User | None) -> None:
    with transaction.atomic():
        states.enter(instance, found, at=timezone.now())
        if by is not None:
            audit.record(act, by=by, subject=instance, tenant=instance.tenant_id)


def _require(instance: ProviderInstance, feature: Feature) -> None:
    if not can(instance, feature):
        raise Refused(
            "unsupported",
            _("This provider links its numbers on its own site: it cannot be done from here."),
            "instance",
        )


def _call(instance: ProviderInstance, ask: Callable[[Via], T], *, by_platform: bool = False) -> T:
    let_go_of_the_connection()
    via = open_via(instance, by_platform=by_platform)
    with via.http:
        try:
            return ask(via)
        except SendError as error:
            raise Refused(
                "provider_refused",
                _("The provider did not do it: %(said)s.")
                % {"said": f"{error.code} {error.detail}".strip()},
            ) from error


def _said_something(instance: ProviderInstance, since: datetime) -> bool:
    """Whether it told anything of a message since then, and since its state last changed."""
    if not instance.last_event_at or instance.last_event_at < since:
        return False
    after = max(since, instance.state_changed_at or since)
    newest = facts.by_providers().order_by("-id").values_list("instance_id", "kind", "at")
    return any(
        pk == instance.pk and kind != "instance" and at > after
        for pk, kind, at in newest[:_NEWEST_FACTS]
    )
