"""Notes of the team in a conversation, and telling whoever is named in one."""

import uuid
from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from messaging import queries, realtime
from messaging.models import Conversation, Mention, Note

# More notes than this between two messages are shown from the latest on.
MOST_NOTES = 500
PAGE = 30


@transaction.atomic
def write(
    conversation: Conversation,
    text: str,
    *,
    by,
    named: Iterable = (),
    reference: uuid.UUID | None = None,
    now: datetime,
) -> Note:
    """Keep a note and tell whoever its text names. The same reference twice is one note."""
    people = [person for person in named if _sign(person) in text]
    note, is_new = Note.objects.get_or_create(
        reference=reference or uuid.uuid4(),
        defaults={
            "conversation": conversation,
            "by": by,
            "text": text,
            "names": [_sign(person) for person in people],
            "created_at": now,
        },
    )
    if is_new:
        Mention.objects.bulk_create(Mention(note=note, user=person) for person in people)
        realtime.publish("note", conversation=conversation.pk, note=note.pk)
        for person in people:
            realtime.publish("mention", user=person.pk, conversation=conversation.pk, note=note.pk)
    return note


def named_in(note: Note) -> list[int]:
    """Whom a note names, as far as they may still see it."""
    told = queries.who_may_see(note.conversation)
    return list(note.mentions.filter(user__in=told).values_list("user", flat=True))


def remove(note: Note) -> None:
    """Take a note back, its mentions included."""
    conversation, pk = note.conversation_id, note.pk
    note.delete()
    realtime.publish("note", conversation=conversation, note=pk)


def beside(conversation: Conversation, shown: queries.Stretch) -> list[Note]:
    """The notes that stand between the messages of a stretch, oldest first.

    Neighbouring stretches share no note and leave none out: each has those from its first message
    on, up to where the next one begins.
    """
    rows = conversation.notes.select_related("by")
    if shown.begins_at is not None:
        rows = rows.filter(created_at__gte=shown.begins_at)
    if shown.ends_at is not None:
        rows = rows.filter(created_at__lt=shown.ends_at)
    return list(rows.order_by("-created_at", "-pk")[:MOST_NOTES])[::-1]


def note_of(user, pk: int) -> Note | None:
    """One note this person may see, or None."""
    seen = Note.objects.filter(pk=pk, conversation__in=queries.visible_conversations(user))
    return seen.select_related("by").first()


def mentions(user, after: int | None = None) -> queries.Page:
    """A page of a person's mentions, latest first; `after` is the last id seen."""
    rows = _mentions(user).select_related("note__by", "note__conversation__lead").order_by("-pk")
    if after is not None:
        rows = rows.filter(pk__lt=after)
    found = list(rows.defer("note__conversation__lead__words")[: PAGE + 1])
    return queries.Page(found[:PAGE], found[PAGE - 1].pk if len(found) > PAGE else None)


def unseen(user) -> QuerySet[Mention]:
    """The mentions this person has not looked at."""
    return _mentions(user).filter(seen_at=None)


def mark_seen(user, *, now: datetime) -> None:
    """The person has looked at their mentions."""
    if unseen(user).update(seen_at=now):
        realtime.publish("mention", user=user.pk)


def _mentions(user) -> QuerySet[Mention]:
    visible = queries.visible_conversations(user)
    return Mention.objects.filter(user=user, note__conversation__in=visible)


def _sign(person) -> str:
    return f"@{person}"
