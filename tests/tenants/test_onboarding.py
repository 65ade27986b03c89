"""Making a vendor, and removing it without a trace."""

import threading

import psycopg
import pytest
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from amda import database
from tenants import context, directory, onboarding, orders, schema
from tenants.accounts.models import Role, User
from tenants.models import ProviderInstance, SlugAlias, Tenant, WebhookDelivery
from tests import factories
from tests.processes import until

PASSWORD = "correct horse battery staple"


def new_tenant(slug, **facts):
    defaults = {"name": "A shop", "owner_email": "owner@shop.test", "owner_password": PASSWORD}
    return onboarding.create_tenant(slug, **{**defaults, **facts})


def test_create_tenant_makes_names_schema_and_owner(db):
    tenant = new_tenant("Shop_7", owner_email=" Owner@Shop.TEST ", country="sn")

    assert tenant.schema_name == f"t_{tenant.number}"
    assert (tenant.slug, tenant.host_label, tenant.default_country) == ("Shop_7", "shop-7", "SN")
    assert directory.tenant_of_slug("sHOP_7") == tenant
    assert schema.missing_tables(tenant.schema_name) == []
    with context.entered(tenant):
        owner = User.objects.get()
    assert (owner.email, owner.role) == ("owner@shop.test", Role.OWNER)
    assert owner.check_password(PASSWORD)


@pytest.mark.parametrize(
    ("field", "facts"),
    [
        ("slug", {"slug": "-shop"}),
        ("slug", {"slug": "sh op"}),
        ("slug", {"slug": "s" * 64}),
        ("slug", {"slug": "WWW"}),
        ("slug", {"slug": "admin"}),
        ("name", {"name": " "}),
        ("owner_email", {"owner_email": "nobody"}),
        ("owner_password", {"owner_password": "1234"}),
        ("country", {"country": "Senegal"}),
        ("time_zone", {"time_zone": "Paris"}),
        ("language", {"language": "de"}),
    ],
)
def test_create_tenant_names_the_wrong_field_and_makes_nothing(db, field, facts):
    before = Tenant.objects.count()

    with pytest.raises(onboarding.OnboardingError) as refused:
        new_tenant(**{"slug": "shop", **facts})

    assert refused.value.field == field
    assert Tenant.objects.count() == before


@pytest.mark.parametrize("slug", ["vendor_001", "VENDOR_001", "former_name", "Former_Name"])
def test_create_tenant_refuses_slug_of_another_whatever_its_case(tenant, slug):
    SlugAlias.objects.create(slug="former_name", tenant=tenant)

    with pytest.raises(onboarding.OnboardingError) as refused:
        new_tenant(slug)

    assert refused.value.field == "slug"


def test_create_tenant_finds_another_host_label_where_it_is_taken(tenant):
    second = new_tenant("vendor-001")
    third = new_tenant("VENDOR--001")

    assert second.host_label == "vendor-001-2"
    assert third.host_label == "vendor--001"


def test_create_tenant_removes_everything_when_owner_cannot_be_made(db, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("no")

    monkeypatch.setattr(User.objects, "create_user", fail)
    before = _schemas()

    with pytest.raises(RuntimeError):
        new_tenant("broken")

    assert _schemas() == before
    assert not Tenant.objects.filter(slug="broken").exists()


def test_replayed_schema_equals_a_migrated_one(committed):
    replayed = committed("replayed")
    migrated = committed("migrated")
    schema.drop(migrated.schema_name)
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA {migrated.schema_name}")
    call_command(
        "migrate_schemas", schema_name=migrated.schema_name, verbosity=0, interactive=False
    )

    described = _described(replayed.schema_name)

    assert described == _described(migrated.schema_name)
    assert len(described["columns"]) > 50


def test_delete_tenant_leaves_nothing_and_touches_nobody_else(other_tenant):
    tenant = new_tenant("leaving")
    for each in (tenant, other_tenant):
        _fill(each)

    onboarding.delete_tenant(tenant)

    assert onboarding.leftovers(tenant.number) == []
    assert directory.tenant_of_slug("leaving") is None
    assert set(onboarding.leftovers(other_tenant.number)) == {
        "its row",
        "its schema",
        "instances",
        "deliveries",
        "jobs",
        "files",
        "cached values",
    }
    _empty_files(other_tenant)


def test_delete_tenant_begins_anew_where_it_stood_in_a_deadlock(committed):
    tenant = committed("vendor_at_work")
    holds, outcome = threading.Event(), []

    def work():
        """Hold a table of the tenant's, and ask for its row once the deletion waits for us."""
        with psycopg.connect(database.dsn()) as other:
            other.execute("SET deadlock_timeout = '1min'")
            other.execute(f"LOCK TABLE {tenant.schema_name}.messaging_lead IN ROW SHARE MODE")
            holds.set()
            until(lambda: other.execute(_WAITING).fetchone(), 20, "the deletion waits")
            asked = "SELECT slug FROM public.tenants_tenant WHERE number = %s FOR UPDATE"
            outcome.append(other.execute(asked, [tenant.number]).fetchone())

    worker = threading.Thread(target=work)
    worker.start()
    holds.wait(20)
    with connection.cursor() as cursor:
        cursor.execute("SET deadlock_timeout = '100ms'")
        onboarding.delete_tenant(tenant)
        cursor.execute("RESET deadlock_timeout")
    worker.join(20)

    assert outcome == [("vendor_at_work",)]
    assert onboarding.leftovers(tenant.number) == []


_WAITING = """
    SELECT 1 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def _fill(tenant):
    instance = factories.make_instance(tenant)
    WebhookDelivery(
        tenant=tenant,
        instance=instance,
        provider="wasender",
        body=b"",
        size=0,
        received_at=timezone.now(),
    ).save()
    SlugAlias.objects.create(slug=f"former_{tenant.number}", tenant=tenant)
    orders.ring(tenant.number)
    default_storage.save(
        f"{context.folder_of(tenant.number)}/deep/file.txt", ContentFile(b"content")
    )
    with context.entered(tenant):
        cache.set("key", "value")
    assert ProviderInstance.objects.of(tenant).exists()


def _empty_files(tenant):
    onboarding._delete_files(context.folder_of(tenant.number))


def _schemas():
    return _rows("SELECT nspname FROM pg_namespace ORDER BY 1", [])


def _described(name):
    """Everything that makes up a schema, with its own name taken out."""
    return {
        "columns": _rows(
            "SELECT table_name, column_name, data_type, is_nullable, column_default,"
            " character_maximum_length, is_identity, identity_generation, collation_name"
            " FROM information_schema.columns WHERE table_schema = %s ORDER BY 1, 2",
            [name],
        ),
        "indexes": _rows(
            "SELECT tablename, indexname, replace(indexdef, schemaname || '.', '')"
            " FROM pg_indexes WHERE schemaname = %s ORDER BY 1, 2",
            [name],
        ),
        "constraints": _rows(
            "SELECT conname, contype, condeferrable, condeferred,"
            " replace(pg_get_constraintdef(c.oid), n.nspname || '.', '')"
            " FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace"
            " WHERE n.nspname = %s ORDER BY 1",
            [name],
        ),
        "sequences": _rows(
            "SELECT sequencename, data_type::text, start_value, increment_by FROM pg_sequences"
            " WHERE schemaname = %s ORDER BY 1",
            [name],
        ),
        "migrations": _migrations_of(name),
    }


def _migrations_of(name):
    with context.entered(Tenant.objects.get(schema_name=name)):
        return _rows("SELECT app, name FROM django_migrations ORDER BY 1, 2", [])


def _rows(sql, params):
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall()
