"""From a websocket's host, origin and session to its tenant and user."""

from collections.abc import Callable
from http.cookies import SimpleCookie
from importlib import import_module
from urllib.parse import urlsplit

from channels.db import database_sync_to_async
from django.conf import settings
from django.contrib.auth import SESSION_KEY

from tenants import directory
from tenants.accounts import second_step, sessions
from tenants.accounts.models import Role, User
from tenants.context import current_number, in_tenant
from tenants.models import Tenant
from tenants.permissions import Action, may


class TenantSocket:
    """Puts `tenant`, `user`, `still_welcome` and `sees_all` into a socket's scope.

    A socket whose Origin is not its own Host has none of them: a page of another site must
    not listen with its visitor's cookie.
    """

    def __init__(self, inner: Callable) -> None:
        self._inner = inner

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get(b"host", "")
        tenant = await _tenant_of(host) if _same_host(headers.get(b"origin", ""), host) else None
        key = _cookie(headers.get(b"cookie", ""))

        async def user_now() -> User | None:
            if tenant is None or not key:
                return None
            return await in_tenant(tenant.number, user_of_session, key)

        async def still_welcome() -> bool:
            return await user_now() is not None

        async def sees_all() -> bool:
            user = await user_now()
            if tenant is None or user is None:
                return False
            return await in_tenant(tenant.number, may, user, Action.SEE_ALL_CONVERSATIONS)

        facts = {
            "tenant": tenant,
            "user": await user_now(),
            "still_welcome": still_welcome,
            "sees_all": sees_all,
        }
        await self._inner({**scope, **facts}, receive, send)


def user_of_session(key: str) -> User | None:
    """The active user whose session this is, in the tenant one is in; None for anybody else."""
    session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    known = sessions.signed_in(session) if SESSION_KEY in session else None
    if known is None:
        return None
    here = directory.tenant_numbered(current_number())
    shut_out = here.state == Tenant.State.SUSPENDED and known.user.role != Role.OWNER
    return None if shut_out or second_step.is_lacking(known.user, here) else known.user


async def _tenant_of(host: str):
    name = host.split(":")[0].lower()
    return await database_sync_to_async(directory.tenant_of_host)(name)


def _same_host(origin: str, host: str) -> bool:
    return bool(host) and urlsplit(origin).netloc.lower() == host.lower()


def _cookie(header: str) -> str:
    jar = SimpleCookie()
    jar.load(header)
    morsel = jar.get(settings.SESSION_COOKIE_NAME)
    return morsel.value if morsel else ""
