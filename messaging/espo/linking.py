"""What a person does with the link to EspoCRM: makes, tests, changes and ends it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from amda import http
from messaging.espo import leads, queueing, turns
from messaging.espo.client import Because, Client, EspoError
from messaging.models import EspoPush, EspoRecord, Stage
from tenants import audit
from tenants.accounts.models import User
from tenants.context import current_number
from tenants.models import CrmLink

LONGEST_URL = 300
LONGEST_KEY = 200
# What a status of EspoCRM means here at first, by the code of a stage; people change it.
FIRST_MEANINGS = {
    "New": "new",
    "Assigned": "new",
    "In Process": "qualified",
    "Converted": "won",
    "Recycled": "lost",
    "Dead": "lost",
}

# What a code of a failure means to whoever looks at the page.
WORDS = {
    "bad_key": _("The key holds characters that no key of EspoCRM has."),
    "bad_request": _("EspoCRM finds a value wrong, or lacks a required field."),
    "duplicate": _("EspoCRM has another lead with the same number or address."),
    "forbidden": _("The role of the API user does not allow it."),
    "interrupted": _("The work was interrupted; whether it arrived is looked at first."),
    "lead_gone": _("The lead was removed in EspoCRM."),
    "moved": _("The address leads elsewhere: give the one EspoCRM opens at in the browser."),
    "no_answer": _("EspoCRM broke off without an answer."),
    "not_found": _("Nothing of EspoCRM answers at this address."),
    "rate_limited": _("EspoCRM asks for less at a time."),
    "server_error": _("EspoCRM reports an error of its own."),
    "timeout": _("EspoCRM took too long to answer."),
    "too_large": _("This is too large for EspoCRM."),
    "unauthorized": _("EspoCRM does not know this key."),
    "unavailable": _("EspoCRM is being maintained."),
    "unreachable": _("Nobody answers at this address."),
    "unreadable_answer": _("What answers at this address is not EspoCRM."),
}
OTHERWISE = _("EspoCRM answers with an error.")

MISSING_RIGHTS = {
    ("Lead", "edit"): _("change leads: owners, stages and numbers stay as they are there"),
    ("Lead", "stream"): _("write into the stream of leads: messages are not noted there"),
    ("Email", "create"): _("create e-mails: e-mails are not kept there"),
}


class WrongLink(Exception):
    """A link that was not made or changed: which field, and why, in the reader's language."""

    def __init__(self, field: str, message: Any) -> None:
        super().__init__(str(message))
        self.field = field
        self.message = message


@dataclass(frozen=True)
class Found:
    """What EspoCRM says of itself: what the key's user may not do, what there is to choose."""

    may_not: list[Any]
    statuses: list[str]
    users: list[dict[str, str]]


def why(code: str) -> Any:
    """What a code of a failure means."""
    return WORDS.get(code, OTHERWISE)


def link(url: str, key: str, *, by: User | None) -> Found:
    """Link the tenant's EspoCRM, or give the link another address or key.

    EspoCRM is asked first: `WrongLink` where it is not there or refuses the key, and nothing is
    changed. Another address is another EspoCRM: what is known of the first is forgotten.
    """
    known = turns.mine()
    url, key = checked_url(url), key.strip() or (known.key if known else "")
    if not key or len(key) > LONGEST_KEY:
        raise WrongLink("api_key", _("Give the key of an API user of EspoCRM."))
    found = _asked(url, key)
    with transaction.atomic():
        if known is not None and known.url != url:
            known.delete()
            _forget_records()
            known = None
        if known is None:
            _make(url, key, found, by)
        else:
            _change_key(known, key, found, by)
    queueing.ring(current_number())
    return found


def test(crm: CrmLink) -> Found:
    """Ask EspoCRM now, as the link has it; `WrongLink` says what is wrong."""
    found = _asked(crm.url, crm.key)
    turns.change(crm, users=found.users, statuses=found.statuses or crm.statuses)
    turns.went_well(crm, has_read=False)
    return found


def choose_stages(crm: CrmLink, stages: Mapping[str, Stage | None], *, by: User) -> None:
    """Say what each status means here; one without a stage changes nothing."""
    chosen = {status: stage.pk for status, stage in stages.items() if stage is not None}
    if chosen == crm.stages:
        return
    with transaction.atomic():
        named = Stage.objects.in_bulk([*crm.stages.values(), *chosen.values()])
        before, after = audit.difference(
            {status: str(named.get(pk, "")) for status, pk in crm.stages.items()},
            {status: str(named[pk]) for status, pk in chosen.items()},
        )
        audit.record("crm.stages_chosen", by=by, subject=crm, before=before, after=after)
        turns.change(crm, stages=chosen)


def synchronise_now(crm: CrmLink) -> None:
    """Have everything done at once that would be done in some minutes."""
    turns.change(crm, pull_at=timezone.now(), wait_until=None, tries=0)
    queueing.ring(current_number())


def retry(crm: CrmLink, *, by: User) -> int:
    """Have told again what failed; how much."""
    with transaction.atomic():
        failed = EspoPush.objects.filter(state=EspoPush.State.FAILED)
        # A later change of the same lead, or of the same message, may wait already.
        waiting = EspoPush.objects.filter(state=EspoPush.State.WAITING)
        for each in list(waiting.filter(kind__in=("lead", "correction"))):
            failed.filter(record=each.record_id, kind=each.kind, message=each.message_id).delete()
        count = failed.update(
            state=EspoPush.State.WAITING, attempts=0, not_before=None, error_code=""
        )
        if count:
            audit.record("crm.retried", by=by, subject=crm, after={"told_again": count})
    synchronise_now(crm)
    return count


def unlink(crm: CrmLink, *, by: User) -> None:
    """End the link: what waits is dropped, leads and notes stay where they are."""
    with transaction.atomic():
        audit.record("crm.unlinked", by=by, subject=crm)
        # First: a run that keeps what it just read holds the link until it has.
        crm.delete()
        _forget_records()


def checked_url(text: str) -> str:
    """The address of an EspoCRM as it is kept; `WrongLink` for one that may not be called."""
    url = text.strip()
    url = url if "://" in url else f"https://{url}"
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError as error:
        raise WrongLink("url", _WRONG_URL) from error
    path = parts.path.rstrip("/").removesuffix("/api/v1")
    host = (parts.hostname or "").lower()
    if parts.username or not host or len(url) > LONGEST_URL or any(c.isspace() for c in url):
        raise WrongLink("url", _WRONG_URL)
    url = f"{parts.scheme}://{host}{port}{path}"
    if not http.may_call(url):
        raise WrongLink("url", _("Give an address that begins with https:// and is public."))
    return url


_WRONG_URL = _("Give the address EspoCRM opens at, such as https://crm.example.com.")


def _asked(url: str, key: str) -> Found:
    client = Client(url, key, http.client())
    with client.http:
        try:
            return _look(client)
        except EspoError as error:
            field = "api_key" if error.because is Because.KEY else "url"
            said = why(error.code)
            message = f"{said} ({error.detail})" if error.detail else said
            raise WrongLink(field, message) from error


def _look(client: Client) -> Found:
    me = client.get("App/user")
    table = me.get("acl", {}).get("table") if isinstance(me, dict) else None
    if not isinstance(table, dict):
        raise EspoError(Because.AWAY, "unreadable_answer")
    if not _may(table, "Lead", "read"):
        raise WrongLink(
            "api_key", _("The API user of this key may not read leads: change its role first.")
        )
    may_not = [words for right, words in MISSING_RIGHTS.items() if not _may(table, *right)]
    users = leads.users(client)
    if users is None:
        may_not.append(_("see users: owners are not carried"))
    return Found(may_not, leads.statuses(client), users or [])


def _may(table: Mapping[str, Any], scope: str, action: str) -> bool:
    rights = table.get(scope)
    if isinstance(rights, dict):
        return rights.get(action) not in (None, "no", False)
    return rights is True


def _make(url: str, key: str, found: Found, by: User | None) -> None:
    stages = {each.code: each.pk for each in Stage.objects.exclude(code="")}
    meant = {status: stages.get(FIRST_MEANINGS.get(status, ""), 0) for status in found.statuses}
    now = timezone.now()
    crm = CrmLink(
        tenant_id=current_number(),
        linked_at=now,
        state_since=now,
        pull_at=now,
        url=url,
        statuses=found.statuses,
        users=found.users,
        stages={status: pk for status, pk in meant.items() if pk},
    )
    crm.key = key
    crm.save()
    audit.record("crm.linked", by=by, subject=crm, after={"address": url})


def _change_key(crm: CrmLink, key: str, found: Found, by: User | None) -> None:
    replaced = ["api_key"] if key != crm.key else []
    crm.key = key
    crm.save(update_fields=["sealed_key"])
    turns.change(crm, users=found.users, statuses=found.statuses or crm.statuses)
    turns.went_well(crm, has_read=False)
    if replaced:
        audit.record("crm.changed", by=by, subject=crm, after={"replaced": replaced})


def _forget_records() -> None:
    EspoRecord.objects.all().delete()
