"""The steps of a tenant's pipeline: which there are, in which order, and their leads."""

from typing import Any

from django.db import transaction
from django.db.models import Max, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from messaging import activities
from messaging.models import Lead, Stage
from tenants import audit

MOST_STAGES = 30
LONGEST_STALE_DAYS = 3650


class WrongStage(Exception):
    """A change of the pipeline that was not made: why, in the reader's language."""

    def __init__(self, message: Any) -> None:
        super().__init__(str(message))
        self.message = message


def first_stage() -> Stage | None:
    """Where a lead without a stage stands."""
    return Stage.objects.filter(kind=Stage.Kind.OPEN).first()


def standing_at(stage: int, lead: str = "") -> Q:
    """The leads of a stage, as a condition; `lead` is the way to them, such as "lead__"."""
    condition = Q(**{f"{lead}stage": stage})
    first = first_stage()
    if first is not None and first.pk == stage:
        condition |= Q(**{f"{lead}stage": None})
    return condition


@transaction.atomic
def add(name: str, kind: str, stale_after_days: int | None, *, by) -> Stage:
    """A new step at the end of its kind: open ones first, then won, then lost."""
    stages = _all()
    if len(stages) >= MOST_STAGES:
        raise WrongStage(_("There are as many stages as there can be."))
    last = Stage.objects.aggregate(last=Max("position"))["last"] or 0
    stage = Stage.objects.create(
        name=name, kind=kind, stale_after_days=stale_after_days, position=last + 1
    )
    _number(sorted([*stages, stage], key=_place))
    audit.record("stage.added", by=by, subject=stage, after=_facts(stage))
    return stage


@transaction.atomic
def change(stage: Stage, name: str, kind: str, stale_after_days: int | None, *, by) -> Stage:
    """Call a stage otherwise, or let it mean something else."""
    before = _facts(stage)
    if name != str(stage):
        stage.name = name
    stage.stale_after_days = stale_after_days
    if stage.kind != kind:
        _require_another_open(stage)
        stage.kind = kind
    stage.save(update_fields=["name", "kind", "stale_after_days"])
    _number(sorted((stage if each.pk == stage.pk else each for each in _all()), key=_place))
    old, new = audit.difference(before, _facts(stage))
    if new:
        audit.record("stage.changed", by=by, subject=stage, before=old, after=new)
    if "kind" in new:
        _touch(Lead.objects.filter(standing_at(stage.pk)))
    return stage


@transaction.atomic
def shift(stage: Stage, steps: int, *, by) -> None:
    """Move a stage up (-1) or down (1) among those of its kind."""
    mine = [each for each in _all() if each.kind == stage.kind]
    place = next(number for number, each in enumerate(mine) if each.pk == stage.pk)
    other = place + steps
    if not 0 <= other < len(mine):
        return
    mine[place], mine[other] = mine[other], mine[place]
    others = [each for each in _all() if each.kind != stage.kind]
    _number(sorted([*mine, *others], key=lambda each: _KINDS.index(each.kind)))
    audit.record("stage.moved", by=by, subject=stage, after={"position": other + 1})


@transaction.atomic
def remove(stage: Stage, *, into: Stage, by) -> None:
    """Take a stage away; its leads go into another one."""
    if into.pk == stage.pk:
        raise WrongStage(_("Choose another stage for its leads."))
    _require_another_open(stage)
    leads = Lead.objects.filter(stage=stage)
    moved = list(leads.values_list("pk", flat=True))
    now = timezone.now()
    leads.update(stage=into, stage_since=now, updated_at=now)
    audit.record("stage.removed", by=by, subject=stage, after={"leads_into": str(into)})
    stage.delete()
    activities.touched(moved, now=now)


_KINDS = [Stage.Kind.OPEN, Stage.Kind.WON, Stage.Kind.LOST]


def _place(stage: Stage) -> tuple[int, int]:
    return _KINDS.index(Stage.Kind(stage.kind)), stage.position


def _all() -> list[Stage]:
    """Every stage in order, nobody else changing them meanwhile."""
    return list(Stage.objects.select_for_update().order_by("position", "pk"))


def _number(stages: list[Stage]) -> None:
    for position, each in enumerate(stages, start=1):
        each.position = position
    Stage.objects.bulk_update(stages, ["position"])


def _require_another_open(stage: Stage) -> None:
    """Leads without a stage stand at the first open one, so that there always is one."""
    open_ones = Stage.objects.filter(kind=Stage.Kind.OPEN).exclude(pk=stage.pk)
    if stage.kind == Stage.Kind.OPEN and not open_ones.exists():
        raise WrongStage(_("One open stage has to stay: new leads stand there."))


def _facts(stage: Stage) -> dict[str, Any]:
    return {
        "name": str(stage),
        "kind": str(Stage.Kind(stage.kind).label),
        "stale_after_days": stage.stale_after_days,
    }


def _touch(leads) -> None:
    activities.touched(list(leads.values_list("pk", flat=True)))
