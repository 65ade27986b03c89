"""One's own account: another address, sessions one can end, open pages that close."""

import asyncio
import re
from datetime import UTC, datetime

import pytest
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.core import mail
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from messaging.consumers import NO_LONGER_WELCOME
from messaging.routing import websocket_urlpatterns
from tenants import audit, context, directory
from tenants.accounts.models import AuditEntry, Role, User
from tenants.accounts.sessions import sessions_of
from tenants.api import tokens
from tenants.context import in_tenant
from tenants.models import Tenant
from tenants.sockets import TenantSocket
from tests.conftest import PASSWORD, host_of, user_of

NEW = "renamed@person.test"


@pytest.fixture(autouse=True)
def _no_attempts_so_far(request):
    if "committed" not in request.fixturenames:
        request.getfixturevalue("db")
        cache.clear()


def ask_for(client, email=NEW):
    assert client.get("/accounts/email/").url.startswith("/accounts/reauthenticate/")
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    client.post("/accounts/email/", {"email": email})
    to_new = next(each for each in reversed(mail.outbox) if each.to == [email])
    return re.search(r"https?://[^/]+(/accounts/\S+)", to_new.body).group(1)


def is_in(client):
    return client.get("/accounts/").status_code == 200


def test_new_address_counts_once_its_link_was_confirmed(tenant, owner, client_for):
    client, former = client_for(tenant, owner), owner.email
    path = ask_for(client)

    assert [each.to for each in mail.outbox] == [[NEW], [former]]
    assert client.get(path).status_code == 200
    assert user_of(tenant, Role.OWNER).email == former

    client.post(path)
    assert user_of(tenant, Role.OWNER).email == NEW
    assert mail.outbox[-1].to == [former]
    assert is_in(client)
    assert client.post(path).status_code == 410


def test_link_to_an_address_is_good_for_its_own_person_and_tenant_only(
    tenant, other_tenant, owner, agent, client_for
):
    path = ask_for(client_for(tenant, owner))
    there = user_of(other_tenant, Role.OWNER)

    assert client_for(tenant, agent).post(path).status_code == 410
    assert client_for(other_tenant, there).post(path).status_code == 410


def test_address_somebody_else_uses_is_not_taken(tenant, owner, agent, client_for):
    client = client_for(tenant, owner)

    client.post(ask_for(client, agent.email))

    assert user_of(tenant, Role.OWNER).email == owner.email


def test_password_change_ends_everything_but_the_session_it_was_made_in(tenant, owner, client_for):
    here, elsewhere = client_for(tenant, owner), client_for(tenant, owner)
    with context.entered(tenant):
        access = tokens.pair_for(owner)["access"]
    bearer = Client(headers={"host": host_of(tenant), "authorization": f"Bearer {access}"})
    new = "another long password"

    here.post(
        "/accounts/password/change/",
        {"oldpassword": PASSWORD, "password1": new, "password2": new},
    )

    assert (is_in(here), is_in(elsewhere)) == (True, False)
    assert bearer.get("/api/auth/me").status_code == 401


def test_one_session_is_ended_from_the_list(tenant, owner, agent, client_for):
    here, elsewhere = client_for(tenant, owner), client_for(tenant, owner)
    other_person = client_for(tenant, agent)
    with context.entered(tenant):
        theirs = sessions_of(agent).get()
        not_here = [
            each for each in sessions_of(owner) if str(each.pk) != here.session["known_session"]
        ]

    here.post(f"/accounts/sessions/{theirs.pk}/end/")
    for each in not_here:
        here.post(f"/accounts/sessions/{each.pk}/end/")

    assert [is_in(each) for each in (here, elsewhere, other_person)] == [True, False, True]


def test_every_other_session_is_ended_at_once(tenant, owner, client_for):
    here, elsewhere = client_for(tenant, owner), client_for(tenant, owner)

    here.post("/accounts/sessions/end-others/")

    assert (is_in(here), is_in(elsewhere)) == (True, False)


def test_list_names_devices(tenant, owner, client_for):
    client = client_for(tenant)
    client.defaults["HTTP_USER_AGENT"] = (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
    )
    client.post("/accounts/login/", {"login": owner.email, "password": PASSWORD})

    page = client.get("/accounts/sessions/").content.decode()

    assert "Firefox · Windows" in page


def last_entry(tenant) -> dict:
    with context.entered(tenant):
        entry = AuditEntry.objects.latest("pk")
        return {name: getattr(entry, name) for name in ("act", "by_id", "before", "after")}


def test_own_name_that_changes_is_in_the_audit(tenant, other_tenant, owner, client_for):
    client, former = client_for(tenant, owner), owner.name

    client.post("/accounts/", {"name": "Awa Ndiaye"})
    told = last_entry(tenant)
    client.post("/accounts/", {"name": "Awa Ndiaye"})

    assert told == {
        "act": "person.changed",
        "by_id": owner.pk,
        "before": {"name": former},
        "after": {"name": "Awa Ndiaye"},
    }
    assert user_of(tenant, Role.OWNER).name == "Awa Ndiaye"
    with context.entered(tenant):
        assert AuditEntry.objects.filter(act="person.changed").count() == 1
    with context.entered(other_tenant):
        assert not AuditEntry.objects.filter(act="person.changed").exists()


def test_devices_one_signs_out_are_in_the_audit(tenant, owner, client_for):
    here, elsewhere = client_for(tenant, owner), client_for(tenant)
    elsewhere.defaults["HTTP_USER_AGENT"] = "Old phone"
    elsewhere.post("/accounts/login/", {"login": owner.email, "password": PASSWORD})
    with context.entered(tenant):
        old = sessions_of(owner).get(user_agent="Old phone")

    here.post(f"/accounts/sessions/{old.pk}/end/")
    first = last_entry(tenant)
    gone = here.post(f"/accounts/sessions/{old.pk}/end/")
    here.post("/accounts/sessions/end-others/")
    second = last_entry(tenant)

    assert (first["act"], first["by_id"]) == ("person.device_signed_out", owner.pk)
    assert first["before"] == {"device": "Old phone", "network_address": old.address}
    assert gone.status_code == 404
    assert (second["act"], second["by_id"]) == ("person.signed_out_elsewhere", owner.pk)
    assert not is_in(elsewhere)
    assert is_in(here)


def test_list_tells_the_time_of_the_vendors_place(tenant, owner, client_for):
    Tenant.objects.filter(pk=tenant.pk).update(time_zone="Asia/Tokyo")
    directory.forget()
    client = client_for(tenant, owner)
    client.cookies["amda_language"] = "en"
    evening_in_utc = datetime(2026, 3, 1, 20, 15, tzinfo=UTC)
    with context.entered(tenant):
        User.objects.filter(pk=owner.pk).update(language="en")
        sessions_of(owner).update(created_at=evening_in_utc)

    page = client.get("/accounts/sessions/").content.decode()

    assert "since 03/02/2026 5:15 a.m." in page
    assert timezone.get_current_timezone_name() == "UTC"


def test_api_tells_times_in_utc_wherever_the_vendor_is(tenant, other_tenant, owner, client_for):
    Tenant.objects.filter(pk=tenant.pk).update(time_zone="Asia/Tokyo")
    directory.forget()
    with context.entered(tenant):
        entry = audit.record("tenant.changed", by=owner)

    [told] = client_for(tenant, owner).get("/api/audit/?act=tenant.changed").json()["results"]

    assert told["at"] == entry.at.isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize("how", ["sign-ins end", "session revoked"])
def test_open_page_closes_within_a_second(committed, how):
    tenant = committed("closing_pages")
    with context.entered(tenant):
        owner = User.objects.get(role=Role.OWNER)
    here, elsewhere = (Client(headers={"host": host_of(tenant)}) for _ in range(2))
    for each in (here, elsewhere):
        each.post("/accounts/login/", {"login": owner.email, "password": PASSWORD})
    cookie = elsewhere.cookies[settings.SESSION_COOKIE_NAME].value

    def end():
        if how == "sign-ins end":
            owner.end_all_sign_ins()
        else:
            here.post("/accounts/sessions/end-others/")

    asyncio.run(_closes(tenant, cookie, end))


async def _closes(tenant, cookie, end):
    host = host_of(tenant)
    headers = [
        (b"host", host.encode()),
        (b"origin", f"http://{host}".encode()),
        (b"cookie", f"{settings.SESSION_COOKIE_NAME}={cookie}".encode()),
    ]
    page = WebsocketCommunicator(
        TenantSocket(URLRouter(websocket_urlpatterns)), "/ws/live/", headers=headers
    )
    assert (await page.connect())[0]
    await page.send_json_to({"type": "ping"})
    assert await page.receive_json_from() == {"type": "pong"}

    await in_tenant(tenant.number, end)

    assert await page.receive_output(timeout=1) == {
        "type": "websocket.close",
        "code": NO_LONGER_WELCOME,
    }
    await page.disconnect()
