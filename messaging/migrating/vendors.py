"""Taking vendors in from rows of a file: each succeeds or fails by itself, twice is as once."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from django.db import DatabaseError
from django.utils.translation import gettext as _

from messaging import connecting, setting_webhooks
from messaging.migrating.vendor_file import VendorRow, column_of
from messaging.providers.base import SendError
from tenants import context, directory, onboarding
from tenants.accounts import invitations, mailing
from tenants.accounts.models import Role, User
from tenants.accounts.team import NotAllowed
from tenants.limits import LimitReached
from tenants.models import ProviderInstance, Tenant
from tenants.onboarding import OnboardingError

logger = logging.getLogger(__name__)

PROVIDER = "wasender"
# Messages come in without it; the webhook set up by the platform's account brings it along.
MAY_LACK = ("api_key",)
_VALUES = ("api_key", "webhook_secret", "session_id", "personal_token", "api_url", "signature")
_FIELDS = {"owner_email": "owner_email", "address": "phone"}


class Result(StrEnum):
    """What became of a row."""

    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    FAILED = "failed"


@dataclass(frozen=True)
class Outcome:
    """A row and what became of it; `reason` names the column to blame, or says what to look after.

    It holds no secret.
    """

    line: int
    slug: str
    result: Result
    reason: str = ""
    webhook_url: str = ""


@dataclass
class Importer:
    """Takes rows in one after the other.

    With `dry_run` nothing is written and nobody is asked: each row is told as it would go, the
    rows before it included. With `sets_webhooks` the provider is told where to post.
    """

    dry_run: bool = False
    sets_webhooks: bool = False
    _numbers: dict[str, str] = field(default_factory=dict)
    _sessions: dict[str, str] = field(default_factory=dict)
    _slugs: dict[str, str] = field(default_factory=dict)

    def take_in(self, rows: Iterable[VendorRow]) -> Iterator[Outcome]:
        """The outcome of each row as soon as it is known."""
        for row in rows:
            yield self._one(row)

    def _one(self, row: VendorRow) -> Outcome:
        try:
            return self._taken_in(row)
        except OnboardingError as refusal:
            column = column_of(_FIELDS.get(refusal.field, refusal.field))
            return _failed(row, f"{column}: {refusal.message}")
        except (LimitReached, NotAllowed) as refusal:
            return _failed(row, str(refusal))
        except (DatabaseError, OSError) as fault:
            # The rows behind it may fare better, and this one comes again with the next run.
            logger.exception("line %d could not be taken in", row.line)
            return _failed(row, type(fault).__name__)

    def _taken_in(self, row: VendorRow) -> Outcome:
        if row.complaint:
            return _failed(row, row.complaint)
        tenant = directory.tenant_of_slug(row.slug)
        address = connecting.require_possible(
            PROVIDER, address=row.phone, values=values_of(row), may_lack=MAY_LACK
        )
        if row.owner_email:
            onboarding.check_owner_email(row.owner_email)
        self._require_unclaimed(row, address)
        if tenant is None and not self._slugs.get(row.slug.lower()):
            onboarding.require_possible(row.slug, **_facts_of(row))
        self._remember(row, address)
        known = _instance_at(tenant, address)
        result = _result(tenant, known, row)
        if self.dry_run:
            return Outcome(row.line, row.slug, result)
        return self._written(row, tenant, known, result)

    def _written(
        self,
        row: VendorRow,
        tenant: Tenant | None,
        known: ProviderInstance | None,
        result: Result,
    ) -> Outcome:
        tenant = tenant or onboarding.create_tenant_to_join(row.slug, **_facts_of(row))
        instance = known
        if result is not Result.UNCHANGED or instance is None:
            instance = connecting.connect_instance(
                tenant,
                PROVIDER,
                address=row.phone,
                values=values_of(row),
                label=row.label,
                may_lack=MAY_LACK,
            )
        notes = [_invited(tenant, row.owner_email) if row.owner_email else ""]
        if self.sets_webhooks:
            notes.append(_webhook_set(instance))
        url = connecting.webhook_url(instance)
        trouble = "; ".join(note for note in notes if note)
        if trouble:
            return Outcome(row.line, row.slug, Result.FAILED, trouble, url)
        return Outcome(row.line, row.slug, result, "", url)

    def _require_unclaimed(self, row: VendorRow, address: str) -> None:
        """A number and a session are one vendor's, in the database and in the file."""
        slug = row.slug.lower()
        for claims, what, name in (
            (self._numbers, address, "phone"),
            (self._sessions, row.session_id, "session_id"),
        ):
            holder = claims.get(what) or _holder(name, what, slug)
            if holder and holder != slug:
                raise OnboardingError(name, _("%(vendor)s has this already.") % {"vendor": holder})

    def _remember(self, row: VendorRow, address: str) -> None:
        self._numbers[address] = row.slug.lower()
        self._sessions[row.session_id] = row.slug.lower()
        self._slugs[row.slug.lower()] = row.slug


def values_of(row: VendorRow) -> dict[str, str]:
    """The row's fields of the provider; what it leaves empty stays as it is."""
    return {name: getattr(row, name) for name in _VALUES if getattr(row, name)}


def _facts_of(row: VendorRow) -> dict[str, str]:
    return {name: getattr(row, name) for name in ("name", "country", "time_zone", "language")}


def _instance_at(tenant: Tenant | None, address: str) -> ProviderInstance | None:
    if tenant is None:
        return None
    mine = ProviderInstance.objects.of(tenant).filter(provider=PROVIDER, address=address)
    return mine.select_related("tenant").order_by("pk").first()


def _holder(name: str, what: str, slug: str) -> str:
    """The vendor that has a number or session already, this one where it is among them."""
    instances = ProviderInstance.objects.across_tenants().filter(provider=PROVIDER)
    wanted = {"address": what} if name == "phone" else {"settings__session_id": what}
    slugs = instances.filter(**wanted).values_list("tenant__slug", flat=True)
    holders = [held.lower() for held in slugs]
    return slug if slug in holders else next(iter(holders), "")


def _result(tenant: Tenant | None, known: ProviderInstance | None, row: VendorRow) -> Result:
    if tenant is None:
        return Result.CREATED
    if known is None:
        return Result.CHANGED
    has = {**known.settings, **known.secrets}
    same = all(has.get(name) == value for name, value in values_of(row).items())
    return Result.UNCHANGED if same and row.label in ("", known.label) else Result.CHANGED


def _invited(tenant: Tenant, email: str) -> str:
    """Invite the owner once; what went wrong, "" if nothing."""
    with context.entered(tenant):
        there = User.objects.filter(email__iexact=email, role=Role.OWNER).exists()
        waits = invitations.open_invitations().filter(email__iexact=email).exists()
        if there or waits:
            return ""
        invitation = invitations.invite_owner(email.strip().lower())
        if mailing.send_owner_invitation(tenant, invitation):
            return ""
        # So that the next run invites again.
        invitation.delete()
        return _("ownerEmail: the mail could not be sent")


def _webhook_set(instance: ProviderInstance) -> str:
    try:
        setting_webhooks.set_up(instance, by_platform=True)
    except SendError as error:
        return _("the webhook could not be set (%(error)s)") % {"error": error}
    return ""


def _failed(row: VendorRow, reason: str) -> Outcome:
    return Outcome(row.line, row.slug, Result.FAILED, reason)
