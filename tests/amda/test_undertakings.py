"""Exporting and erasing a vendor, and reading its failed deliveries again, as staff order them."""

import hashlib
import io
import json
import tracemalloc
import zipfile
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.utils import timezone

from amda.jobs import undertake
from messaging import tasks
from messaging.models import Message
from tenants import (
    audit,
    context,
    directory,
    expiring,
    exporting,
    onboarding,
    secrets,
    undertaking,
)
from tenants.accounts.models import AuditEntry, User
from tenants.models import Tenant, Undertaking, WebhookDelivery
from tests import factories
from tests.conftest import PASSWORD, at

Kind = Undertaking.Kind
State = WebhookDelivery.State


@pytest.fixture(autouse=True)
def _no_attempts_so_far(db):
    cache.clear()


@pytest.fixture
def files(settings, tmp_path):
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": tmp_path / "files", "allow_overwrite": True},
        },
    }
    return tmp_path


@pytest.fixture
def as_staff(staff, client_for):
    client = client_for(None, staff)
    client.cookies["amda_language"] = "en"
    return client


def act(tenant, name):
    return f"/admin/tenants/tenant/{tenant.pk}/{name}/"


def run_ordered() -> int:
    """Do what was ordered, as the worker does; how many there were."""
    return _do("undertake", undertake)


def discard_exports() -> None:
    """Do the removals of exports that wait, as the worker does."""
    _do("discard_exports", expiring.discard)


def _do(name: str, job) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM public.procrastinate_jobs WHERE task_name = %s RETURNING args",
            [f"amda.{name}"],
        )
        ordered = [row[0] for row in cursor.fetchall()]
    for args in ordered:
        job(**(json.loads(args) if isinstance(args, str) else args))
    return len(ordered)


def fill(tenant, words):
    """Rows, a file and a delivery that say these words."""
    with context.entered(tenant):
        conversation = factories.make_conversation(tenant, name=words, text=f"{words} é\n\\n\t")
    keep(f"{context.folder_of(tenant.number)}/ab/file.txt", words.encode())
    return conversation


def keep(path, content):
    default_storage.save(path, ContentFile(content))


def deliver(tenant, state, words=b"{}"):
    delivery = WebhookDelivery(
        tenant=tenant,
        provider="wasender",
        body=secrets.seal(words),
        size=len(words),
        received_at=timezone.now(),
        state=state,
        attempts=3,
        error="KeyError",
    )
    delivery.save()
    return delivery


def ordered(tenant, kind) -> Undertaking:
    return Undertaking.objects.filter(tenant_number=tenant.number, kind=kind).latest("pk")


def zip_of(client, made) -> zipfile.ZipFile:
    page = client.get(f"/admin/tenants/undertaking/{made.pk}/change/")
    answer = client.get(page.context["link"])
    assert answer.status_code == 200
    return zipfile.ZipFile(io.BytesIO(answer.getvalue()))


def lines(archive, name):
    return [json.loads(line) for line in archive.read(name).decode().splitlines()]


# Export


def test_export_holds_the_vendors_rows_and_files_with_true_checksums(
    files, tenant, other_tenant, as_staff
):
    fill(tenant, "Own words")
    deliver(tenant, State.DONE)
    keep(f"{context.folder_of(other_tenant.number)}/leak.txt", b"leak me")

    answer = as_staff.post(act(tenant, "export"), {"reason": "The vendor asked for it."})
    assert run_ordered() == 1

    made = ordered(tenant, Kind.EXPORT)
    assert answer.url == f"/admin/tenants/undertaking/{made.pk}/change/"
    archive = zip_of(as_staff, made)
    manifest = json.loads(archive.read("manifest.json"))
    [message] = lines(archive, "tables/messaging_message.jsonl")
    assert message["text"] == "Own words é\n\\n\t"
    assert archive.read("files/ab/file.txt") == b"Own words"
    for part in [*manifest["tables"], manifest["file_index"]]:
        written = archive.read(part["name"])
        assert hashlib.sha256(written).hexdigest() == part["sha256"]
        assert (len(written), written.count(b"\n")) == (part["bytes"], part["rows"])
    [file] = lines(archive, "files.jsonl")
    assert file["sha256"] == hashlib.sha256(b"Own words").hexdigest()
    assert (manifest["files"], manifest["file_bytes"]) == (1, 9)
    assert archive.testzip() is None


def test_export_holds_nothing_of_others_and_nothing_that_lets_anybody_in(
    files, tenant, other_tenant, owner, as_staff
):
    fill(tenant, "Own words")
    keep(f"{context.folder_of(other_tenant.number)}/leak.txt", b"leak me")
    as_staff.post(act(tenant, "export"), {"reason": "Asked for"})
    run_ordered()

    archive = zip_of(as_staff, ordered(tenant, Kind.EXPORT))

    everything = b"".join(archive.read(name) for name in archive.namelist())
    secrets_of = factories.secrets_of(tenant).values()
    for word in ("Leaky Lead", "leak me", other_tenant.slug, owner.password, *secrets_of):
        assert word.encode() not in everything
    names = {name.rpartition("/")[2] for name in archive.namelist()}
    assert not names & {"django_session.jsonl", "mfa_authenticator.jsonl"}
    people = lines(archive, "tables/accounts_user.jsonl")
    assert all("password" not in person for person in people)
    deliveries = archive.read("shared/tenants_webhookdelivery.jsonl")
    assert b'"body"' not in deliveries


def test_export_does_not_hold_what_was_exported_before(files, tenant, as_staff):
    for _ in range(2):
        as_staff.post(act(tenant, "export"), {"reason": "Asked for"})
        run_ordered()

    archive = zip_of(as_staff, ordered(tenant, Kind.EXPORT))

    assert not any(name.startswith("files/exports") for name in archive.namelist())


def test_export_takes_no_more_memory_for_a_large_vendor(files, tenant):
    with context.entered(tenant):
        conversation = factories.make_conversation(tenant)
        first = factories.make_message(conversation, text="x" * 4000)
        rows = [
            Message(
                **{
                    each.attname: getattr(first, each.attname)
                    for each in Message._meta.concrete_fields
                    if each.attname not in {"id", "external_id", "reference"}
                },
                external_id=f"many-{place}",
            )
            for place in range(3000)
        ]
        Message.objects.bulk_create(rows, batch_size=500)
    keep(f"{context.folder_of(tenant.number)}/large.bin", b"x" * 12_000_000)
    del rows

    tracemalloc.start()
    with (files / "large.zip").open("w+b") as target:
        manifest = exporting.write(tenant, target, lambda done, total: None)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert manifest["rows"] > 3000
    assert peak < 6_000_000


def test_export_is_for_whom_the_link_was_made_and_in_the_owners_audit(
    files, tenant, owner, as_staff, client_for
):
    as_staff.post(act(tenant, "export"), {"reason": "The vendor asked for it."})
    run_ordered()
    made = ordered(tenant, Kind.EXPORT)
    link = as_staff.get(f"/admin/tenants/undertaking/{made.pk}/change/").context["link"]
    colleague = User.objects.create_superuser("colleague@amda.test", PASSWORD)

    assert client_for(None, colleague).get(link).status_code == 403
    assert as_staff.get(link.partition("?")[0]).status_code == 403
    assert client_for(None).get(link).url.startswith("/admin/login/")
    assert client_for(tenant, owner).get(link).status_code == 404
    assert as_staff.get(link).getvalue().startswith(b"PK")
    told = [(each.act, each.reason) for each in audit.by_platform(tenant.number, audit.Asked(), 2)]
    assert told == [
        ("tenant.export_downloaded", ""),
        ("tenant.export_ordered", "The vendor asked for it."),
    ]


def test_export_is_kept_for_a_day_and_its_page_says_until_when(
    files, tenant, other_tenant, as_staff
):
    as_staff.post(act(tenant, "export"), {"reason": "Asked for"})
    run_ordered()
    made = ordered(tenant, Kind.EXPORT)
    page = f"/admin/tenants/undertaking/{made.pk}/change/"
    before, after = (made.ended_at + timedelta(hours=hours) for hours in (23, 25))
    link = as_staff.get(page).context["link"]

    expiring.take_away_old(before)
    assert default_storage.exists(made.path)
    assert as_staff.get(page).context["kept_until"] == made.ended_at + timedelta(days=1)
    with at(after):
        assert expiring.until(made) < after
        assert not expiring.may_be_fetched(made)
    expiring.take_away_old(after)
    discard_exports()

    assert not default_storage.exists(made.path)
    assert as_staff.get(link).status_code == 404
    assert "The zip is gone" in as_staff.get(page).content.decode()


def test_withdrawal_takes_exports_of_its_own_vendor_alone(files, tenant, other_tenant):
    made = [undertaking.begin(Kind.EXPORT, each, by=None) for each in (tenant, other_tenant)]
    run_ordered()
    for each in made:
        each.refresh_from_db()

    expiring.take_away(tenant.number)
    discard_exports()

    assert [default_storage.exists(each.path) for each in made] == [False, True]
    onboarding._delete_files(context.folder_of(other_tenant.number))


def test_export_starts_again_where_something_was_removed_meanwhile(files, tenant, monkeypatch):
    original, written = exporting.write, []

    def overtaken_once(*args):
        manifest = original(*args)
        written.append(Undertaking.objects.get().path)
        if len(written) == 1:
            expiring.take_away(tenant.number)
        return manifest

    monkeypatch.setattr(exporting, "write", overtaken_once)
    made = undertaking.begin(Kind.EXPORT, tenant, by=None)
    run_ordered()
    discard_exports()

    made.refresh_from_db()
    assert (made.state, made.path) == ("done", written[1])
    assert [default_storage.exists(path) for path in written] == [False, True]


def test_export_that_is_overtaken_each_time_fails_and_leaves_nothing(
    files, tenant, monkeypatch, as_staff
):
    original = exporting.write

    def overtaken(*args):
        manifest = original(*args)
        expiring.take_away(tenant.number)
        return manifest

    monkeypatch.setattr(exporting, "write", overtaken)
    made = undertaking.begin(Kind.EXPORT, tenant, by=None)
    run_ordered()

    made.refresh_from_db()
    assert (made.state, made.error, made.path) == ("failed", "Overtaken", "")
    assert default_storage.listdir(exporting.folder_of(tenant.number))[1] == []
    page = as_staff.get(f"/admin/tenants/undertaking/{made.pk}/change/").content.decode()
    assert "Order it again" in page


def test_export_whose_worker_died_leaves_nothing_under_a_name_that_was_taken_away(files, tenant):
    made = undertaking.begin(Kind.EXPORT, tenant, by=None)
    folder = exporting.folder_of(tenant.number)
    left, another = f"{folder}/{made.pk}-0123.zip", f"{folder}/{made.pk}0-0123.zip"
    for path in (left, another):
        keep(path, b"PK")

    run_ordered()

    made.refresh_from_db()
    assert [default_storage.exists(path) for path in (left, another, made.path)] == [
        False,
        True,
        True,
    ]


def test_exports_progress_is_kept_and_a_failure_is_told(files, tenant, monkeypatch, as_staff):
    seen = []
    monkeypatch.setattr(undertaking, "_note", _noting(seen, undertaking._note))
    made = undertaking.begin(Kind.EXPORT, tenant, by=None, reason="x")
    run_ordered()
    made.refresh_from_db()
    done = [facts["done"] for facts in seen if "done" in facts]
    assert done == sorted(done)
    assert len(done) > 10
    assert (made.state, made.percent) == ("done", 100)

    def fail(*args):
        raise OSError("the disk is full of Own words")

    monkeypatch.setattr(exporting, "write", fail)
    failing = undertaking.begin(Kind.EXPORT, tenant, by=None, reason="x")
    run_ordered()

    failing.refresh_from_db()
    assert (failing.state, failing.error) == ("failed", "OSError")
    page = as_staff.get(f"/admin/tenants/undertaking/{failing.pk}/change/").content.decode()
    assert "OSError" in page
    assert "Download" not in page


def _noting(seen, note):
    def noted(made, **facts):
        seen.append(facts)
        note(made, **facts)

    return noted


# Erasing


@pytest.mark.parametrize("typed", ["", "VENDOR_001", "vendor_002"])
def test_erasing_asks_for_the_slug(tenant, other_tenant, as_staff, typed):
    answer = as_staff.post(act(tenant, "erase"), {"slug": typed, "reason": "Left"})

    assert list(answer.context["form"].errors) == ["slug"]
    assert not Undertaking.objects.exists()


def test_erasing_touches_nobody_else(files, tenant, other_tenant, as_staff):
    fill(other_tenant, "theirs")
    before = {each: rows_of(other_tenant, each) for each in ("messaging_message", "accounts_user")}
    audit.record("tenant.changed", by=None, tenant=other_tenant, after={"name": "kept"})
    leaving = onboarding.create_tenant_to_join("leaving", name="Leaving")
    as_staff.post(act(leaving, "erase"), {"slug": "leaving", "reason": "Left"})

    run_ordered()

    assert directory.tenant_of_slug("leaving") is None
    assert {each: rows_of(other_tenant, each) for each in before} == before
    kept = AuditEntry.objects.filter(tenant_number=other_tenant.number).latest("pk")
    assert kept.after == {"name": "kept"}
    onboarding._delete_files(context.folder_of(other_tenant.number))


def test_audit_is_closed_again_after_an_erasure(files, as_staff):
    leaving = onboarding.create_tenant_to_join("leaving", name="Leaving")
    as_staff.post(act(leaving, "erase"), {"slug": "leaving", "reason": "Left"})
    run_ordered()

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_rewrite WHERE ev_enabled = 'O'"
            " AND ev_class = 'public.accounts_auditentry'::regclass"
        )
        assert cursor.fetchone() == (2,)


def test_erasing_is_safe_to_repeat_after_a_crash(files, monkeypatch):
    leaving = onboarding.create_tenant_to_join("leaving", name="Leaving")
    made = undertaking.begin(Kind.ERASURE, leaving, by=None, reason="Left")

    def die(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("tenants.erasing.forget_traces", die)
        undertake(made.pk)
    undertake(made.pk)

    made.refresh_from_db()
    assert made.state == Undertaking.State.DONE
    assert made.outcome["removed"]["shared"]["tenants_tenant"] == 1
    assert not Tenant.objects.filter(pk=leaving.pk).exists()


def rows_of(tenant, table):
    with context.entered(tenant), connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")  # noqa: S608
        return cursor.fetchone()[0]


# Replaying


def test_all_failed_deliveries_of_one_vendor_are_read_again(tenant, other_tenant, as_staff):
    failed = [deliver(tenant, State.FAILED) for _ in range(3)]
    deliver(tenant, State.UNREADABLE)
    done, theirs = deliver(tenant, State.DONE), deliver(other_tenant, State.FAILED)

    as_staff.post(act(tenant, "replay"))
    run_ordered()

    made = ordered(tenant, Kind.REPLAY)
    assert (made.state, made.outcome) == ("done", {"replayed": 4})
    states = {each.pk: state_of(each) for each in (*failed, done, theirs)}
    assert list(states.values()) == ["waiting"] * 3 + ["done", "failed"]


def test_replayed_delivery_that_fails_again_is_failed_again(tenant, as_staff):
    broken = deliver(tenant, State.UNREADABLE, b"not json")
    as_staff.post(act(tenant, "replay"))
    run_ordered()

    tasks.drain_inbox(tenant.number)

    assert state_of(broken) == State.UNREADABLE


def state_of(delivery):
    return WebhookDelivery.objects.of(delivery.tenant_id).get(pk=delivery.pk).state
