"""From open alerts to the cards of a screen: what belongs together is one card."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Case, Count, Max, Min, Q, QuerySet, TextField, Value, When
from django.db.models.functions import Cast, Coalesce
from django.utils.translation import ngettext

from alerts import acting, queries, wording
from alerts.models import LEVELS, Alert
from alerts.queries import Wanted
from alerts.rules import FOLD_FROM

SHOWN = 60
NEVER = "never"
# Never contacted at all: neither we nor they have said anything.
NEVER_CONTACTED = Q(
    type="NoContact7d",
    is_manual=False,
    facts__last_in_at__isnull=False,
    facts__last_in_at=None,
    facts__last_out_at=None,
)


@dataclass
class Card:
    """One card: an alert with what else is open for its lead, or many of one kind."""

    severity: str
    title: str
    since: datetime
    alert: Alert | None = None
    message: str = ""
    action: dict[str, Any] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    count: int = 1
    fold: str = ""
    type: str = ""

    @property
    def key(self) -> str:
        """What tells a page that it is still the same card."""
        return f"fold-{self.type}-{self.fold}" if self.fold else f"alert-{self.alert.pk}"

    @property
    def can_act(self) -> bool:
        """Whether its next step is a button; else it is only said."""
        return self.alert is not None and acting.can(self.alert, self.action["action"])

    @property
    def order(self):
        return -LEVELS.index(self.severity), self.since


def deck(user, wanted: Wanted, now: datetime, numbers=None) -> list[Card]:
    """The cards of a screen, the worst first, then the oldest."""
    rows = queries.active(user, wanted, now)
    folds = _folds(rows)
    singles = rows.annotate(fold=_fold_key()).exclude(_in_any(folds)) if folds else rows
    cards = [_folded(each) for each in folds] + _by_lead(_named(singles)[: SHOWN * 2], numbers)
    return sorted(cards, key=lambda card: card.order)[:SHOWN]


def _named(rows: QuerySet[Alert]) -> QuerySet[Alert]:
    """With what a lead without a name is called by."""
    return rows.prefetch_related("lead__identities")


def folded(user, type: str, fold: str, now: datetime) -> QuerySet[Alert]:
    """The alerts of one folded card."""
    rows = queries.active(user, Wanted(type=type), now)
    return _named(rows).annotate(fold=_fold_key()).filter(fold=fold)


def one(alert: Alert, numbers=None) -> Card:
    """The card of one alert."""
    return Card(
        severity=alert.severity,
        title=wording.label(alert.type),
        since=alert.since or alert.opened_at,
        alert=alert,
        message=wording.message(alert, numbers),
        action=wording.suggested_action(alert),
        type=alert.type,
    )


def _by_lead(rows, numbers) -> list[Card]:
    """One card for each lead: its worst alert, the others named on it."""
    cards: dict[Any, Card] = {}
    for alert in rows:
        key = alert.lead_id or f"alert-{alert.pk}"
        if alert.is_manual:
            key = f"alert-{alert.pk}"
        if key in cards:
            cards[key].others.append(wording.label(alert.type))
        else:
            cards[key] = one(alert, numbers)
    return list(cards.values())


def _fold_key():
    return Case(
        When(NEVER_CONTACTED, then=Value(NEVER)),
        # Never NULL, which would be neither in a fold nor outside of it.
        default=Coalesce(Cast("batch", TextField()), Value("")),
        output_field=TextField(),
    )


def _folds(rows: QuerySet[Alert]) -> list[dict]:
    found = rows.order_by().annotate(fold=_fold_key()).exclude(fold="")
    grouped = found.values("type", "fold").annotate(
        count=Count("id"), worst=Max("level"), since=Min("opened_at")
    )
    return list(grouped.filter(count__gte=FOLD_FROM))


def _in_any(folds: list[dict]) -> Q:
    found = Q(pk=None)
    for each in folds:
        found |= Q(type=each["type"], fold=each["fold"])
    return found


def _folded(fold: dict) -> Card:
    count = fold["count"]
    said = ngettext("%(count)d alert", "%(count)d alerts", count) % {"count": count}
    return Card(
        severity=LEVELS[fold["worst"] - 1],
        title=wording.label(fold["type"]),
        since=fold["since"],
        message=said,
        count=count,
        fold=fold["fold"],
        type=fold["type"],
    )
