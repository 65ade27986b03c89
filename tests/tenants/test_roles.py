"""Roles as data: every route asks the table, and every role gets what the table says."""

import json

import pytest
from django.core.cache import cache
from django.test import Client

from tenants import context, directory, permissions
from tenants.accounts.models import Role, User
from tenants.models import Tenant
from tenants.permissions import Action
from tests import factories, walking
from tests.conftest import PASSWORD, host_of, user_of
from tests.walking import TENANT

# Routes that no role decides about, by the beginning of their address.
OF_EVERYBODY = {
    "accounts/": "one's own account, and signing in",
    "api/auth/": "signing in",
    "api/schema/": "the API's description",
    "api/docs/": "the API's description",
    "api/": "whatever has no address of its own",
    "files/content/": "the link says for whom it is, and its reader's rights are looked at",
    "favicon.ico": "a picture",
    "language/": "the visitor's own browser",
}


@pytest.fixture(autouse=True)
def _no_attempts_so_far(db):
    cache.clear()


def action_of(route, method):
    """What the table is asked before this route answers; None where it is not asked."""
    callback = route.callback
    view = getattr(callback, "cls", None)
    if view is not None:
        return getattr(view, "actions", {}).get(method)
    return getattr(callback, "action", None)


def asked_of_everybody(route):
    if route.template == "api/":
        return True
    named = [start for start in OF_EVERYBODY if start != "api/"]
    return any(route.template.startswith(start) for start in named)


def guarded():
    """Every (route, method) that a role decides about, with the action."""
    return [
        (route, method, action_of(route, method))
        for route in walking.routes(TENANT)
        for method in route.methods
        if not asked_of_everybody(route)
    ]


def test_every_route_asks_the_table_or_is_everybodys():
    closed = [f"{method} {route.shown}" for route, method, action in guarded() if action is None]

    assert closed == []


def test_every_action_has_words_and_is_asked_for_somewhere():
    asked = {action for _route, _method, action in guarded()}
    # Asked inside: which conversations are shown, whose role may be changed.
    inside = {Action.SEE_ALL_CONVERSATIONS, Action.MAKE_OWNERS}

    assert set(permissions.WORDS) == set(Action)
    assert set(Action) - asked <= inside


@pytest.mark.parametrize("role", permissions.ROLES)
def test_role_reaches_what_the_table_allows_and_nothing_else(tenant, client_for, role):
    user = user_of(tenant, role)
    ids = things(tenant)
    signed_in = walking.session_of(tenant, user)
    client = Client(
        headers={"host": host_of(tenant), "cookie": walking.cookie(signed_in)},
        raise_request_exception=False,
    )
    put_back = walking.kept(signed_in, tenant)
    wrong = []

    for route, method, action in guarded():
        put_back()
        answer = ask(client, route, method, ids)
        with context.entered(tenant):
            allowed = permissions.role_may(role, action)
        if answer.status_code == 401 or (answer.status_code == 403) is allowed:
            wrong.append(f"{method} {route.shown}: {answer.status_code}, allowed: {allowed}")
        if answer.status_code >= 500:
            wrong.append(f"{method} {route.shown}: {answer.status_code}")

    assert wrong == []


def ask(client, route, method, ids):
    address = route.address(ids)
    if method == "GET":
        return client.get(address)
    send = getattr(client, method.lower())
    if route.is_api:
        return send(address, json.dumps({}), content_type="application/json")
    return send(address, {})


def things(tenant):
    """Something for every parameter of an address; what is not there is a 404, which is fine."""
    with context.entered(tenant):
        conversation = factories.make_conversation(tenant)
        other = User.objects.create_user("somebody@else.test", PASSWORD, role=Role.AGENT)
        message = conversation.messages.get()
    known = {
        "conversation": conversation.pk,
        "lead": conversation.lead_id,
        "message": message.pk,
        "user": other.pk,
    }
    return _Anything(known)


class _Anything(dict):
    """Ids of what is there, and for the rest an id of nothing."""

    def __missing__(self, kind):
        return 999_999


def test_table_on_the_page_is_the_one_that_is_asked(tenant, assistant, client_for):
    client = client_for(tenant, assistant)

    shown = client.get("/settings/roles/").context["rows"]

    with context.entered(tenant):
        table = [
            (action, [permissions.role_may(role, action) for role in permissions.ROLES])
            for action in permissions.WORDS
        ]
    assert [(action, allowed) for action, _words, allowed in shown] == table
    assert set(permissions.WORDS) == {action for action, _allowed in table} != set()


def test_administrators_change_settings_and_not_what_agents_see(tenant, owner, client_for):
    administrator = client_for(tenant, user_of(tenant, Role.ADMIN))

    def change(client, **values):
        return client.patch("/api/settings/", values, content_type="application/json")

    page = administrator.get("/settings/roles/").content.decode()
    posted = administrator.post("/settings/roles/decide/", {"agents_see_all": "no"})
    refused = change(administrator, agents_see_all=False, name="Other")
    unchanged = change(administrator, agents_see_all=True, colour="plum")
    by_owner = change(client_for(tenant, owner), agents_see_all=False)

    error = refused.json()["error"]
    assert 'name="agents_see_all"' not in page
    assert (posted.status_code, refused.status_code) == (403, 403)
    assert (error["code"], error["field"]) == ("owner_only", "agents_see_all")
    assert (unchanged.status_code, by_owner.status_code) == (200, 200)
    kept = Tenant.objects.get(pk=tenant.pk)
    assert (kept.name, kept.colour, kept.agents_see_all) == (tenant.name, "plum", False)


def test_administrator_who_repeats_what_agents_saw_decides_nothing(tenant, client_for):
    administrator = client_for(tenant, user_of(tenant, Role.ADMIN))
    values = {"agents_see_all": True, "colour": "plum"}
    assert directory.tenant_numbered(tenant.number).agents_see_all is True
    Tenant.objects.filter(pk=tenant.pk).update(agents_see_all=False)

    answer = administrator.patch("/api/settings/", values, content_type="application/json")

    kept = Tenant.objects.get(pk=tenant.pk)
    assert (answer.status_code, kept.colour, kept.agents_see_all) == (200, "plum", False)


def test_owner_decides_what_agents_see(tenant, other_tenant, owner, client_for):
    client = client_for(tenant, owner)

    client.post("/settings/roles/decide/", {"agents_see_all": "no"})

    directory.forget()
    assert [Tenant.objects.get(pk=each.pk).agents_see_all for each in (tenant, other_tenant)] == [
        False,
        True,
    ]
    with context.entered(tenant):
        assert permissions.role_may(Role.AGENT, Action.SEE_ALL_CONVERSATIONS) is False
        assert permissions.role_may(Role.ADMIN, Action.SEE_ALL_CONVERSATIONS) is True
    with context.entered(other_tenant):
        assert permissions.role_may(Role.AGENT, Action.SEE_ALL_CONVERSATIONS) is True
