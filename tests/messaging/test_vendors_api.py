"""Vendors for the programs of platform staff: what they can do, and that nobody else can."""

import pytest
from django.core import mail
from django.test import Client

from tenants import context, directory
from tenants.accounts.models import Role
from tenants.api import tokens
from tenants.models import ProviderInstance, Tenant
from tests import factories
from tests.conftest import host_of, user_of
from tests.fakes import wasender
from tests.fakes.serving import running

JSON = "application/json"
VENDORS = "/api/admin/vendors/"


class Program:
    """A program with a token of platform staff at the public host."""

    def __init__(self, token, **headers):
        self._client = Client(
            headers={
                "host": "localhost",
                "authorization": f"Bearer {token}",
                "accept-language": "en",
                **headers,
            }
        )

    def get(self, path):
        return self._client.get(path)

    def post(self, path, body=None):
        return self._client.post(path, body or {}, content_type=JSON)


@pytest.fixture
def program(staff):
    with context.entered_public():
        return Program(tokens.pair_for(staff)["access"])


def refusal(response):
    error = response.json()["error"]
    return response.status_code, error["code"], error["field"]


# Who may


@pytest.mark.parametrize("role", [Role.OWNER, Role.ADMIN])
def test_vendors_people_are_refused_wherever_they_ask(tenant, role):
    with context.entered(tenant):
        access = tokens.pair_for(user_of(tenant, role))["access"]

    at_public = Program(access).get(VENDORS)
    at_home = Program(access, host=host_of(tenant)).get(VENDORS)
    with_header = Program(access, **{"x-tenant": tenant.slug}).get(VENDORS)

    assert [at_public.status_code, at_home.status_code, with_header.status_code] == [401, 404, 404]


def test_staffs_session_opens_nothing(staff, client_for):
    assert client_for(None, staff).get(VENDORS).status_code == 401


def test_staffs_token_opens_no_tenants_route(program, tenant, staff):
    with context.entered_public():
        access = tokens.pair_for(staff)["access"]

    answer = Program(access, host=host_of(tenant)).get("/api/leads/")

    assert answer.status_code == 401


def test_staff_without_a_second_step_is_refused_where_it_is_required(program, settings):
    settings.STAFF_REQUIRE_MFA = True

    assert refusal(program.get(VENDORS))[:2] == (403, "mfa_setup_required")


# Vendors


def test_vendors_are_listed_page_by_page(program, tenant, other_tenant):
    first = program.get(f"{VENDORS}?limit=1").json()
    second = program.get(first["next"]).json()

    shown = [each["slug"] for each in first["results"] + second["results"]]
    every = list(Tenant.objects.order_by("pk").values_list("slug", flat=True)[:2])
    assert shown == every


def test_vendor_is_made_and_its_owner_invited(program, db):
    wanted = {"slug": "shop_77", "name": "Shop", "owner_email": "Boss@Shop.test", "language": "en"}

    answer = program.post(VENDORS, wanted)

    assert answer.status_code == 201
    assert answer.json()["url"].endswith("shop-77.localhost:8000") or answer.json()["url"]
    assert [message.to for message in mail.outbox] == [["boss@shop.test"]]
    assert program.get(f"{VENDORS}shop_77/").json()["name"] == "Shop"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"slug": "a b"}, "slug"),
        ({"slug": "VENDOR_001"}, "slug"),
        ({"slug": "admin"}, "slug"),
        ({"name": ""}, "name"),
        ({"owner_email": "nobody"}, "owner_email"),
        ({"language": "de"}, "language"),
        ({"country": "XX"}, "country"),
    ],
)
def test_vendor_that_cannot_be_is_refused_by_field(program, tenant, change, field):
    before = Tenant.objects.count()

    answer = program.post(VENDORS, {"slug": "shop_77", "name": "Shop", **change})

    assert answer.status_code == 400
    assert answer.json()["error"]["field"] == field
    assert Tenant.objects.count() == before
    assert mail.outbox == []


@pytest.mark.parametrize("path", ["", "instances/", "wasender-status"])
def test_unknown_vendor_is_named(program, db, path):
    assert refusal(program.get(f"{VENDORS}nobody/{path}")) == (404, "vendor_unknown", "slug")


# Instances


@pytest.fixture(scope="module")
def provider():
    with running("tests.fakes.wasender") as fake:
        yield fake


@pytest.fixture
def account(provider, settings):
    provider.set(sessions={"instance_1": wasender.session(1)}, keeps_webhooks=True)
    settings.WASENDER_API_URL = f"{provider.url}/api"
    settings.WASENDER_API_KEY = wasender.ACCOUNT_TOKEN
    return provider


@pytest.fixture
def connected(program, account, tenant, other_tenant):
    ProviderInstance.objects.of(tenant).delete()
    body = {
        "provider": "wasender",
        "address": "+221709900001",
        "values": {
            "session_id": "instance_1",
            "api_key": "key-at-wasender-1",
            "webhook_secret": "to-be-replaced",
            "api_url": f"{account.url}/api",
        },
    }
    return program.post(f"{VENDORS}{tenant.slug}/instances/", body)


def test_instance_is_connected_and_shows_no_secret(connected, program, tenant, settings):
    shown = connected.json()

    assert connected.status_code == 201
    assert (shown["state"], shown["address"]) == ("connected", "+221709900001")
    assert shown["webhooks"] == {"": f"{settings.PUBLIC_URL}/api/webhooks/wasender/{tenant.slug}"}
    assert "WasenderAPI" in shown["risk"]
    assert "key-at-wasender-1" not in connected.content.decode()
    listed = program.get(f"{VENDORS}{tenant.slug}/instances/").json()["results"]
    assert [each["id"] for each in listed] == [shown["id"]]


def test_instance_refusals_name_the_field(program, tenant):
    address = f"{VENDORS}{tenant.slug}/instances/"

    unknown = program.post(address, {"provider": "pigeon", "address": "+221709900001"})
    lacking = program.post(address, {"provider": "wasender", "address": "+221709900001"})

    assert refusal(unknown)[2] == "provider"
    assert refusal(lacking)[2] == "api_key"


def test_webhook_is_set_up_and_read_back(connected, program, tenant, account, settings):
    answer = program.post(f"{VENDORS}{tenant.slug}/setup-wasender-webhook")

    url = f"{settings.PUBLIC_URL}/api/webhooks/wasender/{tenant.slug}"
    assert answer.status_code == 200
    assert answer.json() == {
        "success": True,
        "message": "The provider posts here now.",
        "webhookUrl": url,
    }
    [instance] = ProviderInstance.objects.of(tenant)
    assert instance.secrets["webhook_secret"] == "secret-at-wasender-1"


def test_webhook_a_provider_does_not_keep_is_a_failure(connected, program, tenant, account):
    account.set(keeps_webhooks=False)

    answer = program.post(f"{VENDORS}{tenant.slug}/setup-wasender-webhook")

    assert refusal(answer)[:2] == (502, "webhook_not_kept")
    assert answer.json()["success"] is False
    assert "webhook_url" in answer.json()["error"]["message"]


def test_provider_that_nobody_can_set_says_what_to_paste(program, tenant):
    factories.make_instance(tenant, provider="twilio", address="+221709900009")

    answer = program.post(f"{VENDORS}{tenant.slug}/setup-twilio-webhook")

    assert refusal(answer)[:2] == (409, "not_supported")
    assert "/webhooks/twilio-sms/incoming" in answer.json()["error"]["message"]


def test_status_is_asked_of_the_provider(connected, program, tenant):
    answer = program.get(f"{VENDORS}{tenant.slug}/wasender-status").json()

    assert (answer["status"], answer["phoneNumber"]) == ("connected", "+221709900001")


def test_status_of_several_asks_to_choose(connected, program, tenant):
    second = factories.make_instance(tenant)
    address = f"{VENDORS}{tenant.slug}/wasender-status"

    assert refusal(program.get(address)) == (409, "instance_ambiguous", "instance")
    assert program.get(f"{address}?instance={second.pk}").json()["instance"] == second.pk


def test_another_vendors_instance_is_not_found(connected, program, tenant, other_tenant):
    [foreign] = ProviderInstance.objects.of(other_tenant)
    here = f"{VENDORS}{tenant.slug}/"

    asked = program.get(f"{here}wasender-status?instance={foreign.pk}")
    checked = program.post(f"{here}instances/{foreign.pk}/check")

    assert refusal(asked) == refusal(checked) == (404, "instance_unknown", "instance")


def test_check_says_which_step_fails(connected, program, tenant):
    answer = program.post(f"{VENDORS}{tenant.slug}/instances/{connected.json()['id']}/check")

    findings = {each["step"]: each["passed"] for each in answer.json()["findings"]}
    assert answer.status_code == 200
    assert findings["reachable"] is True
    assert findings["webhook"] is False
    assert answer.json()["success"] is False


def test_renamed_vendor_is_found_by_its_former_slug(program, tenant):
    from tenants.models import SlugAlias

    SlugAlias.objects.create(slug="former_name", tenant=tenant)
    directory.forget()

    assert program.get(f"{VENDORS}former_name/").json()["slug"] == tenant.slug
