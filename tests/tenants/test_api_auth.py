"""Signing in for programs: whose token opens what, and what every refusal looks like."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client
from django.urls import get_resolver
from django.utils import timezone

from tenants import context, directory
from tenants.accounts.models import Role, User
from tenants.api import tokens
from tenants.models import Tenant
from tests.conftest import PASSWORD, host_of, user_of

JSON = "application/json"


def through_host(tenant: Tenant) -> dict[str, str]:
    return {"host": host_of(tenant)}


def through_header(tenant: Tenant) -> dict[str, str]:
    return {"host": "localhost", "x-tenant": tenant.slug}


EITHER_WAY = pytest.mark.parametrize("to", [through_host, through_header])


def login(headers: dict[str, str], email: str, password: str = PASSWORD):
    asked = {"email": email, "password": password}
    return Client(headers=headers).post("/api/auth/login", asked, content_type=JSON)


def pair_of(tenant: Tenant, user: User) -> dict[str, str]:
    with context.entered(tenant):
        return tokens.pair_for(user)


def me(headers: dict[str, str], access: str):
    return Client(headers={**headers, "authorization": f"Bearer {access}"}).get("/api/auth/me")


def refresh(headers: dict[str, str], token: object):
    client = Client(headers=headers)
    return client.post("/api/auth/refresh", {"refresh": token}, content_type=JSON)


def refusal(response) -> tuple[int, str, str | None]:
    answer = response.json()
    assert answer["success"] is False
    return response.status_code, answer["error"]["code"], answer["error"]["field"]


@pytest.fixture(autouse=True)
def _no_attempts(db):
    cache.clear()


@EITHER_WAY
def test_login_gives_tokens_that_say_who_one_is(tenant, owner, to):
    signed_in = login(to(tenant), owner.email.upper())

    answer = signed_in.json()
    whoami = me(to(tenant), answer["access"])

    person = {
        "id": owner.pk,
        "email": owner.email,
        "name": owner.name,
        "role": "owner",
        "tenant": "vendor_001",
    }
    assert signed_in.status_code == 200
    assert answer["user"] == person
    assert whoami.json() == person


@EITHER_WAY
def test_login_refuses_another_tenants_person(tenant, other_tenant, to):
    signed_in = login(to(other_tenant), user_of(tenant, Role.OWNER).email)

    assert refusal(signed_in) == (401, "credentials_invalid", None)


def test_login_answers_wrong_password_and_inactive_person_alike(tenant, agent):
    wrong = login(through_host(tenant), agent.email, "wrong")
    with context.entered(tenant):
        User.objects.filter(pk=agent.pk).update(is_active=False)
    inactive = login(through_host(tenant), agent.email)
    nobody = login(through_host(tenant), "nobody@vendor-001.test")

    assert wrong.json() == inactive.json() == nobody.json()
    assert refusal(wrong) == (401, "credentials_invalid", None)


def test_suspended_tenant_is_told_why_at_every_door(tenant, owner):
    pair = pair_of(tenant, owner)
    Tenant.objects.filter(pk=tenant.pk).update(state=Tenant.State.SUSPENDED)
    directory.changed()

    signed_in = login(through_host(tenant), owner.email)
    used = me(through_host(tenant), pair["access"])
    refreshed = refresh(through_host(tenant), pair["refresh"])
    guessed = login(through_host(tenant), owner.email, "wrong")

    assert refusal(signed_in) == (403, "tenant_suspended", None)
    assert refusal(used) == refusal(refreshed) == (403, "tenant_suspended", None)
    assert refusal(guessed) == (401, "credentials_invalid", None)


def test_login_is_limited_per_person(tenant, owner, agent):
    for _attempt in range(5):
        login(through_host(tenant), owner.email, "wrong")

    over = login(through_host(tenant), owner.email)
    somebody_else = login(through_host(tenant), agent.email)

    assert refusal(over) == (429, "too_many_attempts", None)
    assert int(over["Retry-After"]) >= 60
    assert somebody_else.status_code == 200


def test_public_host_signs_in_staff_only(tenant, owner, staff):
    as_staff = login({"host": "localhost"}, staff.email)
    as_member = login({"host": "localhost"}, owner.email)

    whoami = me({"host": "localhost"}, as_staff.json()["access"])
    assert whoami.json()["role"] == "staff"
    assert whoami.json()["tenant"] is None
    assert refusal(as_member) == (401, "credentials_invalid", None)


@EITHER_WAY
def test_token_opens_nothing_of_another_tenant(tenant, other_tenant, to):
    mine, theirs = user_of(tenant, Role.OWNER), user_of(other_tenant, Role.OWNER)
    assert mine.pk == theirs.pk
    pair = pair_of(tenant, mine)

    used = me(to(other_tenant), pair["access"])
    refreshed = refresh(to(other_tenant), pair["refresh"])

    assert refusal(used) == (401, "token_invalid", None)
    assert refusal(refreshed) == (401, "token_invalid", None)
    assert used["WWW-Authenticate"].startswith("Bearer")
    assert me(to(tenant), pair["access"]).status_code == 200


def test_staff_token_opens_no_tenant_and_a_members_not_the_public_host(tenant, owner, staff):
    of_staff, of_owner = tokens.pair_for(staff), pair_of(tenant, owner)

    staff_inside = me(through_host(tenant), of_staff["access"])
    owner_outside = me({"host": "localhost"}, of_owner["access"])

    assert refusal(staff_inside) == refusal(owner_outside) == (401, "token_invalid", None)


@EITHER_WAY
def test_tokens_end_with_the_sign_ins(tenant, owner, to):
    pair = pair_of(tenant, owner)
    with context.entered(tenant):
        owner.end_all_sign_ins()

    used = me(to(tenant), pair["access"])
    refreshed = refresh(to(tenant), pair["refresh"])

    assert refusal(used) == refusal(refreshed) == (401, "token_invalid", None)


def test_tokens_end_with_the_persons_access(tenant, agent):
    pair = pair_of(tenant, agent)
    with context.entered(tenant):
        User.objects.filter(pk=agent.pk).update(is_active=False)

    used = me(through_host(tenant), pair["access"])
    refreshed = refresh(through_host(tenant), pair["refresh"])

    assert refusal(used) == refusal(refreshed) == (401, "token_invalid", None)


def test_each_token_is_good_for_its_own_use_only(tenant, owner):
    pair = pair_of(tenant, owner)

    used = me(through_host(tenant), pair["refresh"])
    refreshed = refresh(through_host(tenant), pair["access"])

    assert refusal(used) == refusal(refreshed) == (401, "token_invalid", None)


def test_token_expires(tenant, owner):
    with context.entered(tenant):
        token = tokens.AccessToken(pair_of_owner := tokens.pair_for(owner)["access"])
        token.set_exp(from_time=timezone.now() - timedelta(days=8))
        expired = str(token)

    assert refusal(me(through_host(tenant), expired)) == (401, "token_invalid", None)
    assert me(through_host(tenant), pair_of_owner).status_code == 200


def test_refresh_gives_a_pair_that_works(tenant, owner):
    first = pair_of(tenant, owner)

    second = refresh(through_host(tenant), first["refresh"]).json()

    assert me(through_host(tenant), second["access"]).status_code == 200
    assert refresh(through_host(tenant), second["refresh"]).status_code == 200


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "é", "Ā" * 9, "eyJ" * 500])
def test_garbage_for_a_token_is_refused(tenant, token):
    used = me(through_host(tenant), token.encode().decode("latin-1"))

    assert refusal(used) == (401, "token_invalid", None)


@pytest.mark.parametrize("token", [None, 5, True, [], {}, "", "\x00", "\ud800", "x" * 5000])
def test_refresh_names_the_field_that_is_no_token(tenant, token):
    refreshed = refresh(through_host(tenant), token)

    status, _code, field = refusal(refreshed)
    assert (status, field) == (400, "refresh")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", (400, "required", "email")),
        (b"{}", (400, "required", "email")),
        (b"[]", (400, "invalid", None)),
        (b"null", (400, "null", None)),
        (b'{"email": 5, "password": "x"}', (400, "invalid", "email")),
        (b'{"email": "a@b.c", "password": null}', (400, "null", "password")),
        (
            b'{"email": "a\\u0000@b.c", "password": "x"}',
            (400, "null_characters_not_allowed", "email"),
        ),
        (b'{"email": ', (400, "parse_error", None)),
        (b'{"email": NaN}', (400, "parse_error", None)),
        (b"\xff\xfe", (400, "parse_error", None)),
        (b"[" * 100_000, (400, "parse_error", None)),
        (b"1" * 5_000, (400, "parse_error", None)),
    ],
)
def test_login_answers_bad_bodies(tenant, body, expected):
    client = Client(headers=through_host(tenant))

    answer = client.post("/api/auth/login", body, content_type=JSON)

    assert refusal(answer) == expected


def test_login_takes_json_only(tenant):
    client = Client(headers=through_host(tenant))

    answer = client.post("/api/auth/login", {"email": "a@b.c", "password": "x"})

    assert refusal(answer) == (415, "unsupported_media_type", None)


@pytest.mark.parametrize("method", ["get", "put", "delete", "options"])
def test_methods_that_are_not_there_are_405_for_anybody(tenant, method):
    answer = getattr(Client(headers=through_host(tenant)), method)("/api/auth/login")

    assert refusal(answer) == (405, "method_not_allowed", None)
    assert answer["Allow"] == "POST"


@pytest.mark.parametrize("host", ["vendor-001.localhost", "localhost"])
@pytest.mark.parametrize("method", ["get", "post", "delete"])
def test_unknown_addresses_answer_in_the_same_shape(tenant, host, method):
    answer = getattr(Client(headers={"host": host}), method)("/api/nothing/here")

    assert refusal(answer) == (404, "address_unknown", None)


@pytest.mark.parametrize(
    ("language", "message"),
    [
        ("", "Informations d'authentification non fournies."),
        ("en", "Authentication credentials were not provided."),
        ("fr-CA", "Informations d'authentification non fournies."),
    ],
)
def test_refusals_speak_the_callers_language(tenant, language, message):
    client = Client(headers={**through_host(tenant), "accept-language": language})

    answer = client.get("/api/auth/me")

    assert answer.json()["error"]["message"] == message


def test_session_needs_its_csrf_token_for_writes(tenant, owner, client_for):
    browser = client_for(tenant, owner)
    browser.handler.enforce_csrf_checks = True

    read = browser.get("/api/auth/me")
    write = browser.post("/api/leads/", {"name": "Awa"}, content_type=JSON)

    assert read.json()["email"] == owner.email
    assert refusal(write) == (403, "permission_denied", None)


def test_session_means_nothing_beside_x_tenant(tenant, owner, client_for):
    browser = client_for(tenant, owner)

    answer = browser.get("/api/auth/me", headers=through_header(tenant))

    assert refusal(answer) == (401, "not_authenticated", None)


def test_team_shows_colleagues_of_this_tenant(tenant, other_tenant, assistant):
    access = pair_of(tenant, assistant)["access"]
    client = Client(headers={**through_host(tenant), "authorization": f"Bearer {access}"})

    first = client.get("/api/users/?limit=3").json()
    rest = client.get(first["next"]).json()

    everybody = [*first["results"], *rest["results"]]
    assert {each["email"] for each in everybody} == {
        f"{role}@vendor-001.test" for role in ("owner", "admin", "agent", "assistant")
    }
    assert set(everybody[0]) == {"id", "name", "role", "email"}
    assert rest["next"] is None


def test_schema_is_valid_and_complete():
    written, warned = StringIO(), StringIO()

    call_command("spectacular", validate=True, fail_on_warn=True, stdout=written, stderr=warned)

    assert "/api/conversations/{id}/messages/" in written.getvalue()
    assert warned.getvalue() == ""


@pytest.mark.parametrize("host", ["vendor-001.localhost", "localhost"])
def test_docs_need_neither_sign_in_nor_network(tenant, host):
    client = Client(headers={"host": host})

    page = client.get("/api/docs/").content.decode()
    script = client.get("/api/docs/?script=").content.decode()
    schema = client.get("/api/schema/")

    assert "http://" not in page + script
    assert "https://" not in page + script
    assert "/api/schema/" in script
    assert b"/api/auth/login" in schema.content


def test_every_view_of_the_api_says_who_may_do_what():
    closed = [pattern for pattern, view in api_views() if not says_who(view)]

    assert closed == []


def says_who(view) -> bool:
    if view.permission_classes != api_default():
        return True
    known = ("get", "post", "put", "patch", "delete")
    methods = {name.upper() for name in known if hasattr(view, name)}
    return set(getattr(view, "actions", {})) == methods


def api_default():
    from rest_framework.settings import api_settings

    return api_settings.DEFAULT_PERMISSION_CLASSES


def api_views():
    for url in get_resolver("amda.urls_api").url_patterns:
        for each in getattr(url, "url_patterns", [url]):
            yield str(each.pattern), each.callback.cls
