"""The platform's admin: for staff on the public host only, and without content or secrets."""

import pytest
from django.core.cache import cache
from django.utils import timezone

from tenants import secrets
from tenants.accounts.models import Role, User
from tenants.models import WebhookDelivery
from tests.conftest import PASSWORD

URLS = "amda.urls_public"
PAGES = [
    "/admin/",
    "/admin/tenants/tenant/",
    "/admin/tenants/tenant/add/",
    "/admin/tenants/providerinstance/",
    "/admin/tenants/webhookdelivery/",
    "/admin/accounts/user/",
    "/admin/accounts/user/add/",
]


@pytest.fixture(autouse=True)
def _no_attempts_so_far(db):
    cache.clear()


@pytest.fixture
def as_staff(staff, client_for):
    return client_for(None, staff)


@pytest.fixture
def delivery(tenant, instance):
    delivery = WebhookDelivery(
        tenant=tenant,
        instance=instance,
        provider="wasender",
        body=secrets.seal(b"what was said"),
        size=13,
        received_at=timezone.now(),
        state=WebhookDelivery.State.FAILED,
        attempts=3,
    )
    delivery.save()
    return delivery


@pytest.mark.parametrize("page", PAGES)
def test_admin_opens_for_staff_and_for_nobody_else(page, tenant, owner, as_staff, client_for):
    nobody, at_tenant = client_for(None), client_for(tenant, owner)

    assert as_staff.get(page).status_code == 200
    refused = nobody.get(page, follow=True)
    assert refused.redirect_chain[-1][0].startswith("/accounts/login/")
    assert at_tenant.get(page).status_code == 404


def test_admin_is_closed_to_a_tenants_owner_on_the_public_host(tenant, owner, client_for):
    client = client_for(None)

    client.post("/accounts/login/", {"login": owner.email, "password": PASSWORD})

    assert client.get("/admin/").status_code == 302


def test_admin_sign_in_limits_wrong_passwords(staff, client_for):
    client = client_for(None)
    assert client.post("/admin/login/", {"username": staff.email}).url.startswith(
        "/accounts/login/"
    )
    for _ in range(5):
        client.post("/accounts/login/", {"login": staff.email, "password": "wrong"})

    client.post("/accounts/login/", {"login": staff.email, "password": PASSWORD})

    assert client.get("/admin/").status_code == 302


@pytest.mark.parametrize("language", ["fr", "en"])
def test_admin_speaks_the_readers_language(as_staff, language):
    as_staff.cookies["amda_language"] = language

    assert as_staff.get("/admin/")["Content-Language"] == language


def test_admin_never_deletes_a_vendor(tenant, as_staff):
    page = f"/admin/tenants/tenant/{tenant.pk}/delete/"

    assert as_staff.post(page, {"post": "yes"}).status_code == 403


def test_admin_shows_an_instance_without_its_secrets(instance, as_staff):
    page = as_staff.get(f"/admin/tenants/providerinstance/{instance.pk}/change/")

    shown = page.content.decode()
    assert instance.address in shown
    assert not any(secret in shown for secret in instance.secrets.values())


def test_admin_shows_a_delivery_without_what_was_said(delivery, as_staff):
    page = as_staff.get(f"/admin/tenants/webhookdelivery/{delivery.pk}/change/")

    assert page.status_code == 200
    assert "what was said" not in page.content.decode()
    assert "body" not in page.context["adminform"].form.fields


def test_admin_replays_chosen_deliveries(delivery, tenant, as_staff):
    facts = {"action": "replay", "_selected_action": [delivery.pk]}

    answer = as_staff.post("/admin/tenants/webhookdelivery/", facts)

    assert answer.status_code == 302
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == (WebhookDelivery.State.WAITING, 0)


@pytest.mark.parametrize("filters", ["state__exact=failed", "provider=wasender", "q=vendor_001"])
def test_admin_finds_deliveries(delivery, as_staff, filters):
    page = as_staff.get(f"/admin/tenants/webhookdelivery/?{filters}")

    assert [each.pk for each in page.context["cl"].result_list] == [delivery.pk]


def test_admin_makes_staff_whose_password_is_hashed_and_works(as_staff, client_for):
    facts = {
        "email": "New@amda.test",
        "language": "en",
        "is_active": "on",
        "new_password": PASSWORD,
    }

    as_staff.post("/admin/accounts/user/add/", facts)

    made = User.objects.get(email="new@amda.test")
    assert (made.role, made.check_password(PASSWORD)) == (Role.STAFF, True)
    assert client_for(None, made).get("/admin/").status_code == 200


def test_admin_ends_the_sign_ins_of_staff_who_get_a_new_password(staff, as_staff, client_for):
    colleague = User.objects.create_superuser("colleague@amda.test", PASSWORD)
    client = client_for(None, colleague)
    facts = {"email": colleague.email, "is_active": "on", "new_password": "quite another password"}

    as_staff.post(f"/admin/accounts/user/{colleague.pk}/change/", facts)

    assert client.get("/admin/").status_code == 302
