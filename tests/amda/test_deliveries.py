"""Deliveries as staff see them: why each failed, reading again, and content with a reason only."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone

from tenants import audit, secrets
from tenants.models import WebhookDelivery
from tests.conftest import at

LIST = "/admin/tenants/webhookdelivery/"
State = WebhookDelivery.State
SAID = '{"text": "what was <b>said</b>"}'


@pytest.fixture(autouse=True)
def _no_attempts_so_far(db):
    cache.clear()


@pytest.fixture
def as_staff(staff, client_for):
    client = client_for(None, staff)
    client.cookies["amda_language"] = "en"
    return client


def deliver(tenant, **facts):
    defaults = {
        "provider": "wasender",
        "body": secrets.seal(SAID.encode()),
        "size": len(SAID),
        "received_at": timezone.now(),
        "state": State.FAILED,
        "attempts": 3,
        "error": "KeyError",
    }
    delivery = WebhookDelivery(tenant=tenant, **{**defaults, **facts})
    delivery.save()
    return delivery


def page(delivery, name):
    return f"{LIST}{delivery.pk}/{name}/"


def told(tenant):
    entries = audit.by_platform(tenant.number, audit.Asked(), 5)
    known = ("deliver", "delivery")
    return [(each.act, each.reason) for each in entries if each.act.startswith(known)]


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({}, "Taking it in failed 3 times: KeyError"),
        (
            {"state": State.UNREADABLE, "error": "no event"},
            "The provider&#x27;s post cannot be understood: no event",
        ),
        ({"state": State.WAITING, "attempts": 1}, "It failed (KeyError) and is tried again."),
        ({"erased_at": timezone.now(), "body": b""}, "what it said was withdrawn"),
    ],
)
def test_list_and_page_say_why_a_delivery_failed(tenant, as_staff, facts, said):
    delivery = deliver(tenant, **facts)

    assert said in as_staff.get(LIST).content.decode()
    assert said in as_staff.get(page(delivery, "change")).content.decode()


def test_one_delivery_is_read_again(tenant, other_tenant, as_staff):
    delivery, theirs = deliver(tenant), deliver(other_tenant)

    as_staff.post(page(delivery, "replay"))

    states = [
        WebhookDelivery.objects.across_tenants().get(pk=each.pk).state
        for each in (delivery, theirs)
    ]
    assert states == [State.WAITING, State.FAILED]
    assert told(tenant) == [("deliveries.replayed", "")]
    assert told(other_tenant) == []


def test_reading_again_is_never_done_by_looking(tenant, as_staff):
    delivery = deliver(tenant)

    as_staff.get(page(delivery, "replay"))

    assert WebhookDelivery.objects.of(tenant).get(pk=delivery.pk).state == State.FAILED


def test_content_opens_after_a_reason_for_some_minutes_and_the_owner_sees_it(
    tenant, other_tenant, as_staff
):
    delivery, another = deliver(tenant), deliver(tenant)
    address = page(delivery, "content")
    assert "said" not in as_staff.get(address).context["content"]
    assert as_staff.post(address, {"reason": " "}).context["content"] == ""

    as_staff.post(address, {"reason": "The vendor asks why a message is missing."})

    opened = as_staff.get(address)
    assert opened.context["content"] == SAID
    assert "what was &lt;b&gt;said" in opened.content.decode()
    assert "no-store" in opened["Cache-Control"]
    assert as_staff.get(page(another, "content")).context["content"] == ""
    with at(timezone.now() + timedelta(minutes=11)):
        assert as_staff.get(address).context["content"] == ""
    assert told(tenant) == [("delivery.opened", "The vendor asks why a message is missing.")]
    assert told(other_tenant) == []


def test_content_is_open_to_whom_gave_the_reason_alone(tenant, owner, as_staff, client_for):
    from tenants.accounts.models import User
    from tests.conftest import PASSWORD

    delivery = deliver(tenant)
    as_staff.post(page(delivery, "content"), {"reason": "To see"})
    colleague = User.objects.create_superuser("colleague@amda.test", PASSWORD)

    seen = client_for(None, colleague).get(page(delivery, "content"))

    assert seen.context["content"] == ""
    assert client_for(tenant, owner).get(page(delivery, "content")).status_code == 404
    assert client_for(None).get(page(delivery, "content")).status_code == 302


def test_page_of_a_delivery_shows_nothing_of_what_was_said(tenant, as_staff):
    delivery = deliver(tenant)

    shown = as_staff.get(page(delivery, "change")).content.decode()

    assert "what was" not in shown
