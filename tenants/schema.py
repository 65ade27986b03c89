"""A new tenant's schema: made by replaying what migrating an empty one once ran."""

import hashlib
import importlib
import inspect
from typing import Any

import psycopg
from django.apps import apps
from django.conf import settings
from django.db import transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from psycopg import sql

from tenants.context import connection
from tenants.models import SchemaRecording

SCRATCH = "amda_scratch"
_READS = ("SELECT", "SET", "SHOW", "SAVEPOINT", "RELEASE", "BEGIN", "COMMIT", "ROLLBACK")
# Taken while recording or creating, so that two processes never record at once.
_RECORDING_LOCK = 7_260_001


def replay(schema: str) -> None:
    """Make a tenant's schema and everything in it, in the transaction that is open."""
    script = recording()
    with connection.cursor() as cursor:
        name = sql.Identifier(schema).as_string(cursor.connection)
        cursor.execute(f"CREATE SCHEMA {name}")
        cursor.execute(f"SET LOCAL search_path = {name}, public")
        _run_script(cursor, script)
        cursor.execute("SET LOCAL search_path = public")


def drop(schema: str) -> None:
    """Remove a tenant's schema with everything in it."""
    with connection.cursor() as cursor:
        name = sql.Identifier(schema).as_string(cursor.connection)
        cursor.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")


class Incomplete(Exception):
    """Some tenants' schemas lack tables; the message says which."""


def require_whole() -> None:
    """Raise `Incomplete` when a tenant's query could end up in `public`. One statement."""
    found = lacking()
    if found:
        told = "; ".join(f"{schema}: {', '.join(missing)}" for schema, missing in found.items())
        raise Incomplete(
            f"{len(found)} schemas lack tables, which would be looked for in public:"
            f" run migrate_schemas. {told}"
        )


def lacking() -> dict[str, list[str]]:
    """The schemas of tenants that lack tables, and which. One statement."""
    wanted = _tenant_tables()
    missing = {schema: sorted(wanted - present) for schema, present in _tables_by_schema()}
    return {schema: tables for schema, tables in missing.items() if tables}


def _tables_by_schema() -> list[tuple[str, set[str]]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT t.schema_name, COALESCE(array_agg(p.tablename), '{}')"
            " FROM public.tenants_tenant t LEFT JOIN pg_tables p ON p.schemaname = t.schema_name"
            " GROUP BY t.schema_name ORDER BY t.schema_name"
        )
        return [(schema, set(tables)) for schema, tables in cursor.fetchall()]


def missing_tables(schema: str) -> list[str]:
    """The tables of tenant apps that a schema lacks, which would be looked for in `public`."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [schema])
        present = {name for (name,) in cursor.fetchall()}
    return sorted(_tenant_tables() - present)


def recording() -> str:
    """The SQL of an empty tenant schema for the code as it stands; recorded when it changed."""
    fingerprint = migrations_fingerprint()
    kept = SchemaRecording.objects.filter(fingerprint=fingerprint).first()
    if kept is None:
        kept = _record(fingerprint)
    return kept.sql


def migrations_fingerprint() -> str:
    """Changes whenever a migration of a tenant app is added, removed or edited."""
    loader = MigrationLoader(None, ignore_no_migrations=True)
    labels = {apps.get_app_config(_label(app)).label for app in settings.TENANT_APPS}
    digest = hashlib.sha256()
    for key in sorted(loader.disk_migrations):
        if key[0] in labels:
            module = loader.disk_migrations[key].__module__
            digest.update(repr(key).encode() + _source(module))
    return digest.hexdigest()


def _record(fingerprint: str) -> SchemaRecording:
    """Migrate an empty scratch schema and keep what it ran.

    The scratch schema lives inside a transaction that is rolled back, so that it is never seen.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_RECORDING_LOCK])
        kept = SchemaRecording.objects.filter(fingerprint=fingerprint).first()
        if kept:
            return kept
        script = _script_of_empty_schema()
        return SchemaRecording.objects.create(fingerprint=fingerprint, sql=script)


def _script_of_empty_schema() -> str:
    statements: list[str] = []

    def keep(execute, statement: str, params: Any, many: bool, context: dict) -> Any:
        if not statement.lstrip().upper().startswith(_READS):
            statements.append(_rendered(statement, params))
        return execute(statement, params, many, context)

    outer = transaction.savepoint()
    before = connection.tenant
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE SCHEMA {SCRATCH}")
        connection.set_schema(SCRATCH)
        with connection.execute_wrapper(keep):
            executor = MigrationExecutor(connection)
            MigrationRecorder(connection).ensure_schema()
            executor.migrate(executor.loader.graph.leaf_nodes())
    finally:
        transaction.savepoint_rollback(outer)
        connection.set_tenant(before)
    return ";\n".join(statement.rstrip("; \n") for statement in statements)


def _rendered(statement: str, params: Any) -> str:
    with psycopg.ClientCursor(_raw_connection()) as cursor:
        return cursor.mogrify(statement, params) if params else statement


def _raw_connection() -> psycopg.Connection:
    connection.ensure_connection()
    return connection.connection


def _run_script(cursor: Any, script: str) -> None:
    # Without parameters psycopg sends the whole script in one go, `%` and all.
    cursor.cursor.execute(script.encode())


def _tenant_tables() -> set[str]:
    configs = [apps.get_app_config(_label(app)) for app in settings.TENANT_APPS]
    models = [
        model
        for config in configs
        for model in config.get_models(include_auto_created=True)
        if model._meta.managed and not model._meta.proxy
    ]
    return {model._meta.db_table for model in models} | {MigrationRecorder.Migration._meta.db_table}


def _label(app: str) -> str:
    return next(config.label for config in apps.get_app_configs() if config.name == app)


def _source(module: str) -> bytes:
    return inspect.getsource(importlib.import_module(module)).encode()
