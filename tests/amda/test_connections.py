"""Staff connect numbers, check them, and choose what sends while one is down."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone

from messaging import setting_webhooks
from messaging.events import Connection
from messaging.providers import get as provider_of
from messaging.providers.base import (
    BadSignature,
    Candidate,
    Hook,
    InstanceState,
    SendError,
    Sent,
)
from tenants import audit, context, directory
from tenants.models import ProviderInstance
from tests import factories
from tests.conftest import at


@pytest.fixture(autouse=True)
def _no_attempts_so_far(db):
    cache.clear()


@pytest.fixture
def as_staff(staff, client_for):
    client = client_for(None, staff)
    client.cookies["amda_language"] = "en"
    return client


def page(instance, name):
    return f"/admin/tenants/providerinstance/{instance.pk}/{name}/"


def test_second_number_is_connected_and_new_secrets_leave_the_old_ones_an_hour(
    tenant, instance, as_staff
):
    facts = {
        "provider": "wasender",
        "wasender-address": instance.address,
        "wasender-api_key": "another key",
        "wasender-webhook_secret": "another secret",
        "wasender-api_url": "http://127.0.0.1:9/api",
    }
    old = instance.secrets["webhook_secret"]

    as_staff.post(f"/admin/tenants/tenant/{tenant.pk}/connect/", facts)
    as_staff.post(
        f"/admin/tenants/tenant/{tenant.pk}/connect/",
        {**facts, "wasender-address": "+221700000009"},
    )

    kept = ProviderInstance.objects.of(tenant).order_by("pk")
    assert [each.address for each in kept] == [instance.address, "+221700000009"]
    assert kept[0].secrets["webhook_secret"] == "another secret"
    assert kept[0].previous_secrets["webhook_secret"] == old
    left = kept[0].previous_secrets_until - timezone.now()
    assert 3500 < left.total_seconds() <= 3600


def verified(instance, secret: str, moment) -> bool:
    """Whether a post with this secret counts as the instance's own at that moment."""
    with at(moment):
        known = directory.instances_of_vendor("wasender", instance.tenant.slug)
        candidates = [
            Candidate(each.instance_id, each.tenant_number, "", each.settings, each.secret_sets)
            for each in known
        ]
        hook = Hook(body=b"{}", headers={"x-webhook-signature": secret})
        try:
            return bool(provider_of("wasender").verify(hook, candidates))
        except BadSignature:
            return False


def test_old_and_new_secret_both_verify_for_an_hour(tenant, instance, as_staff):
    facts = {
        "provider": "wasender",
        "wasender-address": instance.address,
        "wasender-webhook_secret": "the new one",
    }
    old, now = instance.secrets["webhook_secret"], timezone.now()

    as_staff.post(f"/admin/tenants/tenant/{tenant.pk}/connect/", facts)
    shown = as_staff.get(page(instance, "change")).content.decode()

    for minutes, both in ((0, True), (59, True), (61, False)):
        moment = now + timedelta(minutes=minutes)
        assert verified(instance, "the new one", moment)
        assert verified(instance, old, moment) is both
    assert not verified(instance, "another", now)
    assert "former secrets are accepted until" in shown
    with at(now + timedelta(minutes=61)):
        assert "former secrets" not in as_staff.get(page(instance, "change")).content.decode()


def test_form_opens_with_the_provider_and_number_to_get_new_keys(tenant, instance, as_staff):
    at_instance = as_staff.get(page(instance, "change")).content.decode()
    empty = as_staff.get(f"/admin/tenants/tenant/{tenant.pk}/connect/").context["form"]
    link = f"/admin/tenants/tenant/{tenant.pk}/connect/?provider=wasender&amp;address=%2B"

    meant = as_staff.get(
        f"/admin/tenants/tenant/{tenant.pk}/connect/",
        {"provider": "wasender", "address": instance.address},
    ).context["form"]

    assert link in at_instance
    assert (meant.chosen, meant["wasender-address"].value()) == ("wasender", instance.address)
    assert empty.chosen == ""
    refused = as_staff.post(f"/admin/tenants/tenant/{tenant.pk}/connect/", {"provider": ""})
    assert list(refused.context["form"].errors) == ["provider"]


def put(instance, state, reason="", **facts):
    ProviderInstance.objects.of(instance.tenant_id).filter(pk=instance.pk).update(
        state=state, state_reason=reason, **facts
    )


def test_code_to_scan_is_shown_while_it_waits_for_one(
    tenant, other_tenant, instance, as_staff, owner, monkeypatch
):
    monkeypatch.setattr(provider_of("wasender"), "qr", lambda via: "2@code")
    put(instance, "pending", "need_scan", look_again_at=None)

    waiting = as_staff.get(page(instance, "live")).content.decode()
    whole = as_staff.get(page(instance, "change")).content.decode()
    put(instance, "connected", look_again_at=timezone.now())
    connected = as_staff.get(page(instance, "live")).content.decode()

    assert "data:image/svg+xml;base64," in waiting and "link its phone again" in waiting
    assert f'data-live="{page(instance, "live")}"' in whole and "base64" not in whole
    assert "base64" not in connected
    assert as_staff.get("/admin/tenants/providerinstance/999999/live/").status_code == 404


def test_refusal_of_a_code_is_said(instance, as_staff, monkeypatch):
    def qr(via):
        raise SendError("bad_personal_token")

    monkeypatch.setattr(provider_of("wasender"), "qr", qr)
    put(instance, "pending", "need_scan", look_again_at=None)

    assert "bad_personal_token" in as_staff.get(page(instance, "live")).content.decode()


def test_connection_is_started_and_both_sides_read_who_did_it(
    tenant, instance, owner, staff, as_staff, monkeypatch
):
    found = InstanceState(Connection.PENDING, "need_scan", qr="2@code")
    monkeypatch.setattr(provider_of("wasender"), "connect", lambda via: found)
    put(instance, "disconnected")

    as_staff.post(page(instance, "link"))

    instance.refresh_from_db()
    assert (instance.state, instance.state_reason) == ("pending", "need_scan")
    [entry] = audit.by_platform(tenant.number, audit.Asked(act="instance.linked"), 2)
    assert entry.by_name == staff.email or entry.by_id == staff.pk
    with context.entered(tenant):
        assert audit.entries(audit.Asked(act="instance.linked"), 2) == []


def test_check_with_an_address_sends_and_is_told_to_the_owner(
    tenant, instance, as_staff, monkeypatch
):
    wasender = provider_of("wasender")
    monkeypatch.setattr(wasender, "check", lambda via: InstanceState(Connection.CONNECTED))
    monkeypatch.setattr(wasender, "send", lambda outgoing, via: Sent(external_id="3EB0"))
    monkeypatch.setattr("amda.admin.instances.CHECK_SECONDS", 0)

    answer = as_staff.post(page(instance, "check"), {"to": "+221709999999"}, follow=True)

    said = [str(each) for each in answer.context["messages"]]
    assert "It takes a message: yes (sent)" in said
    assert said[0] == f"{instance.address} does not work yet: see below."
    [entry] = audit.by_platform(tenant.number, audit.Asked(act="instance.tested"), 2)
    assert entry.subject_id == instance.pk


def test_wrong_number_is_refused_at_its_field(tenant, as_staff):
    facts = {"provider": "wasender", "wasender-address": "70"}

    answer = as_staff.post(f"/admin/tenants/tenant/{tenant.pk}/connect/", facts)

    assert list(answer.context["form"].errors) == ["wasender-address"]
    assert ProviderInstance.objects.of(tenant).count() == 1


def test_check_says_in_words_what_is_wrong(instance, as_staff, monkeypatch):
    found = InstanceState(Connection.DISCONNECTED, "logged out")
    monkeypatch.setattr(provider_of("wasender"), "check", lambda via: found, raising=False)

    answer = as_staff.post(page(instance, "check"), follow=True)

    said = [str(each) for each in answer.context["messages"]]
    assert any("Link the phone again" in each for each in said)
    instance.refresh_from_db()
    assert instance.state == ProviderInstance.State.DISCONNECTED


def test_webhook_that_the_provider_does_not_keep_is_said(instance, as_staff, monkeypatch):
    def refuse(*args, **kwargs):
        raise SendError("webhook_not_kept")

    monkeypatch.setattr(setting_webhooks, "set_up", refuse)

    answer = as_staff.post(page(instance, "webhook"), follow=True)

    [said] = [str(each) for each in answer.context["messages"]]
    assert "webhook_not_kept" in said


def test_failover_is_another_number_of_the_same_vendor(tenant, other_tenant, instance, as_staff):
    second = factories.make_instance(tenant, address="+221700000009")
    theirs = ProviderInstance.objects.of(other_tenant).get()

    as_staff.post(page(instance, "failover"), {"failover": theirs.pk})
    instance.refresh_from_db()
    assert instance.failover_id is None
    as_staff.post(page(instance, "failover"), {"failover": second.pk})

    instance.refresh_from_db()
    assert instance.failover_id == second.pk
    [entry] = audit.by_platform(tenant.number, audit.Asked(act="instance.changed"), 1)
    assert entry.after == {"failover": str(second)}


@pytest.mark.parametrize("name", ["check", "webhook", "failover", "link"])
def test_nothing_is_done_by_looking(instance, as_staff, client_for, name):
    before = ProviderInstance.objects.of(instance.tenant_id).values().get(pk=instance.pk)

    assert as_staff.get(page(instance, name)).status_code == 302

    assert ProviderInstance.objects.of(instance.tenant_id).values().get(pk=instance.pk) == before
    assert client_for(None).post(page(instance, name)).url.startswith("/admin/login/")
