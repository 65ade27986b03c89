"""Two leads turn out to be one: what moves is written down, so that it can move back.

Whoever adds a table that points at a lead says in MOVES what becomes of its rows.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.apps import apps
from django.db import transaction
from django.db.models import Max, Q
from django.utils.translation import gettext_lazy as _

from messaging import addressing, folding, realtime, signals, tagging
from messaging.models import Conversation, Lead, LeadIdentity, LeadMerge, Message
from tenants import audit, orders
from tenants.context import current_number


class Move(StrEnum):
    """What becomes of a table's rows when their lead is merged into another."""

    ROWS = "rows"
    """They go along, and come back: all of them, or where they point at a message, with it."""
    HERE = "here"
    """They go along in a way of their own, written below."""
    STAY = "stay"
    """They are about the lead's own row, and stay with it."""


MOVES: dict[str, Move] = {
    "messaging.activity.lead": Move.ROWS,
    "messaging.conversation.lead": Move.HERE,
    "messaging.esporecord.lead": Move.ROWS,
    "messaging.followup.lead": Move.ROWS,
    "messaging.lead.merged_into": Move.STAY,
    "messaging.leadidentity.lead": Move.HERE,
    "messaging.leadmerge.kept": Move.STAY,
    "messaging.leadmerge.merged": Move.STAY,
    "messaging.leadtag.lead": Move.HERE,
    "messaging.message.lead": Move.HERE,
    "messaging.stagechange.lead": Move.ROWS,
    "messaging.standing.lead": Move.STAY,
}


class NotMerged(Exception):
    """Leads that were not merged, or not separated: why, in the reader's language."""

    def __init__(self, code: str, message: Any) -> None:
        super().__init__(code)
        self.code = code
        self.message = message


@dataclass
class Preview:
    """What merging two leads will do."""

    kept: Lead
    other: Lead
    identities: list[LeadIdentity] = field(default_factory=list)
    conversations: list[Conversation] = field(default_factory=list)
    folded: list[Conversation] = field(default_factory=list)
    messages: int = 0
    will_be: dict[str, Any] = field(default_factory=dict)


def preview(kept: Lead, other: Lead) -> Preview:
    """What `merge` would do, without doing it; `NotMerged` where it would refuse."""
    _require_mergeable(kept, other)
    conversations = list(other.conversations.filter(folded_into=None).order_by("pk"))
    here = {each.instance_id for each in kept.conversations.filter(folded_into=None)}
    folded = [each for each in conversations if each.instance_id in here and not each.is_group]
    return Preview(
        kept,
        other,
        identities=list(other.identities.order_by("pk")),
        conversations=[each for each in conversations if each not in folded],
        folded=folded,
        messages=other.messages.count(),
        will_be=_joined(kept, other),
    )


@transaction.atomic
def merge(kept: Lead, other: Lead, *, by=None) -> LeadMerge:
    """Everything of `other` becomes `kept`'s; `other` stays as an empty lead that points there."""
    kept, other = _locked(kept, other)
    _require_mergeable(kept, other)
    before, after = _facts(kept), _joined(kept, other)
    moved = {
        "identities": _ids(other.identities),
        "messages": _ids(other.messages),
        "rows": _move_rows(other, kept),
        "tags": tagging.go_along(other, kept),
        "before": before,
        "after": after,
        "newest_message": _newest_message(),
    }
    moved |= _move_conversations(other, kept)
    other.identities.update(lead=kept)
    other.messages.update(lead=kept)
    _write(kept, after)
    other.merged_into = kept
    other.save(update_fields=["merged_into", "updated_at"])
    record = LeadMerge.objects.create(kept=kept, merged=other, moved=moved, by=by)
    # By id alone: a lead whose data is erased must not be found here.
    audit.record(
        "lead.merged",
        by=by,
        subject=kept,
        subject_name=f"#{kept.pk}",
        after={"merged": other.pk},
    )
    _tell(kept)
    signals.leads_touched([kept.pk, other.pk])
    return record


@transaction.atomic
def undo(record: LeadMerge, *, by, now: datetime) -> LeadMerge:
    """Two leads again: each gets its rows, and what came since by the identities it has."""
    kept, other = _locked(record.kept, record.merged)
    record.refresh_from_db()
    if record.undone_at is not None:
        return record
    _require_undoable(record, kept, other)
    moved = record.moved
    other.merged_into = None
    other.save(update_fields=["merged_into", "updated_at"])
    returning = _returning_identities(kept, moved)
    LeadIdentity.objects.filter(pk__in=returning).update(lead=other)
    unread = _unread_in(kept)
    Conversation.objects.filter(pk__in=moved["conversations"], lead=kept).update(lead=other)
    closed_again = [pk for before in reversed(moved["folded"]) for pk in folding.unfold(before)]
    touched = _part_messages(kept, other, _messages_of(kept, moved, returning))
    for conversation in Conversation.objects.filter(pk__in=touched):
        mine = conversation.messages.filter(pk__in=unread)
        folding.recount(conversation, unread=mine.count())
    folding.open_where_written(closed_again, since=moved["newest_message"])
    _move_rows_back(kept, other, moved["rows"])
    tagging.come_back(other, kept, moved.get("tags", []))
    _write(kept, _as_before(kept, moved))
    record.undone_at, record.undone_by = now, by
    record.save(update_fields=["undone_at", "undone_by"])
    audit.record(
        "lead.parted",
        by=by,
        subject=kept,
        subject_name=f"#{kept.pk}",
        after={"parted": other.pk},
    )
    _tell(kept)
    _tell(other)
    signals.leads_touched([kept.pk, other.pk])
    return record


def of(lead: Lead):
    """The merges that made this lead what it is and can be undone, newest first."""
    merges = LeadMerge.objects.filter(kept=lead, undone_at=None)
    return merges.select_related("merged", "by").order_by("-pk")


def are_kept_apart(one: Lead, other: Lead) -> bool:
    """Whether a person separated these two, so that no news puts them together again."""
    pair = Q(kept=one, merged=other) | Q(kept=other, merged=one)
    return LeadMerge.objects.filter(pair, undone_at__isnull=False).exists()


# Merging


def _locked(*leads: Lead) -> list[Lead]:
    """The leads as they are now; neither the inbox nor a send changes anything of them
    meanwhile."""
    orders.hold_inbox(current_number())
    ids = [lead.pk for lead in leads]
    rows = Lead.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk")
    found = {lead.pk: lead for lead in rows}
    folding.lock(leads)
    return [found[pk] for pk in ids]


def _require_mergeable(kept: Lead, other: Lead) -> None:
    if kept.pk == other.pk:
        raise NotMerged("lead_same", _("Choose another lead: this is the same one."))
    if kept.merged_into_id or other.merged_into_id:
        raise NotMerged("lead_merged", _("One of the two was merged into another lead already."))
    groups = Conversation.objects.filter(lead__in=(kept, other), is_group=True)
    if groups.exists():
        raise NotMerged("lead_group", _("A group cannot be merged: many people write in it."))


def _facts(lead: Lead) -> dict[str, Any]:
    recognised_at = lead.recognised_at.isoformat() if lead.recognised_at else None
    return {
        "name": lead.name,
        "owner_id": lead.owner_id,
        "note": lead.note,
        "recognised_at": recognised_at,
        "is_vip": lead.is_vip,
    }


def _joined(kept: Lead, other: Lead) -> dict[str, Any]:
    """What the one lead will be called, whose it will be, what is noted about it."""
    mine, theirs = _facts(kept), _facts(other)
    joined = {name: mine[name] or theirs[name] for name in mine}
    notes = [note for note in (kept.note.strip(), other.note.strip()) if note]
    joined["note"] = "\n\n".join(dict.fromkeys(notes))
    return joined


def _write(lead: Lead, facts: dict[str, Any]) -> None:
    Lead.objects.filter(pk=lead.pk).update(**facts)
    lead.refresh_from_db()
    lead.save(update_fields=["updated_at"])


def _move_conversations(source: Lead, target: Lead) -> dict[str, list]:
    moved, folded = [], []
    for conversation in source.conversations.filter(folded_into=None).order_by("pk"):
        into = folding.reached_at(target, conversation.instance_id)
        if into is not None and not conversation.is_group:
            folded.append(folding.fold(conversation, into))
        else:
            moved.append(conversation.pk)
            Conversation.objects.filter(pk=conversation.pk).update(lead=target)
    return {"conversations": moved, "folded": folded}


def _move_rows(source: Lead, target: Lead) -> dict[str, list[int]]:
    moved = {}
    for place, model, name in _row_moves():
        rows = model._default_manager.filter(**{name: source})
        moved[place] = _ids(rows)
        rows.update(**{name: target})
    return moved


def _row_moves() -> Iterable[tuple[str, Any, str]]:
    for place, move in MOVES.items():
        if move is Move.ROWS:
            label, _dot, name = place.rpartition(".")
            yield place, apps.get_model(label), name


def _ids(rows) -> list[int]:
    return list(rows.order_by("pk").values_list("pk", flat=True))


def _newest_message() -> int:
    return Message.objects.aggregate(newest=Max("pk"))["newest"] or 0


# Undoing


def _require_undoable(record: LeadMerge, kept: Lead, other: Lead) -> None:
    if kept.merged_into_id or other.merged_into_id != kept.pk:
        raise NotMerged(
            "merge_built_on", _("This lead was merged again since: separate that merge first.")
        )


def _returning_identities(kept: Lead, moved: dict[str, Any]) -> list[int]:
    """What went along, and what was told since beside one of those."""
    returning = set(moved["identities"])
    for identity in kept.identities.order_by("pk"):
        if identity.told_beside_id in returning:
            returning.add(identity.pk)
    return sorted(returning)


def _messages_of(kept: Lead, moved: dict[str, Any], identities: list[int]) -> set[int]:
    """The messages that leave: those that came along, and newer ones by returning identities."""
    addresses = [
        same.value
        for each in LeadIdentity.objects.filter(pk__in=identities)
        for same in addressing.same_as(addressing.Address(each.kind, each.value))
    ]
    newer = Message.objects.filter(
        lead=kept, pk__gt=moved["newest_message"], peer__in=addresses
    ).values_list("pk", flat=True)
    came_along = Message.objects.filter(lead=kept, pk__in=moved["messages"])
    return {*came_along.values_list("pk", flat=True), *newer}


def _unread_in(lead: Lead) -> set[int]:
    mine = lead.conversations.filter(unread_count__gt=0)
    return {pk for conversation in mine for pk in folding.unread_in(conversation)}


def _part_messages(kept: Lead, other: Lead, leaving: set[int]) -> set[int]:
    """Put every message with its lead, in that lead's conversation; the conversations touched."""
    touched: set[int] = set()
    rows = Message.objects.filter(lead=kept).select_related("conversation").order_by("sent_at")
    going: dict[tuple[int, Conversation], list[int]] = {}
    for message in rows.only("pk", "peer", "instance_id", "conversation"):
        owner = other if message.pk in leaving else kept
        target = message.conversation
        touched.add(target.pk)
        if target.lead_id != owner.pk:
            peer = message.peer or target.peer
            target = folding.open_for(owner, message.instance_id, peer)
        going.setdefault((owner.pk, target), []).append(message.pk)
    for (owner_pk, target), ids in going.items():
        Message.objects.filter(pk__in=ids).update(lead=owner_pk, conversation=target)
        touched.add(target.pk)
    return touched


def _move_rows_back(kept: Lead, other: Lead, moved: dict[str, list[int]]) -> None:
    for place, model, name in _row_moves():
        mine = model._default_manager.filter(**{name: kept})
        back = Q(pk__in=moved.get(place, []))
        if any(each.name == "message" and each.is_relation for each in model._meta.fields):
            back = (back & Q(message=None)) | Q(message__lead=other)
        mine.filter(back).update(**{name: other})


def _as_before(kept: Lead, moved: dict[str, Any]) -> dict[str, Any]:
    """What the merge changed and nobody has changed since."""
    now, before, after = _facts(kept), moved["before"], moved["after"]
    return {name: before[name] for name in before if now[name] == after[name]}


def _tell(lead: Lead) -> None:
    for pk in lead.conversations.values_list("pk", flat=True):
        realtime.publish("conversation", conversation=pk)
    for pk in Conversation.objects.filter(folded_into__lead=lead).values_list("pk", flat=True):
        realtime.publish("conversation", conversation=pk)
