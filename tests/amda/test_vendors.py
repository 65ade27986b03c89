"""Staff bring vendors in and look after them: the list, the page, what may be done with one."""

import re
from datetime import timedelta

import pytest
from django.core import mail
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tenants import audit, context, directory, onboarding
from tenants.accounts import invitations
from tenants.accounts.models import AuditEntry, Role, User
from tenants.models import ProviderInstance, SlugAlias, Tenant, WebhookDelivery
from tests import factories
from tests.conftest import PASSWORD, user_of

LIST = "/admin/tenants/tenant/"
ADD = f"{LIST}add/"
NEW = {
    "slug": "new_shop",
    "name": "New shop",
    "owner_email": "Owner@new.test",
    "owner_password": PASSWORD,
    "country": "sn",
    "time_zone": "Africa/Dakar",
    "language": "en",
}
NUMBER = {
    "provider": "wasender",
    "label": "Shop",
    "wasender-address": "+221 70 000 00 09",
    "wasender-api_key": "key of the shop",
    "wasender-webhook_secret": "secret of the shop",
    "wasender-api_url": "http://127.0.0.1:9/api",
    "greenapi-api_token": "of another provider, not read",
}
FAILED = WebhookDelivery.State.FAILED
DONE = WebhookDelivery.State.DONE


@pytest.fixture(autouse=True)
def _no_attempts_so_far(db, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    cache.clear()


@pytest.fixture
def as_staff(staff, client_for):
    client = client_for(None, staff)
    client.cookies["amda_language"] = "en"
    return client


def post_at(tenant, at, state=DONE):
    instance = ProviderInstance.objects.of(tenant).first()
    delivery = WebhookDelivery(
        tenant=tenant,
        instance=instance,
        provider="wasender",
        body=b"",
        size=0,
        received_at=at,
        state=state,
    )
    delivery.save()


def page_of(tenant):
    return f"{LIST}{tenant.pk}/change/"


def act(tenant, name):
    return f"{LIST}{tenant.pk}/{name}/"


def cells(answer, slug):
    """What the list says of a vendor, in its order."""
    row = next(row for row in re.findall(r"<tr.*?</tr>", answer, re.S) if slug in row)
    found = re.findall(r"<t[dh][^>]*field-(\w+).*?>(.*?)</t[dh]>", row, re.S)
    return {name: " ".join(re.sub(r"<[^>]+>", " ", cell).split()) for name, cell in found}


# The list


def test_list_says_state_people_numbers_and_posts_of_each_vendor(tenant, other_tenant, as_staff):
    now = timezone.now()
    post_at(tenant, now - timedelta(hours=1))
    post_at(tenant, now - timedelta(hours=2), FAILED)
    post_at(tenant, now - timedelta(hours=25), FAILED)
    post_at(other_tenant, now)
    ProviderInstance.objects.of(tenant).update(last_event_at=now)
    with context.entered(tenant):
        User.objects.recount()

    said = cells(as_staff.get(LIST).content.decode(), tenant.slug)

    assert said["live_state"] == "active"
    assert said["instances"] == "1 connected"
    assert said["people"] == "4"
    assert said["posted"] == "2 1 failed"


def test_list_costs_the_same_for_two_vendors_and_for_six(tenant, other_tenant, as_staff):
    as_staff.get(LIST)
    with CaptureQueriesContext(
        connection,
    ) as few:
        as_staff.get(LIST)
    for place in range(4):
        made = onboarding.create_tenant_to_join(f"more_{place}", name="More")
        factories.make_instance(made)
        post_at(made, timezone.now())

    as_staff.get(LIST)
    with CaptureQueriesContext(connection) as many:
        answer = as_staff.get(LIST)

    assert answer.content.decode().count("more_") >= 4
    assert len(many) == len(few)
    assert not any("t_" in re.findall(r'SET search_path = "?(\w+)', each["sql"]) for each in many)


def test_list_finds_a_vendor_by_its_former_slug(tenant, other_tenant, as_staff):
    SlugAlias.objects.create(tenant=tenant, slug="once_called")

    found = as_staff.get(LIST, {"q": "once_called"}).context["cl"].result_list

    assert [each.pk for each in found] == [tenant.pk]


def test_count_of_people_follows_the_team(tenant, owner, agent, as_staff):
    with context.entered(tenant):
        agent.is_active = False
        agent.save(update_fields=["is_active"])

    said = cells(as_staff.get(LIST).content.decode(), tenant.slug)

    assert said["people"] == "3"


# The page


def test_page_draws_what_was_posted_hour_by_hour(tenant, other_tenant, as_staff):
    now = timezone.now()
    for _ in range(3):
        post_at(tenant, now)
    post_at(tenant, now - timedelta(hours=5), FAILED)
    post_at(other_tenant, now, FAILED)

    answer = as_staff.get(page_of(tenant))

    drawing = answer.context["vendor"]["drawing"]
    assert (len(drawing.bars), drawing.arrived, drawing.failed, drawing.most) == (48, 4, 1, 3)
    assert [(bar.arrived, bar.failed, bar.height) for bar in drawing.bars if bar.arrived] == [
        (1, 1, 33),
        (3, 0, 100),
    ]
    assert "4 deliveries in 48 hours, 1 of them failed" in answer.content.decode()


def test_page_shows_names_numbers_and_where_they_post_but_no_secret(tenant, instance, as_staff):
    SlugAlias.objects.create(tenant=tenant, slug="once_called")

    shown = as_staff.get(page_of(tenant)).content.decode()

    assert "once_called" in shown
    assert f"/api/webhooks/wasender/{tenant.slug}" in shown
    assert instance.address in shown
    assert not any(secret in shown for secret in instance.secrets.values())


def test_page_of_an_empty_vendor_says_so(as_staff):
    made = onboarding.create_tenant_to_join("empty_shop", name="Empty")

    shown = as_staff.get(page_of(made)).content.decode()

    assert "Nothing was posted in the last 48 hours." in shown
    assert "None yet." in shown


# Making one


def test_vendor_is_made_with_its_owner_and_first_number(as_staff):
    answer = as_staff.post(ADD, {**NEW, **NUMBER})

    tenant = directory.tenant_of_slug("new_shop")
    assert answer.url == page_of(tenant)
    instance = ProviderInstance.objects.of(tenant).get()
    assert (instance.provider, instance.address, instance.label) == (
        "wasender",
        "+221700000009",
        "Shop",
    )
    assert instance.secrets["webhook_secret"] == "secret of the shop"
    assert user_of(tenant, Role.OWNER).email == "owner@new.test"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"slug": "VENDOR_001"}, "slug"),
        ({"name": " "}, "name"),
        ({"owner_email": "nobody"}, "owner_email"),
        ({"owner_password": "1234"}, "owner_password"),
        ({"country": "ZZ"}, "country"),
        ({"time_zone": "Dakar"}, "time_zone"),
        ({"wasender-address": "70"}, "wasender-address"),
        ({"wasender-api_key": ""}, "wasender-api_key"),
        ({"wasender-signature": "guess"}, "wasender-signature"),
        ({"wasender-api_url": "http://192.168.1.1/api"}, "wasender-api_url"),
        ({"provider": "pigeon"}, "provider"),
    ],
)
def test_what_is_wrong_with_a_new_vendor_stands_at_its_field(tenant, as_staff, given, field):
    before = set(Tenant.objects.values_list("slug", flat=True))

    answer = as_staff.post(ADD, {**NEW, **NUMBER, **given})

    assert list(answer.context["form"].errors) == [field]
    assert set(Tenant.objects.values_list("slug", flat=True)) == before


def test_number_of_somebody_else_makes_no_vendor(other_tenant, as_staff):
    factories.make_instance(other_tenant, provider="greenapi", reference="1101000001")
    green = {
        "provider": "greenapi",
        "greenapi-address": "+221700000009",
        "greenapi-id_instance": "1101000001",
        "greenapi-api_token": "token",
        "greenapi-webhook_token": "signs",
    }

    answer = as_staff.post(ADD, {**NEW, **green})

    assert list(answer.context["form"].errors) == ["greenapi-id_instance"]
    assert directory.tenant_of_slug("new_shop") is None


def test_owner_without_password_is_invited_and_joins(as_staff, client_for):
    as_staff.post(ADD, {**NEW, "owner_password": "", "language": "fr"})

    tenant = directory.tenant_of_slug("new_shop")
    [sent] = mail.outbox
    link = re.search(r"https?://(\S+?)(/\S+)", sent.body)
    assert sent.to == ["owner@new.test"]
    assert link[1].startswith("new-shop.localhost")
    client = client_for(tenant)
    facts = {"name": "Awa", "password": PASSWORD}
    assert client.get(link[2]).status_code == 200
    client.post(link[2], facts)
    assert user_of(tenant, Role.OWNER).email == "owner@new.test"


# What may be done with one


def test_owner_is_invited_again_with_a_new_link(tenant, as_staff, staff):
    for _ in range(2):
        assert as_staff.post(act(tenant, "invite"), {"email": "boss@shop.test"}).status_code == 302

    with context.entered(tenant):
        [invitation] = invitations.open_invitations()
    assert (invitation.email, invitation.role) == ("boss@shop.test", Role.OWNER)
    assert len(mail.outbox) == 2
    entry = AuditEntry.objects.filter(act="tenant.owner_invited").last()
    assert (entry.tenant_number, entry.by_name) == (tenant.number, staff.email)


def test_inviting_somebody_of_the_team_is_refused_at_the_field(tenant, agent, as_staff):
    answer = as_staff.post(act(tenant, "invite"), {"email": agent.email})

    assert list(answer.context["form"].errors) == ["email"]
    assert mail.outbox == []


def test_suspended_vendors_owner_signs_in_to_read_why_and_nothing_else(
    tenant, other_tenant, owner, agent, as_staff, client_for
):
    agent_inside = client_for(tenant, agent)
    as_staff.post(act(tenant, "suspend"), {"reason": "Three invoices are open."})

    client = client_for(tenant, owner)
    answers = [client.get("/"), client.get("/leads/"), client.get("/api/leads/")]

    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert all("Three invoices are open." in answer.content.decode() for answer in answers)
    assert client.get("/billing/").status_code == 200
    assert agent_inside.get("/").status_code == 302
    refused = client_for(tenant).post(
        "/accounts/login/", {"login": agent.email, "password": PASSWORD}
    )
    assert refused.status_code == 403
    assert "Three invoices are open." in refused.content.decode()
    assert client_for(other_tenant, user_of(other_tenant, Role.OWNER)).get("/").status_code == 200


def test_suspension_is_over_at_once_and_both_are_in_the_audit(
    tenant, owner, staff, as_staff, client_for
):
    as_staff.post(act(tenant, "suspend"), {"reason": "Late"})

    as_staff.post(act(tenant, "resume"))

    assert client_for(tenant, owner).get("/").status_code == 200
    said = [(each.act, each.reason) for each in audit.by_platform(tenant.number, audit.Asked(), 2)]
    assert said == [("tenant.resumed", ""), ("tenant.suspended", "Late")]


def test_suspending_needs_a_reason(tenant, as_staff):
    answer = as_staff.post(act(tenant, "suspend"), {"reason": " "})

    assert list(answer.context["form"].errors) == ["reason"]
    assert Tenant.objects.get(pk=tenant.pk).state == Tenant.State.ACTIVE


def test_renamed_vendor_keeps_its_former_slug_and_its_host(tenant, owner, as_staff, client_for):
    assert as_staff.post(act(tenant, "rename"), {"slug": "better_name"}).status_code == 302

    renamed = directory.tenant_of_slug("better_name")
    assert directory.tenant_of_slug(tenant.slug) == renamed == tenant
    assert renamed.host_label == tenant.host_label
    assert client_for(tenant, owner).get("/").status_code == 200


def test_vendor_takes_its_former_slug_back(tenant):
    onboarding.rename_tenant(tenant, "better_name")

    onboarding.rename_tenant(tenant, "vendor_001")

    assert directory.tenant_of_slug("better_name") == tenant
    assert Tenant.objects.get(pk=tenant.pk).slug == "vendor_001"
    assert [alias.slug for alias in tenant.aliases.all()] == ["better_name"]


@pytest.mark.parametrize("slug", ["vendor_002", "once_theirs", "-x", "admin"])
def test_slug_that_is_not_free_is_refused_at_its_field(tenant, other_tenant, as_staff, slug):
    SlugAlias.objects.create(tenant=other_tenant, slug="once_theirs")

    answer = as_staff.post(act(tenant, "rename"), {"slug": slug})

    assert list(answer.context["form"].errors) == ["slug"]
    assert Tenant.objects.get(pk=tenant.pk).slug == "vendor_001"


@pytest.mark.parametrize("name", ["invite", "rename", "suspend", "resume"])
def test_acts_are_for_staff_only(tenant, owner, as_staff, client_for, name):
    page = act(tenant, name)

    assert as_staff.get(page).status_code == 200
    assert client_for(None).post(page).url.startswith("/admin/login/")
    assert client_for(tenant, owner).post(page).status_code == 404
    assert as_staff.get(act(Tenant(pk=999_999), name)).status_code == 302
