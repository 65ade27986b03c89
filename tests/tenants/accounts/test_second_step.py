"""The second step: codes good once, recovery codes, teams that require it."""

import time

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal import auth as totp
from django.conf import settings
from django.core.cache import cache
from django.test import Client

from tenants import context, directory
from tenants.accounts import second_step
from tenants.accounts.models import Role
from tenants.api import tokens
from tenants.models import Tenant
from tests.conftest import PASSWORD, host_of, user_of

SECRET = "JBSWY3DPEHPK3PXP"
LOGIN = "/accounts/login/"
AUTHENTICATE = "/accounts/second-step/authenticate/"


@pytest.fixture(autouse=True)
def _no_attempts_so_far(db):
    cache.clear()


def code_now(secret=SECRET):
    counter = int(time.time()) // 30
    return totp.format_hotp_value(totp.hotp_value(secret, counter))


def set_up_app(tenant, user):
    with context.entered(tenant):
        totp.TOTP.activate(user, SECRET)
        return RecoveryCodes.activate(user).get_unused_codes()


def api_login(tenant, email, **more):
    client = Client(headers={"host": host_of(tenant)})
    asked = {"email": email, "password": PASSWORD, **more}
    return client.post("/api/auth/login", asked, content_type="application/json")


def code_of(answer):
    return answer.status_code, answer.json()["error"]["code"]


def require_for(tenant):
    Tenant.objects.filter(pk=tenant.pk).update(requires_mfa=True)
    directory.changed()


def test_app_is_set_up_by_clicks_and_its_code_is_asked_for_afterwards(tenant, owner, client_for):
    client = client_for(tenant, owner)
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    page = client.get("/accounts/second-step/totp/activate/")
    secret = page.context["form"].secret
    answer = client.post("/accounts/second-step/totp/activate/", {"code": code_now(secret)})

    assert answer.status_code == 302
    with context.entered(tenant):
        kept = Authenticator.objects.get(user=owner, type=Authenticator.Type.TOTP)
        assert Authenticator.objects.filter(user=owner, type="recovery_codes").exists()
    assert secret not in str(kept.data)

    newcomer = client_for(tenant)
    answer = newcomer.post(LOGIN, {"login": owner.email, "password": PASSWORD})
    assert answer.url.startswith(AUTHENTICATE)
    assert newcomer.get("/accounts/").status_code == 302
    answer = newcomer.post(AUTHENTICATE, {"code": code_now(secret)})
    assert (answer.status_code, answer.url) == (302, "/")
    assert newcomer.get("/accounts/").status_code == 200


def test_recovery_code_signs_in_once(tenant, owner, client_for):
    codes = set_up_app(tenant, owner)

    def sign_in(code):
        client = client_for(tenant)
        client.post(LOGIN, {"login": owner.email, "password": PASSWORD})
        return client.post(AUTHENTICATE, {"code": code}).status_code

    assert [sign_in(codes[0]), sign_in(codes[0]), sign_in(codes[1])] == [302, 200, 302]


def test_program_gives_a_code_that_is_good_once(tenant, owner):
    codes = set_up_app(tenant, owner)
    code = code_now()

    assert code_of(api_login(tenant, owner.email)) == (401, "mfa_required")
    assert code_of(api_login(tenant, owner.email, code="000 000")) == (401, "code_invalid")
    assert api_login(tenant, owner.email, code=code).status_code == 200
    assert code_of(api_login(tenant, owner.email, code=code)) == (401, "code_invalid")
    assert api_login(tenant, owner.email, code=codes[0]).status_code == 200
    assert code_of(api_login(tenant, owner.email, code=codes[0])) == (401, "code_invalid")


def test_guessing_codes_is_limited(tenant, owner):
    codes = set_up_app(tenant, owner)
    for _ in range(5):
        assert code_of(api_login(tenant, owner.email, code="12345")) == (401, "code_invalid")

    assert code_of(api_login(tenant, owner.email, code=codes[0])) == (429, "too_many_attempts")


def test_code_of_one_tenant_is_worthless_at_another(tenant, other_tenant, owner):
    set_up_app(tenant, owner)
    there = user_of(other_tenant, Role.OWNER)
    with context.entered(other_tenant):
        totp.TOTP.activate(there, "KRUGKIDROVUWG2ZA")

    answer = api_login(other_tenant, there.email, code=code_now())

    assert code_of(answer) == (401, "code_invalid")


def test_who_has_no_second_step_is_led_to_set_it_up_first(tenant, other_tenant, owner, client_for):
    client = client_for(tenant, owner)
    elsewhere = client_for(other_tenant, user_of(other_tenant, Role.OWNER))
    with context.entered(tenant):
        access = tokens.pair_for(owner)["access"]
    require_for(tenant)

    assert client.get("/").url == "/accounts/second-step/"
    assert client.get("/accounts/second-step/").status_code == 200
    assert code_of(client.get("/api/auth/me")) == (403, "mfa_setup_required")
    bearer = Client(headers={"host": host_of(tenant), "authorization": f"Bearer {access}"})
    assert code_of(bearer.get("/api/auth/me")) == (403, "mfa_setup_required")
    assert code_of(api_login(tenant, owner.email)) == (403, "mfa_setup_required")
    assert elsewhere.get("/").status_code == 200

    set_up_app(tenant, owner)
    assert client.get("/").status_code == 200
    assert bearer.get("/api/auth/me").status_code == 200


def test_last_second_step_stays_where_one_is_required(tenant, owner, client_for):
    client = client_for(tenant, owner)
    require_for(tenant)
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    set_up_app(tenant, owner)

    client.post("/accounts/second-step/totp/deactivate/")

    with context.entered(tenant):
        assert second_step.is_set_up(owner)


def test_staff_are_led_to_their_second_step_where_the_platform_asks(staff, client_for, settings):
    client = client_for(None, staff)
    assert client.get("/admin/").status_code == 200

    settings.STAFF_REQUIRE_MFA = True

    assert client.get("/admin/").url == "/accounts/second-step/"
    assert client.get("/accounts/second-step/").status_code == 200


def test_wrong_passwords_are_counted_together_whichever_host_is_used(tenant, owner):
    def sign_in(host, password, **headers):
        asked = {"email": owner.email, "password": password}
        client = Client(headers={"host": host, **headers})
        return client.post("/api/auth/login", asked, content_type="application/json").status_code

    for _ in range(3):
        sign_in(host_of(tenant), "wrong")
    for _ in range(2):
        sign_in("localhost", "wrong", **{"x-tenant": tenant.slug})

    assert sign_in(host_of(tenant), PASSWORD) == 429
    assert settings.ACCOUNT_RATE_LIMITS["login_failed"]
