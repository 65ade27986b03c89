"""Vendors from a file or from a person: each row by itself, twice as once."""

import asyncio
import csv
import io
import json
import re
from contextlib import closing

import pytest
from django.core import mail
from django.core.management import CommandError, call_command

from messaging import inbox
from messaging.migrating import vendor_file
from messaging.migrating.vendors import Importer, Result
from messaging.models import Message
from messaging.webhooks import Webhooks
from tenants import context, directory, onboarding, secrets
from tenants.accounts.models import Invitation, Role, User
from tenants.models import ProviderInstance, Tenant, WebhookDelivery
from tests.fakes import wasender
from tests.fakes.serving import ROOT, running
from tests.messaging.test_ingest import received
from tests.messaging.test_webhooks import _exchange

HEADER = "vendorId,businessName,phoneNumber,wasenderInstanceId,wasenderWebhookSecret,wasenderApiKey"
ALPHA = "shop_001,Boutique Alpha,+221701111111,instance_abc123,whsec-of-alpha,key-of-alpha"
BETA = "shop_002,Boutique Beta,+221702222222,instance_def456,whsec-of-beta,key-of-beta"
SECRETS = ("whsec-of-alpha", "key-of-alpha", "whsec-of-beta", "key-of-beta")


@pytest.fixture
def write(tmp_path):
    def written(*lines, ends="\n", encoding="utf-8"):
        path = tmp_path / "vendors.csv"
        path.write_bytes((ends.join(lines) + ends).encode(encoding))
        return path

    return written


def batch(path, *options):
    """What the command printed, and the error it ended with, if any."""
    printed = io.StringIO()
    with closing(printed):
        try:
            call_command(
                "migrate_to_multi_waba",
                "batch",
                str(path),
                *options,
                stdout=printed,
                stderr=printed,
            )
        except CommandError as exc:
            return printed.getvalue(), str(exc)
        return printed.getvalue(), ""


def instance_of(slug):
    tenant = directory.tenant_of_slug(slug)
    [instance] = ProviderInstance.objects.of(tenant)
    return instance


def results(printed):
    return re.findall(r"^line (\d+): (.+?) (created|changed|unchanged|failed)", printed, re.M)


# The forms of a file


@pytest.mark.parametrize(
    ("change", "options"),
    [
        (lambda line: line, {}),
        (lambda line: line, {"encoding": "utf-8-sig"}),
        (lambda line: line, {"ends": "\r\n"}),
        (lambda line: line.replace(",", ";"), {}),
        (lambda line: line.replace(",", "\t"), {}),
        (lambda line: ",".join(f'"{cell}"' for cell in line.split(",")), {}),
    ],
    ids=["plain", "bom", "crlf", "semicolons", "tabs", "quoted"],
)
def test_vendor_file_is_read_in_every_form(write, change, options):
    rows = vendor_file.read(write(*map(change, (HEADER, ALPHA, BETA)), **options))

    assert [(row.line, row.slug, row.phone) for row in rows] == [
        (2, "shop_001", "+221701111111"),
        (3, "shop_002", "+221702222222"),
    ]
    assert rows[0].name == "Boutique Alpha"
    assert rows[0].api_key == "key-of-alpha"
    assert "key-of-alpha" not in repr(rows[0])


def test_vendor_file_keeps_commas_quotes_and_lines_in_quotes(write):
    row = 'shop_001,"Alpha ""A"", Dakar\nsuite",+221701111111,i1,s1,k1'

    [vendor] = vendor_file.read(write(HEADER, row))

    assert vendor.name == 'Alpha "A", Dakar\nsuite'


def test_vendor_file_knows_further_columns_in_any_order(write):
    header = "ownerEmail,phoneNumber,VENDORID,businessName,wasenderWebhookSecret,wasenderInstanceId"

    [vendor] = vendor_file.read(write(header, "a@b.test,+221701111111,shop_001,A,s,i"))

    assert (vendor.owner_email, vendor.slug, vendor.api_key) == ("a@b.test", "shop_001", "")


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (("",), "the file is empty"),
        ((HEADER + ",favouriteColour", ALPHA), "unknown columns: favouriteColour"),
        (("vendorId,businessName", "a,b"), "missing columns: phoneNumber, wasenderInstanceId"),
        ((HEADER + ",vendorId", ALPHA), "columns named twice: vendorId"),
        ((HEADER, 'shop_001,"Alpha'), "line 2: unexpected end of data"),
    ],
)
def test_vendor_file_that_cannot_be_read_says_why(write, lines, complaint):
    with pytest.raises(vendor_file.BadFile, match=complaint):
        vendor_file.read(write(*lines))


def test_vendor_file_in_another_encoding_names_the_line(write):
    path = write(HEADER, ALPHA.replace("Alpha", "Café"), encoding="latin-1")

    with pytest.raises(vendor_file.BadFile, match="line 2: this is not UTF-8"):
        vendor_file.read(path)


def test_missing_file_is_named(db, tmp_path):
    printed, error = batch(tmp_path / "nowhere.csv")

    assert "nowhere.csv: No such file or directory" in error
    assert printed == ""


# Taking in


def test_batch_makes_vendors_with_their_numbers(write, db, settings):
    printed, error = batch(write(HEADER, ALPHA, BETA))

    assert error == ""
    assert results(printed) == [("2", "shop_001", "created"), ("3", "shop_002", "created")]
    assert f"webhook: {settings.PUBLIC_URL}/api/webhooks/wasender/shop_001" in printed
    assert printed.endswith("2 created, 0 changed, 0 unchanged, 0 failed\n")
    assert not any(secret in printed for secret in SECRETS)
    instance = instance_of("shop_001")
    assert instance.tenant.name == "Boutique Alpha"
    assert instance.address == "+221701111111"
    assert instance.settings["session_id"] == "instance_abc123"
    assert instance.secrets == {"api_key": "key-of-alpha", "webhook_secret": "whsec-of-alpha"}


def test_batch_a_second_time_changes_nothing(write, db):
    path = write(HEADER, ALPHA, BETA)
    batch(path)
    before = list(ProviderInstance.objects.across_tenants().order_by("pk").values())

    printed, error = batch(path)

    assert (error, [each[2] for each in results(printed)]) == ("", ["unchanged", "unchanged"])
    assert list(ProviderInstance.objects.across_tenants().order_by("pk").values()) == before


def test_batch_with_a_new_secret_changes_that_one(write, db):
    batch(write(HEADER, ALPHA, BETA))

    printed, _error = batch(write(HEADER, ALPHA, BETA.replace("whsec-of-beta", "whsec-new")))

    assert [each[2] for each in results(printed)] == ["unchanged", "changed"]
    instance = instance_of("shop_002")
    assert instance.secrets["webhook_secret"] == "whsec-new"
    assert instance.previous_secrets["webhook_secret"] == "whsec-of-beta"


def test_batch_rows_fail_alone_with_their_reason(write, db, tenant):
    taken = f"shop_009,Nine,+221709999999,instance_nine,{'s' * 12},k"
    path = write(
        HEADER,
        ALPHA,
        "shop 003,Bad slug,+221703333333,i3,s3,k3",
        "shop_004,,+221704444444,i4,s4,k4",
        "shop_005,Bad phone,0701111111,i5,s5,k5",
        "shop_006,Same number,+221701111111,i6,s6,k6",
        "shop_007,Same session,+221707777777,instance_abc123,s7,k7",
        "shop_008,Too,many,+221708888888,i8,s8,k8",
        taken,
    )

    printed, error = batch(path)

    assert [each[2] for each in results(printed)] == ["created", *["failed"] * 6, "created"]
    for told in (
        "line 3: shop 003 failed: vendorId: Use 1 to 63 letters",
        "line 4: shop_004 failed: businessName: missing",
        "line 5: shop_005 failed: phoneNumber: Give the number as +33612345678",
        "line 6: shop_006 failed: phoneNumber: shop_001 has this already",
        "line 7: shop_007 failed: wasenderInstanceId: shop_001 has this already",
        "line 8: shop_008 failed: 7 fields where the header has 6",
    ):
        assert told in printed
    assert error == "6 rows failed."
    assert set(Tenant.objects.values_list("slug", flat=True)) >= {"shop_001", "shop_009"}
    assert not Tenant.objects.filter(slug__in=["shop_004", "shop_005", "shop_006"]).exists()


def test_batch_never_takes_a_number_from_another_vendor(write, db, other_tenant):
    there = ProviderInstance.objects.of(other_tenant).first()
    path = write(HEADER, ALPHA.replace("+221701111111", there.address))

    printed, error = batch(path)

    assert f"phoneNumber: {other_tenant.slug} has this already" in printed
    assert error
    assert directory.tenant_of_slug("shop_001") is None


def test_dry_run_says_the_same_and_writes_nothing(write, db):
    path = write(HEADER, ALPHA, ALPHA, BETA.replace("+221702222222", "+221701111111"))
    tenants = Tenant.objects.count()

    printed, error = batch(path, "--dry-run")

    assert [each[2] for each in results(printed)] == ["created", "created", "failed"]
    assert "dry run, nothing written" in printed
    assert error == "1 rows failed."
    assert Tenant.objects.count() == tenants


def test_row_without_key_receives_and_is_told_later(write, db):
    batch(write(HEADER, ALPHA.replace("key-of-alpha", "")))
    assert instance_of("shop_001").secrets == {"webhook_secret": "whsec-of-alpha"}

    printed, _error = batch(write(HEADER, ALPHA))

    assert [each[2] for each in results(printed)] == ["changed"]
    assert instance_of("shop_001").secrets["api_key"] == "key-of-alpha"


def test_owner_is_invited_once_in_the_vendors_language(write, db):
    header = f"{HEADER},ownerEmail,language"
    path = write(header, f"{ALPHA},patron@alpha.test,fr", f"{BETA},boss@beta.test,en")

    batch(path)
    batch(path)

    assert [message.to for message in mail.outbox] == [["patron@alpha.test"], ["boss@beta.test"]]
    assert "Vous êtes invité" in mail.outbox[0].body
    link = re.search(r"https?://\S+", mail.outbox[1].body)[0]
    tenant = directory.tenant_of_slug("shop_002")
    assert link.startswith(f"{onboarding.home_url(tenant)}/")
    with context.entered(tenant):
        assert Invitation.objects.get().role == Role.OWNER
        assert User.objects.count() == 0


def test_report_says_what_became_of_each_row(write, db, tmp_path):
    report = tmp_path / "report.csv"

    batch(write(HEADER, ALPHA, "shop_002,,x,i,s,k"), "--report", str(report))

    told = list(csv.reader(io.StringIO(report.read_text(), newline="")))
    assert told[0] == ["line", "vendorId", "result", "reason", "webhookUrl"]
    assert [row[:3] for row in told[1:]] == [
        ["2", "shop_001", "created"],
        ["3", "shop_002", "failed"],
    ]
    assert not any(secret in report.read_text() for secret in SECRETS)


def test_example_file_works_unchanged(db):
    _printed, error = batch(ROOT / "docs" / "examples" / "vendors.csv", "--dry-run")

    assert error == ""


# Webhooks at the provider


@pytest.fixture(scope="module")
def provider():
    with running("tests.fakes.wasender") as fake:
        yield fake


@pytest.fixture
def account(provider, settings):
    """Two sessions at the provider, and the platform's token for them."""
    provider.set(
        sessions={f"instance_{n}": wasender.session(n) for n in (1, 2)}, keeps_webhooks=True
    )
    settings.WASENDER_API_URL = f"{provider.url}/api"
    settings.WASENDER_API_KEY = wasender.ACCOUNT_TOKEN
    return provider


def session_row(number, slug="", api_url=""):
    facts = wasender.session(number)
    slug = slug or f"shop_{number:03d}"
    return f"{slug},Shop,{facts['phone_number']},{facts['id']},secret-{number},,{api_url}"


def test_webhooks_are_set_and_what_the_provider_shows_is_kept(write, db, account, settings):
    url = f"{account.url}/api"
    path = write(f"{HEADER},wasenderApiUrl", session_row(1, api_url=url))

    printed, error = batch(path, "--setup-webhooks")

    assert (error, results(printed)[0][2]) == ("", "created")
    instance = instance_of("shop_001")
    assert instance.secrets == {
        "api_key": "key-at-wasender-1",
        "webhook_secret": "secret-at-wasender-1",
    }
    put = next(call for call in account.calls() if call["method"] == "PUT")
    assert f"{settings.PUBLIC_URL}/api/webhooks/wasender/shop_001" in put["body"]


def test_provider_that_says_yes_and_keeps_nothing_is_a_failure(write, db, account):
    account.set(keeps_webhooks=False)
    path = write(f"{HEADER},wasenderApiUrl", session_row(2, api_url=f"{account.url}/api"))

    printed, error = batch(path, "--setup-webhooks")

    assert "shop_002 failed: the webhook could not be set (webhook_not_kept" in printed
    assert error == "1 rows failed."
    assert wasender.ACCOUNT_TOKEN not in printed


def test_platforms_token_goes_to_no_server_a_row_names(write, db, account, settings):
    settings.WASENDER_API_URL = "https://www.wasenderapi.com/api"
    before = len(account.calls())
    path = write(f"{HEADER},wasenderApiUrl", session_row(1, api_url=f"{account.url}/api"))

    printed, _error = batch(path, "--setup-webhooks")

    assert "the webhook could not be set (bad_personal_token)" in printed
    assert len(account.calls()) == before


# Vendor by vendor


def answers(monkeypatch, *lines):
    told = iter(lines)

    def tell(prompt=""):
        try:
            return next(told)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", tell)
    monkeypatch.setattr("messaging.migrating.interview.getpass", tell)


def ask():
    printed = io.StringIO()
    call_command("migrate_to_multi_waba", stdout=printed, stderr=printed)
    return printed.getvalue()


def vendor(slug, number):
    return (slug, f"Shop {number}", f"+22170111000{number}", f"i{number}", f"s{number}", "k")


def test_interview_writes_only_what_was_agreed_to(db, monkeypatch):
    answers(monkeypatch, *vendor("shop_001", 1), "y", *vendor("shop_002", 2), "", "-")

    printed = ask()

    assert "risk: WhatsApp does not authorise WasenderAPI" in printed
    assert "shop_001 created" in printed
    assert "shop_002: not written." in printed
    assert directory.tenant_of_slug("shop_002") is None


def test_interview_goes_on_where_it_was_left(db, monkeypatch):
    prompts = []
    answers(monkeypatch, *vendor("zed_001", 1), "y", *vendor("zed_002", 2), "y")
    ask()

    monkeypatch.setattr("builtins.input", lambda prompt: prompts.append(prompt) or "-")
    ask()

    assert "zed_003" in prompts[0]


def test_interview_offers_a_half_made_vendor_again(db, monkeypatch):
    answers(monkeypatch, *vendor("zed_001", 1), "y")
    ask()
    onboarding.create_tenant_to_join("zed_002", name="Cut off")
    prompts = []

    monkeypatch.setattr("builtins.input", lambda prompt: prompts.append(prompt) or "-")
    ask()

    assert "zed_002" in prompts[0]


def test_dry_run_of_an_importer_asks_nobody(db, account, write):
    rows = vendor_file.read(write(HEADER, ALPHA))
    before = len(account.calls())

    [outcome] = Importer(dry_run=True, sets_webhooks=True).take_in(rows)

    assert outcome.result is Result.CREATED
    assert len(account.calls()) == before


# What comes of it


@pytest.fixture
def fleet(django_db_setup, django_db_blocker, tmp_path):
    """Twelve vendors, really committed, from one file in one run; removed at the end."""
    rows = [
        f"fleet_{n:03d},Boutique {n},+22170555{n:04d},fleet-{n},whsec-of-fleet-{n},key-{n}"
        for n in range(12)
    ]
    path = tmp_path / "fleet.csv"
    path.write_text("\n".join([HEADER, *rows]))
    with django_db_blocker.unblock():
        printed, error = batch(path)
        tenants = list(Tenant.objects.filter(slug__startswith="fleet_").order_by("slug"))
        yield printed, error, tenants
        for tenant in tenants:
            onboarding.delete_tenant(tenant)


def test_posts_for_imported_vendors_land_in_their_own_schemas(fleet):
    printed, error, tenants = fleet
    assert (len(tenants), error) == (12, "")
    assert printed.endswith("12 created, 0 changed, 0 unchanged, 0 failed\n")
    keeper = Keeper()

    for number, tenant in enumerate(tenants):
        body = json.dumps(received(key="SAME", text=f"Bonjour {tenant.slug}")).encode()
        signature = {"X-Webhook-Signature": f"whsec-of-fleet-{number}"}
        path = f"/api/webhooks/wasender/{tenant.slug}"
        assert asyncio.run(_exchange(Webhooks(keeper), path, body, signature, "POST"))[0] == 200
    keeper.keep()

    for tenant in tenants:
        inbox.drain(tenant.number)
        with context.entered(tenant):
            told = list(Message.objects.values_list("text", "instance_id"))
            [mine] = ProviderInstance.objects.of(tenant)
            assert told == [(f"Bonjour {tenant.slug}", mine.pk)]


class Keeper:
    """Takes what the route hands over, and stores it on this test's connection."""

    def __init__(self):
        self.taken = []

    async def store(self, arrivals):
        self.taken += arrivals

    def keep(self):
        for each in self.taken:
            WebhookDelivery(
                tenant_id=each.tenant_number,
                instance_id=each.instance_id,
                provider=each.provider,
                route=each.route,
                content_type=each.content_type,
                body=secrets.seal(each.body),
                size=len(each.body),
                received_at=each.received_at,
            ).save()
