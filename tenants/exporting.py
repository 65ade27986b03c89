"""A vendor's data as one zip: a file of JSON lines for each table, its files, a manifest.

Whatever the vendor's size, it is read and written piece by piece.
"""

import hashlib
import json
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import IO, Any
from uuid import uuid4

from django.core.files import File
from django.core.files.storage import default_storage
from django.utils import timezone
from psycopg import sql

from tenants import context, directory
from tenants.context import connection
from tenants.models import Tenant, Undertaking
from tenants.undertaking import Progress

FOLDER = "exports"
ATTEMPTS = 3
BLOCK = 256 * 1024
# What lets somebody in, or belongs to the software and not to the vendor.
LEFT_OUT = {
    "accounts_knownsession": "sessions",
    "accounts_rememberedwrite": "answers to repeated requests",
    "django_migrations": "the software's own",
    "django_session": "sessions",
    "mfa_authenticator": "second steps",
}
HIDDEN_COLUMNS = {
    "accounts_user": {"password", "token_version"},
    "accounts_invitation": {"nonce"},
    "tenants_crmlink": {"sealed_key"},
    "tenants_providerinstance": {"sealed_secrets", "sealed_previous_secrets"},
    "tenants_webhookdelivery": {"body", "query"},
}
# Of the tables that all vendors share: the column that says whose a row is.
PUBLIC = {
    "tenants_tenant": "number",
    "tenants_domain": "tenant_id",
    "tenants_slugalias": "tenant_id",
    "tenants_providerinstance": "tenant_id",
    "tenants_crmlink": "tenant_id",
    "tenants_webhookdelivery": "tenant_id",
    "tenants_usagecounter": "tenant_id",
}


class Overtaken(Exception):
    """Something was withdrawn or removed during every attempt: the zip might still hold it."""


@dataclass(frozen=True)
class Part:
    """One file of JSON lines in the zip."""

    name: str
    rows: int
    bytes: int
    sha256: str


def export(undertaking: Undertaking, tell: Progress) -> dict[str, Any]:
    """Write the zip into the vendor's own folder, where erasing the vendor finds it.

    It starts again where something was removed meanwhile that it may have read before.
    """
    tenant = directory.tenant_numbered(undertaking.tenant_number)
    for _attempt in range(ATTEMPTS):
        _name_anew(undertaking)
        with tempfile.TemporaryFile() as spool:
            manifest = write(tenant, spool, tell)
            size = spool.tell()
            spool.seek(0)
            default_storage.save(undertaking.path, File(spool))
        if _is_still_named(undertaking):
            sums = {name: manifest[name] for name in ("rows", "files", "file_bytes")}
            return {**sums, "tables": len(manifest["tables"]), "zip_bytes": size}
        default_storage.delete(undertaking.path)
    raise Overtaken(f"undertaking {undertaking.pk}")


def _name_anew(undertaking: Undertaking) -> None:
    """A place that no removal ordered before can mean; what a dead worker left goes, also where
    a removal took its name away meanwhile."""
    begins = f"{folder_of(undertaking.tenant_number)}/{undertaking.pk}-"
    for path in list(_files_in(folder_of(undertaking.tenant_number))):
        if path.startswith(begins):
            default_storage.delete(path)
    undertaking.path = f"{begins}{uuid4().hex}.zip"
    # Kept before the first row is read: from here on, a removal takes the name away.
    undertaking.save(update_fields=["path"])


def _is_still_named(undertaking: Undertaking) -> bool:
    return Undertaking.objects.filter(pk=undertaking.pk, path=undertaking.path).exists()


def folder_of(number: int) -> str:
    """Where a tenant's exports lie."""
    return f"{context.folder_of(number)}/{FOLDER}"


def write(tenant: Tenant, target: IO[bytes], tell: Progress) -> dict[str, Any]:
    """Write a tenant's zip; its manifest, which is the last thing in it."""
    tables = _tables_of(tenant)
    files = list(_files_in(context.folder_of(tenant.number)))
    total = len(tables) + len(files) + 1
    parts: list[Part] = []
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for space, table in tables:
            parts.append(_write_table(archive, tenant, space, table))
            tell(len(parts), total)
        kept, file_bytes = _write_files(archive, tenant, files, tell, len(parts), total)
        manifest = {
            "vendor": {"number": tenant.number, "slug": tenant.slug, "name": tenant.name},
            "made_at": timezone.now().isoformat(),
            "rows": sum(part.rows for part in parts),
            "tables": [asdict(part) for part in parts],
            "files": kept.rows,
            "file_bytes": file_bytes,
            "file_index": asdict(kept),
            "left_out": {
                **LEFT_OUT,
                "secrets": "passwords, keys of providers, links that let somebody in",
                "deliveries' bodies": "what they said is in the messages",
            },
        }
        archive.writestr("manifest.json", json.dumps(manifest, indent=2, ensure_ascii=False))
    tell(total, total)
    return manifest


def _tables_of(tenant: Tenant) -> list[tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY 1",
            [tenant.schema_name],
        )
        own = [name for (name,) in cursor.fetchall() if name not in LEFT_OUT]
    return [("public", table) for table in PUBLIC] + [(tenant.schema_name, name) for name in own]


def _write_table(archive: zipfile.ZipFile, tenant: Tenant, space: str, table: str) -> Part:
    folder = "shared" if space == "public" else "tables"
    with _lines(archive, f"{folder}/{table}.jsonl") as lines:
        for line in _rows(tenant, space, table):
            lines.write(line)
    return lines.part


def _rows(tenant: Tenant, space: str, table: str) -> Iterator[str]:
    """The rows as PostgreSQL writes them as JSON, one after the other."""
    hidden = HIDDEN_COLUMNS.get(table, set())
    query = sql.SQL("COPY (SELECT to_jsonb(t){hidden} FROM {table} t{whose}) TO STDOUT").format(
        hidden=sql.SQL("").join(sql.SQL(" - {}").format(sql.Literal(each)) for each in hidden),
        table=sql.Identifier(space, table),
        whose=sql.SQL(" WHERE {} = {}").format(
            sql.Identifier(PUBLIC[table]), sql.Literal(tenant.number)
        )
        if space == "public"
        else sql.SQL(""),
    )
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        for (line,) in copy.rows():
            yield line


def _write_files(
    archive: zipfile.ZipFile,
    tenant: Tenant,
    files: list[str],
    tell: Progress,
    done: int,
    total: int,
) -> tuple[Part, int]:
    """The files as they are, then the list of them with their checksums."""
    folder, written = context.folder_of(tenant.number), 0
    with tempfile.TemporaryFile("w+", encoding="utf-8") as index:
        for place, path in enumerate(files, 1):
            name = f"files/{path.removeprefix(folder + '/')}"
            size, digest = _write_file(archive, path, name)
            written += size
            index.write(json.dumps({"name": name, "bytes": size, "sha256": digest}) + "\n")
            tell(done + place, total)
        index.seek(0)
        with _lines(archive, "files.jsonl") as lines:
            for line in index:
                lines.write(line.rstrip("\n"))
    return lines.part, written


def _write_file(archive: zipfile.ZipFile, path: str, name: str) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with default_storage.open(path) as source, archive.open(name, "w", force_zip64=True) as target:
        while block := source.read(BLOCK):
            digest.update(block)
            size += target.write(block)
    return size, digest.hexdigest()


def _files_in(folder: str) -> Iterator[str]:
    """Every file below a folder, but what was exported before."""
    try:
        folders, files = default_storage.listdir(folder)
    except FileNotFoundError:
        return
    yield from (f"{folder}/{name}" for name in sorted(files))
    for name in sorted(folders):
        if name != FOLDER:
            yield from _files_in(f"{folder}/{name}")


class _Lines:
    """Counts and sums what is written, line by line."""

    def __init__(self, name: str, target: IO[bytes]) -> None:
        self._name, self._target = name, target
        self._rows, self._bytes, self._digest = 0, 0, hashlib.sha256()

    def write(self, line: str) -> None:
        written = line.encode() + b"\n"
        self._target.write(written)
        self._digest.update(written)
        self._rows += 1
        self._bytes += len(written)

    @property
    def part(self) -> Part:
        return Part(self._name, self._rows, self._bytes, self._digest.hexdigest())


@contextmanager
def _lines(archive: zipfile.ZipFile, name: str) -> Iterator[_Lines]:
    with archive.open(name, "w", force_zip64=True) as target:
        yield _Lines(name, target)
