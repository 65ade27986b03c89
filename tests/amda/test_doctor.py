"""What the doctor finds, says in two languages, and never says."""

import io
import json
import os
import re
from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import OperationalError
from django.utils import timezone, translation

from amda.doctoring import database, examining, surroundings, working
from amda.doctoring.findings import Severity
from amda.management.commands.doctor import _language
from tenants import schema, secrets
from tenants.models import ProviderInstance, WebhookDelivery
from tests import factories

NOW = timezone.now()
LONG_AGO = NOW - timedelta(days=3)


@pytest.fixture(autouse=True)
def in_english():
    with translation.override("en"):
        yield


def ask(*options):
    """What the command printed, and how it ended."""
    printed = io.StringIO()
    try:
        call_command("doctor", *options, stdout=printed)
    except SystemExit as exc:
        return printed.getvalue(), exc.code
    return printed.getvalue(), 0


def codes(part):
    return [(each.code, each.severity.name) for each in part(timezone.now())]


def post(tenant, instance, state="waiting", body=b"{}", at=LONG_AGO):
    WebhookDelivery(
        tenant=tenant, instance=instance, provider="wasender", body=secrets.seal(body),
        size=len(body), received_at=at, state=state,
    ).save()  # fmt: skip


def examined(monkeypatch, *parts):
    """Only these parts are looked at."""
    monkeypatch.setattr(examining, "IN_DATABASE", parts)
    monkeypatch.setattr(examining, "WITHOUT_DATABASE", ())


def test_installation_that_is_well_has_no_finding(tenant, other_tenant, settings):
    settings.DEBUG = True
    for part in (
        database.version, database.clock, database.migrations, database.whole, database.backup,
        working.deliveries, working.keys, surroundings.storage, surroundings.statics,
        surroundings.redis_server, surroundings.mail, surroundings.sentry,
        surroundings.stripe_account,
    ):  # fmt: skip
        assert codes(part) == [], part.__name__


def test_database_that_is_away_is_said_and_the_rest_is_looked_at(monkeypatch, settings):
    class Away:
        def cursor(self):
            raise OperationalError("no password for amda@db.example")

    monkeypatch.setattr(database, "connection", Away())
    settings.DATABASE_URL = "postgres://amda:hidden@db.example/amda"
    monkeypatch.setattr(examining, "WITHOUT_DATABASE", (surroundings.statics,))

    printed, code = ask("--language=en")

    assert code == 1
    assert printed.splitlines()[0].endswith(
        "The database does not answer (OperationalError): nothing works without it."
    )
    assert "password" not in printed
    assert "hidden" not in printed


def test_old_database_wrong_clock_and_missing_backup_are_found(
    tenant, monkeypatch, settings, tmp_path
):
    monkeypatch.setattr(database, "OLDEST_VERSION", 99)
    assert codes(database.version) == [("database.old", "BROKEN")]

    monkeypatch.setattr(database, "CLOCKS_APART", timedelta(seconds=-9))
    assert codes(database.clock) == [("database.clock", "WARNING")]

    settings.DEBUG, settings.BACKUP_STAMP = False, tmp_path / "stamp"
    [never] = database.backup(NOW)
    settings.BACKUP_STAMP.touch()
    os.utime(settings.BACKUP_STAMP, (LONG_AGO.timestamp(),) * 2)
    [old] = database.backup(NOW)
    assert (never.what, never.since) == ("No backup was ever noted.", None)
    assert abs(old.since - LONG_AGO) < timedelta(seconds=1)


def test_vendor_behind_the_code_or_without_a_table_is_named(tenant, other_tenant, monkeypatch):
    behind = other_tenant.schema_name
    monkeypatch.setattr(database.migrating, "is_behind", lambda name: name == behind)
    monkeypatch.setattr(schema, "lacking", lambda: {behind: ["messaging_lead"]})

    [late], [lacking] = database.migrations(NOW), database.whole(NOW)

    assert late.what == f"1 vendor's tables are behind the code: {behind}."
    assert lacking.what.startswith(f"1 vendor lacks tables: {behind}.")
    monkeypatch.setattr(database.migrating, "is_behind", lambda name: name == "public")
    assert codes(database.migrations) == [("migrations.public", "BROKEN")]


def test_nobody_at_work_and_waiting_jobs_are_found(db, monkeypatch):
    queue = working.queues.Queue("inbox", waiting=3, failed=2, waiting_since=LONG_AGO)
    state = working.queues.State(NOW, [queue], [])
    monkeypatch.setattr(working.queues, "state", lambda: state)

    assert codes(working.workers) == [
        ("workers.none", "BROKEN"),
        ("queues.late", "BROKEN"),
        ("queues.failed", "WARNING"),
    ]


def test_deliveries_that_wait_or_fail_are_counted_with_their_time(tenant, instance):
    post(tenant, instance)
    post(tenant, instance, state="failed", at=NOW - timedelta(hours=2))
    post(tenant, instance, state="failed", at=NOW - timedelta(hours=1))
    post(tenant, instance, state="failed")

    waiting, failed = working.deliveries(NOW)

    assert (waiting.what, waiting.since) == ("1 delivery waits to be read.", LONG_AGO)
    assert failed.what == "Deliveries of WasenderAPI not taken in since yesterday: 2."
    assert failed.since == NOW - timedelta(hours=2)


def test_missing_key_is_found_at_numbers_and_deliveries(tenant, other_tenant, instance, settings):
    post(tenant, instance)

    settings.FIELD_KEYS = [Fernet.generate_key().decode()]

    numbers, deliveries = working.keys(NOW)
    assert numbers.what.startswith("The secrets of 2 numbers cannot be decrypted: vendor_001, ")
    assert deliveries.what == "Of the latest 1 deliveries 1 cannot be decrypted."
    # Who cannot read the secrets says nothing about what they lack.
    assert "numbers.secrets" not in dict(codes(working.numbers))


def test_numbers_that_are_down_mute_or_unheard_are_found(tenant, instance):
    mine = ProviderInstance.objects.of(tenant)
    mine.update(created_at=LONG_AGO)
    down = factories.make_instance(
        tenant, address="+33612345678", state="conflict", state_reason="REPLACED",
        state_changed_at=LONG_AGO, last_event_at=NOW,
    )  # fmt: skip
    held = factories.make_instance(tenant, address="+33612345679", state="disconnected")
    mine.filter(pk=held.pk).update(is_held=True)
    mute = factories.make_instance(tenant, address="+33612345670", last_event_at=NOW)
    mute.secrets = {"webhook_secret": "whsec-of-tests"}
    mute.save()

    found = {each.code: each for each in working.numbers(NOW) if each.what.startswith(tenant.slug)}

    assert sorted(found) == ["numbers.conflict", "numbers.secrets", "numbers.silent"]
    conflict = found["numbers.conflict"]
    assert conflict.what == (
        "vendor_001, WasenderAPI +33612345678 is not connected: conflict (REPLACED)."
    )
    assert conflict.since == LONG_AGO
    assert f"check_instance vendor_001 {down.pk}" in conflict.todo
    assert found["numbers.secrets"].what.endswith("+33612345670 cannot send: api_key is missing.")
    assert instance.address in found["numbers.silent"].what


def test_storage_that_refuses_or_changes_is_found_and_nothing_is_left(monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError("/secret/place")

    monkeypatch.setattr(default_storage, "delete", refuse)
    [found] = surroundings.storage(NOW)
    assert found.what == "Nothing can be removed from the storage (PermissionError)."
    monkeypatch.undo()
    monkeypatch.setattr(default_storage, "save", refuse)
    [found] = surroundings.storage(NOW)
    assert found.what == "No file can be written into the storage (PermissionError)."
    assert found.severity is Severity.BROKEN


def test_missing_statics_and_a_full_disk_are_found(settings, monkeypatch):
    settings.DEBUG = False
    assert codes(surroundings.statics) == [("statics.missing", "BROKEN")]

    monkeypatch.setattr(surroundings, "LITTLE_SPACE", 1 << 60)
    assert codes(surroundings.disk) == [("disk.full", "WARNING")]


def test_services_that_were_named_and_are_away_are_found(settings, monkeypatch):
    settings.REDIS_URL = "redis://:hidden@127.0.0.1:1/0"
    settings.EMAIL_URL = "smtp://user:hidden@127.0.0.1:1"
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    settings.SENTRY_DSN = "http://hidden@127.0.0.1:1/2"
    settings.STRIPE_SECRET_KEY = "sk_test_hidden"
    settings.STRIPE_API_URL = "http://127.0.0.1:1"
    monkeypatch.setattr(surroundings.gateway, "NETWORK_RETRIES", 0)

    found = [
        each
        for part in (
            surroundings.redis_server,
            surroundings.mail,
            surroundings.sentry,
            surroundings.stripe_account,
        )
        for each in part(NOW)
    ]

    assert [each.code for each in found] == [
        "redis.away", "mail.away", "sentry.away", "stripe.away",
    ]  # fmt: skip
    assert "hidden" not in repr(found)


def test_settings_are_judged_by_the_system_checks(settings):
    settings.DEBUG, settings.PUBLIC_SCHEME, settings.SECURE_HSTS_SECONDS = False, "http", 0

    found = {each.code: each for each in surroundings.system_checks(NOW)}

    assert found["settings.amda.W002"].what.startswith("PUBLIC_URL is not https")
    assert found["settings.security.W004"].what == "Django warns of a setting: security.W004."


@pytest.mark.parametrize(("language", "word"), [("fr", "ATTENTION"), ("en", "WARNING")])
def test_command_speaks_the_operators_language_and_warnings_are_no_failure(
    db, monkeypatch, settings, language, word
):
    examined(monkeypatch, database.backup)
    settings.DEBUG, settings.BACKUP_STAMP = False, settings.DATA_DIR / "none"

    printed, code = ask(f"--language={language}")

    assert code == 0
    assert printed.startswith(word)
    assert ("Aucune sauvegarde" in printed) == (language == "fr")


def test_command_tells_programs_the_same(tenant, instance, monkeypatch):
    examined(monkeypatch, working.deliveries)
    post(tenant, instance)

    printed, code = ask("--json", "--language=en")

    told = json.loads(printed)
    assert code == 1
    assert told["status"] == "broken"
    assert told["findings"] == [
        {
            "code": "deliveries.waiting",
            "severity": "broken",
            "what": "1 delivery waits to be read.",
            "since": LONG_AGO.isoformat(),
            "todo": "See that a worker runs: manage.py work.",
        }
    ]


def test_part_that_cannot_be_done_hides_no_other(db, monkeypatch):
    def strange(now):
        raise OperationalError("no such column")

    examined(monkeypatch, strange, database.version)

    printed, code = ask("--language=en")

    assert code == 1
    assert re.search("“strange” could not be looked at", printed)
    assert "no such column" not in printed


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({"LANG": "en_GB.UTF-8"}, "en"),
        ({"LANG": "en_GB.UTF-8", "LANGUAGE": "fr:en"}, "fr"),
        ({"LANGUAGE": "de:en", "LANG": "fr_FR"}, "en"),
        ({"LANG": "C.UTF-8"}, "fr"),
        ({}, "fr"),
    ],
)
def test_language_is_that_of_the_terminal(environment, language):
    assert _language(environment) == language
