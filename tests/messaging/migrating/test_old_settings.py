"""An old `.env`: both spellings, what is missing, and that no secret is printed."""

import io

import pytest
from django.core.management import CommandError, call_command

from tenants.models import ProviderInstance

FULL = """
# comment
WASENDER_API_KEY="wasender-key"
WASENDER_WEBHOOK_SECRET=wasender-secret
WASENDER_PHONE_NUMBER=+221701110001
GREEN_API_INSTANCE_ID=1101000001
GREEN_API_TOKEN='green-token'
GREEN_API_WEBHOOK_TOKEN=green-webhook
GREEN_API_PHONE=+221701110002
TWILIO_ACCOUNT_SID=AC00000000000000000000000000000000
TWILIO_AUTH_TOKEN=twilio-token
TWILIO_SMS_FROM=+14155238886
SMTP_HOST=smtp.example.com
SMTP_PORT=465
SMTP_USER=contact@example.com
SMTP_PASSWORD=smtp$password
PORT=3005
NODE_ENV=production
"""
SECRETS = (
    "wasender-key",
    "wasender-secret",
    "green-token",
    "green-webhook",
    "twilio-token",
    "smtp$password",
)


@pytest.fixture
def shop(tenant, other_tenant):
    ProviderInstance.objects.of(tenant).delete()
    return tenant


@pytest.fixture
def load(shop, tmp_path):
    def loaded(text, *options):
        path = tmp_path / "old.env"
        path.write_text(text)
        printed = io.StringIO()
        try:
            call_command("import_env", shop.slug, str(path), *options, stdout=printed)
        except CommandError as exc:
            return printed.getvalue(), str(exc)
        return printed.getvalue(), ""

    return loaded


def connected(shop):
    return {each.provider: each for each in ProviderInstance.objects.of(shop)}


def test_every_provider_of_the_file_is_connected(load, shop):
    printed, error = load(FULL)

    found = connected(shop)
    assert error == ""
    assert {slug: each.address for slug, each in found.items()} == {
        "wasender": "+221701110001",
        "greenapi": "+221701110002",
        "twilio": "+14155238886",
        "smtp": "contact@example.com",
    }
    assert found["greenapi"].reference == "1101000001"
    assert found["smtp"].settings["security"] == "tls"
    assert found["smtp"].secrets == {"password": "smtp$password"}
    assert not any(secret in printed for secret in SECRETS)


def test_file_is_said_what_to_delete_and_what_was_not_read(load):
    printed, _error = load(FULL)

    [deleted] = [line for line in printed.splitlines() if line.startswith("Kept encrypted")]
    assert "GREEN_API_TOKEN" in deleted
    assert "SMTP_PASSWORD" in deleted
    [left] = [line for line in printed.splitlines() if line.startswith("Not read")]
    assert left.endswith("NODE_ENV, PORT")


@pytest.mark.parametrize("stem", ["GREEN_API_", "GREENAPI_"])
def test_both_spellings_describe_the_same(load, shop, stem):
    _printed, error = load(
        f"{stem}INSTANCE_ID=1101000009\n{stem}TOKEN=t\n",
        "--set",
        "greenapi.address=+221701110009",
        "--set",
        "greenapi.webhook_token=secret-word",
    )

    assert error == ""
    assert connected(shop)["greenapi"].reference == "1101000009"


def test_second_run_brings_up_to_date(load, shop):
    load(FULL)

    printed, error = load(FULL.replace("twilio-token", "newer"))

    assert error == ""
    assert "twilio: +14155238886 brought up to date" in printed
    assert ProviderInstance.objects.of(shop).count() == 4


def test_what_is_missing_is_said_and_the_others_are_connected(load, shop):
    printed, error = load(FULL.replace("GREEN_API_PHONE=+221701110002", "GREEN_API_PHONE="))

    assert "greenapi: --set greenapi.address=…: Give the number as" in printed
    assert error == "1 of 4 could not be connected."
    assert set(connected(shop)) == {"wasender", "twilio", "smtp"}
    [deleted] = [line for line in printed.splitlines() if line.startswith("Kept encrypted")]
    assert "GREEN_API_TOKEN" not in deleted


def test_wrong_value_names_its_variable(load):
    printed, _error = load(FULL.replace("+14155238886", "014155"))

    assert "twilio: TWILIO_SMS_FROM: Give the number as" in printed


def test_placeholders_are_not_values(load, shop):
    printed, error = load("WASENDER_API_KEY=your-wasender-master-api-key\nSMTP_HOST=\n")

    assert error == "file: it describes no provider that is known here."
    assert printed == ""
    assert connected(shop) == {}


def test_dry_run_connects_nothing(load, shop):
    printed, error = load(FULL, "--dry-run")

    assert error == ""
    assert "wasender: +221701110001 would be connected" in printed
    assert connected(shop) == {}
