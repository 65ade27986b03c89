"""Entering a tenant. Nothing else but the HTTP and socket middleware changes the schema."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from asgiref.sync import sync_to_async
from django.db import close_old_connections
from django.db import connection as django_connection

from tenants.models import Tenant

PUBLIC = "public"
# django-tenants' connection knows its tenant; Django's types do not know django-tenants'.
connection: Any = django_connection


class SwitchInsideTransaction(Exception):
    """A tenant was entered inside `atomic`: a rollback would leave the wrong search path."""


class NotInTenant(Exception):
    """Something that belongs to a tenant was asked for in `public`."""


def current_number() -> int:
    """The number of the tenant this thread is in; `NotInTenant` in `public`."""
    if in_public():
        raise NotInTenant("no tenant has been entered")
    return int(connection.schema_name.removeprefix("t_"))


def bound_to() -> int:
    """What tokens and sessions made here are bound to: the tenant's number, 0 for staff."""
    return 0 if in_public() else current_number()


def in_public() -> bool:
    """Whether this thread is in no tenant."""
    return connection.schema_name == PUBLIC


def schema_of(number: int) -> str:
    """The schema of the tenant with this number."""
    return f"t_{number}"


def folder_of(number: int) -> str:
    """Where in the file storage everything of the tenant with this number lies."""
    return f"tenants/{number}"


@contextmanager
def entered(tenant: Tenant) -> Iterator[Tenant]:
    """Be in a tenant's schema for the length of the block, then where one was before."""
    if _inside_own_transaction():
        raise SwitchInsideTransaction("enter a tenant outside atomic()")
    before = connection.tenant
    connection.set_tenant(tenant)
    try:
        yield tenant
    finally:
        connection.set_tenant(before)


@contextmanager
def entered_public() -> Iterator[None]:
    """Be in `public` for the length of the block."""
    if _inside_own_transaction():
        raise SwitchInsideTransaction("leave a tenant outside atomic()")
    before = connection.tenant
    connection.set_schema_to_public()
    try:
        yield
    finally:
        connection.set_tenant(before)


async def in_tenant(number: int, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a synchronous function inside a tenant, in a thread, from asynchronous code.

    Raises `Tenant.DoesNotExist` when the number is nobody's any more.
    """

    def call() -> Any:
        from tenants import directory

        close_old_connections()
        try:
            with entered(directory.tenant_numbered(number)):
                return function(*args, **kwargs)
        finally:
            connection.set_schema_to_public()
            close_old_connections()

    return await sync_to_async(call, thread_sensitive=False)()


def cache_key(key: str, prefix: str, version: int) -> str:
    """Cache keys carry the schema, so that no tenant reads or limits another's."""
    return f"{connection.schema_name}:{prefix}:{version}:{key}"


def _inside_own_transaction() -> bool:
    """Whether an atomic block is open that the test runner did not open around a test."""
    return any(not block._from_testcase for block in connection.atomic_blocks)
