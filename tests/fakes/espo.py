"""EspoCRM's REST API as far as leads, notes and e-mails go, as strict as its documentation.

A wrong key, path, method, content type, parameter, attribute, status or id is a 4xx, with the
reason in `X-Status-Reason`; lists come in pages of 200 at most, ordered by an attribute and then
by id; times are UTC and have no parts of a second. What is removed is in no list any more.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.fakes.serving import BrokenOff, Limits, Refused, Request, serve

KEY = "key-of-the-api-user-71d3"
STATUSES = ["New", "Assigned", "In Process", "Converted", "Recycled", "Dead"]
LEAD = {
    "id", "name", "firstName", "lastName", "status", "assignedUserId", "phoneNumber",
    "phoneNumberData", "emailAddress", "emailAddressData", "description", "createdAt", "modifiedAt",
}  # fmt: skip
READ_ONLY = {"id", "createdAt", "modifiedAt"}
LISTED = {
    "Lead": LEAD - {"phoneNumberData", "emailAddressData"},
    "User": {"id", "name", "userName", "emailAddress", "isActive", "type"},
    "Email": {"id", "name", "parentId", "parentType", "body", "dateSent", "createdAt"},
}
PARAMETERS = {"select", "where", "orderBy", "order", "maxSize", "offset"}
NOTE_CHANGED_FOR, NOTE_REMOVED_FOR = timedelta(days=7), timedelta(days=30)


class State:
    """What one EspoCRM holds, and how it is at the moment."""

    def __init__(self) -> None:
        self.limits = Limits({})
        self.clock: datetime | None = None
        self.key = KEY
        self.away = False
        self.broken = False
        # Methods and paths that are done, and never answered.
        self.breaks_off: list[str] = []
        # Methods and paths that fail with an error of the server's own.
        self.fails: list[str] = []
        self.forbids: list[str] = []
        self.rights = {
            "Lead": {"read": "all", "edit": "all", "stream": "all", "create": "no"},
            "Email": {"read": "all", "create": "yes", "edit": "own"},
        }
        self.leads: dict[str, dict[str, Any]] = {}
        self.notes: dict[str, dict[str, Any]] = {}
        self.emails: dict[str, dict[str, Any]] = {}
        self.users: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.made = 0

    def now(self) -> str:
        return (self.clock or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M:%S")

    def new_id(self) -> str:
        self.made += 1
        return f"6571d3{self.made:011x}"

    def add_lead(self, name: str, **facts: Any) -> str:
        """A lead as somebody made it in EspoCRM; `phone` and `email` are its main ones."""
        phone, email = facts.pop("phone", None), facts.pop("email", None)
        key = facts.pop("id", None) or self.new_id()
        self.leads[key] = {
            "id": key,
            "name": name,
            "status": "New",
            "assignedUserId": None,
            "phoneNumberData": [_number(phone, True)] if phone else [],
            "emailAddressData": [{"emailAddress": email, "primary": True}] if email else [],
            "createdAt": self.now(),
            "modifiedAt": self.now(),
            **facts,
        }
        return key

    def change_lead(self, key: str, **facts: Any) -> None:
        """What somebody changes in EspoCRM; its stream tells of status and owner."""
        lead = self.leads[key]
        for name, field in (("status", "status"), ("assignedUserId", "assignedUser")):
            if name in facts and facts[name] != lead[name]:
                data = {"fields": [field], "attributes": {"became": {name: facts[name]}}}
                self.add_note(key, type="Update", data=data)
        if (phone := facts.pop("phone", None)) is not None:
            lead["phoneNumberData"] = [_number(phone, True)]
        lead |= facts | {"modifiedAt": self.now()}

    def add_note(self, parent: str, **facts: Any) -> str:
        key = self.new_id()
        self.notes[key] = {
            "id": key,
            "parentType": "Lead",
            "parentId": parent,
            "createdAt": self.now(),
            **facts,
        }
        return key

    def add_user(self, key: str, email: str) -> None:
        self.users[key] = {
            "id": key,
            "name": email.partition("@")[0],
            "userName": email.partition("@")[0],
            "emailAddress": email,
            "isActive": True,
            "type": "regular",
        }

    def posts(self, parent: str) -> list[str]:
        """What was noted on a lead, oldest first."""
        return [
            each["post"]
            for each in self.notes.values()
            if each["parentId"] == parent and each["type"] == "Post"
        ]


def _number(phone: str, primary: bool) -> dict[str, Any]:
    return {
        "phoneNumber": phone, "primary": primary, "type": "Mobile", "optOut": False,
        "invalid": False,
    }  # fmt: skip


class Espo:
    """Answers for one state."""

    def __init__(self, state: State) -> None:
        self.state = state

    def answer(self, request: Request) -> Any:
        """The answer to one request, or `Refused`."""
        called = f"{request.method} {request.path.removeprefix('/api/v1/')}"
        self.state.asked.append(called)
        if self.state.away:
            raise Refused(503, "Service Unavailable")
        if self.state.broken:
            raise _refused(500, "SQLSTATE[HY000] [2002] Connection refused")
        if request.headers.get("x-api-key") != self.state.key:
            raise _refused(401, "")
        if _begins(called, self.state.forbids):
            raise _refused(403, "No access.")
        if _begins(called, self.state.fails):
            raise _refused(500, "Call to a member function on null")
        said = self._done(request)
        if _begins(called, self.state.breaks_off):
            raise BrokenOff
        return said

    def _done(self, request: Request) -> Any:
        for method, path, act in self._routes():
            found = re.fullmatch(path, request.path)
            if found and method == request.method:
                if method in ("POST", "PUT") and request.content_type != "application/json":
                    raise _refused(400, "Content type is not application/json.")
                return act(request, *found.groups())
        raise _refused(404, f"Route for {request.path} not found.")

    def _routes(self) -> list[tuple[str, str, Callable[..., Any]]]:
        api = "/api/v1/"
        return [
            ("GET", f"{api}App/user", self._me),
            ("GET", f"{api}Metadata", self._metadata),
            ("GET", f"{api}User", lambda asked: _listed("User", self.state.users, asked)),
            ("GET", f"{api}Lead", self._leads),
            ("GET", f"{api}Lead/([0-9a-f]+)", self._lead),
            ("PUT", f"{api}Lead/([0-9a-f]+)", self._change),
            ("GET", f"{api}Lead/([0-9a-f]+)/stream", self._stream),
            ("POST", f"{api}Note", self._note),
            ("PUT", f"{api}Note/([0-9a-f]+)", self._change_note),
            ("DELETE", f"{api}Note/([0-9a-f]+)", self._remove_note),
            ("GET", f"{api}Email", lambda asked: _listed("Email", self.state.emails, asked)),
            ("POST", f"{api}Email", self._email),
            ("PUT", f"{api}Email/([0-9a-f]+)", self._change_email),
        ]

    def _me(self, request: Request) -> Any:
        return {"user": {"type": "api"}, "acl": {"table": self.state.rights}, "token": None}

    def _metadata(self, request: Request) -> Any:
        if request.query != {"key": "entityDefs.Lead.fields.status.options"}:
            raise _refused(400, "key")
        return STATUSES

    def _leads(self, request: Request) -> Any:
        rows = {key: _shown(lead) for key, lead in self.state.leads.items()}
        return _listed("Lead", rows, request)

    def _lead(self, request: Request, key: str) -> Any:
        return _shown(self._known(key))

    def _known(self, key: str) -> dict[str, Any]:
        if key not in self.state.leads:
            raise _refused(404, "Record does not exist.")
        return self.state.leads[key]

    def _change(self, request: Request, key: str) -> Any:
        lead, change = self._known(key), request.json()
        _require_known(change, LEAD - READ_ONLY)
        if change.get("status", STATUSES[0]) not in STATUSES:
            raise _refused(400, "Field validation failure; entityType: Lead, field: status")
        owner = change.get("assignedUserId")
        if owner is not None and owner not in self.state.users:
            raise _refused(403, "Assignment failure: assigned user or team not allowed.")
        for each in change.get("phoneNumberData", []):
            if not re.fullmatch(r"\+[1-9][0-9]{6,14}", each.get("phoneNumber", "")):
                raise _refused(400, "Field validation failure; field: phoneNumber, type: valid")
        self.state.change_lead(key, **change)
        return _shown(lead)

    def _stream(self, request: Request, key: str) -> Any:
        self._known(key)
        if set(request.query) - {"offset", "maxSize"}:
            raise _refused(400, "Unknown parameter.")
        mine = [each for each in self.state.notes.values() if each["parentId"] == key]
        newest = sorted(mine, key=lambda each: (each["createdAt"], each["id"]), reverse=True)
        return {"total": len(mine), "list": _page(newest, request)}

    def _note(self, request: Request) -> Any:
        note = request.json()
        _require_known(note, {"type", "parentType", "parentId", "post"})
        if note.get("type") != "Post":
            raise _refused(403, "Only 'Post' type allowed.")
        if note.get("parentType") != "Lead" or note.get("parentId") not in self.state.leads:
            raise _refused(403, "No stream access to the parent.")
        if not note.get("post"):
            raise _refused(400, "Post is empty.")
        return self.state.notes[self.state.add_note(note["parentId"], **_besides(note))]

    def _change_note(self, request: Request, key: str) -> Any:
        note = self._own_note(key, NOTE_CHANGED_FOR)
        change = request.json()
        _require_known(change, {"post"})
        note |= change
        return note

    def _remove_note(self, request: Request, key: str) -> Any:
        self._own_note(key, NOTE_REMOVED_FOR)
        del self.state.notes[key]
        return True

    def _own_note(self, key: str, allowed_for: timedelta) -> dict[str, Any]:
        if key not in self.state.notes:
            raise _refused(404, "Record does not exist.")
        note = self.state.notes[key]
        made = datetime.strptime(note["createdAt"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
        if (self.state.clock or datetime.now(UTC)) > made + allowed_for:
            raise _refused(403, "No edit access.")
        return note

    def _email(self, request: Request) -> Any:
        email = request.json()
        wanted = {"name", "body", "status", "dateSent", "from", "to", "isHtml", "parentType"}
        _require_known(email, wanted | {"parentId"})
        for name in ("name", "from", "to"):
            if not email.get(name):
                raise _refused(400, f"Field validation failure; entityType: Email, field: {name}")
        if email.get("status") != "Archived":
            raise _refused(403, "It would be sent.")
        if not re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", email.get("dateSent", "")):
            raise _refused(400, "Field validation failure; entityType: Email, field: dateSent")
        if email.get("parentType") != "Lead" or email.get("parentId") not in self.state.leads:
            raise _refused(403, "Parent is not there.")
        key = self.state.new_id()
        self.state.emails[key] = {"id": key, "createdAt": self.state.now(), **email}
        return self.state.emails[key]

    def _change_email(self, request: Request, key: str) -> Any:
        if key not in self.state.emails:
            raise _refused(404, "Record does not exist.")
        change = request.json()
        _require_known(change, {"name", "body"})
        self.state.emails[key] |= change
        return self.state.emails[key]


def _refused(status: int, reason: str) -> Refused:
    return Refused(status, {}, {"X-Status-Reason": reason})


def _begins(called: str, listed: list[str]) -> bool:
    return any(called.startswith(each) for each in listed)


def _besides(note: dict[str, Any]) -> dict[str, Any]:
    return {name: note[name] for name in ("type", "post")}


def _require_known(given: dict[str, Any], known: set[str]) -> None:
    if unknown := given.keys() - known:
        raise _refused(400, f"Unknown attributes: {sorted(unknown)}")


def _shown(lead: dict[str, Any]) -> dict[str, Any]:
    """A lead as it is read: its main number and address beside all of them."""
    main = [each for each in lead["phoneNumberData"] if each.get("primary")]
    emails = [each for each in lead["emailAddressData"] if each.get("primary")]
    return {
        **lead,
        "phoneNumber": main[0]["phoneNumber"] if main else None,
        "emailAddress": emails[0]["emailAddress"] if emails else None,
    }


# Lists


def _listed(kind: str, records: dict[str, dict[str, Any]], request: Request) -> Any:
    asked = _parameters(request)
    known = LISTED[kind]
    for name in asked.get("select", "id").split(","):
        if name not in known:
            raise _refused(400, f"Unknown attribute {name}.")
    rows = [each for each in records.values() if _all_hold(asked.get("where", {}), each, known)]
    by = asked.get("orderBy", "id")
    if by not in known:
        raise _refused(400, f"Order by non-existing field '{by}'.")
    is_down = asked.get("order", "asc") == "desc"
    rows.sort(key=lambda each: (str(each.get(by) or ""), each["id"]), reverse=is_down)
    wanted = {"id", *asked.get("select", ",".join(known)).split(",")}
    page = [{name: each.get(name) for name in sorted(wanted)} for each in _page(rows, request)]
    return {"total": len(rows), "list": page}


def _page(rows: list[Any], request: Request) -> list[Any]:
    size = int(request.query.get("maxSize", "20"))
    if size > 200:
        raise _refused(403, "Max size should not exceed 200. Use offset and limit.")
    start = int(request.query.get("offset", "0"))
    return rows[start : start + size]


def _parameters(request: Request) -> dict[str, Any]:
    """The parameters of a list, `where[0][type]=…` read into what it means."""
    asked: dict[str, Any] = {}
    for name, value in request.query.items():
        steps = re.findall(r"[^\[\]]+", name)
        if steps[0] not in PARAMETERS:
            raise _refused(400, f"Unknown parameter {steps[0]}.")
        place = asked
        for step in steps[:-1]:
            place = place.setdefault(step, {})
        place[steps[-1]] = value
    return asked


def _all_hold(items: dict[str, Any], row: dict[str, Any], known: set[str]) -> bool:
    return all(_holds(each, row, known) for each in items.values())


def _holds(item: dict[str, Any], row: dict[str, Any], known: set[str]) -> bool:
    kind, wanted = item["type"], item["value"]
    if kind in ("or", "and"):
        found = [_holds(each, row, known) for each in wanted.values()]
        return any(found) if kind == "or" else all(found)
    if item["attribute"] not in known:
        raise _refused(400, f"Unknown attribute {item['attribute']}.")
    value = str(row.get(item["attribute"]) or "")
    match kind:
        case "equals":
            return value == wanted
        case "greaterThan":
            return value > wanted
        case "contains":
            return wanted in value
        case "in":
            return value in wanted.values()
    raise _refused(400, f"Unknown where type {kind}.")


if __name__ == "__main__":
    serve(STATE := State(), Espo(STATE).answer)
