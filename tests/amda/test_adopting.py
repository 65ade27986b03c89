"""Staff see what an account at a provider has, take it over for a vendor, or make more there."""

import io
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.conf import settings as installed
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.utils import timezone

from messaging.providers import get as provider_of
from tenants import audit, directory
from tenants.accounts.models import AuditEntry
from tenants.models import Allowance, ProviderInstance
from tests import factories
from tests.conftest import at
from tests.fakes import wasender
from tests.fakes.serving import beside

PLATFORM = "wasender:platform"


@pytest.fixture(autouse=True)
def _no_attempts_so_far(db):
    cache.clear()


@pytest.fixture
def as_staff(staff, client_for):
    client = client_for(None, staff)
    client.cookies["amda_language"] = "en"
    return client


@pytest.fixture
def server(monkeypatch):
    """Wasender with three sessions, none of which anybody here has."""
    state = wasender.State()
    state.sessions = {f"instance_{n}": wasender.session(n) for n in (1, 2, 3)}
    monkeypatch.setattr(wasender, "STATE", state)
    with beside(state, wasender.answer) as url:
        state.url = f"{url}/api"
        yield state


@pytest.fixture
def account(server, settings, monkeypatch):
    """Wasender's server, whose account is the platform's own."""
    settings.WASENDER_API_URL = server.url
    settings.WASENDER_API_KEY = wasender.ACCOUNT_TOKEN
    fields = [
        replace(each, default=server.url) if each.name == "api_url" else each
        for each in provider_of("wasender").fields
    ]
    monkeypatch.setattr(provider_of("wasender"), "fields", tuple(fields), raising=False)
    return server


@pytest.fixture
def own_account(server, instance):
    """The account whose token the vendor's own instance has."""
    instance.settings = {"api_url": server.url, "session_id": "instance_1", "signature": "secret"}
    instance.secrets = {**instance.secrets, "personal_token": wasender.ACCOUNT_TOKEN}
    instance.save()
    return f"wasender:{instance.pk}"


def page(tenant, name="", **asked):
    address = f"/admin/tenants/tenant/{tenant.pk}/account/{name}"
    return f"{address}?{urlencode(asked)}" if asked else address


def adopt(as_staff, tenant, account, reference, **given):
    address = page(tenant, "adopt/", account=account, reference=reference)
    return as_staff.post(address, given, follow=True)


def said(answer):
    return [str(each) for each in answer.context["messages"]]


def rows(answer):
    return [
        (row.seen.found.reference, row.seen.holder and row.seen.holder.tenant.slug, row.is_mine)
        for row in answer.context["page"]
    ]


def numbers(tenant):
    return list(
        ProviderInstance.objects.of(tenant).order_by("pk").values_list("address", flat=True)
    )


def acts(number):
    entries = AuditEntry.objects.filter(subject_name=number).order_by("id")
    return list(entries.values_list("act", flat=True))


# Seeing


def test_list_says_of_each_number_who_has_it(tenant, other_tenant, own_account, server, as_staff):
    factories.make_instance(
        other_tenant, address="+221709900002", settings={"api_url": "http://127.0.0.1:9/api"}
    )

    answer = as_staff.get(page(tenant))

    assert rows(answer) == [
        ("instance_3", None, False),
        ("instance_1", tenant.slug, True),
        ("instance_2", other_tenant.slug, False),
    ]
    shown = answer.content.decode()
    assert "connected" in shown and "+221709900003" in shown
    assert shown.count("account/adopt/?account=") == 2
    for secret in (wasender.ACCOUNT_TOKEN, "key-at-wasender-1", "secret-at-wasender-1"):
        assert secret not in shown


def test_same_id_at_another_server_is_another_number(tenant, other_tenant, account, as_staff):
    factories.make_instance(
        other_tenant,
        address="+221701110000",
        settings={"api_url": "http://127.0.0.1:9/api", "session_id": "instance_2"},
    )

    assert {held for _id, held, _mine in rows(as_staff.get(page(tenant)))} == {None}


def test_list_is_narrowed_and_paged(tenant, account, as_staff, monkeypatch):
    account.sessions = {f"instance_{n}": wasender.session(n) for n in range(1, 121)}
    monkeypatch.setattr("amda.admin.adopting.ON_A_PAGE", 50)

    first = as_staff.get(page(tenant))
    last = as_staff.get(page(tenant), {"page": 3})
    by_number = as_staff.get(page(tenant), {"q": "0709 900 117"})
    by_name = as_staff.get(page(tenant), {"q": "shop 12"})
    nothing = as_staff.get(page(tenant), {"q": "shop", "held": "mine"})

    assert [len(rows(each)) for each in (first, last)] == [50, 20]
    assert "page 1 of 3" in first.content.decode()
    assert [each[0] for each in rows(by_number)] == ["instance_117"]
    assert sorted(each[0] for each in rows(by_name)) == ["instance_12", "instance_120"]
    assert rows(nothing) == [] and "None of them fits" in nothing.content.decode()


@pytest.mark.parametrize("count", [1, 30])
def test_list_costs_the_same_for_few_and_many(
    tenant, account, as_staff, count, django_assert_max_num_queries
):
    account.sessions = {f"instance_{n}": wasender.session(n) for n in range(1, count + 1)}
    for number in range(1, count + 1):
        factories.make_instance(tenant, address=f"+2217099{number:05d}")

    with django_assert_max_num_queries(16):
        answer = as_staff.get(page(tenant))

    assert len(rows(answer)) == count


def test_account_without_numbers_says_so(tenant, account, as_staff):
    account.sessions = {}

    shown = as_staff.get(page(tenant)).content.decode()

    assert "has no number yet" in shown and "account/make/?account=wasender%3Aplatform" in shown


def test_no_account_at_all_offers_to_open_one(tenant, as_staff):
    answer = as_staff.get(page(tenant))

    assert "No account is known yet" in answer.content.decode()
    assert "page" not in answer.context


def test_refused_token_is_said(tenant, account, as_staff, settings):
    settings.WASENDER_API_KEY = "revoked"

    shown = as_staff.get(page(tenant)).content.decode()

    assert "refuses the token of this account: unauthorized" in shown
    assert "account/make/" not in shown


def test_provider_that_gives_no_answer_is_said(tenant, account, as_staff):
    account.loses = {"list"}

    assert "could not be asked" in as_staff.get(page(tenant)).content.decode()


def test_answer_that_is_no_list_is_not_taken_for_an_empty_one(tenant, account, as_staff):
    account.sessions = {}
    account.wraps_lists = True

    shown = as_staff.get(page(tenant)).content.decode()

    assert "unreadable_answer" in shown and "has no number yet" not in shown


def test_another_vendors_token_never_serves(tenant, other_tenant, own_account, as_staff):
    lists = as_staff.get(page(other_tenant), {"account": own_account})
    adopts = as_staff.get(page(other_tenant, "adopt/"), {"account": own_account}, follow=True)
    makes = as_staff.post(page(other_tenant, "make/", account=own_account), follow=True)

    assert "No account is known yet" in lists.content.decode()
    assert said(adopts) == said(makes) == ["This account is not known here any more."]


def test_typed_token_opens_an_account_for_this_vendor_and_an_hour(
    tenant, other_tenant, server, as_staff
):
    typed = {
        "provider": "wasender",
        "wasender-personal_token": wasender.ACCOUNT_TOKEN,
        "wasender-api_url": server.url,
    }

    answer = as_staff.post(page(tenant), typed, follow=True)

    assert len(rows(answer)) == 3
    assert "No account is known yet" in as_staff.get(page(other_tenant)).content.decode()
    kept = Session.objects.get(pk=as_staff.cookies[installed.SESSION_COOKIE_NAME].value)
    assert wasender.ACCOUNT_TOKEN not in str(kept.get_decoded())
    with at(timezone.now() + timedelta(minutes=61)):
        assert "No account is known yet" in as_staff.get(page(tenant)).content.decode()
    forgotten = as_staff.post(page(tenant, "forget/"), follow=True)
    assert "No account is known yet" in forgotten.content.decode()


def test_typed_address_inside_our_network_is_refused(tenant, as_staff):
    typed = {
        "provider": "wasender",
        "wasender-personal_token": "t",
        "wasender-api_url": "https://10.0.0.1/api",
    }

    [form] = as_staff.post(page(tenant), typed).context["forms"]

    assert list(form.errors) == ["api_url"]


# Taking over


def test_number_is_taken_over_with_its_keys_and_posts_here(tenant, own_account, server, as_staff):
    server.sessions["instance_2"]["webhook_url"] = "https://old.example/hook?token=s"
    server.sessions["instance_2"]["webhook_enabled"] = True

    asks = as_staff.get(page(tenant, "adopt/"), {"account": own_account, "reference": "instance_2"})
    answer = adopt(as_staff, tenant, own_account, "instance_2", label="Second")

    assert "It posts to old.example now" in asks.content.decode()
    assert "token=s" not in asks.content.decode()
    made = ProviderInstance.objects.of(tenant).get(address="+221709900002")
    assert (made.label, made.settings["session_id"]) == ("Second", "instance_2")
    assert made.secrets == {
        "api_key": "key-at-wasender-2",
        "webhook_secret": "secret-at-wasender-2",
        "personal_token": wasender.ACCOUNT_TOKEN,
    }
    assert b"key-at-wasender-2" not in bytes(made.sealed_secrets)
    url = f"{installed.PUBLIC_URL}/api/webhooks/wasender/{tenant.slug}"
    assert server.sessions["instance_2"]["webhook_url"] == url
    assert said(answer) == [
        "+221709900002 is connected.",
        "+221709900002 posts here: the provider keeps this address.",
    ]
    assert answer.redirect_chain[-1][0].endswith(f"/providerinstance/{made.pk}/change/")
    [entry] = audit.by_platform(tenant.number, audit.Asked(act="instance.connected"), 2)
    assert entry.subject_id == made.pk and "key-at" not in str(entry.after)


def test_platforms_token_serves_and_is_not_kept(tenant, account, as_staff):
    adopt(as_staff, tenant, PLATFORM, "instance_2", label="")

    made = ProviderInstance.objects.of(tenant).get(address="+221709900002")
    assert made.settings["api_url"] == account.url
    assert sorted(made.secrets) == ["api_key", "webhook_secret"]
    link = f"/admin/tenants/providerinstance/{made.pk}/link/"
    as_staff.post(link)
    made.refresh_from_db()
    assert (made.state, made.state_reason) == ("pending", "need_scan")


def test_account_that_shows_no_keys_leaves_them_to_be_given(tenant, account, as_staff):
    account.shows_secrets = False

    answer = adopt(as_staff, tenant, PLATFORM, "instance_2", label="")

    made = ProviderInstance.objects.of(tenant).get(address="+221709900002")
    assert made.secrets == {} and made.settings["session_id"] == "instance_2"
    assert said(answer)[-1] == (
        "The account does not show everything; give it here as new keys: API key of the session, "
        "Webhook secret of the session."
    )


@pytest.mark.parametrize("known_by", ["session", "number"])
def test_another_vendors_number_is_not_taken_over(
    tenant, other_tenant, account, as_staff, known_by
):
    facts = {
        "session": {"settings": {"api_url": account.url, "session_id": "instance_2"}},
        "number": {"address": "+221709900002"},
    }
    theirs = factories.make_instance(other_tenant, **facts[known_by])
    before = ProviderInstance.objects.of(other_tenant).values().get(pk=theirs.pk)

    asks = as_staff.get(page(tenant, "adopt/"), {"account": PLATFORM, "reference": "instance_2"})
    answer = adopt(as_staff, tenant, PLATFORM, "instance_2")

    assert "cannot be taken over for another vendor" in asks.content.decode()
    assert answer.context["form"].non_field_errors() == [f"{other_tenant.name} has this already."]
    assert "+221709900002" not in numbers(tenant)
    assert ProviderInstance.objects.of(other_tenant).values().get(pk=theirs.pk) == before
    assert account.sessions["instance_2"]["webhook_url"] is None


def test_own_number_gets_the_keys_that_the_account_shows_now(
    tenant, own_account, server, instance, as_staff
):
    before = numbers(tenant)

    adopt(as_staff, tenant, own_account, "instance_1", label="")

    instance.refresh_from_db()
    assert numbers(tenant) == before
    assert instance.secrets["api_key"] == "key-at-wasender-1"
    assert instance.label == "Shop"


def test_number_that_the_account_does_not_show_is_asked_for(tenant, account, as_staff):
    account.sessions["instance_2"]["phone_number"] = None

    wrong = adopt(as_staff, tenant, PLATFORM, "instance_2", address="70")
    adopt(as_staff, tenant, PLATFORM, "instance_2", address="+221701112233")

    assert list(wrong.context["form"].errors) == ["address"]
    assert numbers(tenant)[1:] == ["+221701112233"]


def test_number_that_is_gone_is_said(tenant, account, as_staff):
    answer = adopt(as_staff, tenant, PLATFORM, "instance_9")

    assert said(answer) == ["The account has no such number any more."]


# Making


NEW = {"name": "New shop", "address": "+221 70 111 22 33"}


def make(as_staff, tenant, facts=NEW, account=PLATFORM):
    return as_staff.post(page(tenant, "make/", account=account), facts, follow=True)


def test_number_is_made_and_its_phone_can_be_linked(tenant, account, as_staff):
    answer = make(as_staff, tenant)

    made = ProviderInstance.objects.of(tenant).get(address="+221701112233")
    [session] = [each for each in account.sessions.values() if each["name"] == "New shop"]
    assert (made.label, made.settings["session_id"]) == ("New shop", session["id"])
    assert made.secrets["webhook_secret"] == session["webhook_secret"]
    url = f"{installed.PUBLIC_URL}/api/webhooks/wasender/{tenant.slug}"
    assert (session["webhook_url"], session["webhook_enabled"]) == (url, True)
    shown = answer.content.decode()
    assert f'action="/admin/tenants/providerinstance/{made.pk}/link/"' in shown
    assert acts("+221701112233") == ["instance.asked_for", "instance.made"]
    entries = AuditEntry.objects.filter(tenant_number=tenant.number)
    assert session["api_key"] not in str(list(entries.values("before", "after")))


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"address": ""}, "address"),
        ({"address": "0701112233"}, "address"),
    ],
)
def test_field_that_is_wrong_is_named_and_nobody_is_asked(tenant, account, as_staff, facts, field):
    answer = make(as_staff, tenant, {**NEW, **facts})

    assert list(answer.context["form"].errors) == [field]
    assert len(account.sessions) == 3
    assert AuditEntry.objects.filter(act="instance.asked_for").count() == 0


def test_number_of_another_vendor_is_refused_before_anybody_is_asked(
    tenant, other_tenant, account, as_staff
):
    factories.make_instance(other_tenant, address="+221701112233")

    answer = make(as_staff, tenant)

    assert answer.context["form"].errors == {"address": [f"{other_tenant.name} has this already."]}
    assert len(account.sessions) == 3


def test_full_plan_is_refused_before_anybody_is_asked(tenant, account, as_staff):
    Allowance.objects.across_tenants().update_or_create(
        tenant_id=tenant.number, defaults={"instances": 1, "by_hand": True}
    )
    directory.changed()

    answer = make(as_staff, tenant)

    assert len(answer.context["form"].non_field_errors()) == 1
    assert len(account.sessions) == 3 and acts("+221701112233") == []


def test_number_that_the_account_has_already_is_offered_instead(tenant, account, as_staff):
    answer = make(as_staff, tenant, {"name": "Again", "address": "+221709900002"})

    assert len(account.sessions) == 3
    to = urlsplit(answer.redirect_chain[-1][0])
    assert to.path == page(tenant, "adopt/")
    assert parse_qs(to.query) == {"account": [PLATFORM], "reference": ["instance_2"]}
    assert "has +221709900002 already: nothing was made" in said(answer)[0]


def test_refusal_of_the_provider_is_shown_at_its_field(tenant, account, as_staff):
    account.refuses = {"phone_number": ["This number cannot be used."]}

    answer = make(as_staff, tenant)

    assert answer.context["form"].errors == {
        "address": ["The provider says: This number cannot be used."]
    }
    assert acts("+221701112233") == ["instance.asked_for", "instance.not_made"]
    account.refuses = {}
    make(as_staff, tenant)
    assert "+221701112233" in numbers(tenant)


def test_number_whose_answer_was_lost_is_found_and_not_made_twice(tenant, account, as_staff):
    account.loses = {"create"}

    answer = make(as_staff, tenant)
    again = make(as_staff, tenant)

    [made] = [each for each in account.sessions.values() if each["name"] == "New shop"]
    for each in (answer, again):
        assert "was made. Take it over here" in said(each)[0]
        to = urlsplit(each.redirect_chain[-1][0])
        assert parse_qs(to.query)["reference"] == [made["id"]]
    adopt(as_staff, tenant, PLATFORM, made["id"], label="")
    kept = ProviderInstance.objects.of(tenant).get(address="+221701112233")
    assert kept.secrets["api_key"] == made["api_key"]


def test_number_that_is_made_late_is_never_asked_for_again_meanwhile(tenant, account, as_staff):
    account.loses = {"create, late"}
    now = timezone.now()

    first = make(as_staff, tenant)
    second = make(as_staff, tenant)

    for each in (first, second):
        [why] = each.context["form"].non_field_errors()
        assert "gave no answer: it may still be making it" in why
    assert len(account.late) == 1 and numbers(tenant)[1:] == []
    account.sessions["late"] = account.late[0]
    assert "was made. Take it over here" in said(make(as_staff, tenant))[0]
    assert len(account.late) == 1
    del account.sessions["late"]
    account.loses = set()
    with at(now + timedelta(minutes=11)):
        make(as_staff, tenant)
    assert numbers(tenant)[1:] == ["+221701112233"]


def test_list_that_cannot_be_read_makes_nothing(tenant, account, as_staff):
    account.loses = {"list"}

    answer = make(as_staff, tenant)

    assert "could not be asked" in answer.context["form"].non_field_errors()[0]
    assert len(account.sessions) == 3
    account.loses = set()
    make(as_staff, tenant)
    assert len(account.sessions) == 4


# Who may


@pytest.mark.parametrize("name", ["", "forget/", "adopt/", "make/"])
def test_only_staff_come_here(tenant, owner, client_for, name):
    nobody = client_for(None).get(page(tenant, name))
    at_home = client_for(tenant, owner).get(page(tenant, name))

    assert nobody.url.startswith("/admin/login/")
    assert at_home.status_code == 404


def test_unknown_vendor_is_said(as_staff):
    answer = as_staff.get("/admin/tenants/tenant/999999/account/")

    assert answer.status_code == 302


# From the command line


def command(*arguments):
    printed = io.StringIO()
    call_command("numbers_at", *arguments, stdout=printed, stderr=printed)
    return printed.getvalue()


def test_operators_list_take_over_and_make(tenant, other_tenant, account):
    factories.make_instance(other_tenant, address="+221709900002")

    listed = command(tenant.slug, "wasender").splitlines()
    taken = command(tenant.slug, "wasender", "--take", "instance_1")
    made = command(tenant.slug, "wasender", "--make", "+221701112233", "--label", "Second")

    assert listed[1] == f"instance_2\t+221709900002\tconnected\t{other_tenant.slug}\tShop 2"
    assert [line.split("\t")[3] for line in listed] == ["-", other_tenant.slug, "-"]
    assert "state: connected" in taken and "key-at-wasender" not in taken
    url = f"{installed.PUBLIC_URL}/api/webhooks/wasender/{tenant.slug}"
    assert account.sessions["instance_1"]["webhook_url"] == url
    assert f"webhook: {url}" in made
    assert numbers(tenant)[1:] == ["+221709900001", "+221701112233"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--take", "instance_9"), "The account has no such number any more."),
        (("--make", "070"), "phone: Give the number as"),
        (("--make", "+221709900003"), "phone: the account has it already: --take instance_3"),
        (("--account", "7"), "This account is not known here any more."),
    ],
)
def test_operators_read_why_not(tenant, account, arguments, why):
    with pytest.raises(CommandError) as refused:
        command(tenant.slug, "wasender", *arguments)

    assert str(refused.value).startswith(why)
    assert len(numbers(tenant)) == 1
