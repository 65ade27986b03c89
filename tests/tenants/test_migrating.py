"""Migrating many tenants: one that fails holds nobody up, the next run does what is left."""

import io
import os
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from tenants import context, migrating, onboarding, schema
from tenants.models import Tenant

# More than are migrated at once, before and after the one that fails.
VENDORS = 6
APP, BEFORE_LAST = "alerts", "0001_initial"


def run(*options):
    printed = io.StringIO()
    try:
        call_command("migrate_schemas", *options, "--noinput", stdout=printed, stderr=printed)
    except CommandError as exc:
        return printed.getvalue(), str(exc)
    return printed.getvalue(), ""


def execute(tenant: Tenant, sql: str) -> None:
    with context.entered(tenant), connection.cursor() as cursor:
        cursor.execute(sql)


@pytest.fixture(scope="module")
def every_vendor(django_db_setup, django_db_blocker):
    """A few vendors, really committed."""
    with django_db_blocker.unblock():
        made = [onboarding.create_tenant_to_join(f"m_{n:02}", name="M") for n in range(VENDORS)]
        yield made
        for tenant in made:
            onboarding.delete_tenant(tenant)


@pytest.fixture
def vendors(every_vendor, django_db_blocker):
    """All of them, each a migration behind."""
    with django_db_blocker.unblock():
        yield [step_back(tenant) for tenant in every_vendor]


@pytest.fixture
def few(every_vendor, django_db_blocker):
    """Two of them, each a migration behind."""
    with django_db_blocker.unblock():
        yield [step_back(tenant) for tenant in every_vendor[:2]]


def step_back(tenant: Tenant) -> Tenant:
    to = {"schema_name": tenant.schema_name, "app_label": APP, "migration_name": BEFORE_LAST}
    call_command("migrate_schemas", **to, verbosity=0, interactive=False)
    return tenant


def break_(tenant: Tenant) -> None:
    """No migration can be noted as done there."""
    execute(tenant, "ALTER TABLE django_migrations ADD CONSTRAINT no_more CHECK (false) NOT VALID")


def repair(tenant: Tenant) -> None:
    execute(tenant, "ALTER TABLE django_migrations DROP CONSTRAINT no_more")


def behind(vendors):
    return [tenant.slug for tenant in vendors if migrating.is_behind(tenant.schema_name)]


def test_one_of_many_that_fails_is_told_and_the_others_are_done(vendors):
    broken = vendors[2]
    break_(broken)

    printed, error = run("--without-backup", "--at-once", "2")

    assert error.startswith("1 of ")
    assert "m_02 failed: IntegrityError: new row" in printed
    assert f"{VENDORS - 1} migrated" in printed
    assert behind(vendors) == ["m_02"]

    repair(broken)
    printed, error = run("--without-backup", "--at-once", "2")

    assert error == ""
    assert "m_02 migrated" in printed
    assert "1 migrated" in printed
    assert behind(vendors) == []
    assert context.in_public()
    schema.require_whole()


def test_production_wants_a_recent_backup(few, settings, tmp_path):
    settings.DEBUG = False
    settings.BACKUP_STAMP = tmp_path / "backup.stamp"

    refused = run("--at-once", "1")[1]
    settings.BACKUP_STAMP.touch()
    old = (timezone.now() - timedelta(hours=25)).timestamp()
    os.utime(settings.BACKUP_STAMP, (old, old))
    refused_again = run("--at-once", "1")[1]
    still_behind = len(behind(few))
    settings.BACKUP_STAMP.touch()
    _printed, error = run("--at-once", "1")

    assert "backup.stamp is not of the last 24 hours" in refused
    assert refused_again == refused
    assert still_behind == 2
    assert (error, behind(few)) == ("", [])


def test_backup_can_be_waived_and_is_not_asked_for_without_need(few, settings, tmp_path):
    settings.DEBUG = False
    settings.BACKUP_STAMP = tmp_path / "backup.stamp"

    waived = run("--at-once", "1", "--without-backup")[1]
    printed, not_needed = run("--at-once", "1")

    assert (waived, not_needed) == ("", "")
    assert "0 migrated" in printed
