"""A tenant's EspoCRM beside the test, and a clock that both read and only the test moves."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from messaging import activities
from messaging.espo import linking, running
from messaging.models import EspoPush, Lead
from tenants import context
from tests import factories
from tests.fakes import espo
from tests.fakes.serving import beside

T0 = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
PHONE = "+221771234567"


class Crm:
    """An EspoCRM, the clock, and what a worker does."""

    def __init__(self, url: str, state: espo.State) -> None:
        self.url = url
        self.state = state
        self.now = T0

    def pass_time(self, **length: int) -> None:
        """Let both clocks go on."""
        self.now += timedelta(**length)
        self.state.clock = self.now

    def run(self) -> None:
        """Do what is due, as the worker does."""
        running.run()

    def read(self) -> None:
        """Some minutes later the worker does what is due by then."""
        self.pass_time(minutes=6)
        self.run()

    def wrote(self, start: str) -> list[str]:
        """The requests so far that begin so."""
        return [each for each in self.state.asked if each.startswith(start)]


@pytest.fixture
def make_crm(monkeypatch):
    """Makes CRMs that share one clock with us."""
    opened = []
    crms: list[Crm] = []

    def make() -> Crm:
        state = espo.State()
        state.clock = crms[0].now if crms else T0
        server = beside(state, espo.Espo(state).answer)
        crms.append(Crm(server.__enter__(), state))
        opened.append(server)
        return crms[-1]

    monkeypatch.setattr(timezone, "now", lambda: max((c.now for c in crms), default=T0))
    yield make
    for server in opened:
        server.__exit__(None, None, None)


@pytest.fixture
def crm(make_crm) -> Crm:
    return make_crm()


@pytest.fixture
def linked(crm, inside, owner) -> Crm:
    """The CRM, linked to the tenant the test is in, with one user who is the tenant's owner."""
    crm.state.add_user("aa01", owner.email)
    linking.link(crm.url, espo.KEY, by=owner)
    return crm


def lead_named(name: str) -> Lead:
    return Lead.objects.get(name=name, merged_into=None)


def waiting() -> list[tuple[str, str]]:
    """What is not done, oldest first: its kind and state."""
    left = EspoPush.objects.exclude(state__in=("done", "dropped")).order_by("pk")
    return list(left.values_list("kind", "state"))


def within(tenant):
    return context.entered(tenant)


@pytest.fixture
def key(linked, owner) -> str:
    """A lead that both sides have."""
    found = linked.state.add_lead("Awa", phone=PHONE)
    linked.run()
    linked.pass_time(minutes=1)
    return found


@pytest.fixture
def conversation(tenant, key):
    return factories.open_conversation(tenant, lead_named("Awa"), peer=PHONE)


def say(crm, conversation, text, **facts):
    """A message, written down as the worker does it."""
    message = factories.make_message(conversation, text=text, at=crm.now, **facts)
    activities.keep([message.pk], now=crm.now)
    return message


def words(crm, key) -> list[str]:
    """What each note says, without its first line and its mark."""
    return [post.split("\n")[1] for post in crm.state.posts(key)]
