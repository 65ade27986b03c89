"""Signing in at a tenant's host: who gets in, and where a session stops working."""

import pytest
from django.conf import settings
from django.core import mail
from django.core.cache import cache
from django.test import Client

from tenants import context, directory
from tenants.accounts.models import Role, User
from tenants.models import Tenant
from tests.conftest import PASSWORD, host_of, user_of

LOGIN = "/accounts/login/"
INSIDE = "/accounts/password/change/"  # a page for people who are signed in


@pytest.fixture(autouse=True)
def _no_attempts_so_far(db):
    cache.clear()


def sign_in(client, email, password=PASSWORD, **more):
    return client.post(LOGIN, {"login": email, "password": password, **more})


def is_signed_in(client):
    return client.get(INSIDE).status_code == 200


def test_sign_in_opens_the_tenants_pages_and_sign_out_closes_them(tenant, owner, client_for):
    client = client_for(tenant)

    answer = sign_in(client, owner.email.upper())

    assert (answer.status_code, answer.url) == (302, "/")
    assert is_signed_in(client)
    assert client.post("/accounts/logout/").url == LOGIN
    assert not is_signed_in(client)


def test_wrong_password_and_unknown_person_get_the_same_refusal(tenant, owner, client_for):
    client = client_for(tenant)

    wrong = sign_in(client, owner.email, "not the password")
    unknown = sign_in(client, "nobody@vendor-001.test", "not the password")

    assert wrong.status_code == unknown.status_code == 200
    assert wrong.context["form"].errors == unknown.context["form"].errors
    assert wrong.context["form"].errors
    assert not is_signed_in(client)


def test_person_of_another_tenant_or_of_staff_is_unknown(tenant, other_tenant, staff, client_for):
    client = client_for(tenant)

    sign_in(client, user_of(other_tenant, Role.OWNER).email)
    sign_in(client, staff.email)

    assert not is_signed_in(client)


def test_too_many_wrong_passwords_lock_even_the_right_one_out(tenant, owner, agent, client_for):
    client = client_for(tenant)
    for _ in range(5):
        sign_in(client, owner.email, "not the password")

    sign_in(client, owner.email)

    assert not is_signed_in(client)


def test_wrong_passwords_at_one_tenant_lock_nobody_out_of_another(tenant, other_tenant, client_for):
    email = "same@person.test"
    for each in (tenant, other_tenant):
        with context.entered(each):
            User.objects.create_user(email, PASSWORD)
    here, there = client_for(tenant), client_for(other_tenant)
    for _ in range(6):
        sign_in(here, email, "not the password")

    sign_in(there, email)

    assert is_signed_in(there)


def test_session_cookie_of_one_tenant_is_worthless_at_another(
    tenant, other_tenant, owner, client_for
):
    client = client_for(tenant, owner)
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    _copy_session_row(tenant, other_tenant, cookie)

    for host in (host_of(other_tenant), "localhost"):
        elsewhere = Client(headers={"host": host})
        elsewhere.cookies[settings.SESSION_COOKIE_NAME] = cookie
        assert not is_signed_in(elsewhere)
    assert is_signed_in(client)


def _copy_session_row(source, target, key):
    """Even the very row of the session, were it in the other schema, opens nothing."""
    from django.contrib.sessions.models import Session

    with context.entered(source):
        session = Session.objects.get(session_key=key)
        user = user_of(source, Role.OWNER)
    with context.entered(target):
        Session(
            session_key=key, session_data=session.session_data, expire_date=session.expire_date
        ).save(force_insert=True)
        # The same number and the same password hash: only the tenant tells them apart.
        User.objects.filter(role=Role.OWNER).update(id=user.pk, password=user.password)


def test_session_ends_when_the_token_version_moves(tenant, owner, client_for):
    client = client_for(tenant, owner)
    with context.entered(tenant):
        owner.end_all_sign_ins()

    assert not is_signed_in(client)


def test_session_ends_when_the_person_is_deactivated(tenant, owner, client_for):
    client = client_for(tenant, owner)
    with context.entered(tenant):
        User.objects.filter(pk=owner.pk).update(is_active=False)

    assert not is_signed_in(client)


def test_suspended_tenant_says_why_nobody_can_come_in(tenant, agent, client_for):
    already_in = client_for(tenant, agent)
    Tenant.objects.filter(pk=tenant.pk).update(state=Tenant.State.SUSPENDED)
    directory.changed()
    client = client_for(tenant)
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"

    answer = sign_in(client, agent.email)

    assert answer.status_code == 403
    assert "is suspended" in answer.content.decode()
    assert not is_signed_in(client)
    assert not is_signed_in(already_in)


def test_signing_in_goes_on_only_on_the_same_host(tenant, other_tenant, owner, client_for):
    client = client_for(tenant)

    answer = sign_in(client, owner.email, next=f"http://{host_of(other_tenant)}/")

    assert answer.url == "/"


def test_nobody_signs_up_by_themselves(tenant, client_for):
    client = client_for(tenant)
    facts = {"email": "new@person.test", "password1": PASSWORD}

    answer = client.post("/accounts/signup/", facts)

    assert answer.templates[0].name == "account/signup_closed.html"
    with context.entered(tenant):
        assert not User.objects.filter(email="new@person.test").exists()


def test_forgotten_password_is_replaced_through_a_link_to_the_same_host(tenant, owner, client_for):
    signed_in_before = client_for(tenant, owner)
    client = client_for(tenant)
    client.post("/accounts/password/reset/", {"email": owner.email})
    link = next(line for line in mail.outbox[0].body.splitlines() if "://" in line)

    assert link.startswith(f"http://{host_of(tenant)}/accounts/password/reset/key/")
    form = client.get(link.partition(host_of(tenant))[2], follow=True)
    new = "another good long password"
    client.post(form.redirect_chain[-1][0], {"password1": new, "password2": new})

    assert sign_in(client, owner.email, new).status_code == 302
    assert not is_signed_in(signed_in_before)


def test_reset_link_of_one_tenant_opens_nothing_at_another(tenant, other_tenant, owner, client_for):
    with context.entered(other_tenant):
        User.objects.filter(role=Role.OWNER).update(
            id=owner.pk, email=owner.email, password=owner.password
        )
    client_for(tenant).post("/accounts/password/reset/", {"email": owner.email})
    link = next(line for line in mail.outbox[0].body.splitlines() if "://" in line)

    answer = client_for(other_tenant).get(link.partition(host_of(tenant))[2], follow=True)

    assert answer.context["token_fail"]


def test_former_address_signs_nobody_in_and_gets_no_link(tenant, owner, client_for):
    client = client_for(tenant)
    former = owner.email
    client.post("/accounts/password/reset/", {"email": former})
    with context.entered(tenant):
        owner.email = "new@vendor-001.test"
        owner.save()
    mail.outbox.clear()

    sign_in(client, former)
    client.post("/accounts/password/reset/", {"email": former})

    assert not is_signed_in(client)
    assert "/key/" not in mail.outbox[0].body


def test_reset_tells_nobody_whether_an_address_is_known(tenant, owner, client_for):
    client = client_for(tenant)

    known = client.post("/accounts/password/reset/", {"email": owner.email})
    unknown = client.post("/accounts/password/reset/", {"email": "nobody@person.test"})

    assert (known.status_code, known.url) == (unknown.status_code, unknown.url)


@pytest.mark.parametrize(
    ("user_language", "cookie", "tenant_language", "accepted", "expected"),
    [
        ("en", "fr", "fr", "fr", "en"),
        ("", "en", "fr", "fr", "en"),
        ("", None, "en", "fr", "en"),
        ("", None, "fr", "en", "fr"),
    ],
)
def test_pages_speak_the_users_language_first(
    tenant, owner, client_for, user_language, cookie, tenant_language, accepted, expected
):
    with context.entered(tenant):
        User.objects.filter(pk=owner.pk).update(language=user_language)
    client = client_for(tenant, owner)
    Tenant.objects.filter(pk=tenant.pk).update(language=tenant_language)
    directory.changed()
    if cookie:
        client.cookies[settings.LANGUAGE_COOKIE_NAME] = cookie

    answer = client.get(INSIDE, headers={"accept-language": accepted})

    assert answer["Content-Language"] == expected
