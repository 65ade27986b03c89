"""Taking leads in from another system: made where nobody has their address, else completed.

What the team wrote stays: a row only fills what is empty and adds addresses and tags. A lead that
is made here sleeps until something happens with it, so that no alert opens for it meanwhile.
"""

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db import DataError, IntegrityError, connection, transaction
from django.db.models.functions import Lower

from messaging import addressing, standing, tagging
from messaging.addressing import Address
from messaging.importing import values
from messaging.importing.rows import BadRow, Outcome, Result, Row, batches, sorted_out
from messaging.models import Lead, LeadIdentity, LeadTag, Stage, Tag
from tenants.accounts.models import User
from tenants.models import Tenant

logger = logging.getLogger(__name__)

BATCH = 500
LONGEST_NAME = 200
LONGEST_ID = 100
LONGEST_TAG = 40
COLUMNS = (
    "id", "name", "phone", "other_phone", "email", "owner", "stage", "tags", "note",
    "opted_out", "created_at",
)  # fmt: skip
_BETWEEN_TAGS = re.compile(r"[,;|]")


@dataclass(frozen=True)
class _Told:
    """A row that can be taken in."""

    line: int
    external_id: str
    addresses: tuple[Address, ...]
    name: str
    owner: int | None
    stage: int | None
    tags: tuple[str, ...]
    note: str
    opted_out: bool
    created_at: datetime | None


@dataclass(frozen=True)
class _Meant:
    """A row, the lead it is about, and which addresses that lead has not had."""

    told: _Told
    lead: Lead
    missing: tuple[Address, ...]
    is_new: bool


@dataclass
class Importer:
    """Takes leads into a tenant, batch by batch, each row by itself. Used inside the tenant.

    With `dry_run` nothing is written.
    """

    tenant: Tenant
    now: datetime
    dry_run: bool = False
    _people: dict[str, int] = field(default_factory=dict)
    _stages: dict[str, int] = field(default_factory=dict)
    _tags: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._zone = ZoneInfo(self.tenant.time_zone)
        self._people = {user.email.lower(): user.pk for user in User.objects.all()}
        for stage in Stage.objects.order_by("-position"):
            self._stages |= {name.lower(): stage.pk for name in (stage.code, str(stage)) if name}
        self._read_tags()

    def take_in(self, rows: Iterable[Row]) -> Iterator[list[Outcome]]:
        """What became of the rows, a batch at a time, once it is committed."""
        for batch in batches(rows, BATCH):
            told, outcomes = sorted_out(batch, self._told)
            outcomes += self._written(told)
            yield sorted(outcomes, key=lambda each: each.line)

    def _told(self, row: Row) -> _Told:
        addresses = tuple(
            values.address(column, row[column], self.tenant.default_country)
            for column in ("phone", "other_phone", "email")
            if row[column]
        )
        if not addresses and not row["id"]:
            raise BadRow("phone", "missing, and so are email and id")
        created_at = row["created_at"]
        return _Told(
            line=row.line,
            external_id=values.at_most("id", row["id"], LONGEST_ID),
            addresses=tuple(dict.fromkeys(addresses)),
            name=values.at_most("name", row["name"], LONGEST_NAME),
            owner=self._one_of("owner", row["owner"], self._people, "nobody of the team has it"),
            stage=self._one_of("stage", row["stage"], self._stages, self._known_stages()),
            tags=self._tags_of(row["tags"]),
            note=row["note"],
            opted_out=values.yes_or_no("opted_out", row["opted_out"]),
            created_at=values.moment("created_at", created_at, self._zone) if created_at else None,
        )

    def _one_of(self, column: str, written: str, known: dict[str, int], hint: str) -> int | None:
        if written and written.lower() not in known:
            raise BadRow(column, f"{written[:80]!r}: {hint}")
        return known.get(written.lower())

    def _known_stages(self) -> str:
        return f"there are {', '.join(sorted(self._stages))}"

    def _tags_of(self, written: str) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(n.strip() for n in _BETWEEN_TAGS.split(written) if n.strip()))
        for name in names:
            values.at_most("tags", name, LONGEST_TAG)
            self._require_room_for(name)
        return names

    def _require_room_for(self, tag: str) -> None:
        if tag.lower() in self._tags:
            return
        if len(self._tags) >= tagging.MOST_TAGS:
            raise BadRow("tags", f"{tag!r} is new, and there are {tagging.MOST_TAGS} already")
        # Made when a row with it is written.
        self._tags[tag.lower()] = 0

    def _written(self, told: Sequence[_Told]) -> list[Outcome]:
        """One transaction; where a row brings it down, or somebody took its address meanwhile,
        each by itself."""
        try:
            with transaction.atomic():
                outcomes = self._take(told) if told else []
                if self.dry_run:
                    transaction.set_rollback(True)
        except (DataError, IntegrityError) as exc:
            self._read_tags()
            if len(told) > 1:
                return [outcome for each in told for outcome in self._written([each])]
            logger.exception("line %d could not be taken in", told[0].line)
            return [Outcome(told[0].line, Result.FAILED, type(exc).__name__)]
        if self.dry_run:
            self._read_tags()
        return outcomes

    def _take(self, told: Sequence[_Told]) -> list[Outcome]:
        meant, failed = self._find(told)
        new = [each.lead for each in meant if each.is_new]
        Lead.objects.bulk_create(new)
        self._date_back(meant)
        changed = {each.told.line for each in meant if each.is_new or self._complete(each)}
        old = [each.lead for each in meant if not each.is_new and each.told.line in changed]
        _save(set(old))
        changed |= self._add_addresses(meant)
        changed |= self._add_tags(meant)
        standing.refresh(
            {each.lead.pk for each in meant if each.told.line in changed}, now=self.now
        )
        return failed + [Outcome(each.told.line, _result(each, changed)) for each in meant]

    def _find(self, told: Sequence[_Told]) -> tuple[list[_Meant], list[Outcome]]:
        """The lead of each row; a row may mean one that a row before it makes."""
        known = _Known(told)
        meant, failed = [], []
        for each in told:
            found = known.owners_of(each)
            if len(found) > 1:
                failed.append(Outcome(each.line, Result.FAILED, _ambiguous(found)))
                continue
            lead = found[0] if found else self._lead_of(each)
            missing = known.learn(each, lead)
            meant.append(_Meant(each, lead, missing, is_new=not found))
        return meant, failed

    def _lead_of(self, told: _Told) -> Lead:
        return Lead(
            external_id=told.external_id,
            name=told.name,
            note=told.note,
            owner_id=told.owner,
            owner_since=self.now if told.owner else None,
            stage_id=told.stage,
            stage_since=self.now if told.stage else None,
            recognised_at=self.now,
            imported_at=self.now,
        )

    def _date_back(self, meant: Sequence[_Meant]) -> None:
        dated = [each for each in meant if each.is_new and each.told.created_at]
        for each in dated:
            each.lead.created_at = each.told.created_at
        Lead.objects.bulk_update([each.lead for each in dated], ["created_at"])

    def _complete(self, meant: _Meant) -> bool:
        """Fill what the lead lacks; whether there was anything."""
        lead, told = meant.lead, meant.told
        offered: dict[str, Any] = {
            "external_id": told.external_id,
            "name": told.name,
            "note": told.note,
            "owner_id": told.owner,
            "stage_id": told.stage,
        }
        filled = [name for name, value in offered.items() if value and not getattr(lead, name)]
        for name in filled:
            setattr(lead, name, offered[name])
        if "owner_id" in filled:
            lead.owner_since = lead.imported_at or self.now
        if "stage_id" in filled:
            lead.stage_since = lead.imported_at or self.now
        was_unknown = lead.recognised_at is None
        lead.recognised_at = lead.recognised_at or self.now
        lead.updated_at = self.now
        return bool(filled) or was_unknown

    def _add_addresses(self, meant: Sequence[_Meant]) -> set[int]:
        LeadIdentity.objects.bulk_create(
            LeadIdentity(lead=each.lead, kind=address.kind, value=address.value)
            for each in meant
            for address in each.missing
        )
        changed = {each.told.line for each in meant if each.missing}
        return changed | self._respect_wishes([each for each in meant if each.told.opted_out])

    def _respect_wishes(self, meant: Sequence[_Meant]) -> set[int]:
        """Who wanted no messages there wants none here, unless they said otherwise since."""
        rows = LeadIdentity.objects.filter(
            lead__in=[each.lead for each in meant], consent_changed_at=None
        )
        told = {each.lead.pk: each.told.line for each in meant}
        silent = set(rows.values_list("lead_id", flat=True))
        rows.update(
            opted_out=True,
            consent_changed_at=self.now,
            consent_changed_by=LeadIdentity.ConsentSource.IMPORT,
        )
        return {told[lead] for lead in silent}

    def _add_tags(self, meant: Sequence[_Meant]) -> set[int]:
        wanted = {(each.lead.pk, name.lower()): each for each in meant for name in each.told.tags}
        # The first row with a new tag says how it is written.
        spelt = {
            name.lower(): name for each in reversed(meant) for name in reversed(each.told.tags)
        }
        for small, name in spelt.items():
            if not self._tags.get(small):
                self._tags[small] = Tag.objects.create(name=name).pk
        rows = LeadTag.objects.filter(lead__in={lead for lead, _name in wanted})
        known = set(rows.values_list("lead_id", "tag_id"))
        new = {
            key: each for key, each in wanted.items() if (key[0], self._tags[key[1]]) not in known
        }
        LeadTag.objects.bulk_create(
            LeadTag(lead_id=lead, tag_id=self._tags[name]) for lead, name in new
        )
        return {each.told.line for each in new.values()}

    def _read_tags(self) -> None:
        rows = Tag.objects.annotate(small=Lower("name"))
        self._tags = dict(rows.values_list("small", "pk"))


_SAVED = (
    "external_id", "name", "note", "owner_id", "owner_since", "stage_id", "stage_since",
    "recognised_at", "updated_at",
)  # fmt: skip
_SAVE = f"""
UPDATE messaging_lead SET {", ".join(f"{name} = %s" for name in _SAVED)} WHERE id = %s
"""  # noqa: S608  only names of its own columns are put together


def _save(leads: Iterable[Lead]) -> None:
    """Many at the price of a few."""
    rows = [[*(getattr(lead, name) for name in _SAVED), lead.pk] for lead in leads]
    with connection.cursor() as cursor:
        cursor.executemany(_SAVE, sorted(rows, key=lambda row: row[-1]))


def _result(meant: _Meant, changed: set[int]) -> Result:
    if meant.is_new:
        return Result.NEW
    return Result.COMPLETED if meant.told.line in changed else Result.KNOWN


def _ambiguous(found: Sequence[Lead]) -> str:
    names = " and ".join(f"{lead} ({lead.pk or 'of this file'})" for lead in found)
    return f"phone: its addresses belong to several leads, {names}: link those first"


class _Known:
    """Whose the addresses and ids of some rows are; each lead is one object."""

    def __init__(self, told: Sequence[_Told]) -> None:
        self._leads: dict[int, Lead] = {}
        self._by_address = {
            Address(each.kind, each.value): self._one(each.lead) for each in _identities(told)
        }
        ids = {each.external_id for each in told if each.external_id}
        self._by_id = {
            lead.external_id: self._one(lead.merged_into or lead)
            for lead in Lead.objects.filter(external_id__in=ids).select_related("merged_into")
        }

    def owners_of(self, told: _Told) -> list[Lead]:
        """The different leads that have the row's id or one of its addresses in any form."""
        owners = [self._by_id.get(told.external_id)]
        owners += [self._by_address.get(same) for same in _every_form(told.addresses)]
        return list({id(owner): owner for owner in owners if owner is not None}.values())

    def learn(self, told: _Told, lead: Lead) -> tuple[Address, ...]:
        """The row is about this lead; which of its addresses nobody has had."""
        missing = tuple(
            address
            for address in told.addresses
            if not any(same in self._by_address for same in addressing.same_as(address))
        )
        self._by_address |= dict.fromkeys(missing, lead)
        if told.external_id:
            self._by_id.setdefault(told.external_id, lead)
        return missing

    def _one(self, lead: Lead) -> Lead:
        return self._leads.setdefault(lead.pk, lead)


def _every_form(addresses: Iterable[Address]) -> list[Address]:
    return [same for address in addresses for same in addressing.same_as(address)]


def _identities(told: Sequence[_Told]) -> list[LeadIdentity]:
    wanted = _every_form(address for each in told for address in each.addresses)
    rows = LeadIdentity.objects.filter(
        kind__in={each.kind for each in wanted}, value__in={each.value for each in wanted}
    )
    return list(rows.select_related("lead"))
