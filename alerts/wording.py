"""What an alert says, in the reader's language and the tenant's time zone."""

from datetime import datetime
from typing import Any

from django.utils import formats, timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from alerts.models import Alert, Severity
from alerts.rules import BY_HAND, NEXT_STEPS, RULES
from tenants.models import ProviderInstance

REASONS = {
    "disconnected": gettext_lazy("disconnected"),
    "pending": gettext_lazy("not connected yet"),
    "conflict": gettext_lazy("in use elsewhere"),
    "blocked": gettext_lazy("blocked"),
    "silent": gettext_lazy("silent"),
}
# Of several alerts; a badge says "Haute: 1".
SEVERITIES = dict(Severity.choices)


def label(code: str) -> str:
    """What a kind of alert is called; one made by hand is called what its maker wrote."""
    rule = RULES.get(code)
    if code == BY_HAND:
        return _("Flagged by the team")
    return str(rule.label) if rule else code


def message(alert: Alert, numbers: dict[int, ProviderInstance] | None = None) -> str:
    """The sentence of an alert: as its maker wrote it, else from the facts."""
    rule = RULES.get(alert.type)
    if alert.message or rule is None:
        return alert.message or alert.type
    return str(rule.text) % _Facts(alert, numbers or {})


class _Facts(dict):
    """What a text may quote of an alert; only what it does quote is put into words."""

    def __init__(self, alert: Alert, numbers: dict[int, ProviderInstance]) -> None:
        super().__init__()
        self._alert, self._numbers = alert, numbers

    def __missing__(self, name: str) -> str:
        told = self._alert.facts.get(name)
        if name == "instance":
            number = self._numbers.get(self._alert.subject_id or 0)
            return (number.label or number.address) if number else _("A number")
        return str(REASONS.get(str(told), "")) if name == "reason" else _said(told)


def suggested_action(alert: Alert) -> dict[str, Any]:
    """The next step: what it is called, what it does, with which words and values."""
    rule = RULES.get(alert.type)
    own = alert.suggested_action if isinstance(alert.suggested_action, dict) else {}
    step = NEXT_STEPS.get(str(own.get("action")), "")
    known = {"label": str(step), "action": "", "channel": "", "template": "", "params": {}}
    if rule is not None and not alert.is_manual:
        suggestion = rule.suggestion
        name = alert.lead.name if alert.lead else ""
        template = str(suggestion.template) % {"name": name} if suggestion.template else ""
        known |= {
            "label": str(suggestion.label),
            "action": suggestion.action,
            "channel": suggestion.channel,
            "template": " ".join(template.split()).replace(" ,", ","),
            "params": _params(alert),
        }
    return {**known, **own}


def duration(seconds: int | None) -> str:
    """A span of time in the largest unit that says it exactly."""
    if seconds is None:
        return ""
    for size, said in (
        (86_400, lambda count: ngettext("%(count)d day", "%(count)d days", count)),
        (3_600, lambda count: ngettext("%(count)d hour", "%(count)d hours", count)),
        (60, lambda count: ngettext("%(count)d minute", "%(count)d minutes", count)),
    ):
        if seconds and seconds % size == 0:
            return said(seconds // size) % {"count": seconds // size}
    return ngettext("%(count)d second", "%(count)d seconds", seconds) % {"count": seconds}


def _params(alert: Alert) -> dict[str, Any]:
    return {alert.subject_kind: alert.subject_id} if alert.subject_id else {}


def _said(value: Any) -> str:
    if not isinstance(value, str):
        return "" if value is None else str(value)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return value
    local = timezone.localtime(moment)
    # Hours from 0 to 23: "a.m." would end a sentence twice.
    return f"{formats.date_format(local, 'SHORT_DATE_FORMAT')} {local:%H:%M}"
