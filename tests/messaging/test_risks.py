"""A number at a provider that WhatsApp does not authorise asks an owner to confirm the risk."""

import io

import pytest
from django.core.management import call_command
from django.utils import translation

from messaging import outbox, risks
from messaging.events import Connection
from messaging.providers import every
from messaging.providers import get as provider_of
from messaging.providers.base import InstanceState, SendError
from tenants import context
from tenants.accounts.models import AuditEntry, Role
from tenants.models import ProviderInstance
from tests import factories
from tests.conftest import user_of

UNOFFICIAL = ("wasender", "greenapi", "unipile")
TICKED = {"risk_accepted": "on"}


@pytest.fixture
def asked(monkeypatch) -> list[str]:
    """What Wasender was asked to do; the outgoing calls are replaced."""
    done: list[str] = []

    def connect(via):
        done.append("connect")
        return InstanceState(Connection.PENDING, "need_scan", qr="2@code")

    def qr(via):
        done.append("qr")
        return "2@code"

    monkeypatch.setattr(provider_of("wasender"), "connect", connect)
    monkeypatch.setattr(provider_of("wasender"), "qr", qr)
    return done


def put(instance: ProviderInstance, **facts) -> ProviderInstance:
    ProviderInstance.objects.of(instance.tenant_id).filter(pk=instance.pk).update(**facts)
    instance.refresh_from_db()
    return instance


def kept(tenant) -> list[AuditEntry]:
    with context.entered(tenant):
        return list(AuditEntry.objects.filter(act="instance.risk_confirmed"))


def test_every_unofficial_provider_has_words_and_no_other():
    assert {each.slug for each in every() if risks.words(each)} == set(UNOFFICIAL)


@pytest.mark.parametrize("language", ["fr", "en"])
@pytest.mark.parametrize("slug", UNOFFICIAL)
def test_the_words_name_the_provider_and_who_may_block_the_number(slug, language):
    with translation.override(language):
        said = risks.words(provider_of(slug))

    assert provider_of(slug).label in said
    assert ("bloquer" if language == "fr" else "block") in said


def test_owner_who_connects_without_the_box_is_refused_at_it(
    client_for, tenant, owner, instance, asked
):
    put(instance, state="disconnected")
    client = client_for(tenant, owner)

    answer = client.post(f"/numbers/{instance.pk}/connect/", headers={"hx-request": "true"})

    card = answer.content.decode()
    assert 'name="risk_accepted"' in card and 'aria-invalid="true"' in card
    assert asked == []
    assert kept(tenant) == []


def test_owner_who_ticks_the_box_connects_and_is_kept_in_the_audit(
    client_for, tenant, owner, instance, other_tenant, asked
):
    put(instance, state="disconnected")
    client = client_for(tenant, owner)

    client.post(f"/numbers/{instance.pk}/connect/", TICKED, headers={"accept-language": "en"})
    client.post(f"/numbers/{instance.pk}/connect/", TICKED)

    [entry] = kept(tenant)
    instance.refresh_from_db()
    assert (entry.by_id, entry.subject_id, entry.door) == (owner.pk, instance.pk, "page")
    assert entry.after["version"] == instance.risk_confirmed == risks.VERSION
    assert "WasenderAPI" in entry.after["words"]
    assert asked == ["connect", "connect"]
    assert kept(other_tenant) == []


def test_what_staff_connected_asks_the_owner_until_confirmed(
    client_for, tenant, owner, instance, other_tenant
):
    client = client_for(tenant, owner)
    path = f"/numbers/{instance.pk}/risk/"

    before = client.get("/numbers/").content.decode()
    refused = client.post(path)
    confirmed = client.post(path, TICKED)
    after = client.get("/numbers/").content.decode()

    assert f'href="#risk-{instance.pk}"' in before and f'id="risk-{instance.pk}"' in before
    assert (refused.status_code, confirmed.status_code) == (409, 302)
    assert "risk_accepted" not in after and f"#risk-{instance.pk}" not in after
    assert len(kept(tenant)) == 1
    foreign = ProviderInstance.objects.of(other_tenant).get()
    assert client.post(f"/numbers/{foreign.pk}/risk/", TICKED).status_code == 404
    foreign.refresh_from_db()
    assert foreign.risk_confirmed == 0


def test_only_an_owner_confirms(client_for, tenant, instance, asked):
    put(instance, state="disconnected")
    client = client_for(tenant, user_of(tenant, Role.ADMIN))

    seen = client.get("/numbers/").content.decode()
    confirming = client.post(f"/numbers/{instance.pk}/risk/", TICKED)
    connecting = client.post(f"/numbers/{instance.pk}/connect/", TICKED)
    by_program = client.post(
        "/api/whatsapp/connect", {"risk_accepted": True}, content_type="application/json"
    )

    instance.refresh_from_db()
    assert f'id="risk-{instance.pk}"' in seen and 'name="risk_accepted"' not in seen
    assert (confirming.status_code, connecting.status_code) == (403, 409)
    assert by_program.status_code == 403
    assert by_program.json()["error"]["field"] == "risk_accepted"
    assert (instance.risk_confirmed, asked, kept(tenant)) == (0, [], [])


def test_no_code_is_shown_to_scan_before(client_for, tenant, owner, instance, asked):
    put(instance, state="pending", state_reason="need_scan", look_again_at=None)
    client = client_for(tenant, owner)

    before = client.get(f"/numbers/{instance.pk}/code/").content.decode()
    client.post(f"/numbers/{instance.pk}/risk/", TICKED)
    after = client.get(f"/numbers/{instance.pk}/code/").content.decode()

    assert "<img" not in before
    assert "<img" in after


def test_no_page_of_the_provider_is_opened_before(client_for, tenant, owner, monkeypatch):
    number = factories.make_instance(
        tenant,
        provider="unipile",
        address="+221700000777",
        reference="acc-1",
        state="disconnected",
        state_reason="credentials",
        look_again_at=None,
    )
    monkeypatch.setattr(
        provider_of("unipile"), "login_link", lambda via, **facts: "https://account.example/link"
    )
    client = client_for(tenant, owner)

    before = client.post(f"/numbers/{number.pk}/link/")
    after = client.post(f"/numbers/{number.pk}/link/", TICKED)

    assert (before.status_code, after.status_code) == (409, 302)
    assert after.url == "https://account.example/link"


def test_programs_are_told_and_may_confirm(client_for, tenant, owner, instance, asked):
    put(instance, state="disconnected")
    client = client_for(tenant, owner)

    told = client.post("/api/whatsapp/connect", {}, content_type="application/json").json()
    confirmed = client.post(
        "/api/whatsapp/connect", {"risk_accepted": True}, content_type="application/json"
    ).json()

    assert "WasenderAPI" in told["risk"] and told["qr"] == "2@code"
    assert confirmed["risk"] == ""
    assert [entry.door for entry in kept(tenant)] == ["api"]


def test_an_official_number_asks_for_nothing(client_for, tenant, owner):
    official = factories.make_instance(
        tenant, provider="whatsapp_cloud", address="+221700000555", reference="555"
    )

    shown = client_for(tenant, owner).get("/numbers/").content.decode()

    assert f'id="number-{official.pk}"' in shown and f'id="risk-{official.pk}"' not in shown


def test_messages_leave_without_the_word(inside, instance):
    conversation = factories.make_conversation(inside)

    message = outbox.queue(conversation, "Bonjour", origin="person")

    assert (risks.to_confirm(instance) != "", message.status) == (True, "queued")


@pytest.mark.parametrize(
    ("slug", "given"),
    [
        ("wasender", ["api_key=k", "webhook_secret=s"]),
        ("greenapi", ["id_instance=7103", "api_token=t", "webhook_token=w"]),
        ("unipile", ["account_id=a", "api_key=k", "webhook_secret=s", "dsn=127.0.0.1:9"]),
    ],
)
def test_the_command_line_says_the_risk_and_connects(tenant, monkeypatch, slug, given):
    def check(via):
        raise SendError("network", retry=True)

    monkeypatch.setattr(provider_of(slug), "check", check)
    printed, warned = io.StringIO(), io.StringIO()

    call_command(
        "connect_instance",
        tenant.slug,
        slug,
        "--phone=+221700000999",
        "--set",
        *given,
        stdout=printed,
        stderr=warned,
    )

    made = ProviderInstance.objects.of(tenant).get(address="+221700000999")
    assert f"instance: {made.pk}\n" in printed.getvalue()
    assert "risk" not in printed.getvalue()
    assert "risk: WhatsApp does not authorise" in warned.getvalue()
    assert made.risk_confirmed == 0


def test_staff_see_the_risk_where_they_connect_and_whether_it_is_confirmed(
    client_for, tenant, staff, owner, instance
):
    client = client_for(None, staff)
    page = f"/admin/tenants/providerinstance/{instance.pk}/change/"
    client.cookies["amda_language"] = "en"

    form = client.get(f"/admin/tenants/tenant/{tenant.pk}/connect/").content.decode()
    before = client.get(page).content.decode()
    with context.entered(tenant):
        risks.confirm(instance, by=owner)
    after = client.get(page).content.decode()

    with translation.override("en"):
        assert all(risks.words(provider_of(slug)) in form for slug in UNOFFICIAL)
        assert form.count('class="staff-risk"') == len(UNOFFICIAL)
        assert risks.words(provider_of("wasender")) in before
        assert risks.words(provider_of("wasender")) not in after
    assert "has not confirmed" in before and "has not confirmed" not in after
