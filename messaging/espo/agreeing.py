"""Two sides of one lead: whose change counts.

Owner, stage and phone are looked at one by one. Who differs from what was last agreed on has
changed since; where both did, the later change counts. What a side cannot say in its own words,
such as an owner who is not of the team, changes nothing there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from messaging import activities, addressing, handling, numbering, pipeline
from messaging.espo.leads import OWNER, STATUS, EspoLead
from messaging.models import EspoRecord, Lead, LeadIdentity, Stage
from tenants.accounts.models import User
from tenants.models import CrmLink

LONGEST_PHONE = 36


@dataclass(frozen=True)
class Terms:
    """What the one side's words are in the other's."""

    country: str
    people: Mapping[str, User]
    users: Mapping[int, str]
    stages: Mapping[str, Stage]
    statuses: list[str]
    first: Stage | None

    def is_known(self, owner: str) -> bool:
        return not owner or owner in self.people

    def standing(self, stage_id: int | None) -> int | None:
        """The stage a lead stands at: the first one where it has none."""
        return stage_id or (self.first.pk if self.first else None)

    def status_for(self, stage_id: int | None) -> str | None:
        """The first status that means this stage; None where no status does."""
        stage = self.standing(stage_id)
        meant = (each for each in self.statuses if each in self.stages)
        return next((each for each in meant if self.stages[each].pk == stage), None)


def terms_of(link: CrmLink, country: str) -> Terms:
    """How owners and stages are called on both sides, as it is now."""
    team = {each.email: each for each in User.objects.filter(is_active=True)}
    people = {each["id"]: team[each["email"]] for each in link.users if each["email"] in team}
    stages = Stage.objects.in_bulk(list(link.stages.values()))
    return Terms(
        country=country,
        people=people,
        users={user.pk: espo_id for espo_id, user in people.items()},
        stages={status: stages[pk] for status, pk in link.stages.items() if pk in stages},
        statuses=link.statuses,
        first=pipeline.first_stage(),
    )


def contested(record: EspoRecord | None, lead: Lead | None, told: EspoLead) -> list[str]:
    """The fields that both sides changed, of which it has to be asked when."""
    if record is None or lead is None:
        return []
    found = []
    if told.owner != record.owner_there and lead.owner_id != record.owner_here:
        found.append(OWNER)
    if told.status != record.status_there and lead.stage_id != record.stage_here:
        found.append(STATUS)
    return found


def take_in(
    record: EspoRecord,
    told: EspoLead,
    terms: Terms,
    *,
    times: Mapping[str, datetime],
    now: datetime,
    is_made: bool = False,
) -> None:
    """Let the lead here be what the CRM changed, where its change counts; inside a transaction.

    `times` says of a field when the CRM changed it; without, the record's last change counts.
    `is_made` says that the lead was made for this record and has no history yet.
    """
    lead = record.lead
    since = {name: min(times.get(name, told.modified_at), now) for name in (OWNER, STATUS)}
    owner = _owner(record, lead, told, terms, since[OWNER])
    stage = _stage(record, lead, told, terms, since[STATUS])
    _take_name(record, lead, told)
    _take_addresses(record, lead, told, terms)
    record.told, record.modified_at = told.told, told.modified_at
    record.seen_at, record.gone_at = now, None
    # Kept first: what is changed below is what both sides agree on.
    record.save()
    if is_made:
        _begin(lead, owner, stage, now)
        return
    if owner is not _SAME:
        handling.give(lead, to=owner, by=None, now=since[OWNER])
    if stage is not None:
        handling.move(lead, to=stage, by=None, now=since[STATUS])


def differences(
    record: EspoRecord, told: EspoLead, terms: Terms
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the CRM has to change, and what is agreed on once it did."""
    lead = record.lead
    change: dict[str, Any] = {}
    agreed: dict[str, Any] = {"owner_here": lead.owner_id, "stage_here": lead.stage_id}
    if lead.owner_id != record.owner_here:
        owner = terms.users.get(lead.owner_id, "") if lead.owner_id else ""
        if owner != told.owner and (owner or not lead.owner_id):
            change["assignedUserId"] = owner or None
            agreed["owner_there"] = owner
    if lead.stage_id != record.stage_here:
        means = terms.stages.get(told.status)
        status = terms.status_for(lead.stage_id)
        if status and (means is None or means.pk != terms.standing(lead.stage_id)):
            change["status"] = agreed["status_there"] = status
    numbers = _new_numbers(record, lead)
    if numbers:
        change["phoneNumberData"] = _with(told, record, numbers)
        agreed["phones"] = sorted({*record.phones, *(each.value for each in numbers)})
    return change, agreed


_SAME: Any = object()


def _owner(record, lead, told, terms, since) -> Any:
    """Whom the lead is given to; `_SAME` where nothing changes."""
    if told.owner == record.owner_there:
        return _SAME
    record.owner_there = told.owner
    if lead.owner_id != record.owner_here and _is_later(lead.owner_since, since):
        return _SAME
    if not terms.is_known(told.owner):
        record.owner_here = lead.owner_id
        return _SAME
    owner = terms.people.get(told.owner)
    record.owner_here = owner.pk if owner else None
    return _SAME if lead.owner_id == record.owner_here else owner


def _stage(record, lead, told, terms, since) -> Stage | None:
    """The stage the lead moves to; None where nothing changes."""
    if told.status == record.status_there:
        return None
    record.status_there = told.status
    if lead.stage_id != record.stage_here and _is_later(lead.stage_since, since):
        return None
    stage = terms.stages.get(told.status)
    if stage is None or terms.standing(lead.stage_id) == stage.pk:
        record.stage_here = lead.stage_id
        return None
    record.stage_here = stage.pk
    return stage


def _is_later(ours: datetime | None, theirs: datetime) -> bool:
    return ours is not None and ours > theirs


def _begin(lead: Lead, owner: Any, stage: Stage | None, now: datetime) -> None:
    """A lead that the CRM brought: its clocks start now, and it has no history yet."""
    if owner is not _SAME:
        lead.owner, lead.owner_since = owner, now
    if stage is not None:
        lead.stage, lead.stage_since = stage, now
    lead.save(update_fields=["owner", "owner_since", "stage", "stage_since", "updated_at"])
    activities.touched([lead.pk], now=now)


def _take_name(record: EspoRecord, lead: Lead, told: EspoLead) -> None:
    if told.name and told.name != record.name:
        record.name = lead.name = told.name
        lead.save(update_fields=["name", "updated_at"])


def _take_addresses(record: EspoRecord, lead: Lead, told: EspoLead, terms: Terms) -> None:
    """Numbers and addresses that the CRM has become this lead's, unless they are another's."""
    there = addresses_of(told, terms.country)
    free = [each for each in there if not addressing.leads_with([each])]
    if free:
        addressing.add(lead, free)
    phones = [each.value for each in there if each.kind == LeadIdentity.Kind.PHONE]
    forms = {form for phone in phones for form in numbering.forms(phone)}
    record.phones = sorted({*record.phones, *forms})
    if told.main_phone != record.main_phone:
        record.main_phone, record.main_phone_since = told.main_phone[:40], told.modified_at


def addresses_of(told: EspoLead, country: str) -> list[addressing.Address]:
    """A record's numbers and e-mail addresses, the main ones first; what is none is passed over."""
    numbers = sorted(told.numbers, key=lambda each: not each.get("primary"))
    found = []
    for text in [*(str(each["phoneNumber"]) for each in numbers), *told.emails]:
        try:
            found.append(addressing.as_address(text, country))
        except addressing.NotAnAddress:
            continue
    return list(dict.fromkeys(found))


def _new_numbers(record: EspoRecord, lead: Lead) -> list[LeadIdentity]:
    """Numbers that the CRM never had, the oldest first."""
    mine = lead.identities.filter(kind=LeadIdentity.Kind.PHONE).order_by("created_at", "pk")
    return [each for each in mine if each.value not in record.phones]


def _with(told: EspoLead, record: EspoRecord, new: list[LeadIdentity]) -> list[dict[str, Any]]:
    """The record's numbers and the new ones; the newest is the main one where it came after the
    link, and later than the main number there."""
    kept = [dict(each) for each in told.numbers]
    came = [
        {"phoneNumber": each.value[:LONGEST_PHONE], "primary": False, "type": "Mobile"}
        for each in new
    ]
    since = max(record.main_phone_since or record.created_at, record.created_at)
    if not kept or new[-1].created_at > since:
        for each in kept:
            each["primary"] = False
        came[-1]["primary"] = True
    return [*kept, *came]
