"""Erasing a vendor for good, and the certificate of what was removed: counts, never content."""

from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.files.storage import default_storage
from django.db import transaction
from django.utils import timezone
from psycopg import sql

from amda import mailbox
from tenants import context, onboarding
from tenants.accounts.models import AuditEntry, Invitation, User
from tenants.context import connection
from tenants.models import Tenant, Undertaking
from tenants.undertaking import Progress

_STEPS = 4


def erase(undertaking: Undertaking, tell: Progress) -> dict[str, Any]:
    """Remove everything of a vendor; the certificate. Safe to repeat where it was cut short."""
    number = undertaking.tenant_number
    tell(0, _STEPS)
    counted = undertaking.facts.get("counted")
    tenant = Tenant.objects.filter(number=number).first()
    if tenant is not None:
        # Kept first: whoever is cut short after this still knows what there was.
        counted = counted or count(tenant)
        undertaking.facts = {**undertaking.facts, "counted": counted}
        undertaking.save(update_fields=["facts"])
        mailbox.forget(_addresses(tenant))
        tell(1, _STEPS)
        onboarding.delete_tenant(tenant, by=_by(undertaking))
    tell(2, _STEPS)
    forget_traces(number, besides=undertaking.pk)
    tell(3, _STEPS)
    left = onboarding.leftovers(number)
    if left:
        raise onboarding.NotFullyDeleted(f"tenant {number} left behind: {', '.join(left)}")
    tell(_STEPS, _STEPS)
    return {
        "number": number,
        "slug": undertaking.slug,
        "erased_at": timezone.now().isoformat(),
        "removed": counted or {},
        "left": left,
    }


def count(tenant: Tenant) -> dict[str, Any]:
    """How much there is of a vendor: rows of its schema, rows of the shared tables, jobs, files."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY 1", [tenant.schema_name]
        )
        own = [name for (name,) in cursor.fetchall()]
        cursor.execute(
            "SELECT table_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND column_name = 'tenant_id' ORDER BY 1"
        )
        shared = [name for (name,) in cursor.fetchall()]
        cursor.execute(
            "SELECT count(*) FROM public.procrastinate_jobs WHERE args->>'tenant' = %s",
            [str(tenant.number)],
        )
        [jobs] = cursor.fetchone()
        schema = {name: _rows(cursor, tenant.schema_name, name) for name in own}
        public = {name: _rows(cursor, "public", name, tenant.number) for name in shared}
    files, size = _files(context.folder_of(tenant.number))
    return {
        "schema": {name: rows for name, rows in schema.items() if rows},
        "shared": {name: rows for name, rows in public.items() if rows} | {"tenants_tenant": 1},
        "jobs": jobs,
        "files": files,
        "file_bytes": size,
    }


def forget_traces(number: int, *, besides: int) -> None:
    """What names an erased vendor where staff work: its name in the audit and the admin's history,
    the exports ordered of it. That something was done, when and by whom, stays."""
    with transaction.atomic():
        kinds = ContentType.objects.get_for_models(Tenant)
        LogEntry.objects.filter(content_type=kinds[Tenant], object_id=str(number)).delete()
        Undertaking.objects.filter(tenant_number=number).exclude(pk=besides).delete()
        _take_names_out(number)


def _take_names_out(number: int) -> None:
    """The one change that entries ever see: the rule that refuses it is off for this statement."""
    table = AuditEntry._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE public.{table} DISABLE RULE audit_never_changed")
        cursor.execute(
            f"UPDATE public.{table} SET before = '{{}}', after = '{{}}', reason = '',"  # noqa: S608
            " subject_name = %s WHERE tenant_number = %s",
            [f"#{number}", number],
        )
        cursor.execute(f"ALTER TABLE public.{table} ENABLE RULE audit_never_changed")


def _addresses(tenant: Tenant) -> set[str]:
    with context.entered(tenant):
        team = set(User.objects.values_list("email", flat=True))
        return team | set(Invitation.objects.values_list("email", flat=True))


def _by(undertaking: Undertaking) -> User | None:
    return User.objects.filter(pk=undertaking.by_id).first()


def _rows(cursor: Any, space: str, table: str, number: int | None = None) -> int:
    query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(space, table))
    if number is not None:
        query += sql.SQL(" WHERE tenant_id = {}").format(sql.Literal(number))
    cursor.execute(query)
    return cursor.fetchone()[0]


def _files(folder: str) -> tuple[int, int]:
    try:
        folders, files = default_storage.listdir(folder)
    except FileNotFoundError:
        return 0, 0
    count, size = len(files), sum(default_storage.size(f"{folder}/{name}") for name in files)
    for name in folders:
        below = _files(f"{folder}/{name}")
        count, size = count + below[0], size + below[1]
    return count, size
