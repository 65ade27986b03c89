"""Staff connect numbers, check them, and choose what sends while one is down."""

import pytest
from django.core.cache import cache
from django.utils import timezone

from messaging import setting_webhooks
from messaging.events import Connection
from messaging.providers import get as provider_of
from messaging.providers.base import InstanceState, SendError
from tenants import audit
from tenants.models import ProviderInstance
from tests import factories


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


@pytest.mark.parametrize("name", ["check", "webhook", "failover"])
def test_nothing_is_done_by_looking(instance, as_staff, client_for, name):
    before = ProviderInstance.objects.of(instance.tenant_id).values().get(pk=instance.pk)

    assert as_staff.get(page(instance, name)).status_code == 302

    assert ProviderInstance.objects.of(instance.tenant_id).values().get(pk=instance.pk) == before
    assert client_for(None).post(page(instance, name)).url.startswith("/admin/login/")
