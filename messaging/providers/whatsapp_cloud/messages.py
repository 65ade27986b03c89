"""Messages of both directions, and what they do to earlier ones."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from messaging.events import (
    Deleted,
    Edited,
    Event,
    NumberChanged,
    Person,
    Reacted,
    Received,
)
from messaging.providers.reading import event_id, first_text, identifier, mapping, text

from .content import read_content
from .envelope import Change, ignored, message_id, said_at
from .people import person

_NUMBER_CHANGED = ("user_changed_number", "customer_changed_number")
_CODE_CHANGED = ("customer_identity_changed", "user_identity_changed")


@dataclass(frozen=True)
class _Who:
    """The other side of the chat, and which side wrote."""

    person: Person
    from_us: bool


def read_message(change: Change, item: Any) -> Event | None:
    """What a contact sent."""
    found = mapping(item)
    who = person(change.value, first_text(found, "from"), first_text(found, "from_user_id"))
    return _read(change, found, _Who(who, from_us=False))


def read_echo(change: Change, item: Any) -> Event | None:
    """What somebody wrote in the WhatsApp Business app on the phone of the same number."""
    found = mapping(item)
    who = person(change.value, first_text(found, "to"), first_text(found, "to_user_id"))
    # A name that stands in a post of ours is not what the contact calls itself.
    unnamed = Person(phone=who.phone, bsuid=who.bsuid)
    return _read(change, found, _Who(unnamed, from_us=True))


def _read(change: Change, item: dict[str, Any], who: _Who) -> Event | None:
    kind = text(item.get("type"))
    if kind in _OTHERS:
        return _OTHERS[kind](change, item, who)
    return _received(change, item, who)


def _received(change: Change, item: dict[str, Any], who: _Who) -> Event | None:
    group = first_text(item, "group_id")[:200]
    if who.person == Person() and not (who.from_us and group):
        return None
    content = read_content(item)
    external_id = message_id(item, change)
    return Received(
        event_id=external_id,
        instance_ref=change.reference,
        at=said_at(change, item),
        raw=item,
        external_id=external_id,
        person=who.person,
        kind=content.kind,
        text=content.text,
        from_us=who.from_us,
        group=group,
        reply_to=identifier(mapping(item.get("context")), "id"),
        subject=first_text(mapping(item.get("referral")), "headline", "source_url")[:250],
        attachments=content.attachments,
    )


def _read_interactive(change: Change, item: dict[str, Any], who: _Who) -> Event | None:
    if text(mapping(item.get("interactive")).get("type")) == "call_permission_reply":
        return ignored(change, item, "call")
    return _received(change, item, who)


def _read_reaction(change: Change, item: dict[str, Any], who: _Who) -> Event | None:
    reaction = mapping(item.get("reaction"))
    target = identifier(reaction, "message_id")
    if not target or who.person == Person():
        return None
    return Reacted(
        event_id=message_id(item, change),
        instance_ref=change.reference,
        at=said_at(change, item),
        raw=item,
        external_id=target,
        person=who.person,
        emoji=text(reaction.get("emoji")),
        from_us=who.from_us,
    )


def _read_edit(change: Change, item: dict[str, Any], who: _Who) -> Event | None:
    edit = mapping(item.get("edit"))
    target = identifier(edit, "original_message_id")
    if not target or not mapping(edit.get("message")):
        return None
    return Edited(
        event_id=message_id(item, change),
        instance_ref=change.reference,
        at=said_at(change, item),
        raw=item,
        external_id=target,
        text=read_content(mapping(edit["message"])).text,
    )


def _read_revoke(change: Change, item: dict[str, Any], who: _Who) -> Event | None:
    target = identifier(mapping(item.get("revoke")), "original_message_id")
    return deleted(change, item, target) if target else None


def deleted(change: Change, item: dict[str, Any], target: str) -> Deleted:
    """The message `target` was withdrawn."""
    return Deleted(
        event_id=event_id(target, "deleted"),
        instance_ref=change.reference,
        at=said_at(change, item),
        raw=item,
        external_id=target,
    )


def _read_system(change: Change, item: dict[str, Any], who: _Who) -> Event | None:
    system = mapping(item.get("system"))
    kind = text(system.get("type"))
    if kind in _CODE_CHANGED:
        return ignored(change, item, "security code")
    if kind not in _NUMBER_CHANGED:
        return _received(change, item, who)
    new = person({}, first_text(system, "wa_id", "new_wa_id"), first_text(system, "user_id"))
    if Person() in (who.person, new):
        return None
    return NumberChanged(
        event_id=message_id(item, change),
        instance_ref=change.reference,
        at=said_at(change, item),
        raw=item,
        old=who.person,
        new=new,
    )


def _read_welcome(change: Change, item: dict[str, Any], who: _Who) -> Event | None:
    return ignored(change, item, "chat opened")


_OTHERS: dict[str, Callable[[Change, dict[str, Any], _Who], Event | None]] = {
    "interactive": _read_interactive,
    "reaction": _read_reaction,
    "edit": _read_edit,
    "revoke": _read_revoke,
    "system": _read_system,
    "request_welcome": _read_welcome,
}
