"""The same words to many leads: typed ones, or a template of the provider's."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from alerts import acting
from alerts.models import Alert
from messaging import outbox, templates
from messaging.models import MessageTemplate
from tenants import limits
from tenants.models import ProviderInstance, Tenant

NAME = "{name}"


@dataclass(frozen=True)
class Words:
    """What is said to each; `{name}` in a text or in a place of the template is the lead's name.

    The same `reference` twice is one message for each lead.
    """

    text: str = ""
    instance: int | None = None
    template: MessageTemplate | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    reference: uuid.UUID | None = None


def to_each(
    tenant: Tenant, alerts: Iterable[Alert], words: Words, *, by, now: datetime
) -> tuple[int, str]:
    """Queue the words to the lead of each alert; how many were queued, and the first refusal."""
    sent, problem = 0, ""
    for alert in alerts:
        doing = acting.Doing(tenant, alert, by, now)
        try:
            _say(doing, words)
            sent += 1
        except (outbox.Refused, limits.LimitReached) as refusal:
            problem = problem or f"{alert.lead}: {refusal.message}"
    return sent, problem


def sendable(numbers: Iterable[ProviderInstance]) -> list[tuple[MessageTemplate, ProviderInstance]]:
    """The templates that can be sent without a file, each with the first number that may."""
    found: dict[int, tuple[MessageTemplate, ProviderInstance]] = {}
    for number in numbers:
        if templates.account_of(number):
            for each in templates.sendable(number):
                if not templates.needs_file(each):
                    found.setdefault(each.pk, (each, number))
    return list(found.values())


def _say(doing: acting.Doing, words: Words) -> None:
    name = doing.lead.name or ""
    reference = _reference(words.reference, doing.alert)
    if words.template is None:
        acting.write(doing, _personal(words.text, name), reference, words.instance)
        return
    values = {key: _personal(value, name or "–") for key, value in words.values.items()}
    acting.write_template(doing, words.template, values, words.instance, reference)


def _personal(text: str, name: str) -> str:
    return text.replace(NAME, name).replace(" ,", ",").strip()


def _reference(base: uuid.UUID | None, alert: Alert) -> uuid.UUID | None:
    return uuid.uuid5(base, str(alert.pk)) if base else None
