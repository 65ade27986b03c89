"""From a tenant's thresholds to moments: what began before them has reached a severity."""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from alerts.models import LEVELS, AlertRule
from alerts.rules import RULES, Rule, Thresholds
from messaging.models import Stage
from tenants.hours import OpeningHours, opening_hours_of
from tenants.models import Tenant

NO_STAGE = 0


@dataclass
class Tuning:
    """A tenant's settings of all kinds of alert, at one moment."""

    now: datetime
    hours: OpeningHours
    stages: dict[int, int | None]
    saved: dict[str, AlertRule]
    _moments: dict[tuple[int, bool], datetime | None] = field(default_factory=dict)

    @classmethod
    def of(cls, tenant: Tenant, now: datetime) -> "Tuning":
        """The settings as they stand, read inside the tenant."""
        return cls(
            now=now,
            hours=opening_hours_of(tenant),
            stages=dict(Stage.objects.values_list("pk", "stale_after_days")),
            saved={each.code: each for each in AlertRule.objects.all()},
        )

    def is_on(self, rule: Rule) -> bool:
        """Whether the tenant wants this kind of alert."""
        saved = self.saved.get(rule.code)
        return saved is None or saved.is_on

    def in_opening_hours(self, rule: Rule) -> bool:
        """Whether only time in which somebody is there counts."""
        saved = self.saved.get(rule.code)
        if saved is None or saved.in_opening_hours is None:
            return rule.in_opening_hours
        return saved.in_opening_hours

    def thresholds(self, rule: Rule, stage: int = NO_STAGE) -> Thresholds:
        """Seconds by severity: the stage's own before the tenant's before the kind's."""
        saved = self.saved.get(rule.code)
        own = saved.thresholds if saved else {}
        of_stage = (saved.stage_thresholds if saved else {}).get(str(stage), {})
        limit = self.stages.get(stage)
        default = rule.stage_thresholds(limit)
        if limit is not None and default != rule.thresholds:
            own = {}
        return {**default, **own, **of_stage}

    def cuts(self, rule: Rule) -> dict[str, Any]:
        """Parameters of the engine's statement: for each stage, when each severity began."""
        stages = [NO_STAGE, *sorted(self.stages)]
        by_stage = [self.thresholds(rule, stage) for stage in stages]
        moments = {
            name: [self._moment(rule, each.get(name)) for each in by_stage] for name in LEVELS
        }
        known = [each for row in moments.values() for each in row if each is not None]
        return {
            "cut_stages": stages,
            **{f"cut_{name}": row for name, row in moments.items()},
            "cut_spans": [json.dumps([each.get(name) for name in LEVELS]) for each in by_stage],
            "latest": max(known, default=None),
        }

    def _moment(self, rule: Rule, seconds: int | None) -> datetime | None:
        if seconds is None:
            return None
        in_hours = self.in_opening_hours(rule)
        key = (seconds, in_hours)
        if key not in self._moments:
            span = timedelta(seconds=seconds)
            self._moments[key] = self.hours.before(self.now, span) if in_hours else self.now - span
        return self._moments[key]


def rule_of(code: str) -> Rule | None:
    """The kind of alert with this code; None for one that was made by hand."""
    return RULES.get(code)
