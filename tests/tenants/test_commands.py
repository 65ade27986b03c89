"""What operators type, and what they are told."""

import io
import json

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.utils import timezone
from environ import Env

from messaging import connecting
from tenants import context, directory, onboarding, schema, secrets
from tenants.accounts.models import User
from tenants.models import ProviderInstance, Tenant, WebhookDelivery

PASSWORD = "correct horse battery staple"
PHONE = "+221701234567"
KEYS = ["api_key=key-of-shop", "webhook_secret=secret-of-shop"]


def run(*arguments, **options):
    output = io.StringIO()
    call_command(*arguments, stdout=output, stderr=io.StringIO(), **options)
    return output.getvalue()


def create(slug="shop", email="owner@shop.test", password=PASSWORD):
    owner = ["--owner-email", email, "--owner-password", password]
    return run("create_tenant", slug, "--name", "A shop", *owner)


def connect(*arguments):
    return run("connect_instance", *arguments)


def test_create_tenant_prints_number_slug_and_address(db, settings):
    printed = create("Shop_1")

    tenant = Tenant.objects.get(slug="Shop_1")
    assert printed.splitlines() == [
        f"tenant: {tenant.number}",
        "slug: Shop_1",
        f"url: {onboarding.home_url(tenant)}/",
    ]
    assert PASSWORD not in printed


def test_create_tenant_names_the_wrong_value_in_english(db):
    with pytest.raises(CommandError, match=r"^owner_password: This password is too short"):
        create(password="abc12")
    with pytest.raises(CommandError, match=r"^slug: Another vendor"):
        create("VENDOR_001")


def test_delete_tenant_wants_the_slug_again(tenant, monkeypatch):
    create()
    monkeypatch.setattr("builtins.input", lambda prompt: "sho")

    with pytest.raises(CommandError, match="Nothing was deleted"):
        run("delete_tenant", "shop")
    run("delete_tenant", "SHOP", "--confirm", "shop")

    assert not Tenant.objects.filter(slug="shop").exists()
    assert Tenant.objects.filter(pk=tenant.pk).exists()


def test_connect_instance_prints_id_and_webhook_and_no_secret(tenant, settings):
    printed = connect("VENDOR_001", "wasender", "--phone", "+221 70 123 45 67", "--set", *KEYS)

    instance = ProviderInstance.objects.of(tenant).get(address=PHONE)
    assert printed.splitlines() == [
        f"instance: {instance.pk}",
        f"webhook: {settings.PUBLIC_URL}/api/webhooks/wasender/vendor_001",
        "state: pending (ConnectError)",
    ]
    assert instance.secrets == {"api_key": "key-of-shop", "webhook_secret": "secret-of-shop"}
    assert instance.settings["signature"] == "secret"
    assert "key-of-shop" not in json.dumps(instance.settings)


def test_connect_instance_takes_green_api_by_its_id(tenant, settings):
    keys = ("id_instance=1101000001", "api_token=tok-s3cret", "webhook_token=hook-s3cret")

    printed = connect("vendor_001", "greenapi", "--phone", PHONE, "--set", *keys)

    instance = ProviderInstance.objects.of(tenant).get(provider="greenapi")
    assert f"webhook: {settings.PUBLIC_URL}/webhooks/greenapi" in printed.splitlines()
    assert instance.reference == "1101000001"
    assert instance.settings["api_url"] == "https://api.green-api.com"
    assert "s3cret" not in printed + json.dumps(instance.settings)


def test_connect_instance_takes_unipile_by_its_account(tenant, settings):
    keys = ("account_id=acc_1", "api_key=key-s3cret", "webhook_secret=hook-s3cret")
    server = "dsn=api8.unipile.com:13443"

    with pytest.raises(CommandError, match=r"^dsn: This is required"):
        connect("vendor_001", "unipile", "--phone", PHONE, "--set", *keys)
    printed = connect("vendor_001", "unipile", "--phone", PHONE, "--set", *keys, server)

    instance = ProviderInstance.objects.of(tenant).get(provider="unipile")
    url = f"{settings.PUBLIC_URL}/api/webhooks/unipile/vendor_001"
    assert f"webhook: {url}" in printed.splitlines()
    assert (instance.reference, instance.settings["version"]) == ("acc_1", "v1")
    assert "s3cret" not in printed + json.dumps(instance.settings)


def test_connect_instance_again_updates_the_same_one(tenant, other_tenant):
    connect("vendor_001", "wasender", "--phone", PHONE, "--set", *KEYS)
    before = ProviderInstance.objects.of(tenant).get(address=PHONE)

    connect(
        "vendor_001", "wasender", "--phone", PHONE, "--set", "webhook_secret=new", "--label", "Shop"
    )
    connect("vendor_002", "wasender", "--phone", PHONE, "--set", *KEYS)

    after = ProviderInstance.objects.of(tenant).get(address=PHONE)
    assert (after.pk, after.reference, after.label) == (before.pk, before.reference, "Shop")
    assert after.secrets == {"api_key": "key-of-shop", "webhook_secret": "new"}
    assert after.previous_secrets == before.secrets
    assert after.previous_secrets_until > timezone.now()
    assert ProviderInstance.objects.of(other_tenant).filter(address=PHONE).count() == 1


def test_connect_instance_is_known_to_the_directory_at_once(tenant):
    assert len(directory.instances_of_vendor("wasender", "vendor_001")) == 1

    connect("vendor_001", "wasender", "--phone", PHONE, "--set", *KEYS)

    assert len(directory.instances_of_vendor("wasender", "vendor_001")) == 2


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("slug", ("nobody", "wasender", "--phone", PHONE)),
        ("provider", ("vendor_001", "pigeon", "--phone", PHONE)),
        ("phone", ("vendor_001", "wasender", "--phone", "0612345678")),
        ("phone", ("vendor_001", "wasender", "--phone", "+999123456789")),
        ("api_key", ("vendor_001", "wasender", "--phone", PHONE)),
        ("colour", ("vendor_001", "wasender", "--phone", PHONE, "--set", *KEYS, "colour=red")),
        ("signature", ("vendor_001", "wasender", "--phone", PHONE, "--set", *KEYS, "signature=no")),
        (
            "api_url",
            ("vendor_001", "wasender", "--phone", PHONE, "--set", *KEYS, "api_url=http://10.0.0.1"),
        ),
        ("set", ("vendor_001", "wasender", "--phone", PHONE, "--set", "no-equals-sign")),
    ],
)
def test_connect_instance_names_the_wrong_field_and_makes_nothing(tenant, field, arguments):
    before = ProviderInstance.objects.across_tenants().count()

    with pytest.raises(CommandError, match=rf"^{field}: "):
        connect(*arguments)

    assert ProviderInstance.objects.across_tenants().count() == before


def test_connect_instance_lets_only_listed_private_hosts_be_called(tenant, settings):
    settings.PRIVATE_API_HOSTS = []

    with pytest.raises(CommandError, match=r"^api_url: "):
        connect(
            "vendor_001", "wasender", "--phone", PHONE, "--set", *KEYS, "api_url=http://127.0.0.1:9"
        )


def test_connect_instance_lets_two_vendors_have_the_same_session_id(tenant, other_tenant):
    connect("vendor_002", "wasender", "--phone", PHONE, "--set", *KEYS, "session_id=77")
    connect("vendor_001", "wasender", "--phone", PHONE, "--set", *KEYS, "session_id=77")

    session_ids = [
        made.settings["session_id"]
        for made in ProviderInstance.objects.across_tenants().filter(address=PHONE)
    ]
    assert session_ids == ["77", "77"]


def test_whose_names_the_vendor_of_a_number_and_of_an_instance(tenant, other_tenant, instance):
    described = [
        f"instance: {instance.pk}",
        "provider: wasender",
        f"address: {instance.address}",
        "state: connected",
        f"vendor: vendor_001 ({tenant.name}, number {tenant.number})",
    ]

    assert run("whose", instance.address).splitlines() == described
    assert run("whose", instance.reference).splitlines() == described
    with pytest.raises(CommandError):
        run("whose", "+33199009999")


def test_rotate_field_keys_reseals_everything_under_the_first_key(tenant, instance, settings):
    delivery = WebhookDelivery(
        tenant=tenant, body=secrets.seal(b"posted"), size=6, received_at=timezone.now()
    )
    delivery.save()
    kept = instance.secrets
    old, new = settings.FIELD_KEYS[0], Fernet.generate_key().decode()
    settings.FIELD_KEYS = [new, old]

    run("rotate_field_keys")
    again = run("rotate_field_keys")

    settings.FIELD_KEYS = [new]
    instance.refresh_from_db()
    delivery.refresh_from_db()
    assert instance.secrets == kept
    assert secrets.unseal(delivery.body) == b"posted"
    assert "0 resealed" in again


def test_rotate_field_keys_says_what_no_key_opens(instance, settings):
    settings.FIELD_KEYS = [Fernet.generate_key().decode()]

    with pytest.raises(CommandError, match="values were sealed with a key"):
        run("rotate_field_keys")


def test_generate_secrets_prints_what_the_settings_accept():
    printed = run("generate_secrets").splitlines()

    lines = dict(line.split("=", 1) for line in printed if "=" in line)
    assert len(lines["SECRET_KEY"]) >= 50
    Fernet(lines["FIELD_KEYS"])
    assert Env.db_url_config(lines["DATABASE_URL"])["PASSWORD"] == lines["POSTGRES_PASSWORD"]


def test_check_schemas_finds_a_table_that_would_be_looked_for_in_public(committed):
    from django.db import connection

    tenant = committed("incomplete")
    with context.entered(tenant), connection.cursor() as cursor:
        cursor.execute("DROP TABLE django_session")

    assert schema.missing_tables(tenant.schema_name) == ["django_session"]
    with pytest.raises(CommandError, match="1 schemas lack tables"):
        run("check_schemas")


@pytest.fixture
def demo_run(db, settings, tmp_path, monkeypatch):
    settings.DATA_DIR = tmp_path
    settings.DEBUG = True
    monkeypatch.delenv("SANDBOX_DATA_DIR", raising=False)
    return lambda *options: json.loads(run("prepare_demo", *options).splitlines()[-1])


def test_prepare_demo_makes_sign_ins_once_and_a_connected_test_number(demo_run, settings):
    first = demo_run()
    settings.SANDBOX_PORT = 9876
    second = demo_run()

    assert [entry["who"] for entry in first["sign_ins"]] == ["staff", "owner", "agent"]
    assert all(entry["password"] for entry in first["sign_ins"])
    assert not any(entry["password"] for entry in second["sign_ins"])
    assert set(first["addresses"]) == {"dashboard", "admin", "sandbox", "mail", "api"}
    tenant = directory.tenant_of_slug("demo")
    instance = ProviderInstance.objects.of(tenant).get()
    assert instance.state == ProviderInstance.State.CONNECTED
    assert instance.settings["api_url"] == "http://127.0.0.1:9876/api"
    assert set(instance.secrets) == {"api_key", "webhook_secret", "personal_token"}
    assert connecting.webhook_url(instance).endswith("/api/webhooks/wasender/demo")


def test_prepare_demo_renews_passwords_and_ends_the_sign_ins(demo_run):
    first = demo_run()
    renewed = demo_run("--new-passwords")

    old, new = (run["sign_ins"][1]["password"] for run in (first, renewed))
    assert new and new != old
    with context.entered(directory.tenant_of_slug("demo")):
        owner = User.objects.get(email=renewed["sign_ins"][1]["email"])
    assert owner.check_password(new)
    assert owner.token_version == 2


def test_prepare_demo_refuses_outside_development(db, settings):
    settings.DEBUG = False

    with pytest.raises(CommandError, match="development"):
        run("prepare_demo")
