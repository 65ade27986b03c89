"""The team: invitations, roles, closed access; the last owner stays."""

import re
from datetime import timedelta

import pytest
from django.core import mail
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from tenants import context
from tenants.accounts.models import Invitation, Role, User
from tenants.api import tokens
from tenants.models import Tenant
from tests.conftest import host_of, user_of

NEW_PASSWORD = "a brand new long password"


@pytest.fixture(autouse=True)
def _no_attempts_so_far(db):
    cache.clear()


def invite(client, email="new@person.test", role="agent"):
    return client.post("/team/invite/", {"email": email, "role": role})


def link():
    return re.search(r"https?://[^/]+(/accounts/\S+)", mail.outbox[-1].body).group(1)


def join(tenant, path, name="New Person"):
    client = Client(headers={"host": host_of(tenant)})
    return client, client.post(path, {"name": name, "password": NEW_PASSWORD})


def people(tenant):
    with context.entered(tenant):
        return {user.email: (user.role, user.is_active) for user in User.objects.all()}


def test_invited_person_joins_with_the_role_and_is_signed_in(tenant, owner, client_for):
    invite(client_for(tenant, owner), role="assistant")
    path = link()

    client, answer = join(tenant, path)

    assert (answer.status_code, answer.url) == (302, "/")
    assert client.get("/team/").status_code == 200
    assert people(tenant)["new@person.test"] == ("assistant", True)
    assert join(tenant, path)[1].status_code == 410


def test_invitation_of_one_tenant_is_worthless_at_another(tenant, other_tenant, owner, client_for):
    invite(client_for(tenant, owner))
    invite(client_for(other_tenant, user_of(other_tenant, Role.OWNER)))
    with context.entered(tenant):
        facts = Invitation.objects.values("pk", "nonce").get()
    mail.outbox.pop()
    with context.entered(other_tenant):
        Invitation.objects.update(nonce=facts["nonce"], id=facts["pk"])

    answer = join(other_tenant, link())[1]

    assert answer.status_code == 410
    assert "new@person.test" not in people(other_tenant)


@pytest.mark.parametrize("end", ["revoked", "expired", "sent again", "altered"])
def test_link_ends(tenant, owner, client_for, end):
    client = client_for(tenant, owner)
    invite(client)
    path = link()
    with context.entered(tenant):
        row = Invitation.objects.get()
        past = timezone.now() - timedelta(minutes=5)
        Invitation.objects.update(sent_at=past)
        if end == "expired":
            Invitation.objects.update(expires_at=past)
    if end == "revoked":
        client.post(f"/team/invitations/{row.pk}/revoke/")
    if end == "sent again":
        client.post(f"/team/invitations/{row.pk}/send/")
    if end == "altered":
        path = path[:-2] + ("A" if path[-2] != "A" else "B") + "/"

    assert join(tenant, path)[1].status_code == 410
    assert len(mail.outbox) == (2 if end == "sent again" else 1)
    if end == "sent again":
        assert join(tenant, link())[1].status_code == 302


def test_same_address_is_not_invited_twice(tenant, owner, client_for):
    client = client_for(tenant, owner)
    invite(client)

    assert invite(client, "NEW@person.test").status_code == 400
    assert invite(client, owner.email).status_code == 400


def test_agent_sees_the_team_and_changes_nothing(tenant, owner, agent, client_for):
    client = client_for(tenant, agent)

    assert client.get("/team/").status_code == 200
    for path in ("invite/", f"{owner.pk}/role/", f"{owner.pk}/deactivate/", "second-step/"):
        assert client.post(f"/team/{path}").status_code == 403


def test_admin_makes_and_unmakes_no_owner(tenant, owner, agent, client_for):
    client = client_for(tenant, user_of(tenant, Role.ADMIN))
    before = people(tenant)

    client.post(f"/team/{owner.pk}/role/", {"role": "agent"})
    client.post(f"/team/{owner.pk}/deactivate/")
    client.post(f"/team/{agent.pk}/role/", {"role": "owner"})
    client.post(f"/team/{agent.pk}/role/", {"role": "staff"})
    client.post("/team/second-step/", {"required": "yes"})
    invite(client, role="owner")

    assert people(tenant) == before
    assert mail.outbox == []
    assert not Tenant.objects.get(pk=tenant.pk).requires_mfa


def test_last_owner_cannot_be_removed(tenant, owner, agent, client_for):
    client = client_for(tenant, owner)

    client.post(f"/team/{owner.pk}/role/", {"role": "agent"})
    client.post(f"/team/{owner.pk}/deactivate/")
    assert people(tenant)[owner.email] == ("owner", True)

    client.post(f"/team/{agent.pk}/role/", {"role": "owner"})
    client.post(f"/team/{owner.pk}/role/", {"role": "agent"})
    assert people(tenant)[owner.email] == ("agent", True)


def test_person_of_another_tenant_is_nobody_here(tenant, other_tenant, owner, client_for):
    with context.entered(other_tenant):
        there = User.objects.create_user("there@only.test", "x", id=987654)

    answer = client_for(tenant, owner).post(f"/team/{there.pk}/deactivate/")

    assert answer.status_code == 404
    assert people(other_tenant)["there@only.test"] == ("agent", True)


def test_closed_access_ends_sessions_and_tokens_and_opens_again(tenant, owner, agent, client_for):
    boss, theirs = client_for(tenant, owner), client_for(tenant, agent)
    with context.entered(tenant):
        access = tokens.pair_for(agent)["access"]
    bearer = Client(headers={"host": host_of(tenant), "authorization": f"Bearer {access}"})
    assert bearer.get("/api/auth/me").status_code == 200

    boss.post(f"/team/{agent.pk}/deactivate/")
    assert bearer.get("/api/auth/me").status_code == 401
    assert theirs.get("/accounts/").status_code == 302

    boss.post(f"/team/{agent.pk}/reactivate/")
    assert bearer.get("/api/auth/me").status_code == 401
    assert theirs.get("/accounts/").status_code == 302
    assert client_for(tenant, agent).get("/accounts/").status_code == 200


def test_owner_asks_everybody_for_a_second_step(tenant, other_tenant, owner, client_for):
    client_for(tenant, owner).post("/team/second-step/", {"required": "yes"})

    assert Tenant.objects.get(pk=tenant.pk).requires_mfa
    assert not Tenant.objects.get(pk=other_tenant.pk).requires_mfa


def test_join_page_stops_whoever_tries_links(tenant):
    stranger = Client(headers={"host": host_of(tenant)})

    tried = [stranger.get(f"/accounts/join/guess{number}/").status_code for number in range(31)]

    assert (set(tried[:30]), tried[30]) == ({410}, 429)
