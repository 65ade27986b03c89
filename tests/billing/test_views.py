"""The pages of billing: who sees them, what they say, and what going to Stripe changes."""

import json
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from billing import applying, buying, entitling, tasks
from billing.models import BillingEvent, Invoice, Plan, Subscription
from messaging import outbox
from tenants import context, directory
from tenants.accounts.models import AuditEntry, Role
from tenants.api import tokens
from tenants.models import Allowance, Tenant
from tests import factories
from tests.billing.conftest import MONTHLY
from tests.billing.test_limits import close, give, upload
from tests.conftest import host_of, user_of
from tests.fake_stripe.driving import signed

WANTED = {"plan": "team", "interval": "month"}
PAGES = ["/billing/", "/billing/plans/", "/billing/usage/"]


@pytest.fixture
def as_owner(tenant, owner, client_for):
    return client_for(tenant, owner)


def text(response) -> str:
    """What a page says; every kind of space is one."""
    return " ".join(response.content.decode().split())


@pytest.mark.parametrize("page", PAGES)
def test_pages_are_for_owners_and_administrators(tenant, client_for, page):
    def status(role):
        return client_for(tenant, user_of(tenant, role)).get(page).status_code

    assert [status(role) for role in (Role.OWNER, Role.ADMIN, Role.AGENT, Role.ASSISTANT)] == [
        200, 200, 403, 403,
    ]  # fmt: skip


def test_only_owners_buy(stripe, tenant, client_for):
    administrator = client_for(tenant, user_of(tenant, Role.ADMIN))

    bought = administrator.post("/billing/checkout/", WANTED)

    assert bought.status_code == 403
    assert administrator.post("/billing/portal/").status_code == 403
    assert "Le propriétaire peut choisir une formule." in text(administrator.get("/billing/plans/"))
    assert "POST /v1/customers" not in stripe.journal()


@pytest.mark.parametrize("page", PAGES)
def test_pages_without_stripe_say_so_and_limit_nothing(as_owner, page):
    response = as_owner.get(page)

    assert response.status_code == 200
    if page != "/billing/usage/":
        assert "Le paiement en ligne n’est pas configuré" in text(response)


def test_buying_without_stripe_is_refused_with_a_sentence(as_owner, db):
    response = as_owner.post("/billing/checkout/", WANTED, follow=True)

    assert "Choisissez une des formules" in text(response) or "n’est pas configuré" in text(
        response
    )


def test_pricing_shows_plans_with_their_prices(stripe, as_owner):
    shown = text(as_owner.get("/billing/plans/"))

    assert "29,00 €" in shown
    assert "290,00 €" in shown
    assert "14 jours d’essai gratuits" in shown
    assert "Illimité</h2>" not in shown


def test_public_pricing_shows_the_same_plans_to_anybody(stripe, client_for):
    shown = text(client_for(None).get("/pricing/"))

    assert "29,00 €" in shown
    assert "/billing/checkout/" not in shown


def test_checkout_leads_to_stripe_and_buys_nothing_yet(stripe, as_owner, tenant):
    response = as_owner.post("/billing/checkout/", {"plan": "team", "interval": "year"})

    row = Subscription.objects.of(tenant).get()
    assert response["Refresh"].startswith(f"0; url={stripe.url}/c/pay/{row.checkout}")
    assert (row.status, row.customer[:4]) == ("none", "cus_")
    with context.entered(tenant):
        entry = AuditEntry.objects.get(act="billing.checkout_started")
    assert (entry.by_role, entry.after) == (Role.OWNER, {"plan": "team", "interval": "year"})


@pytest.mark.parametrize("first", ["redirect", "webhook"])
def test_coming_back_shows_what_is_true_whichever_comes_first(
    stripe, hear, as_owner, tenant, first
):
    as_owner.post("/billing/checkout/", WANTED)
    row = Subscription.objects.of(tenant).get()
    stripe.do("pay", checkout=row.checkout)
    if first == "webhook":
        hear()

    shown = text(as_owner.get(f"/billing/done/?session={row.checkout}", follow=True))

    assert "Merci : votre essai a commencé." in shown
    row.refresh_from_db()
    assert row.status == "trialing"
    hear()
    row.refresh_from_db()
    assert row.status == "trialing"


def test_success_address_without_paying_changes_nothing(stripe, as_owner, tenant):
    as_owner.post("/billing/checkout/", WANTED)
    row = Subscription.objects.of(tenant).get()

    shown = text(as_owner.get(f"/billing/done/?session={row.checkout}", follow=True))

    assert "Rien n’a été payé" in shown
    row.refresh_from_db()
    assert row.status == "none"


def test_coming_back_while_stripe_is_away_says_so(stripe, as_owner, tenant):
    as_owner.post("/billing/checkout/", WANTED)
    stripe.do("away", away=True)

    assert "Stripe ne répond pas" in text(as_owner.get("/billing/done/?session=x", follow=True))


def test_second_checkout_page_closes_the_first(stripe, as_owner, tenant):
    as_owner.post("/billing/checkout/", WANTED)
    first = Subscription.objects.of(tenant).get().checkout

    as_owner.post("/billing/checkout/", {"plan": "team", "interval": "year"})

    assert f"POST /v1/checkout/sessions/{first}/expire" in stripe.journal()
    assert stripe.journal().count("POST /v1/customers") == 1


def test_whoever_has_a_subscription_is_sent_to_the_portal(stripe, bought, as_owner):
    response = as_owner.post(
        "/billing/checkout/", {"plan": "big", "interval": "month"}, follow=True
    )

    assert "Vous avez déjà un abonnement" in text(response)
    assert f"url={stripe.url}/p/session/" in as_owner.post("/billing/portal/")["Refresh"]
    # The second time the same configuration is used again.
    as_owner.post("/billing/portal/")
    assert stripe.journal().count("POST /v1/billing_portal/configurations") == 1


def test_overview_shows_details_and_invoices(stripe, bought, as_owner, other_tenant):
    Invoice(
        tenant=other_tenant, external_id="in_x", number="LEAK-1", status="paid", currency="EUR",
        total=1, amount_due=1, amount_paid=1, created_at=timezone.now(),
    ).save()  # fmt: skip

    shown = text(as_owner.get("/billing/"))

    assert "Boutique SARL" in shown and "FR123" in shown and "Visa ···· 4242" in shown
    assert "29,00 €" in shown and "AMDA-0002" in shown
    assert "LEAK-1" not in shown


def test_invoice_leads_to_its_pdf(stripe, bought, as_owner, tenant):
    invoice = Invoice.objects.of(tenant).latest("pk")

    response = as_owner.get(f"/billing/invoices/{invoice.pk}/")

    assert response["Location"] == f"{stripe.url}/i/{invoice.external_id}/pdf"


@pytest.mark.parametrize("page", ["/", "/leads/", "/billing/"])
def test_banner_says_why_and_where_while_closed(inside, as_owner, page):
    close(inside, "unpaid")

    shown = text(as_owner.get(page))

    assert "L’abonnement est impayé" in shown
    assert 'href="/billing/"' in shown


def test_banner_announces_the_end_of_grace(inside, as_owner):
    give(inside)
    later = timezone.now() + timedelta(days=3)
    Allowance.objects.of(inside).update(closed_reason="past_due", closed_from=later)
    directory.forget()

    assert "Le dernier paiement a échoué. Tout fonctionne jusqu’au" in text(as_owner.get("/"))


def test_coming_back_sees_what_another_process_wrote(stripe, inside, as_owner, monkeypatch):
    monkeypatch.setattr(directory, "FRESH_SECONDS", 3600)
    monkeypatch.setattr(buying.syncing, "refresh", lambda number: [])
    give(inside)
    later = timezone.now() + timedelta(days=3)
    Allowance.objects.of(inside).update(closed_reason="past_due", closed_from=later)
    directory.forget()
    before = text(as_owner.get("/"))
    Allowance.objects.of(inside).update(closed_reason="")

    as_owner.get("/billing/done/")

    assert "Le dernier paiement a échoué." in before
    assert "Le dernier paiement a échoué." not in text(as_owner.get("/"))


def test_agent_of_a_closed_tenant_reads_everything_and_is_refused_to_send(
    inside, agent, client_for
):
    conversation = factories.make_conversation(inside, text="Bonjour à tous")
    client = client_for(inside, agent)
    close(inside, "canceled")

    refused = client.post(
        f"/inbox/{conversation.pk}/send/", {"text": "Oui"}, headers={"hx-request": "true"}
    )

    assert "Bonjour à tous" in text(client.get(f"/inbox/{conversation.pk}/"))
    assert client.get("/leads/").status_code == 200
    assert (refused.status_code, "L’abonnement est terminé" in text(refused)) == (422, True)


def test_page_that_meets_a_limit_says_which(tenant, as_owner):
    give(tenant, max_storage_mb=0)
    with context.entered(tenant):
        conversation = factories.make_conversation(tenant)

    piece = as_owner.post(
        f"/inbox/{conversation.pk}/files/",
        {"file": upload(b"a" * 100)},
        headers={"hx-request": "true"},
    )

    assert (piece.status_code, "Votre formule conserve" in text(piece)) == (422, True)


def test_usage_page_draws_meters(stripe, tenant, as_owner, bought):
    with context.entered(tenant):
        outbox.queue(factories.make_conversation(tenant), "Oui", origin="person")

    response = as_owner.get("/billing/usage/")

    assert 'class="meter calm"' in text(response)
    assert "sur 10 000, il reste 9 999" in text(response)
    assert "style=" not in response.content.decode()


def test_pages_cost_few_queries(stripe, bought, as_owner, tenant, django_assert_max_num_queries):
    for number in range(30):
        Invoice(
            tenant=tenant, external_id=f"in_{number}", status="paid", currency="EUR", total=1,
            amount_due=1, amount_paid=1, created_at=timezone.now(),
        ).save()  # fmt: skip

    for page in PAGES:
        with django_assert_max_num_queries(12):
            as_owner.get(page)


# Programs


@pytest.fixture
def api(tenant, owner, client_for):
    """Calls the API with the owner's session: (status, body)."""
    client = client_for(tenant, owner)

    def call(method: str, path: str, body=None):
        send = getattr(client, method)
        answer = (
            send(path, body, content_type="application/json") if body is not None else send(path)
        )
        return answer.status_code, answer.json()

    return call


def test_api_lists_plans(stripe, api):
    status, body = api("get", "/api/billing/plans")

    assert (status, body["payments"]) == (200, True)
    assert [each["code"] for each in body["results"]] == ["free", "team", "big"]
    team = body["results"][1]
    assert (team["currency"], team["amount_monthly"], team["amount_yearly"]) == ("EUR", 2900, 29000)
    assert team["limits"]["messages"] == 10_000


def test_api_tells_the_subscription(stripe, bought, api):
    status, body = api("get", "/api/billing/subscription")

    assert (status, body["status"], body["plan"]["code"]) == (200, "active", "team")
    assert (body["amount"], body["access"], body["reason"]) == (2900, "full", "")


def test_api_tells_usage(stripe, bought, api):
    status, body = api("get", "/api/billing/usage")

    meters = {each["kind"]: each for each in body["results"]}
    assert status == 200
    assert (meters["users"]["used"], meters["users"]["limit"], meters["users"]["left"]) == (
        4,
        10,
        6,
    )
    assert (
        meters["messages"]["reset_at"].endswith("T00:00:00+01:00") or meters["messages"]["reset_at"]
    )


def test_api_gives_the_ways_to_stripe(stripe, api):
    status, body = api("post", "/api/billing/checkout", WANTED)
    assert (status, body["url"].startswith(f"{stripe.url}/c/pay/")) == (200, True)

    status, body = api("post", "/api/billing/portal", {})
    assert (status, body["url"].startswith(f"{stripe.url}/p/session/")) == (200, True)


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 400, "plan"),
        ({"plan": "team", "interval": "week"}, 400, "interval"),
        ({"plan": "unlimited", "interval": "month"}, 404, "plan"),
        ({"plan": "big", "interval": "year"}, 409, "plan"),
    ],
)
def test_api_names_what_is_wrong_with_a_checkout(stripe, api, body, status, field):
    answered, said = api("post", "/api/billing/checkout", body)

    assert (answered, said["error"]["field"]) == (status, field)


def test_api_without_stripe_says_so(api):
    status, body = api("post", "/api/billing/portal", {})

    assert (status, body["error"]["code"]) == (409, "payments_not_configured")
    assert api("get", "/api/billing/plans")[1]["payments"] is False
    assert api("get", "/api/billing/subscription")[1]["plan"] is None


def test_api_says_when_stripe_is_away(stripe, api):
    stripe.do("away", away=True)

    status, body = api("post", "/api/billing/checkout", WANTED)

    assert (status, body["error"]["code"]) == (503, "stripe_away")


def test_api_refusal_names_limit_used_left_and_reset(tenant, api):
    give(tenant, max_messages=0)
    with context.entered(tenant):
        conversation = factories.make_conversation(tenant)

    status, body = api("post", f"/api/conversations/{conversation.pk}/messages/", {"text": "Oui"})

    assert (status, body["error"]["code"]) == (403, "limit_messages")
    facts = body["error"]["limits"]
    assert (facts["limit"], facts["used"], facts["left"]) == (0, 0, 0)
    assert facts["reset_at"]


@pytest.fixture
def program(tenant, owner, client_for):
    """A program with the owner's access token."""
    with context.entered(tenant):
        access = tokens.pair_for(owner)["access"]
    return Client(headers={"host": host_of(tenant), "authorization": f"Bearer {access}"})


def test_programs_are_slowed_at_the_plans_rate_and_always_see_billing(tenant, program):
    give(tenant, max_api_rate=2)
    codes = [program.get("/api/leads/").status_code for _ in range(3)]
    told = program.get("/api/leads/")

    assert codes[-1] == 429
    assert told.json()["error"]["code"] == "limit_api_rate"
    assert 1 <= int(told["Retry-After"]) <= 60
    assert program.get("/api/billing/usage").status_code == 200


def test_programs_are_refused_where_the_plan_has_no_api(tenant, program, as_owner):
    give(tenant, features=[])

    assert program.get("/api/leads/").json()["error"]["code"] == "feature_missing"
    assert program.get("/api/billing/subscription").status_code == 200
    assert as_owner.get("/api/leads/").status_code == 200


# Staff


@pytest.fixture
def as_staff(staff, client_for):
    return client_for(None, staff)


@pytest.mark.parametrize("model", ["plan", "subscription", "billingevent"])
def test_admin_lists_and_shows(stripe, bought, as_staff, model):
    listed = as_staff.get(f"/admin/billing/{model}/")
    rows = {"plan": Plan.objects, "subscription": Subscription.objects.across_tenants()}
    row = rows.get(model, BillingEvent.objects.across_tenants()).first()
    shown = as_staff.get(f"/admin/billing/{model}/{row.pk}/change/")

    assert (listed.status_code, shown.status_code) == (200, 200)


def test_admin_gives_a_plan_by_hand(as_staff, tenant):
    plan = Plan.objects.create(code="gift", name_fr="Don", name_en="Gift", max_messages=3)
    url = reverse("admin:billing_subscription_add", urlconf="amda.urls_public")

    response = as_staff.post(url, {"tenant": tenant.pk, "plan_by_hand": plan.pk})

    assert response.status_code == 302
    directory.forget()
    assert Allowance.objects.of(tenant).get().messages == 3
    with context.entered_public():
        entry = AuditEntry.objects.get(act="billing.plan_given")
    assert (entry.tenant_number, entry.after, entry.by_role) == (
        tenant.number, {"plan": "gift"}, Role.STAFF,
    )  # fmt: skip


def test_admin_changes_a_plan_for_whoever_has_it(
    stripe, bought, as_staff, tenant, team_plan, django_capture_on_commit_callbacks
):
    url = reverse("admin:billing_plan_change", args=[team_plan.pk], urlconf="amda.urls_public")
    form = {
        "code": "team", "name_fr": "Équipe", "name_en": "Team", "position": 20, "is_offered": "on",
        "price_monthly": "price_wrong", "trial_days": 0, "max_messages": 12, "features": ["api"],
    }  # fmt: skip

    with django_capture_on_commit_callbacks(execute=True):
        response = as_staff.post(url, form)

    assert response.status_code == 302
    allowed = Allowance.objects.of(tenant).get()
    assert (allowed.messages, allowed.users, allowed.features_off) == (
        12, None, ["automation", "campaigns"],
    )  # fmt: skip
    # Once it is saved, outside the transaction.
    assert "GET /v1/prices/price_wrong" in stripe.journal()


def test_admin_applies_events_again(stripe, hear, bought, as_staff, tenant):
    event = BillingEvent.objects.of(tenant).latest("pk")
    BillingEvent.objects.of(tenant).filter(pk=event.pk).update(state="failed")

    as_staff.post(
        "/admin/billing/billingevent/", {"action": "replay", "_selected_action": [event.pk]}
    )
    applying.drain()

    event.refresh_from_db()
    assert event.state == "applied"


def test_body_of_an_event_is_sealed_and_shown_to_nobody(stripe, bought, as_staff, post):
    post(*signed({"id": "evt_s", "object": "event", "type": "x", "data": {"secret": "s3cr3t"}}))
    row = BillingEvent.objects.across_tenants().get(stripe_id="evt_s")

    assert b"s3cr3t" not in bytes(row.body)
    assert "s3cr3t" not in text(as_staff.get(f"/admin/billing/billingevent/{row.pk}/change/"))


def test_deleted_tenant_leaves_nothing_and_pays_nothing_more(stripe, bought, tenant, hear):
    Tenant.objects.filter(pk=tenant.pk).delete()

    assert not Subscription.objects.of(tenant).exists()
    assert not Allowance.objects.of(tenant).exists()
    tasks.end_subscription(**ordered("end_subscription"))
    assert stripe.events()[-1]["type"] == "customer.subscription.deleted"
    # The job may be done twice.
    tasks.end_subscription(**ordered("end_subscription"))
    hear()


def ordered(task: str) -> dict:
    """What the one job of this name is to be done with."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT args FROM public.procrastinate_jobs WHERE task_name = %s", [f"amda.{task}"]
        )
        ((args,),) = cursor.fetchall()
    return json.loads(args)


def test_owner_of_one_tenant_never_sees_anothers_customer(stripe, bought, other_tenant):
    assert buying.own(other_tenant).customer == ""
    assert entitling.plan_of(buying.own(other_tenant)).is_free
    assert MONTHLY != buying.own(other_tenant).price
