"""Making a number's instance at its provider, never twice.

That somebody asks for it is written down first, so that nobody else does meanwhile; then the
account is looked at, then the provider is asked. After an answer that got lost the account is
looked at again, and while it shows nothing nobody asks a second time until the provider has had
its time.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.utils import formats, timezone
from django.utils.translation import gettext as _

from messaging import adopting, connecting
from messaging.adopting import Account, Adopted, Listed
from messaging.providers.base import Found, SendError, Unfit
from messaging.refusing import Refused
from tenants import audit, limits
from tenants.accounts.models import AuditEntry, User
from tenants.limits import LimitReached
from tenants.models import ProviderInstance, Tenant
from tenants.onboarding import OnboardingError

# Longer than any provider works on a request whose answer nobody waits for any more.
PATIENCE = timedelta(minutes=10)
LONGEST_NAME = 100
ASKED, MADE, NOT_MADE = "instance.asked_for", "instance.made", "instance.not_made"
# Whoever holds it looks whether a number was asked for, and writes down that it is now.
_ASKING_LOCK = 7_260_011


class Exists(Exception):
    """The account has an instance of this number already, to be adopted.

    `is_new` says that it was not there before we asked, so that it is the one asked for.
    """

    def __init__(self, seen: Listed, *, is_new: bool) -> None:
        super().__init__(seen.found.reference)
        self.seen = seen
        self.is_new = is_new


def make(tenant: Tenant, account: Account, *, name: str, address: str, by: User | None) -> Adopted:
    """Have the account make an instance that posts here, and store it as the vendor's.

    Raises `OnboardingError`, naming the field, or `LimitReached` before the provider is asked;
    `Exists` where the account has one of this number; `Refused` where the provider says no or it
    is not known what it did. Never call it inside `atomic`.
    """
    address = _checked(tenant, account, name, address)
    since = _write_down_that_it_is_asked(tenant, account, name, address, by)
    if since is not None:
        raise _after_no_answer(account, address, since)
    with _given_up(tenant, account, address, by):
        seen = _at(account, address)
    if seen is not None:
        _record(NOT_MADE, tenant, account, address, by, reason="already_there")
        raise Exists(seen, is_new=False)
    found = _asked(tenant, account, name, address, by)
    _record(MADE, tenant, account, address, by, reference=found.reference)
    try:
        return adopting.keep(tenant, account, found, address=address, label=name, by=by)
    except (OnboardingError, LimitReached) as error:
        raise Refused(
            "made_not_kept",
            _(
                "%(provider)s made the number, but it could not be kept here: %(why)s It stands in "
                "the list: take it over from there."
            )
            % {"provider": account.adapter.label, "why": error.message},
        ) from error


def _checked(tenant: Tenant, account: Account, name: str, address: str) -> str:
    if not name.strip():
        raise OnboardingError("name", _("This is required."))
    if len(name) > LONGEST_NAME:
        raise OnboardingError("name", _("This value is too long."))
    adapter = account.adapter
    address = connecting.require_possible(
        adapter.slug,
        address=address,
        values=account.lent,
        may_lack=[field.name for field in adapter.fields],
    )
    holder = adopting.holder_of(adapter, address)
    if holder is not None and holder.tenant_id != tenant.pk:
        raise OnboardingError(
            "phone", _("%(vendor)s has this already.") % {"vendor": holder.tenant.name}
        )
    return address


def _at(account: Account, address: str) -> Listed | None:
    return next((each for each in adopting.listed(account) if each.address == address), None)


def _write_down_that_it_is_asked(
    tenant: Tenant, account: Account, name: str, address: str, by: User | None
) -> datetime | None:
    """Since when somebody waits for this number already; None where that is us from now on."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_ASKING_LOCK])
        since = _asked_since(address)
        if since is not None:
            return since
        mine = ProviderInstance.objects.serving(tenant).exclude(
            provider=account.adapter.slug, address=address
        )
        limits.require_room(tenant.number, limits.Kind.INSTANCES, mine.count)
        _record(ASKED, tenant, account, address, by, name=name)
    return None


@contextmanager
def _given_up(tenant: Tenant, account: Account, address: str, by: User | None) -> Iterator[None]:
    """What is refused inside ends the asking: nothing was made."""
    try:
        yield
    except Refused as refused:
        _record(NOT_MADE, tenant, account, address, by, reason=refused.code)
        raise


def _asked(tenant: Tenant, account: Account, name: str, address: str, by: User | None) -> Found:
    adapter = account.adapter
    url = connecting.webhook_url_of(tenant, adapter.slug)
    try:
        return adopting.call_account(
            account,
            lambda via: adapter.make_instance(via, name=name, address=address, webhook_url=url),
        )
    except SendError as error:
        if error.unknown:
            raise _after_no_answer(account, address, timezone.now()) from error
        _record(NOT_MADE, tenant, account, address, by, reason=error.code)
        if isinstance(error, Unfit):
            field = "phone" if error.field == "address" else error.field
            said = _("The provider says: %(reason)s") % {"reason": error.detail or error.code}
            raise OnboardingError(field, said) from error
        raise adopting.refusal(account, error) from error


def _after_no_answer(account: Account, address: str, since: datetime) -> Exists | Refused:
    """What to say where nobody knows what the provider did: it is asked what it has."""
    try:
        seen = _at(account, address)
    except Refused:
        seen = None
    if seen is not None:
        return Exists(seen, is_new=True)
    return _not_yet(account, since)


def _asked_since(address: str) -> datetime | None:
    """When the number was asked for, where nobody knows yet what came of it."""
    told = AuditEntry.objects.filter(
        act__in=(ASKED, MADE, NOT_MADE), subject_name=address, at__gt=timezone.now() - PATIENCE
    )
    last = told.order_by("-id").values_list("act", "at").first()
    return last[1] if last and last[0] == ASKED else None


def _not_yet(account: Account, since: datetime) -> Refused:
    return Refused(
        "perhaps_made",
        _(
            "%(provider)s was asked for this number at %(asked)s and gave no answer: it may still "
            "be making it. Its list does not show it yet. Look there again before you ask once "
            "more, which is possible from %(again)s (%(zone)s)."
        )
        % {
            "provider": account.adapter.label,
            "asked": _clock(since),
            "again": _clock(since + PATIENCE),
            "zone": timezone.get_current_timezone_name(),
        },
    )


def _clock(moment: datetime) -> str:
    return formats.date_format(timezone.localtime(moment), "TIME_FORMAT")


def _record(
    act: str,
    tenant: Tenant,
    account: Account,
    address: str,
    by: User | None,
    *,
    reason: str = "",
    **facts: str,
) -> None:
    audit.record(
        act,
        by=by,
        subject_name=address,
        tenant=tenant,
        after={"provider": account.adapter.slug, **facts},
        reason=reason,
    )
