"""What an installation is told about its settings before anybody uses it."""

import os
import runpy
import secrets
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from django.db import models
from django.test.utils import isolate_apps

from amda import checks
from tenants import checks as tenant_checks
from tenants.models import Tenant

ROOT = Path(__file__).resolve().parents[2]
PRODUCTION = {
    "DEBUG": "false",
    "SECRET_KEY": secrets.token_urlsafe(60),
    "FIELD_KEYS": Fernet.generate_key().decode(),
    "PUBLIC_URL": "https://amda.example.org",
    "EMAIL_URL": "smtp+tls://user:password@mail.example.org:587",
    "DATABASE_URL": "postgres://amda@127.0.0.1:1/amda",
}


def _bare(tmp_path):
    return {"PATH": os.environ["PATH"], "AMDA_DATA_DIR": str(tmp_path), "PYTHONWARNINGS": "ignore"}


def _ran(arguments, environment):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_check_deploy_finds_nothing_in_a_production_environment(tmp_path):
    command = (
        "import os, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'amda.settings'; django.setup();"
        "from django.core.management import call_command;"
        "call_command('check', deploy=True, fail_level='WARNING')"
    )

    ran = _ran(["-c", command], {**_bare(tmp_path), **PRODUCTION})

    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", None),
        ("SECRET_KEY", "short"),
        ("FIELD_KEYS", None),
        ("FIELD_KEYS", "not-a-key"),
        ("PUBLIC_URL", "amda.example.org"),
        ("PUBLIC_URL", "https://amda.example.org/path"),
        ("DEBUG", "perhaps"),
        ("PORT", "70000"),
        ("DATABASE_POOL_SIZE", "many"),
        ("DELIVERY_RETENTION_DAYS", "31"),
    ],
)
def test_settings_refuse_a_wrong_value_by_its_name(tmp_path, name, value):
    environment = {**_bare(tmp_path), **PRODUCTION, name: value}
    given = {each: text for each, text in environment.items() if text is not None}

    with (
        patch.dict(os.environ, given, clear=True),
        pytest.raises(ImproperlyConfigured, match=name),
    ):
        runpy.run_path(str(ROOT / "amda" / "settings.py"))


def test_settings_need_nothing_but_secrets_and_an_address(tmp_path):
    ran = _ran(["-c", "import amda.settings"], {**_bare(tmp_path), **PRODUCTION})

    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize(
    ("check", "wrong", "expected"),
    [
        (checks.tenant_hosts_are_below_a_domain, {"TENANT_HOST_SUFFIX": "amda.test"}, "amda.E001"),
        (checks.mail_is_sent, {"EMAIL_URL": ""}, "amda.W001"),
        (checks.addresses_are_encrypted, {"PUBLIC_SCHEME": "http"}, "amda.W002"),
        (checks.hosts_are_named, {"ALLOWED_HOSTS": ["*"]}, "amda.W003"),
        (checks.nothing_of_development_is_left, {"SANDBOX_ENABLED": True}, "amda.W004"),
        (checks.nothing_of_development_is_left, {"PRIVATE_API_HOSTS": ["10.0.0.1"]}, "amda.W005"),
    ],
)
def test_checks_tell_what_is_dangerous_in_production(settings, check, wrong, expected):
    right = {
        "DEBUG": False,
        "EMAIL_URL": "smtp://mail.example.org",
        "PUBLIC_SCHEME": "https",
        "TENANT_HOST_SUFFIX": ".amda.test",
        "ALLOWED_HOSTS": ["amda.test"],
        "SANDBOX_ENABLED": False,
        "PRIVATE_API_HOSTS": [],
    }
    for name, value in right.items():
        setattr(settings, name, value)
    assert check() == []

    for name, value in wrong.items():
        setattr(settings, name, value)

    assert [message.id for message in check()] == [expected]


def test_check_refuses_a_key_from_a_tenants_schema_to_public(monkeypatch):
    with isolate_apps("messaging"):

        class Crossing(models.Model):
            tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+")

            class Meta:
                app_label = "messaging"

            def __str__(self):
                return "crossing"

    monkeypatch.setattr(tenant_checks.apps, "get_models", lambda **kwargs: [Crossing])

    assert [error.id for error in tenant_checks.no_key_crosses_schemas()] == ["tenants.E001"]


def test_no_model_of_ours_crosses_schemas():
    assert tenant_checks.no_key_crosses_schemas() == []
