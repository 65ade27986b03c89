"""Who changed what, when, from where, before and after: written once, never a secret.

Whoever changes settings, secrets, rights or people calls `record` in the transaction of the
change: both are kept or neither.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any

from allauth.account.adapter import get_adapter
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Model, Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.utils.translation import gettext_lazy as _

from tenants import context
from tenants.accounts.models import AuditEntry, User

HIDDEN = "•••"
LONGEST_VALUE = 500
LONGEST_AGENT = 300
SECRET = re.compile(
    r"secret|password|passwd|token|nonce|credential|authorization|signature|(^|_)(key|pin|code)$"
    r"|api_?key|private|cookie|session",
    re.IGNORECASE,
)

# What each act is called where people read it.
ACTS: dict[str, Any] = {
    "deliveries.replayed": _("Deliveries read again"),
    "delivery.opened": _("Content of a delivery read"),
    "instance.asked_for": _("Number asked for at its provider"),
    "instance.connected": _("Number connected"),
    "instance.changed": _("Number changed"),
    "instance.risk_confirmed": _("Risk of a number confirmed"),
    "instance.tested": _("Test message sent from a number"),
    "instance.made": _("Number made at its provider"),
    "instance.not_made": _("Number not made at its provider"),
    "instance.moved": _("Number moved to another provider"),
    "instance.linked": _("Number's connection started"),
    "instance.let_go": _("Number disconnected"),
    "instance.key_asked_for": _("New key of a number asked for"),
    "instance.key_renewed": _("Key of a number replaced"),
    "instance.key_not_renewed": _("Key of a number not replaced"),
    "invitation.accepted": _("Invitation accepted"),
    "invitation.renewed": _("Invitation sent again"),
    "invitation.revoked": _("Invitation taken back"),
    "invitation.sent": _("Invitation sent"),
    "person.created": _("Person added"),
    "person.deactivated": _("Access closed"),
    "person.email_changed": _("E-mail address changed"),
    "person.password_changed": _("Password changed"),
    "person.reactivated": _("Access opened again"),
    "person.removed": _("Person removed"),
    "person.role_changed": _("Role changed"),
    "person.changed": _("Person changed"),
    "person.device_signed_out": _("Device signed out"),
    "person.signed_out_elsewhere": _("Signed out everywhere else"),
    "person.second_step_added": _("Second step set up"),
    "person.second_step_removed": _("Second step removed"),
    "person.recovery_codes_made": _("Recovery codes made"),
    "jobs.retried": _("Jobs done again"),
    "lead.merged": _("Leads merged"),
    "lead.parted": _("Merge undone"),
    "tenant.created": _("Vendor created"),
    "tenant.changed": _("Vendor changed"),
    "tenant.erasure_ordered": _("Erasure ordered"),
    "tenant.export_downloaded": _("Export downloaded"),
    "tenant.export_ordered": _("Export ordered"),
    "tenant.owner_invited": _("Owner invited"),
    "tenant.renamed": _("Vendor renamed"),
    "tenant.replay_ordered": _("Deliveries read again"),
    "tenant.resumed": _("Vendor opened again"),
    "tenant.suspended": _("Vendor suspended"),
    "tenant.deleted": _("Vendor deleted"),
    "tenant.second_step_required": _("Second step required or not"),
}


class UnknownAct(Exception):
    """An act without words: give it some with `name_acts`."""


@dataclass(frozen=True)
class Origin:
    """Where what happens now comes from: a door of ours and, for a request, the network."""

    door: str = ""
    address: str | None = None
    user_agent: str = ""


@dataclass(frozen=True)
class Asked:
    """Which entries somebody wants to see; what is empty does not narrow."""

    text: str = ""
    act: str = ""
    by_id: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None


_origin: ContextVar[Origin] = ContextVar("origin", default=Origin())  # noqa: B039  it is frozen


def name_acts(words: Mapping[str, Any]) -> None:
    """Say what more acts are called; an app does so when it is ready."""
    ACTS.update(words)


def record(
    act: str,
    *,
    by: User | None,
    subject: Model | None = None,
    subject_name: str = "",
    tenant: Any = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str = "",
) -> AuditEntry:
    """Keep that somebody did something, in the schema one is in.

    `by` is nobody for commands and jobs, which `coming_from` names. `before` and `after` hold
    what differs; whatever is called like a secret is kept as dots. In `public`, `tenant` says
    which vendor it was about.
    """
    if act not in ACTS:
        raise UnknownAct(act)
    origin = _origin.get()
    return AuditEntry.objects.create(
        act=act,
        by_id=by.pk if by else None,
        by_name=_name(by) if by else "",
        by_role=by.role if by else "",
        subject_kind=subject._meta.model_name if subject is not None else "",
        subject_id=subject.pk if subject is not None else None,
        subject_name=(subject_name or _name(subject))[:254],
        tenant_number=getattr(tenant, "number", tenant),
        before=without_secrets(before or {}),
        after=without_secrets(after or {}),
        reason=reason[:500],
        door=origin.door[:40],
        address=origin.address,
        user_agent=origin.user_agent,
    )


def difference(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of two states, only what differs: to be given to `record`."""
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return (
        {name: before[name] for name in names if name in before},
        {name: after[name] for name in names if name in after},
    )


def without_secrets(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts as they may be kept: dots for secrets, long values cut, all of it JSON."""
    return {str(name): _shown(str(name), value) for name, value in facts.items()}


def request_origin(get_response):
    """Middleware: what is recorded while a request is answered came from where it came from."""

    def middleware(request):
        door = "api" if request.path.startswith("/api/") else "page"
        door = "admin" if request.path.startswith("/admin/") else door
        origin = Origin(door, address_of(request), _agent(request))
        with _coming_from(origin):
            return get_response(request)

    return middleware


@contextmanager
def coming_from(door: str) -> Iterator[None]:
    """What is recorded in the block was done through this door: a command's name, a job's."""
    with _coming_from(Origin(door)):
        yield


def address_of(request) -> str | None:
    """The network address a request came from; None where it cannot be told."""
    try:
        return get_adapter().get_client_ip(request) or None
    except (PermissionDenied, ValidationError):
        return None


def entries(asked: Asked, most: int) -> list[AuditEntry]:
    """The newest entries of the schema one is in."""
    rows = AuditEntry.objects.order_by("-id")
    return list(_narrowed(rows, asked, Q(address__icontains=asked.text))[:most])


def by_platform(number: int, asked: Asked, most: int) -> list[AuditEntry]:
    """What platform staff and operators did to this tenant, newest first; not from where."""
    with context.entered_public():
        rows = AuditEntry.objects.filter(tenant_number=number).order_by("-id")
        return list(_narrowed(rows.defer("address", "user_agent"), asked)[:most])


def acts_called(text: str) -> tuple[str, ...]:
    """The acts whose words, in the reader's language, hold this text."""
    wanted = text.casefold()
    return tuple(act for act, words in ACTS.items() if wanted in str(words).casefold())


def _narrowed(rows: QuerySet[AuditEntry], asked: Asked, *also: Q) -> QuerySet[AuditEntry]:
    if asked.text:
        rows = _holding(rows, asked.text, *also)
    if asked.before:
        rows = rows.filter(pk__lt=asked.before)
    if asked.act:
        rows = rows.filter(act=asked.act)
    if asked.by_id:
        rows = rows.filter(by_id=asked.by_id)
    if asked.since:
        rows = rows.filter(at__gte=asked.since)
    if asked.until:
        rows = rows.filter(at__lt=asked.until)
    return rows


def _holding(rows: QuerySet[AuditEntry], text: str, *also: Q) -> QuerySet[AuditEntry]:
    """Those that hold a text where people read it, or `also` where."""
    rows = rows.alias(
        said_before=Cast("before", TextField()), said_after=Cast("after", TextField())
    )
    wanted = Q(act__in=acts_called(text))
    for place in ("by_name", "subject_name", "reason", "said_before", "said_after"):
        wanted |= Q(**{f"{place}__icontains": text})
    return rows.filter(reduce(or_, also, wanted))


@contextmanager
def _coming_from(origin: Origin) -> Iterator[None]:
    held = _origin.set(origin)
    try:
        yield
    finally:
        _origin.reset(held)


def _agent(request) -> str:
    return request.META.get("HTTP_USER_AGENT", "").replace("\0", "")[:LONGEST_AGENT]


def _name(thing: Any) -> str:
    return "" if thing is None else str(thing).replace("\0", "")[:254]


def _shown(name: str, value: Any) -> Any:
    if SECRET.search(name) and value not in (None, "", True, False):
        return HIDDEN
    if isinstance(value, Mapping):
        return without_secrets(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [_shown(name, each) for each in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value).replace("\0", "")[:LONGEST_VALUE]
