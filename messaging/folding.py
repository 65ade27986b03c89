"""Two conversations of one lead at one number become one, and two again.

What was said moves; the emptied conversation stays as a sign that leads to the other.
"""

from collections.abc import Collection
from typing import Any

from django.apps import apps
from django.db import connection

from messaging import previews, windows
from messaging.models import Conversation, Lead, Message
from messaging.providers import get as provider_of
from tenants.models import ProviderInstance

Direction = Message.Direction
State = Conversation.State
# Tables beside messages that point at a conversation, as "app.model.field": their rows go along and
# come back. Whoever adds such a table adds it here, and sees to what may be there only once.
ALONG: tuple[str, ...] = ("messaging.note.conversation", "messaging.draft.conversation")
# What a folded conversation gets back when it is one of its own again.
_OWN = ("state", "closed_at", "unread_count")
# What the other takes over from it, and gives up again where nobody changed it since.
_TAKEN_OVER = ("state", "closed_at", "assignee_id")


def reached_at(lead: Lead, instance_id: int) -> Conversation | None:
    """The lead's conversation with people at an instance, the latest where there are several."""
    mine = Conversation.objects.filter(lead=lead, instance_id=instance_id, is_group=False)
    return mine.filter(folded_into=None).order_by("-last_message_at", "-pk").first()


def fold(source: Conversation, target: Conversation) -> dict[str, Any]:
    """Move all that was said in one conversation into another; what it takes to unfold it."""
    before = {
        "id": source.pk,
        "into": target.pk,
        "peer": target.peer,
        "target_before": _facts(target, _TAKEN_OVER),
        "rows": _take_along(source, target),
        **_facts(source, _OWN),
    }
    unread = source.unread_count + target.unread_count
    source.messages.update(conversation=target)
    _take_over(source, target)
    before["target_after"] = _facts(target, _TAKEN_OVER)
    Conversation.objects.filter(pk=source.pk).update(
        folded_into=target,
        state=State.CLOSED,
        unread_count=0,
        last_received_at=None,
        window_ends_at=None,
        **previews.of_nothing(),
    )
    recount(target, unread=unread)
    return before


def unfold(before: dict[str, Any]) -> list[int]:
    """Make a folded conversation one of its own again, still empty.

    Says which of the two are closed again while what was one is open: whoever wrote since waits
    in one of them.
    """
    source = Conversation.objects.filter(pk=before["id"]).first()
    if source is None:
        return []
    source.folded_into = None
    for name in _OWN:
        setattr(source, name, before[name])
    source.save(update_fields=["folded_into", *_OWN])
    for place, ids in before["rows"].items():
        model, name = _place(place)
        model._default_manager.filter(pk__in=ids).update(**{name: source})
    target = Conversation.objects.filter(pk=before["into"]).first()
    if target is None:
        return []
    was_open = target.state == State.OPEN
    _give_up(target, source, before)
    return [each.pk for each in (source, target) if was_open and each.state == State.CLOSED]


def open_where_written(conversations: Collection[int], *, since: int) -> None:
    """Open those of the conversations in which a contact wrote after this message."""
    wrote = Message.objects.filter(
        conversation__in=conversations, direction=Direction.IN, pk__gt=since
    )
    Conversation.objects.filter(pk__in=wrote.values("conversation")).update(
        state=State.OPEN, closed_at=None
    )


def current(conversation: Conversation) -> Conversation:
    """The conversation in which things are said now: itself, or the one it was folded into."""
    while conversation.folded_into is not None:
        conversation = conversation.folded_into
    return conversation


def open_for(lead: Lead, instance_id: int, peer: str) -> Conversation:
    """The lead's conversation at an instance, made where there is none."""
    found = reached_at(lead, instance_id)
    if found is not None:
        return found
    instance = ProviderInstance.objects.across_tenants().get(pk=instance_id)
    return Conversation.objects.create(
        lead=lead,
        instance_id=instance_id,
        peer=peer,
        provider=instance.provider,
        medium=provider_of(instance.provider).medium,
        assignee=lead.owner,
    )


def unread_in(conversation: Conversation) -> set[int]:
    """The messages that a conversation's unread count means: its latest received ones."""
    received = conversation.messages.filter(direction=Direction.IN).order_by("-sent_at", "-pk")
    return set(received.values_list("pk", flat=True)[: conversation.unread_count])


def recount(conversation: Conversation, *, unread: int) -> None:
    """Make a conversation's row true again after messages came or went."""
    said = conversation.messages.order_by("-sent_at", "-pk")
    last, last_in = said.first(), said.filter(direction=Direction.IN).first()
    conversation.last_received_at = None
    known = {"last_received_at": None, "window_ends_at": None, "unread_count": unread}
    if last_in is not None:
        known |= windows.opened_by(conversation, last_in.sent_at)
    shown = previews.of(last) if last else previews.of_nothing()
    Conversation.objects.filter(pk=conversation.pk).update(**known, **shown)
    conversation.refresh_from_db()


def draw(conversations: Collection[Conversation]) -> None:
    """Make conversations true again after older messages came in, without saving them: the last
    message, when the contact last wrote, the window. What is unread stays so."""
    last = _last_messages(conversations)
    shown = Message.objects.in_bulk([pk for pk, _heard_at in last.values() if pk])
    for conversation in conversations:
        pk, heard_at = last[conversation.pk]
        facts = previews.of(shown[pk]) if pk else previews.of_nothing()
        if heard_at and heard_at != conversation.last_received_at:
            facts |= windows.opened_by(conversation, heard_at)
        for name, value in facts.items():
            setattr(conversation, name, value)


def save_rows(conversations: Collection[Conversation]) -> None:
    """Save what `draw` sets, and whether they are open; many at the price of a few."""
    with connection.cursor() as cursor:
        rows = [[*(getattr(each, name) for name in _DRAWN), each.pk] for each in conversations]
        cursor.executemany(_SAVE, rows)


def _last_messages(conversations: Collection[Conversation]) -> dict[int, tuple]:
    with connection.cursor() as cursor:
        cursor.execute(_LAST, [[each.pk for each in conversations]])
        return {conversation: (pk, heard_at) for conversation, pk, heard_at in cursor.fetchall()}


_DRAWN = (*previews.of_nothing(), "last_received_at", "window_ends_at", "state", "closed_at")
_SAVE = f"""
UPDATE messaging_conversation SET {", ".join(f"{name} = %s" for name in _DRAWN)} WHERE id = %s
"""  # noqa: S608  only names of its own columns are put together
_LAST = """
SELECT wanted.id, last.id, heard.sent_at
FROM unnest(%s::bigint[]) AS wanted(id)
LEFT JOIN LATERAL (
    SELECT message.id FROM messaging_message message WHERE message.conversation_id = wanted.id
    ORDER BY message.sent_at DESC, message.id DESC LIMIT 1) last ON true
LEFT JOIN LATERAL (
    SELECT message.sent_at FROM messaging_message message
    WHERE message.conversation_id = wanted.id AND message.direction = 'in'
    ORDER BY message.sent_at DESC LIMIT 1) heard ON true
"""


def lock(leads: Collection[Lead]) -> None:
    """Nobody else sends in these leads' conversations until the transaction ends."""
    mine = Conversation.objects.filter(lead__in=leads).order_by("pk")
    list(mine.select_for_update(no_key=True).values_list("pk", flat=True))


def _take_along(source: Conversation, target: Conversation) -> dict[str, list[int]]:
    moved = {}
    for place in ALONG:
        model, name = _place(place)
        rows = model._default_manager.filter(**{name: source})
        moved[place] = list(rows.values_list("pk", flat=True))
        rows.update(**{name: target})
    return moved


def _place(place: str) -> tuple[Any, str]:
    label, _dot, name = place.rpartition(".")
    return apps.get_model(label), name


def _take_over(source: Conversation, target: Conversation) -> None:
    """An open one stays open, somebody stays responsible, and answers go where they are heard:
    to a number rather than an identifier, else to where the contact wrote from last."""
    if source.state == State.OPEN:
        target.state, target.closed_at = State.OPEN, None
    target.assignee = target.assignee or source.assignee
    if _is_better(source, target):
        target.peer = source.peer
    target.save(update_fields=["state", "closed_at", "assignee", "peer"])


def _give_up(target: Conversation, source: Conversation, before: dict[str, Any]) -> None:
    """What it took over, where nobody changed it since."""
    if target.peer == source.peer:
        target.peer = before["peer"]
    now, after = _facts(target, _TAKEN_OVER), before.get("target_after", {})
    for name, value in before.get("target_before", {}).items():
        if now[name] == after[name]:
            setattr(target, name, value)
    target.save(update_fields=["peer", "state", "closed_at", "assignee"])


def _is_better(source: Conversation, target: Conversation) -> bool:
    numbers = source.peer.startswith("+"), target.peer.startswith("+")
    if numbers[0] != numbers[1]:
        return numbers[0]
    if source.last_received_at is None:
        return False
    return target.last_received_at is None or source.last_received_at > target.last_received_at


def _facts(conversation: Conversation, names: Collection[str]) -> dict[str, Any]:
    return {name: _plain(getattr(conversation, name)) for name in names}


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value
