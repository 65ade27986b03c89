"""Templates of an account: kept as the provider has them, filled by whoever sends one."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from messaging import realtime
from messaging.calling import open_via
from messaging.events import Kind, TemplateChanged
from messaging.models import MessageTemplate
from messaging.providers import get as provider_of
from messaging.providers.base import Feature
from messaging.providers.templates import ButtonValue, FilledTemplate, Template, Variable
from tenants import orders
from tenants.models import ProviderInstance

LONGEST_VALUE = 1024
FILE_HEADERS = (Kind.IMAGE.value, Kind.VIDEO.value, Kind.DOCUMENT.value)
_PLACE = re.compile(r"{{\s*(\w+)\s*}}")


class Unfit(Exception):
    """A template that cannot be filled this way: which place, and why, in the reader's language."""

    def __init__(self, field: str, message: Any) -> None:
        super().__init__(field)
        self.field = field
        self.message = message


@dataclass(frozen=True)
class Place:
    """Something to fill in: `key` names it, `where` says in which part of the template it is."""

    key: str
    where: str
    name: str
    example: str = ""


@dataclass(frozen=True)
class Piece:
    """Words of a template, or a place among them with what is written in the template there."""

    text: str
    place: str = ""


@dataclass(frozen=True)
class Filled:
    """A template with its places filled: what people read of it, and what is sent."""

    text: str
    parts: dict[str, Any]


def account_of(instance: ProviderInstance) -> str:
    """The account whose templates an instance may send."""
    return str(instance.settings.get(provider_of(instance.provider).account_field, ""))


def of(instance: ProviderInstance) -> QuerySet[MessageTemplate]:
    """Every template of the instance's account, by name."""
    mine = MessageTemplate.objects.filter(provider=instance.provider, account=account_of(instance))
    return mine.order_by("name", "language")


def sendable(instance: ProviderInstance) -> QuerySet[MessageTemplate]:
    """Those that can be sent now."""
    return of(instance).filter(status=MessageTemplate.APPROVED, unsupported="")


# Keeping them current


def order(instance: ProviderInstance) -> None:
    """Order the reading of all templates, in the open transaction."""
    orders.order(
        "synchronise_templates", "default", tenant=instance.tenant_id, instance=instance.pk
    )


def synchronise(instance: ProviderInstance) -> None:
    """Keep exactly what the provider has now; `SendError` where it cannot be asked."""
    asked_at = timezone.now()
    via = open_via(instance)
    with via.http:
        found = provider_of(instance.provider).templates(via)
    account = account_of(instance)
    with transaction.atomic():
        kept = [_keep(instance.provider, account, each, asked_at).pk for each in found]
        gone = MessageTemplate.objects.filter(
            provider=instance.provider, account=account, changed_at__lte=asked_at
        )
        gone.exclude(pk__in=kept).delete()
        realtime.publish("templates", conversation=0, message=0)


def synchronise_all() -> None:
    """Order the reading of every account's templates, once per account and tenant."""
    seen = set()
    for instance in ProviderInstance.objects.across_tenants().filter(moved_to=None).order_by("pk"):
        account = account_of(instance)
        key = (instance.tenant_id, instance.provider, account)
        if account and key not in seen and _has_templates(instance):
            seen.add(key)
            order(instance)


def _has_templates(instance: ProviderInstance) -> bool:
    return Feature.TEMPLATES in provider_of(instance.provider).supports


def apply(event: TemplateChanged, instance: ProviderInstance, at: datetime) -> None:
    """What a provider told of one template; what it did not tell is asked for."""
    known = of(instance).filter(name=event.name, language=event.language)
    template = known.select_for_update().first()
    if template is None or event.content_changed:
        return order(instance)
    if template.changed_at > at:
        return None
    for name in ("status", "category", "quality", "external_id"):
        if value := getattr(event, name):
            setattr(template, name, value)
    if event.status:
        template.reason = event.reason
    template.changed_at = at
    template.save()
    realtime.publish("templates", conversation=0, message=0)
    return None


def _keep(provider: str, account: str, found: Template, at: datetime) -> MessageTemplate:
    facts = {name: value for name, value in asdict(found).items() if name not in _KEY}
    facts |= {"buttons": [asdict(button) for button in found.buttons], "changed_at": at}
    template, _is_new = MessageTemplate.objects.update_or_create(
        provider=provider,
        account=account,
        name=found.name,
        language=found.language,
        defaults=facts | {"examples": dict(found.examples)},
    )
    return template


_KEY = ("name", "language")


# Filling one


def places(template: MessageTemplate) -> list[Place]:
    """What has to be filled in, in reading order; a file at its head is not among it."""
    found = []
    if template.header_kind == "text":
        found += _places_in(template, "header", template.header)
    found += _places_in(template, "body", template.body)
    for position, button in enumerate(template.buttons):
        if button["kind"] == "code" or _PLACE.search(button["value"]):
            key = f"button.{position}"
            found.append(Place(key, button["text"], "", _ending(button)))
    return found


def needs_file(template: MessageTemplate) -> str:
    """The kind of file at its head, "" where there is none."""
    return template.header_kind if template.header_kind in FILE_HEADERS else ""


def pieces(template: MessageTemplate, part: str) -> list[Piece]:
    """The words of a part and the places among them, for a preview."""
    text = getattr(template, part)
    cut = _PLACE.split(text)
    return [
        Piece(f"{{{{{each}}}}}", f"{part}.{each}") if position % 2 else Piece(each)
        for position, each in enumerate(cut)
        if each
    ]


def sample(template: MessageTemplate) -> str:
    """The body with the examples in its places, for lists."""
    examples = template.examples
    return _PLACE.sub(lambda found: examples.get(f"body.{found[1]}") or found[0], template.body)


def fill(template: MessageTemplate, values: Mapping[str, str]) -> Filled:
    """The template with these values in its places, or `Unfit`."""
    wanted = [place.key for place in places(template)]
    for key in values:
        if key not in wanted:
            raise Unfit(f"variables.{key}", _("This template has no such place."))
    tidy = {key: _tidy(key, str(values.get(key, ""))) for key in wanted}
    buttons = [
        [int(key.partition(".")[2]), _kind_of(template, key), value]
        for key, value in tidy.items()
        if key.startswith("button.")
    ]
    sent = {
        "name": template.name,
        "language": template.language,
        "header": _variables(tidy, "header"),
        "body": _variables(tidy, "body"),
        "buttons": buttons,
    }
    shown = [button["text"] for button in template.buttons]
    return Filled(_read(template, tidy), {"template": sent, "taps": shown})


def as_outgoing(parts: Mapping[str, Any]) -> FilledTemplate | None:
    """The template of a message's parts as an adapter takes it."""
    kept = parts.get("template")
    if not kept:
        return None
    return FilledTemplate(
        name=kept["name"],
        language=kept["language"],
        header=tuple(Variable(value, name) for value, name in kept["header"]),
        body=tuple(Variable(value, name) for value, name in kept["body"]),
        buttons=tuple(ButtonValue(*each) for each in kept["buttons"]),
    )


def _places_in(template: MessageTemplate, part: str, text: str) -> list[Place]:
    names = dict.fromkeys(_PLACE.findall(text))
    return [
        Place(f"{part}.{name}", part, name, template.examples.get(f"{part}.{name}", ""))
        for name in names
    ]


def _ending(button: Mapping[str, str]) -> str:
    """What the example of an address has in its place."""
    before = _PLACE.split(button["value"])[0]
    example = button["example"]
    return example.removeprefix(before) if button["kind"] == "url" else example


def _tidy(key: str, value: str) -> str:
    """A value as providers take it: one line, no runs of spaces."""
    tidy = " ".join(value.replace("\x00", "").split())
    if not tidy:
        raise Unfit(f"variables.{key}", _("Fill in every place of the template."))
    if len(tidy) > LONGEST_VALUE:
        raise Unfit(f"variables.{key}", _("This value is too long."))
    try:
        tidy.encode()
    except UnicodeEncodeError as exc:
        said = _("The text has a character that cannot be sent.")
        raise Unfit(f"variables.{key}", said) from exc
    return tidy


def _variables(values: Mapping[str, str], part: str) -> list[list[str]]:
    """Values of a part with the names of their places; numbered places have none, in order."""
    mine = {key.partition(".")[2]: value for key, value in values.items() if _part(key) == part}
    if all(name.isdecimal() for name in mine):
        return [[mine[name], ""] for name in sorted(mine, key=int)]
    return [[value, name] for name, value in mine.items()]


def _part(key: str) -> str:
    return key.partition(".")[0]


def _kind_of(template: MessageTemplate, key: str) -> str:
    return template.buttons[int(key.partition(".")[2])]["kind"]


def _read(template: MessageTemplate, values: Mapping[str, str]) -> str:
    """What the recipient reads, part below part."""
    header = template.header if template.header_kind == "text" else ""
    read = [_put_in("header", header, values), _put_in("body", template.body, values)]
    return "\n\n".join(each for each in [*read, template.footer] if each)


def _put_in(part: str, text: str, values: Mapping[str, str]) -> str:
    return _PLACE.sub(lambda found: values[f"{part}.{found[1]}"], text)
