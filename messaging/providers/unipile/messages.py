"""Messages, and what becomes of them: edits, withdrawals, reactions, receipts."""

from collections.abc import Callable

from messaging.events import (
    STORY,
    Deleted,
    Edited,
    Event,
    Kind,
    Person,
    Reacted,
    Received,
    Status,
    StatusChanged,
)
from messaging.providers.reading import digest, event_id, first_text, identifier, mapping, text

from .posts import Post, ignored
from .said import is_ours, is_true, person_of, read_said


def read_message(post: Post) -> Event | None:
    """Something somebody wrote, or we ourselves: Unipile tells both alike."""
    said = read_said(post)
    if said.is_story:
        return ignored(post, STORY)
    if said.is_event:
        return ignored(post, "chat event")
    if not said.id:
        return None
    if said.person == Person() and said.from_us and not said.group:
        # It is ours and does not say to whom: where we sent it, that it left is news.
        return _status(post, said.id, Status.SENT)
    if said.person == Person() and not said.from_us:
        return None
    kind = said.attachments[0].kind if said.attachments else Kind.TEXT
    return Received(
        event_id=said.id,
        instance_ref=post.reference,
        at=said.at,
        raw=post.raw,
        external_id=said.id,
        person=said.person,
        # Places, cards and polls come without words.
        kind=kind if said.attachments or said.text else Kind.PLACEHOLDER,
        text=said.text,
        from_us=said.from_us,
        group=said.group,
        reply_to=said.reply_to,
        attachments=said.attachments,
    )


def read_edit(post: Post) -> Event | None:
    """v2 tells with the same event that a message was withdrawn, or that anything of it changed."""
    said = read_said(post)
    message = mapping(post.told.get("message")) or post.told
    if said.id and is_true(message.get("is_deleted")):
        return _deleted(post, said.id)
    if "is_edited" in message and not is_true(message["is_edited"]):
        return ignored(post, "same text")
    if not said.id or not said.text:
        return None
    carrier = post.id or (post.at.isoformat() if post.at else "")
    return Edited(
        event_id=event_id(said.id, "edited", digest(carrier, said.text)[:32]),
        instance_ref=post.reference,
        at=post.at,
        raw=post.raw,
        external_id=said.id,
        text=said.text,
    )


def read_deletion(post: Post) -> Event | None:
    target = _target(post)
    return _deleted(post, target) if target else None


def read_reaction(post: Post) -> Event | None:
    """`reaction_sender` put it there; without an emoji it was taken back."""
    reaction = mapping(post.told.get("reaction"))
    by = mapping(post.told.get("reaction_sender")) or mapping(reaction.get("sender"))
    by = by or mapping(post.told.get("sender"))
    emoji = first_text(reaction, "value", "reaction", "emoji") or text(post.told.get("reaction"))
    account = mapping(post.told.get("account_info"))
    from_us = is_ours(by, account) or is_true(post.told.get("is_sender"))
    person, target = person_of(by), _target(post)
    if not target or "reaction" not in post.told or (person == Person() and not from_us):
        return None
    who = "us" if from_us else person.phone or person.lid
    when = str(int(post.at.timestamp())) if post.at else ""
    return Reacted(
        event_id=event_id(target, "reaction", who, emoji, when),
        instance_ref=post.reference,
        at=post.at,
        raw=post.raw,
        external_id=target,
        person=person,
        emoji=emoji,
        from_us=from_us,
    )


def receipt(status: Status) -> Callable[[Post], Event | None]:
    """A reader of the receipts that say a message got this far."""

    def read(post: Post) -> Event | None:
        target = _target(post)
        return _status(post, target, status) if target else None

    return read


def _target(post: Post) -> str:
    message = mapping(post.told.get("message"))
    return identifier(post.told, "message_id") or identifier(
        message or post.told, "message_id", "id"
    )


def _status(post: Post, message_id: str, status: Status) -> StatusChanged:
    return StatusChanged(
        event_id=event_id(message_id, "status", status.value),
        instance_ref=post.reference,
        at=post.at,
        raw=post.raw,
        status=status,
        external_id=message_id,
    )


def _deleted(post: Post, message_id: str) -> Deleted:
    return Deleted(
        event_id=event_id(message_id, "deleted"),
        instance_ref=post.reference,
        at=post.at,
        raw=post.raw,
        external_id=message_id,
    )
