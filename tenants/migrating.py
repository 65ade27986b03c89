"""Bringing every tenant's schema to the state of the code: each by itself, several at once."""

import logging
import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import django
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django_tenants.migration_executors.base import run_migrations

from tenants import context
from tenants.models import Tenant

logger = logging.getLogger(__name__)

# Below this many, starting further processes takes longer than they save.
FEW = 8
BACKUP_VALID = timedelta(hours=24)


class State(StrEnum):
    """What became of a tenant's schema."""

    MIGRATED = "migrated"
    CURRENT = "up to date"
    FAILED = "failed"


@dataclass(frozen=True)
class Outcome:
    """A tenant's schema and what became of it; `reason` says why it failed."""

    schema: str
    slug: str
    state: State
    reason: str = ""


def migrate_all(
    tenants: Sequence[Tenant], options: Mapping[str, Any], at_once: int
) -> Iterator[Outcome]:
    """The outcome of each tenant as soon as it is known; one that fails holds nobody up."""
    slugs = {tenant.schema_name: tenant.slug for tenant in tenants}
    if at_once < 2 or len(slugs) < FEW:
        for schema in slugs:
            yield Outcome(schema, slugs[schema], *migrate(schema, options))
        return
    connection.close()
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(at_once, mp_context=spawned, initializer=django.setup) as pool:
        waiting = {pool.submit(migrate, schema, options): schema for schema in slugs}
        for done in as_completed(waiting):
            schema = waiting[done]
            try:
                yield Outcome(schema, slugs[schema], *done.result())
            except BrokenProcessPool:
                yield Outcome(schema, slugs[schema], State.FAILED, "its process was killed")


def migrate(schema: str, options: Mapping[str, Any]) -> tuple[State, str]:
    """Bring one schema to the state of the code; a failure is an answer, with its reason."""
    try:
        if not is_behind(schema):
            return State.CURRENT, ""
        run_migrations((), {**options, "verbosity": 0}, "amda", schema, allow_atomic=False)
    except Exception as exc:
        # Whatever a migration raises: it is this tenant's, and the others go on.
        logger.exception("%s could not be migrated", schema)
        return State.FAILED, f"{type(exc).__name__}: {str(exc).splitlines()[0] if str(exc) else ''}"
    finally:
        _back_to_public()
    return State.MIGRATED, ""


def is_behind(schema: str) -> bool:
    """Whether migrations wait to be run in a schema."""
    context.connection.set_schema(schema, include_public=False)
    try:
        executor = MigrationExecutor(connection)
        return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    finally:
        _back_to_public()


def schemas_of_tenants() -> list[str]:
    """The schemas there are, also while the table of tenants is still an earlier release's."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('public.tenants_tenant') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return []
        cursor.execute("SELECT schema_name FROM public.tenants_tenant ORDER BY number")
        return [name for (name,) in cursor.fetchall()]


def is_backed_up(stamp: Path, now: datetime) -> bool:
    """Whether a backup was made lately."""
    made = backed_up_at(stamp, now)
    return made is not None and now - made < BACKUP_VALID


def backed_up_at(stamp: Path, now: datetime) -> datetime | None:
    """When the last backup was made: the script that makes one touches this file."""
    try:
        return datetime.fromtimestamp(stamp.stat().st_mtime, now.tzinfo)
    except FileNotFoundError:
        return None


def _back_to_public() -> None:
    try:
        context.connection.set_schema_to_public()
    except DatabaseError:
        connection.close()
        context.connection.set_schema_to_public()
