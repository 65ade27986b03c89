"""How a vendor becomes a tenant, and how nothing of it is left afterwards."""

import zoneinfo
from dataclasses import dataclass

import phonenumbers
from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.files.storage import default_storage
from django.core.validators import validate_email
from django.db import OperationalError, connection, transaction
from django.utils.translation import gettext as _
from psycopg.errors import DeadlockDetected

from tenants import audit, context, directory, orders, schema
from tenants.accounts.models import Role, User
from tenants.models import ProviderInstance, SlugAlias, Tenant, WebhookDelivery
from tenants.models.tenants import SLUG, host_label

RESERVED_HOST_LABELS = frozenset(
    "www admin api app static media assets cdn mail smtp imap ftp ns ns1 ns2 mx localhost public"
    " health webhooks status support help docs blog billing login accounts auth sandbox".split()
)
LONGEST_LABEL = 63
LONGEST_NAME = 200
# Taken while a slug and a host label are chosen, so that two new tenants never choose the same.
_NAMES_LOCK = 7_260_002
# A deletion that stood in a deadlock begins anew this often, each time after what was in its way.
_TRIES = 5


class OnboardingError(Exception):
    """Something that was given cannot be used: which field, and why."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class NotFullyDeleted(Exception):
    """A deletion left something behind; the message says what."""


@dataclass(frozen=True)
class _Facts:
    slug: str
    name: str
    country: str
    time_zone: str
    language: str


def create_tenant(
    slug: str,
    *,
    name: str,
    owner_email: str,
    owner_password: str,
    country: str = "",
    time_zone: str = "",
    language: str = "",
    by: User | None = None,
) -> Tenant:
    """A new tenant with its schema and its owner, or `OnboardingError` and nothing at all.

    Never call it inside `atomic`: the owner is made in the new schema.
    """
    facts = _checked(slug, name, country, time_zone, language)
    owner_email = owner_email.strip().lower()
    _check_owner(owner_email, owner_password)
    with context.entered_public():
        tenant = _make(facts, by, owner_email)
    try:
        with context.entered(tenant):
            User.objects.create_user(owner_email, owner_password, role=Role.OWNER)
    except BaseException:
        delete_tenant(tenant)
        raise
    directory.changed()
    return tenant


def create_tenant_to_join(
    slug: str,
    *,
    name: str,
    country: str = "",
    time_zone: str = "",
    language: str = "",
    by: User | None = None,
) -> Tenant:
    """A new tenant that nobody is in yet: invite its owner. Refusals as with `create_tenant`."""
    facts = _checked(slug, name, country, time_zone, language)
    with context.entered_public():
        tenant = _make(facts, by)
    directory.changed()
    return tenant


def require_possible(
    slug: str, *, name: str, country: str = "", time_zone: str = "", language: str = ""
) -> None:
    """`OnboardingError` where a tenant like this could not be made now; makes nothing."""
    facts = _checked(slug, name, country, time_zone, language)
    with context.entered_public():
        _require_free_slug(facts.slug)
        _free_host_label(facts.slug)


def rename_tenant(tenant: Tenant, slug: str, *, by: User | None = None) -> Tenant:
    """Give a tenant another slug, or `OnboardingError`.

    The former one leads to it for good, so that addresses pasted at providers go on working. Its
    host stays as well: people's passkeys are bound to it.
    """
    slug = slug.strip()
    _check_slug(slug)
    with context.entered_public():
        with transaction.atomic():
            _lock_names()
            found = Tenant.objects.select_for_update().get(number=tenant.number)
            former = found.slug
            if slug == former:
                return found
            _require_free_slug(slug, besides=found)
            SlugAlias.objects.filter(tenant=found, slug__iexact=slug).delete()
            if slug.lower() != former.lower():
                SlugAlias.objects.create(slug=former, tenant=found)
            found.slug = slug
            found.save(update_fields=["slug"])
            audit.record(
                "tenant.renamed",
                by=by,
                subject=found,
                tenant=found,
                before={"slug": former},
                after={"slug": slug},
            )
            directory.changed()
    directory.forget()
    return found


def delete_tenant(tenant: Tenant, *, by: User | None = None) -> None:
    """Remove a tenant with all that is its own, and make sure that nothing is left.

    Cached values in Redis are not searched for; they end by themselves and belong to a number
    that is never used again.
    """
    number = tenant.number
    with context.entered_public():
        _delete_rows(tenant, by)
        directory.changed()
        _delete_files(context.folder_of(number))
        _delete_cached(number)
        # Whatever was ordered while the rows were going.
        _delete_jobs(number)
        left = leftovers(number)
    if left:
        raise NotFullyDeleted(f"tenant {number} left behind: {', '.join(left)}")


def _delete_rows(tenant: Tenant, by: User | None) -> None:
    """All or nothing. Work that has begun may hold one table and ask for another that we hold
    already: PostgreSQL then ends one of us, and where it is us, that work finishes first."""
    for tries_left in reversed(range(_TRIES)):
        try:
            with transaction.atomic():
                _delete_rows_at_once(tenant, by)
            return
        except OperationalError as error:
            if not tries_left or not isinstance(error.__cause__, DeadlockDetected):
                raise


def _delete_rows_at_once(tenant: Tenant, by: User | None) -> None:
    number = tenant.number
    _wait_for_inbox(number)
    _delete_jobs(number)
    WebhookDelivery.objects.of(number).delete()
    ProviderInstance.objects.of(number).delete()
    Tenant.objects.filter(number=number).delete()
    schema.drop(context.schema_of(number))
    audit.record("tenant.deleted", by=by, subject=tenant, subject_name=tenant.slug)


def leftovers(number: int) -> list[str]:
    """What still exists of a tenant's number, in words; empty once it is wholly gone."""
    found = {
        "its row": Tenant.objects.filter(number=number).exists(),
        "its schema": _schema_exists(context.schema_of(number)),
        "instances": ProviderInstance.objects.of(number).exists(),
        "deliveries": WebhookDelivery.objects.of(number).exists(),
        "jobs": _has_jobs(number),
        "files": _has_files(context.folder_of(number)),
        "cached values": _has_cached(number),
    }
    return [what for what, exists in found.items() if exists]


def home_url(tenant: Tenant) -> str:
    """Where a tenant's team works: the address of its host label."""
    host = f"{tenant.host_label}{settings.TENANT_HOST_SUFFIX}{settings.PUBLIC_PORT}"
    return f"{settings.PUBLIC_SCHEME}://{host}"


def _checked(slug: str, name: str, country: str, time_zone: str, language: str) -> _Facts:
    facts = _Facts(
        slug=slug.strip(),
        name=name.strip(),
        country=country.strip().upper() or settings.DEFAULT_COUNTRY,
        time_zone=time_zone.strip() or settings.DEFAULT_TIME_ZONE,
        language=language.strip().lower() or settings.LANGUAGE_CODE,
    )
    _check_slug(facts.slug)
    if not 1 <= len(facts.name) <= LONGEST_NAME or "\0" in facts.name:
        raise OnboardingError("name", _("Give a name of 1 to 200 characters."))
    if facts.country not in phonenumbers.SUPPORTED_REGIONS:
        raise OnboardingError("country", _("Give a country as two letters, such as FR."))
    if facts.time_zone not in zoneinfo.available_timezones():
        raise OnboardingError("time_zone", _("Give a time zone such as Europe/Paris."))
    if facts.language not in dict(settings.LANGUAGES):
        raise OnboardingError("language", _("Choose one of: fr, en."))
    return facts


def _check_slug(slug: str) -> None:
    if not SLUG.match(slug):
        raise OnboardingError(
            "slug",
            _("Use 1 to 63 letters, digits, hyphens or underscores; begin with a letter or digit."),
        )
    if host_label(slug) in {"", *RESERVED_HOST_LABELS}:
        raise OnboardingError("slug", _("This name is reserved: choose another slug."))


def _check_owner(email: str, password: str) -> None:
    check_owner_email(email)
    try:
        validate_password(password, User(email=email))
    except ValidationError as exc:
        raise OnboardingError("owner_password", " ".join(exc.messages)) from exc


def check_owner_email(email: str) -> None:
    """`OnboardingError` where nobody can sign in with this address."""
    try:
        validate_email(email)
    except ValidationError as exc:
        raise OnboardingError("owner_email", exc.messages[0]) from exc
    if len(email) > (User._meta.get_field("email").max_length or 0):
        raise OnboardingError("owner_email", _("This address is too long."))


def _make(facts: _Facts, by: User | None, owner_email: str = "") -> Tenant:
    """The row and the schema, in one transaction."""
    with transaction.atomic():
        _lock_names()
        _require_free_slug(facts.slug)
        number = _next_number()
        tenant = Tenant(
            number=number,
            schema_name=context.schema_of(number),
            slug=facts.slug,
            host_label=_free_host_label(facts.slug),
            name=facts.name,
            language=facts.language,
            time_zone=facts.time_zone,
            default_country=facts.country,
        )
        tenant.save(force_insert=True)
        schema.replay(tenant.schema_name)
        audit.record(
            "tenant.created",
            by=by,
            subject=tenant,
            tenant=tenant,
            after={"slug": facts.slug, "name": facts.name, "owner": owner_email},
        )
    return tenant


def _lock_names() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_NAMES_LOCK])


def _require_free_slug(slug: str, besides: Tenant | None = None) -> None:
    """`besides` is the tenant that may have, or once have had, this slug itself."""
    own = besides.number if besides else 0
    taken = Tenant.objects.filter(slug__iexact=slug).exclude(number=own).exists()
    former = SlugAlias.objects.filter(slug__iexact=slug).exclude(tenant_id=own)
    if taken or former.exists():
        raise OnboardingError("slug", _("Another vendor has this slug, or once had it."))


def _free_host_label(slug: str) -> str:
    """The label the slug asks for, with a number behind it where that is another tenant's."""
    wanted = host_label(slug)
    label, position = wanted, 1
    while Tenant.objects.filter(host_label=label).exists():
        position += 1
        label = f"{wanted[: LONGEST_LABEL - len(str(position)) - 1]}-{position}"
    return label


def _next_number() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('public.tenants_tenant', 'number'))")
        return cursor.fetchone()[0]


def _wait_for_inbox(number: int) -> None:
    """Let who reads the inbox finish its batch, and nobody begin: they would deadlock with us."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [orders.INBOX_LOCK, number])


def _schema_exists(name: str) -> bool:
    return _exists("SELECT 1 FROM pg_namespace WHERE nspname = %s", name)


def _delete_jobs(number: int) -> None:
    _run("DELETE FROM public.procrastinate_jobs WHERE args->>'tenant' = %s", str(number))


def _has_jobs(number: int) -> bool:
    return _exists(
        "SELECT 1 FROM public.procrastinate_jobs WHERE args->>'tenant' = %s LIMIT 1", str(number)
    )


def _delete_files(folder: str) -> None:
    folders, files = _listed(folder)
    for name in files:
        default_storage.delete(f"{folder}/{name}")
    for name in folders:
        _delete_files(f"{folder}/{name}")
    default_storage.delete(folder)


def _has_files(folder: str) -> bool:
    return any(_listed(folder))


def _listed(folder: str) -> tuple[list[str], list[str]]:
    # Object stores know no folders: there, asking whether one exists says no of a full one.
    try:
        return default_storage.listdir(folder)
    except FileNotFoundError:
        return [], []


def _delete_cached(number: int) -> None:
    if _caches_in_database():
        _run(_on_cache("DELETE FROM {} WHERE starts_with(cache_key, %s)"), _cache_prefix(number))


def _has_cached(number: int) -> bool:
    return _caches_in_database() and _exists(
        _on_cache("SELECT 1 FROM {} WHERE starts_with(cache_key, %s) LIMIT 1"),
        _cache_prefix(number),
    )


def _caches_in_database() -> bool:
    return settings.CACHES["default"]["BACKEND"].endswith("DatabaseCache")


def _on_cache(statement: str) -> str:
    return statement.format(connection.ops.quote_name(settings.CACHES["default"]["LOCATION"]))


def _cache_prefix(number: int) -> str:
    return f"{context.schema_of(number)}:"


def _run(sql: str, value: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, [value])


def _exists(sql: str, value: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(sql, [value])
        return cursor.fetchone() is not None
