"""Reading what changed in the CRM, and what is gone there.

Changes come in the order of their time and id; a run reads so many and the next goes on behind
the last. What was written while a run read has an earlier time than the last that was read at
most by as long as a write takes: every run begins a little earlier, and passes over what it knows.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.utils import timezone

from messaging import addressing, recognising
from messaging.espo import agreeing, leads, queueing, turns
from messaging.espo.agreeing import Terms
from messaging.espo.client import Client, EspoError
from messaging.espo.leads import EspoLead, Listed
from messaging.models import EspoPush, EspoRecord, Lead
from tenants.models import CrmLink

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
OVERLAP = timedelta(minutes=2)
# How many leads one run reads whole, and how many lists it asks for.
MOST_READ = 200
MOST_LISTS = 100
# How many known leads one run looks for, the longest unseen first.
LOOKED_FOR = 500


def pull(link: CrmLink, client: Client, terms: Terms) -> None:
    """Read what changed since the last time, as much as one run may, and what is gone."""
    at = link.read_at or BEGINNING
    place = (at, link.read_id) if link.is_behind else (at - OVERLAP, "")
    read = 0
    for _list in range(MOST_LISTS):
        listed = leads.changed_since(client, *place)
        news = set(_news(listed))
        for each in listed:
            if each.id in news:
                if read >= MOST_READ:
                    return
                turns.stay(link)
                take(link, client, terms, each.id)
                read += 1
                _remember(link, (each.modified_at, each.id), is_behind=True)
            place = each.modified_at, each.id
        if len(listed) < leads.PAGE:
            _remember(link, place, is_behind=False)
            _look_for_the_gone(client)
            return
        _remember(link, place, is_behind=True)


def take(link: CrmLink, client: Client, terms: Terms, record_id: str) -> EspoLead | None:
    """Read one lead whole and let ours be what it says; None where it is gone."""
    try:
        told = leads.whole(client, record_id)
    except EspoError as error:
        if error.code not in ("not_found", "forbidden"):
            raise
        # Gone between the list and now, or one that the key may list and not read.
        gone([record_id], now=timezone.now())
        return None
    known = EspoRecord.objects.select_related("lead").filter(record_id=record_id).first()
    times = _times(client, known, told)
    keep(link, terms, told, times, now=timezone.now())
    return told


@transaction.atomic
def keep(
    link: CrmLink, terms: Terms, told: EspoLead, times: Mapping[str, datetime], *, now: datetime
) -> EspoRecord | None:
    """Let the lead here be what the CRM says of it; found or made where it is told for the first
    time. None for one whose data was erased here."""
    turns.require_linked(link)
    record = EspoRecord.objects.select_for_update().filter(record_id=told.id).first()
    is_new, is_made = record is None, False
    if record is None:
        lead, is_made = _lead_of(told, terms)
        record = EspoRecord(
            record_id=told.id, lead=lead, notes_since=link.linked_at, created_at=now, seen_at=now
        )
    # As it is now, and nobody else changes it meanwhile.
    record.lead = Lead.objects.select_for_update(no_key=True).get(pk=record.lead_id)
    if record.lead.erased_at is not None:
        return None
    agreeing.take_in(record, told, terms, times=times, now=now, is_made=is_made)
    if is_new:
        queueing.catch_up(record.pk, now=now)
        queueing.tell_changes([record.lead_id], now=now)
    return record


def gone(record_ids: list[str], *, now: datetime) -> None:
    """These leads are in the CRM no more: ours stay, and nothing is told of them."""
    with transaction.atomic():
        records = EspoRecord.objects.filter(record_id__in=record_ids)
        records.filter(gone_at=None).update(gone_at=now)
        EspoPush.objects.filter(
            record__in=records, state__in=(EspoPush.State.WAITING, EspoPush.State.SENDING)
        ).update(state=EspoPush.State.DROPPED, error_code="lead_gone")


def _news(listed: list[Listed]) -> list[str]:
    """Those of a list that are not known as the list tells them."""
    known = {
        record_id: (modified_at, told, gone_at)
        for record_id, modified_at, told, gone_at in EspoRecord.objects.filter(
            record_id__in=[each.id for each in listed]
        ).values_list("record_id", "modified_at", "told", "gone_at")
    }
    return [each.id for each in listed if known.get(each.id) != (each.modified_at, each.told, None)]


def _remember(link: CrmLink, place: tuple[datetime, str], *, is_behind: bool) -> None:
    if (link.read_at, link.read_id, link.is_behind) == (*place, is_behind):
        return
    if not is_behind and link.read_at is not None and place[0] < link.read_at:
        # Nothing new: what was read stays read.
        place = link.read_at, link.read_id
    link.read_at, link.read_id, link.is_behind = *place, is_behind
    turns.change(link, read_at=link.read_at, read_id=link.read_id, is_behind=is_behind)


def _times(client: Client, record: EspoRecord | None, told: EspoLead) -> dict[str, datetime]:
    """When the CRM changed what we changed, too: its stream is asked for nothing else."""
    contested = agreeing.contested(record, record.lead if record else None, told)
    found = {name: leads.changed_at(client, told.id, name) for name in contested}
    return {name: at for name, at in found.items() if at is not None}


def _lead_of(told: EspoLead, terms: Terms) -> tuple[Lead, bool]:
    """The lead that the CRM means, made where there is none: (lead, is made).

    By its id, else by number, else by e-mail address. A lead is one record's only: what two
    records share belongs to the first that came.
    """
    there = agreeing.addresses_of(told, terms.country)
    found = _named(told.id) or next(
        (each for each in addressing.leads_with(there) if _is_free(each)), None
    )
    is_made = found is None
    if found is None:
        free = [each for each in there if not addressing.leads_with([each])]
        found, is_made = addressing.lead_for(free, name=told.name, is_known=True)
    recognising.keep(found, now=timezone.now())
    if not found.external_id and not Lead.objects.filter(external_id=told.id).exists():
        found.external_id = told.id
        found.save(update_fields=["external_id", "updated_at"])
    return found, is_made


def _named(record_id: str) -> Lead | None:
    """The lead to which somebody gave this id of the CRM."""
    lead = Lead.objects.filter(external_id=record_id[:100]).first()
    while lead is not None and lead.merged_into is not None:
        lead = lead.merged_into
    return lead if lead is not None and _is_free(lead) else None


def _is_free(lead: Lead) -> bool:
    return not lead.espo_records.filter(gone_at=None).exists()


def _look_for_the_gone(client: Client) -> None:
    """Ask for those that were not seen the longest: the CRM does not tell what it removes.

    One that is back, as when its removal was undone, is read again as any other.
    """
    now = timezone.now()
    wanted = EspoRecord.objects.order_by("seen_at", "pk")[:LOOKED_FOR]
    ids = list(wanted.values_list("record_id", flat=True))
    if not ids:
        return
    there = leads.there_still(client, ids)
    gone([each for each in ids if each not in there], now=now)
    looked_for = EspoRecord.objects.filter(record_id__in=ids)
    looked_for.update(seen_at=now)
    looked_for.filter(record_id__in=there).exclude(gone_at=None).update(gone_at=None)
