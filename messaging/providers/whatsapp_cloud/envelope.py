"""Meta's envelope: a post has entries (accounts), an entry changes, a change several things.

One post may carry the numbers and accounts of several tenants: whoever reads it takes what is
about the one number it is asked for, or about that number's account.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from messaging.events import Ignored, Problem, Unlisted
from messaging.providers.base import BadPayload, InstanceRef
from messaging.providers.reading import (
    LONGEST_ID,
    digest,
    first_text,
    identifier,
    listing,
    mapping,
    moment,
    read_json,
    text,
)


@dataclass(frozen=True)
class Change:
    """One change of an entry, and whose it is.

    `number_id` is "" where it concerns a whole account, `account_ids` names that account.
    """

    field: str
    value: dict[str, Any]
    number_id: str
    account_ids: tuple[str, ...]
    time: str
    reference: str = ""

    @property
    def at(self) -> datetime | None:
        return moment(self.time)

    def concerns(self, reference: str, account: str) -> bool:
        """Whether it is about this number, or about the account it belongs to."""
        if self.number_id:
            return self.number_id == reference
        return bool(account) and account in self.account_ids


def refs_of(body: bytes) -> list[InstanceRef]:
    """Every number and account a body names; none where it cannot be read."""
    try:
        changes = list(_changes(json.loads(body.decode("utf-8"))))
    except (ValueError, RecursionError):
        return []
    refs = [
        InstanceRef(reference=change.number_id)
        if change.number_id
        else InstanceRef(account=account)
        for change in changes
        for account in (change.account_ids if not change.number_id else ("",))
    ]
    return list(dict.fromkeys(refs))


def changes_for(body: bytes, reference: str, account: str) -> list[Change]:
    """The changes in a body that concern one number, or `BadPayload`."""
    envelope = read_json(body)
    if not isinstance(envelope, dict) or not isinstance(envelope.get("entry"), list):
        raise BadPayload("no entries")
    return [
        Change(**{**vars(change), "reference": reference})
        for change in _changes(envelope)
        if change.concerns(reference, account)
    ]


def part_for(body: bytes, reference: str, account: str) -> bytes:
    """The body with the changes that concern one number only; untouched where that is all."""
    try:
        envelope = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        return body
    if all(change.concerns(reference, account) for change in _changes(envelope)):
        return body
    entries = [_entry_for(entry, reference, account) for entry in listing(envelope["entry"])]
    part = {**envelope, "entry": [entry for entry in entries if entry["changes"]]}
    return json.dumps(part, ensure_ascii=True).encode()


def _entry_for(entry: Any, reference: str, account: str) -> dict[str, Any]:
    kept = [
        found
        for found in listing(mapping(entry).get("changes"))
        if _change(mapping(entry), found).concerns(reference, account)
    ]
    return {**mapping(entry), "changes": kept}


def ignored(change: Change, item: Any, reason: str) -> Ignored:
    """Nothing to keep, as the table says."""
    return Ignored(
        event_id=built_id(change, item),
        instance_ref=change.reference,
        at=said_at(change, item),
        raw=item,
        reason=reason,
    )


def unlisted(change: Change, item: Any, name: str = "") -> Unlisted:
    """Something that no table lists."""
    return Unlisted(
        event_id=built_id(change, item),
        instance_ref=change.reference,
        at=said_at(change, item),
        raw=item,
        name=(name or change.field)[:100],
    )


def problem(change: Change, item: Any, code: str, detail: str) -> Problem:
    """What Meta complains of, where it names no message."""
    return Problem(
        event_id=built_id(change, item),
        instance_ref=change.reference,
        at=change.at,
        raw=item,
        code=code[:60],
        detail=detail[:300],
    )


def built_id(change: Change, *parts: Any) -> str:
    """An id for a fact that came without one, the same each time it comes."""
    return f"built:{digest(change.reference, change.field, change.time, *parts)}"


def message_id(item: dict[str, Any], change: Change) -> str:
    """The item's own id, or one that is built of it."""
    return identifier(item, "id") or built_id(change, item)


def said_at(change: Change, item: Any) -> datetime | None:
    """When it was said, by Meta's clock."""
    return moment(mapping(item).get("timestamp")) or change.at


def _changes(envelope: Any) -> Iterator[Change]:
    for entry in listing(mapping(envelope).get("entry")):
        for found in listing(mapping(entry).get("changes")):
            yield _change(mapping(entry), found)


def _change(entry: dict[str, Any], found: Any) -> Change:
    value = mapping(mapping(found).get("value"))
    return Change(
        field=text(mapping(found).get("field"))[:100],
        value=value,
        number_id=_name(mapping(value.get("metadata")), "phone_number_id"),
        account_ids=_accounts(entry, value),
        time=first_text(entry, "time"),
    )


def _accounts(entry: dict[str, Any], value: dict[str, Any]) -> tuple[str, ...]:
    """What a partner's account is told names the vendor's account inside."""
    inner = _name(mapping(value.get("waba_info")), "waba_id")
    outer = _name(entry, "id")
    return tuple(dict.fromkeys(name for name in (outer, inner) if name))


def _name(source: dict[str, Any], field: str) -> str:
    name = first_text(source, field)
    return name if len(name) <= LONGEST_ID else ""
