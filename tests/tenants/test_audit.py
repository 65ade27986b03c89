"""The audit: who changed what, from where, before and after; written once, without secrets."""

import csv
import io

import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.db import DataError, connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from billing.models import Plan
from messaging import connecting, merging
from messaging.models import Lead
from tenants import audit, context
from tenants.accounts import team
from tenants.accounts.models import AuditEntry, Role, User
from tenants.models import ProviderInstance
from tests import factories
from tests.conftest import PASSWORD, user_of

NEW_PASSWORD = "a brand new long password"
SECRET = "whsec-that-nobody-may-see"


@pytest.fixture(autouse=True)
def _no_attempts_so_far(db):
    cache.clear()


def newest(tenant=None):
    if tenant is None:
        return AuditEntry.objects.order_by("-id").first()
    with context.entered(tenant):
        return AuditEntry.objects.order_by("-id").first()


def facts(entry):
    return (entry.act, entry.by_name, entry.subject_name, entry.before, entry.after)


def test_changed_role_is_kept_with_who_and_from_where(tenant, other_tenant, client_for):
    owner, agent = user_of(tenant, Role.OWNER), user_of(tenant, Role.AGENT)
    client = client_for(tenant, owner)

    client.post(
        f"/team/{agent.pk}/role/",
        {"role": "assistant"},
        REMOTE_ADDR="203.0.113.9",
        headers={"user-agent": "Firefox"},
    )

    entry = newest(tenant)
    assert facts(entry) == (
        "person.role_changed",
        str(owner),
        str(agent),
        {"role": "agent"},
        {"role": "assistant"},
    )
    assert (entry.by_id, entry.by_role, entry.door) == (owner.pk, "owner", "page")
    assert (entry.address, entry.user_agent) == ("203.0.113.9", "Firefox")
    assert newest(other_tenant) is None
    assert newest() is None or newest().act != "person.role_changed"


def test_refused_change_leaves_no_entry(tenant, agent, owner):
    with context.entered(tenant):
        with pytest.raises(team.NotAllowed):
            team.change_role(owner.pk, Role.AGENT, by=owner)

    assert newest(tenant) is None


@pytest.mark.parametrize("change", ["update", "delete", "bulk_update", "raw"])
@pytest.mark.parametrize("where", ["tenant", "public"])
def test_database_refuses_to_change_or_remove_an_entry(tenant, owner, where, change):
    place = context.entered(tenant) if where == "tenant" else context.entered_public()
    with place:
        entry = audit.record("person.changed", by=owner, subject=owner)
        with pytest.raises(DataError, match="audit entries are never"), transaction.atomic():
            if change == "update":
                entry.by_name = "somebody else"
                entry.save()
            elif change == "delete":
                entry.delete()
            elif change == "bulk_update":
                AuditEntry.objects.update(by_id=F("by_id") + 1)
            else:
                with connection.cursor() as cursor:
                    cursor.execute("DELETE FROM accounts_auditentry WHERE id = %s", [entry.pk])

        assert AuditEntry.objects.get(pk=entry.pk).by_name == str(owner)


def test_entry_of_a_new_schema_is_as_fixed_as_any(committed):
    tenant = committed("fixed_shop")

    with context.entered(tenant):
        audit.record("person.changed", by=None)
        with pytest.raises(DataError, match="never removed"), transaction.atomic():
            AuditEntry.objects.all().delete()
        assert AuditEntry.objects.count() == 1


def test_secrets_are_dots_wherever_they_stand(inside, owner):
    entry = audit.record(
        "person.changed",
        by=owner,
        after={
            "password": SECRET,
            "api_key": SECRET,
            "nested": {"webhook_secret": SECRET, "name": "kept"},
            "tokens": [SECRET],
            "access_token": "",
            "many": ["a", 2, None],
            "long": "x" * 2000,
        },
    )

    entry.refresh_from_db()
    assert entry.after == {
        "password": "•••",
        "api_key": "•••",
        "nested": {"webhook_secret": "•••", "name": "kept"},
        "tokens": "•••",
        "access_token": "",
        "many": ["a", 2, None],
        "long": "x" * 500,
    }


def test_act_without_words_is_refused(inside):
    with pytest.raises(audit.UnknownAct, match="no such act"):
        audit.record("no such act", by=None)


def test_connected_number_is_kept_without_its_secrets(tenant, staff):
    values = {"api_key": SECRET, "webhook_secret": SECRET}
    instance = connecting.connect_instance(
        tenant, "wasender", address="+221701234567", values=values, by=staff
    )
    made = newest()
    connecting.connect_instance(
        tenant, "wasender", address="+221701234567", values={"api_key": "another"}, label="Shop"
    )
    changed = newest()

    assert (made.act, made.by_name, made.tenant_number) == (
        "instance.connected",
        "staff@amda.test",
        tenant.number,
    )
    assert made.subject_id == instance.pk
    assert made.after["replaced"] == ["api_key", "webhook_secret"]
    assert (changed.act, changed.before, changed.after) == (
        "instance.changed",
        {"label": ""},
        {"label": "Shop", "replaced": ["api_key"]},
    )
    assert SECRET not in f"{facts(made)} {facts(changed)}"
    assert ProviderInstance.objects.of(tenant).filter(pk=instance.pk).exists()


def test_command_is_named_as_the_door(db):
    call_command(
        "create_tenant", "audited_shop", name="Shop", owner_email="o@x.test",
        owner_password=PASSWORD,
    )  # fmt: skip

    entry = AuditEntry.objects.filter(act="tenant.created").latest("id")

    assert (entry.door, entry.by_id, entry.subject_name) == ("create_tenant", None, "Shop")
    assert entry.after == {"slug": "audited_shop", "name": "Shop", "owner": "o@x.test"}


def test_merge_of_leads_is_kept_without_names(inside, owner):
    one = factories.make_lead("Awa Ndiaye", "+221701111111")
    other = factories.make_lead("Awa N.", "+221702222222")

    merging.merge(one, other, by=owner)

    assert facts(newest(inside)) == (
        "lead.merged",
        str(owner),
        f"#{one.pk}",
        {},
        {"merged": other.pk},
    )
    assert Lead.objects.get(pk=other.pk).merged_into_id == one.pk


def test_changed_password_is_kept(tenant, owner, client_for):
    client = client_for(tenant, owner)

    client.post(
        "/accounts/password/change/",
        {"oldpassword": PASSWORD, "password1": NEW_PASSWORD, "password2": NEW_PASSWORD},
    )

    assert facts(newest(tenant)) == ("person.password_changed", str(owner), str(owner), {}, {})


def test_staff_see_and_export_what_staff_did(tenant, staff, client_for):
    client = client_for(None, staff)
    page = f"/admin/tenants/tenant/{tenant.pk}/change/"
    shown = client.get(page).context["adminform"].form.initial
    sent = {name: value for name, value in shown.items() if value is not False}

    client.post(page, {**sent, "name": "=Renamed", "requires_mfa": "on"})

    entry = newest()
    assert facts(entry) == (
        "tenant.changed",
        str(staff),
        "=Renamed",
        {"name": tenant.name, "requires_mfa": False},
        {"name": "=Renamed", "requires_mfa": True},
    )
    assert (entry.door, entry.tenant_number) == ("admin", tenant.number)
    listed = client.get("/admin/accounts/auditentry/?q=Renamed").content.decode()
    assert str(staff) in listed
    exported = client.post(
        "/admin/accounts/auditentry/", {"action": "export", "_selected_action": entry.pk}
    )
    [_head, row] = csv.reader(io.StringIO(exported.content.decode("utf-8-sig")))
    assert (row[2], row[4]) == (str(staff), "'=Renamed")
    assert client.post(f"/admin/accounts/auditentry/{entry.pk}/delete/").status_code == 403
    with context.entered(tenant):
        assert not User.objects.filter(email=staff.email).exists()


def test_owners_search_read_on_and_export(tenant, other_tenant, client_for):
    owner, agent = user_of(tenant, Role.OWNER), user_of(tenant, Role.AGENT)
    with context.entered(other_tenant):
        audit.record("person.changed", by=None, subject_name="Leaky Person")
    with context.entered(tenant):
        for _each in range(60):
            audit.record("person.changed", by=None, subject_name="Somebody")
        team.change_role(agent.pk, Role.ASSISTANT, by=owner)
    client = client_for(tenant, owner)

    first = client.get("/settings/audit/")
    second = client.get("/settings/audit/?" + first.context["more"])
    by_words = client.get("/settings/audit/", {"q": str(agent), "act": "person.role_changed"})
    exported = client.get("/settings/audit/export/", {"person": owner.pk}).content.decode()

    assert [len(each.context["entries"]) for each in (first, second)] == [50, 11]
    assert [each["words"] for each in by_words.context["entries"]] == ["Rôle modifié"]
    assert len(exported.splitlines()) == 2
    assert "Leaky" not in first.content.decode() + second.content.decode() + exported


def test_agents_do_not_see_the_audit(tenant, agent, client_for):
    client = client_for(tenant, agent)

    pages = [client.get(path) for path in ("/settings/audit/", "/settings/audit/export/")]

    assert [each.status_code for each in pages] == [403, 403]
    assert client.get("/api/audit/").status_code == 403


def test_owner_sees_what_staff_did_to_their_tenant_alone(tenant, other_tenant, client_for, staff):
    for each in (tenant, other_tenant):
        audit.record("tenant.changed", by=staff, subject=each, tenant=each)
    client = client_for(tenant, user_of(tenant, Role.OWNER))

    shown = client.get("/settings/audit/?whose=platform&act=tenant.changed")

    assert [
        (each["entry"].subject_name, each["entry"].by_name) for each in shown.context["entries"]
    ] == [(tenant.name, str(staff))]


def test_audit_is_paged_and_narrowed_in_the_api(tenant, owner, client_for):
    with context.entered(tenant):
        for name in ("one", "two", "three"):
            audit.record("person.changed", by=owner, subject_name=name, after={"password": SECRET})
    client = client_for(tenant, owner)

    first = client.get("/api/audit/?limit=2").json()
    second = client.get(first["next"]).json()
    narrowed = client.get("/api/audit/?text=three&act=person.changed").json()

    assert [each["subject_name"] for each in first["results"]] == ["three", "two"]
    assert [each["subject_name"] for each in second["results"]] == ["one"]
    assert second["next"] is None
    assert [each["after"] for each in narrowed["results"]] == [{"password": "•••"}]
    assert client.get("/api/audit/?act=no").json()["error"]["field"] == "act"


def test_search_finds_what_was_before_what_came_after_and_from_where(
    tenant, other_tenant, owner, staff, client_for
):
    facts = {"before": {"name": "Maison Bleue"}, "after": {"name": "Maison Verte"}}
    origin = audit.Origin("page", "203.0.113.77")
    with context.entered(other_tenant):
        audit.record("tenant.changed", by=None, **facts)
    with context.entered(tenant), audit._coming_from(origin):
        wanted = audit.record("tenant.changed", by=owner, **facts)
        audit.record("person.changed", by=owner, after={"name": "Nobody"})
    with audit._coming_from(origin):
        audit.record("tenant.changed", by=staff, tenant=tenant, after={"name": "Maison Rose"})
    client = client_for(tenant, owner)

    def found(text, **more):
        page = client.get("/settings/audit/", {"q": text, **more})
        return [each["entry"].after.get("name") for each in page.context["entries"]]

    assert found("maison bleue") == found("VERTE") == ["Maison Verte"]
    assert found("203.0.113.77") == ["Nobody", "Maison Verte"]
    assert found("maison", whose="platform") == ["Maison Rose"]
    assert found("203.0.113.77", whose="platform") == []
    [told] = client.get("/api/audit/?text=bleue").json()["results"]
    assert told["id"] == wanted.pk


def test_export_that_is_cut_short_says_so_and_from_which_day(
    tenant, owner, client_for, monkeypatch
):
    monkeypatch.setattr("tenants.audit_csv.MOST_ROWS", 2)
    with context.entered(tenant):
        for name in ("one", "two", "three"):
            audit.record("person.changed", by=owner, subject_name=name)
    client = client_for(tenant, owner)
    client.cookies["amda_language"] = "en"

    def exported(**asked):
        content = client.get("/settings/audit/export/", {"act": "person.changed", **asked}).content
        return list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))[1:]

    *rows, last = exported()
    assert [row[4] for row in rows] == ["three", "two"]
    assert last[0].startswith("There are more: this file holds the 2 newest")
    with context.entered(tenant):
        oldest = AuditEntry.objects.filter(act="person.changed").earliest("pk")
    assert [row[4] for row in exported(before=oldest.pk + 2)] == ["two", "one"]


def test_audit_page_costs_the_same_for_one_and_many(tenant, owner, client_for):
    client = client_for(tenant, owner)
    # What is looked up once and remembered is not the page's.
    client.get("/settings/audit/")
    costs = []
    for count in (1, 40):
        with context.entered(tenant):
            for _each in range(count):
                audit.record("person.changed", by=owner, subject=owner)
        with CaptureQueriesContext(connection) as asked:
            assert client.get("/settings/audit/").status_code == 200
        # What is looked up once a second is not the page's.
        skipped = ("SET search_path", 'SELECT "tenants_tenant')
        costs.append(len([each for each in asked if not each["sql"].startswith(skipped)]))

    assert costs[0] == costs[1] <= 8


def test_changed_rule_of_alerts_is_kept(tenant, owner, client_for):
    client = client_for(tenant, owner)

    client.post("/alerts/rules/", {"code": "NoReply3d", "on": "0", "medium": "60"})

    entry = newest(tenant)
    assert (entry.act, entry.by_id) == ("alert_rule.changed", owner.pk)
    assert (entry.after["is_on"], entry.after["thresholds"]["medium"]) == (False, 3600)


def test_plan_given_by_hand_is_kept_for_staff_and_shown_to_the_owner(
    tenant, other_tenant, staff, owner, client_for
):
    plan = Plan.objects.order_by("pk").first()
    admin = client_for(None, staff)

    admin.post("/admin/billing/subscription/add/", {"tenant": tenant.pk, "plan_by_hand": plan.pk})

    entry = newest()
    assert (entry.act, entry.tenant_number, entry.after) == (
        "billing.plan_given",
        tenant.number,
        {"plan": plan.code},
    )
    page = client_for(tenant, owner).get("/settings/audit/?whose=platform").content.decode()
    theirs = client_for(other_tenant, user_of(other_tenant, Role.OWNER))
    others = theirs.get("/settings/audit/?whose=platform").context["entries"]
    assert plan.code in page
    assert not [each for each in others if each["entry"].act == "billing.plan_given"]
