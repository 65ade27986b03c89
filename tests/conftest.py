"""Two tenants on a real PostgreSQL; the other one always holds something that could leak."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import hypothesis
import pytest
from django.conf import settings
from django.contrib.auth.hashers import ScryptPasswordHasher
from django.core.management import call_command
from django.test import Client, override_settings
from django.utils import timezone

from tenants import context, directory, onboarding
from tenants.accounts.models import Role, User
from tenants.models import ProviderInstance, Tenant
from tests import browsers, factories

PASSWORD = "correct horse battery staple"
NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)

# The same examples each time, and as long as it takes: a busy machine fails no test.
hypothesis.settings.register_profile(
    "same",
    derandomize=True,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("same")


class QuickHasher(ScryptPasswordHasher):
    """The product's own way to keep passwords, without the work that makes guessing slow.

    Other processes read what it made, as a hash says how much work it took.
    """

    work_factor = 2
    parallelism = 1


@pytest.fixture(scope="session")
def _quick_passwords():
    """Nearly every test signs somebody in; a password's real hash takes longer than all else."""
    quick = f"{QuickHasher.__module__}.{QuickHasher.__qualname__}"
    with override_settings(PASSWORD_HASHERS=[quick, *settings.PASSWORD_HASHERS[1:]]):
        yield


@pytest.fixture(scope="session")
def django_db_setup(django_db_blocker, _quick_passwords):
    """The shared schema, the cache and two tenants with their people, committed once."""
    with django_db_blocker.unblock():
        call_command("migrate_schemas", schema_name="public", verbosity=0, interactive=False)
        call_command("createcachetable", verbosity=0)
        for slug, country in (("vendor_001", "SN"), ("vendor_002", "FR")):
            _make_tenant(slug, country)
        User.objects.create_superuser("staff@amda.test", PASSWORD)
    yield


def _make_tenant(slug: str, country: str) -> None:
    tenant = onboarding.create_tenant(
        slug, name=f"Shop {slug}", owner_email=address("owner", slug), owner_password=PASSWORD
    )
    Tenant.objects.filter(pk=tenant.pk).update(default_country=country)
    directory.changed()
    with context.entered(tenant):
        for role in (Role.ADMIN, Role.AGENT, Role.ASSISTANT):
            User.objects.create_user(address(role, slug), PASSWORD, name=f"{role} one", role=role)
    factories.make_instance(tenant)


def address(role: str, slug: str) -> str:
    """The e-mail address of a tenant's person with this role."""
    return f"{role}@{slug.replace('_', '-')}.test"


@pytest.fixture(autouse=True)
def _fresh_memory(request):
    """What one test looked up is nobody else's."""
    directory.forget()
    yield
    directory.forget()


@pytest.fixture
def django_assert_max_num_queries(django_assert_max_num_queries, monkeypatch):
    """Without what is looked up again as time goes by, which is no page's own."""
    monkeypatch.setattr(directory, "FRESH_SECONDS", 3600)
    return django_assert_max_num_queries


@pytest.fixture
def tenant(db) -> Tenant:
    return Tenant.objects.get(slug="vendor_001")


@pytest.fixture
def other_tenant(db) -> Tenant:
    """A second tenant whose lead, conversation and message must never be seen elsewhere."""
    other = Tenant.objects.get(slug="vendor_002")
    with context.entered(other):
        factories.make_conversation(other, name="Leaky Lead", phone="+33199000099", text="leak me")
    return other


@pytest.fixture
def instance(tenant) -> ProviderInstance:
    return ProviderInstance.objects.of(tenant).get()


@pytest.fixture
def inside(tenant):
    """The test runs inside the tenant's schema."""
    with context.entered(tenant):
        yield tenant


@pytest.fixture
def owner(tenant) -> User:
    return user_of(tenant, Role.OWNER)


@pytest.fixture
def agent(tenant) -> User:
    return user_of(tenant, Role.AGENT)


@pytest.fixture
def assistant(tenant) -> User:
    return user_of(tenant, Role.ASSISTANT)


@pytest.fixture
def staff(db) -> User:
    return User.objects.get(role=Role.STAFF)


def user_of(tenant: Tenant, role: str) -> User:
    """The one person with this role in a tenant."""
    with context.entered(tenant):
        return User.objects.get(role=role)


def host_of(tenant: Tenant) -> str:
    """The host name that leads to a tenant."""
    return f"{tenant.host_label}.localhost"


@pytest.fixture
def client_for():
    """A signed-in browser: `client_for(tenant, user)`; nobody's without a user."""

    def make(tenant: Tenant | None, user: User | None = None) -> Client:
        host = host_of(tenant) if tenant else "localhost"
        client = Client(headers={"host": host})
        if user is not None:
            path = "/accounts/login/"
            answer = client.post(path, {"login": user.email, "password": PASSWORD})
            assert answer.status_code == 302, answer.content.decode()[:2000]
        return client

    return make


@pytest.fixture
def committed(django_db_setup, django_db_blocker):
    """A tenant of one's own whose data is really committed, for tests with several processes.

    Yields a function that makes one; everything is removed at the end.
    """
    yield from _making_for_real(django_db_blocker)


@pytest.fixture(scope="module")
def committed_once(django_db_setup, django_db_blocker):
    """The same for all tests of a module, which leave nothing there that matters to each other."""
    yield from _making_for_real(django_db_blocker)


def _making_for_real(django_db_blocker) -> Iterator[Callable[..., Tenant]]:
    made: list[Tenant] = []

    def make(slug: str, **facts) -> Tenant:
        tenant = onboarding.create_tenant(
            slug, name=slug, owner_email=address("owner", slug), owner_password=PASSWORD, **facts
        )
        made.append(tenant)
        factories.make_instance(tenant)
        return tenant

    with django_db_blocker.unblock():
        yield make
        for tenant in made:
            onboarding.delete_tenant(tenant)


@contextmanager
def at(moment: datetime):
    """The clock of Django's `timezone.now` stands still."""
    original = timezone.now
    timezone.now = lambda: moment
    try:
        yield moment
    finally:
        timezone.now = original


def pytest_collection_modifyitems(config, items):
    """Without a browser its tests do not run; where they are required, that is an error."""
    if browsers.executable():
        return
    if browsers.are_required():
        raise pytest.UsageError(f"The browser tests must run: {browsers.HOW_TO_GET}.")
    without = pytest.mark.skip(reason="no Chromium")
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(without)


def pytest_terminal_summary(terminalreporter):
    if not browsers.executable():
        terminalreporter.write_line(
            f"The browser tests did not run: {browsers.HOW_TO_GET} and run again.", yellow=True
        )
