"""How the link stands, for the page that shows it: never the key, never a message's words."""

from dataclasses import dataclass
from typing import Any

from messaging.espo import turns
from messaging.espo.linking import why
from messaging.models import EspoPush, EspoRecord, Lead, Stage
from tenants.accounts.models import User
from tenants.models import CrmLink

MOST_COUNTED = 1000
MOST_FAILED = 20
State = EspoPush.State


@dataclass(frozen=True)
class Standing:
    """What is linked, what waits, what failed and why, who is who."""

    leads: int
    waiting: int
    failed: int
    failures: list[tuple[EspoPush, Any]]
    reason: Any
    matched: list[tuple[str, str]]
    only_here: list[str]
    only_there: list[str]
    without_status: list[Stage]


def standing(crm: CrmLink) -> Standing:
    """How the link stands now; counts end at a thousand and one."""
    failed = EspoPush.objects.filter(state=State.FAILED)
    team = {each.email: each for each in User.objects.filter(is_active=True)}
    theirs = {each["email"]: each["name"] for each in crm.users if each["email"]}
    meant = set(crm.stages.values())
    return Standing(
        leads=_counted(EspoRecord.objects.filter(gone_at=None)),
        waiting=_counted(EspoPush.objects.filter(state__in=(State.WAITING, State.SENDING))),
        failed=_counted(failed),
        failures=[
            (each, why(each.error_code))
            for each in failed.select_related("record__lead").order_by("-pk")[:MOST_FAILED]
        ],
        reason=why(crm.state_code) if crm.state_code else "",
        matched=sorted((str(team[each]), name) for each, name in theirs.items() if each in team),
        only_here=sorted(str(user) for each, user in team.items() if each not in theirs),
        only_there=sorted(each["name"] for each in crm.users if each["email"] not in team),
        without_status=[each for each in Stage.objects.all() if each.pk not in meant],
    )


def address_of(lead: Lead) -> str:
    """Where EspoCRM shows this lead; "" where it has none."""
    record = lead.espo_records.filter(gone_at=None).order_by("pk").first()
    crm = turns.mine() if record else None
    return f"{crm.url}/#Lead/view/{record.record_id}" if record and crm else ""


def _counted(rows) -> int:
    return rows.order_by()[: MOST_COUNTED + 1].count()
