"""EspoCRM's leads, users and stream as they come, read into small facts."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from messaging.espo.client import Because, Client, EspoError, safe

PAGE = 100
MOST_USERS = 1000
# How far back a lead's stream is searched, in pages.
STREAM_PAGES = 5
_LISTED = "id,name,status,assignedUserId,phoneNumber,emailAddress,modifiedAt"
_COMPARED = ("name", "status", "assignedUserId", "phoneNumber", "emailAddress")
_TIME = "%Y-%m-%d %H:%M:%S"
# What the stream calls a change of these fields.
STATUS, OWNER = "status", "assignedUser"


@dataclass(frozen=True)
class Listed:
    """A lead as the list tells it."""

    id: str
    modified_at: datetime
    told: dict[str, str]


@dataclass(frozen=True)
class EspoLead:
    """A lead as a whole; `numbers` are its phone numbers as EspoCRM keeps them."""

    id: str
    name: str
    status: str
    owner: str
    main_phone: str
    numbers: list[dict[str, Any]]
    emails: tuple[str, ...]
    modified_at: datetime
    told: dict[str, str] = field(default_factory=dict)


def changed_since(client: Client, at: datetime, after_id: str, *, size: int = PAGE) -> list[Listed]:
    """Leads changed since then, in the order of change and id, so that none is passed over."""
    later = {"type": "greaterThan", "attribute": "modifiedAt", "value": written(at)}
    same = {"type": "equals", "attribute": "modifiedAt", "value": written(at)}
    beyond = {"type": "greaterThan", "attribute": "id", "value": after_id or "0"}
    among = {"type": "and", "value": [same, beyond]}
    answer = client.get(
        "Lead",
        {
            "select": _LISTED,
            "where": [{"type": "or", "value": [later, among]}],
            "orderBy": "modifiedAt",
            "order": "asc",
            "maxSize": size,
            "offset": 0,
        },
    )
    return [
        Listed(each["id"], moment(each.get("modifiedAt")), _told(each)) for each in _rows(answer)
    ]


def whole(client: Client, record_id: str) -> EspoLead:
    """One lead, with all its numbers and addresses."""
    return lead_of(client.get(f"Lead/{safe(record_id)}"))


def lead_of(row: Any) -> EspoLead:
    """A lead as EspoCRM answers with it."""
    if not isinstance(row, dict) or not row.get("id"):
        raise EspoError(Because.AWAY, "unreadable_answer")
    numbers = [each for each in row.get("phoneNumberData") or [] if each.get("phoneNumber")]
    main = str(row.get("phoneNumber") or "")
    if main and not any(each["phoneNumber"] == main for each in numbers):
        numbers.insert(0, {"phoneNumber": main, "primary": True, "type": "Mobile"})
    emails = [each.get("emailAddress") for each in row.get("emailAddressData") or []]
    return EspoLead(
        id=str(row["id"]),
        name=_name(row),
        status=str(row.get("status") or ""),
        owner=str(row.get("assignedUserId") or ""),
        main_phone=main,
        numbers=numbers,
        emails=tuple(dict.fromkeys(filter(None, [row.get("emailAddress"), *emails]))),
        modified_at=moment(row.get("modifiedAt") or row.get("createdAt")),
        told=_told(row),
    )


def there_still(client: Client, record_ids: list[str]) -> set[str]:
    """Which of these leads exist and may be read."""
    found: set[str] = set()
    for start in range(0, len(record_ids), PAGE):
        some = record_ids[start : start + PAGE]
        where = [{"type": "in", "attribute": "id", "value": some}]
        answer = client.get("Lead", {"select": "id", "where": where, "maxSize": PAGE, "offset": 0})
        found |= {str(each["id"]) for each in _rows(answer)}
    return found


def users(client: Client) -> list[dict[str, str]] | None:
    """Who a lead may be assigned to: id, name, e-mail address; None where the key may not know."""
    try:
        return _users(client)
    except EspoError as error:
        if error.code != "forbidden":
            raise
        return None


def statuses(client: Client) -> list[str]:
    """The statuses that a lead can have, in EspoCRM's order."""
    found = client.get("Metadata", {"key": "entityDefs.Lead.fields.status.options"})
    if isinstance(found, dict):
        # Versions before 8.2 know no key and answer with everything.
        for name in ("entityDefs", "Lead", "fields", "status", "options"):
            found = found.get(name) if isinstance(found, dict) else None
    return [str(each) for each in found if each] if isinstance(found, list) else []


def changed_at(client: Client, record_id: str, name: str) -> datetime | None:
    """When a field of a lead was last changed, where its stream tells."""
    for note in stream(client, record_id):
        if _is_change_of(note, name):
            return moment(note.get("createdAt"))
    return None


def stream(client: Client, record_id: str) -> Iterator[dict[str, Any]]:
    """A lead's notes, newest first, as far back as one looks."""
    for page in range(STREAM_PAGES):
        asked = {"maxSize": PAGE, "offset": page * PAGE}
        rows = _rows(client.get(f"Lead/{safe(record_id)}/stream", asked))
        yield from rows
        if len(rows) < PAGE:
            return


def moment(written_at: Any) -> datetime:
    """EspoCRM's way to write a time, which is always UTC."""
    try:
        return datetime.strptime(str(written_at)[:19], _TIME).replace(tzinfo=UTC)
    except ValueError as error:
        raise EspoError(Because.AWAY, "unreadable_answer") from error


def written(at: datetime) -> str:
    """A time as EspoCRM writes it."""
    return at.astimezone(UTC).strftime(_TIME)


def _users(client: Client) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    asked = {
        "select": "id,name,userName,emailAddress,isActive",
        "where": [{"type": "in", "attribute": "type", "value": ["regular", "admin"]}],
        "orderBy": "name",
        "order": "asc",
        "maxSize": PAGE,
    }
    while len(found) < MOST_USERS:
        rows = _rows(client.get("User", {**asked, "offset": len(found)}))
        found += [
            {
                "id": str(each["id"]),
                "name": str(each.get("name") or each.get("userName") or ""),
                "email": str(each.get("emailAddress") or "").lower(),
            }
            for each in rows
        ]
        if len(rows) < PAGE:
            break
    return found


def _rows(answer: Any) -> list[dict[str, Any]]:
    rows = answer.get("list") if isinstance(answer, dict) else None
    if not isinstance(rows, list) or not all(isinstance(each, dict) for each in rows):
        raise EspoError(Because.AWAY, "unreadable_answer")
    return rows


def _told(row: dict[str, Any]) -> dict[str, str]:
    return {name: str(row.get(name) or "") for name in _COMPARED}


def _name(row: dict[str, Any]) -> str:
    parts: Iterable[Any] = (row.get("firstName"), row.get("lastName"))
    return str(row.get("name") or " ".join(str(each) for each in parts if each)).strip()[:200]


def _is_change_of(note: dict[str, Any], name: str) -> bool:
    data = note.get("data")
    data = data if isinstance(data, dict) else {}
    match note.get("type"):
        case "Status":
            return data.get("field") == name
        case "Assign":
            return name == OWNER
        case "Update":
            return name in (data.get("fields") or [])
    return False
