"""Many at once against the last few of a limit: exactly what is left reaches the provider."""

import threading
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from django.db import connection

from billing import entitling
from billing.models import Plan, Subscription
from messaging import outbox
from messaging.models import Conversation, Message
from tenants import context, directory, limits
from tenants.accounts.models import User
from tenants.api import tokens
from tenants.models import ProviderInstance
from tests import factories, walking
from tests.conftest import PASSWORD, address, host_of
from tests.processes import Processes, until

pytestmark = pytest.mark.processes

LIMIT, LEFT, SENDS = 100, 10, 50


@pytest.fixture
def vendor(committed):
    """A tenant that has ten messages left this month."""
    tenant = committed("vendor_limit")
    plan = Plan.objects.create(
        code="hundred", name_fr="Cent", name_en="Hundred", max_messages=LIMIT, max_users=5
    )
    row = Subscription(tenant=tenant, plan_by_hand=plan)
    row.save()
    entitling.write(row)
    limits.take(tenant.number, limits.Kind.MESSAGES, LIMIT - LEFT)
    yield tenant
    row.delete()
    plan.delete()
    directory.changed()


def at_once(attempts) -> list:
    """Everything begins at the same moment; what each of them returned."""
    start = threading.Barrier(len(attempts))

    def run(attempt):
        start.wait(30)
        try:
            return attempt()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(attempts)) as pool:
        return list(pool.map(run, attempts))


def by_api(web, vendor, conversation: int, token: str, text: str):
    answer = httpx.post(
        f"{web.url}/api/conversations/{conversation}/messages/",
        json={"text": text},
        headers={"Host": host_of(vendor), "Authorization": f"Bearer {token}"},
        timeout=60,
        trust_env=False,
    )
    return "sent" if answer.status_code == 201 else answer.json()["error"]["code"]


def by_screen(web, vendor, conversation: int, cookie: str, text: str):
    csrf = "c" * 32
    answer = httpx.post(
        f"{web.url}/inbox/{conversation}/send/",
        data={"text": text, "reference": str(uuid.uuid4()), "csrfmiddlewaretoken": csrf},
        headers={
            "Host": host_of(vendor),
            "Cookie": f"{cookie}; amda_csrf={csrf}",
            "HX-Request": "true",
            "Origin": f"http://{host_of(vendor)}",
        },
        timeout=60,
        trust_env=False,
    )
    if answer.status_code == 201:
        return "sent"
    return "limit_messages" if "100 messages" in answer.text else answer.text[:300]


def by_job(vendor, conversation: int, origin: str, text: str):
    with context.entered(vendor):
        try:
            outbox.queue(Conversation.objects.get(pk=conversation), text, origin=origin)
        except limits.LimitReached as exc:
            return exc.code
    return "sent"


def test_fifty_sends_with_ten_left_let_ten_reach_the_provider(vendor):
    with Processes() as processes:
        fake, web = processes.provider(), processes.web("application")
        processes.worker()
        instance = ProviderInstance.objects.of(vendor)
        instance.update(settings={"api_url": fake.api_url, "signature": "secret"})
        directory.changed()
        with context.entered(vendor):
            conversations = [
                factories.make_conversation(vendor, phone=f"+2217011122{number:02d}").pk
                for number in range(SENDS)
            ]
            owner = User.objects.get(email=address("owner", vendor.slug))
            token = tokens.pair_for(owner)["access"]
        cookie = walking.cookie(walking.session_of(vendor, owner))
        ways = [
            lambda pk, text: by_api(web, vendor, pk, token, text),
            lambda pk, text: by_screen(web, vendor, pk, cookie, text),
            lambda pk, text: by_job(vendor, pk, "campaign", text),
            lambda pk, text: by_job(vendor, pk, "automation", text),
        ]

        told = at_once(
            [
                lambda number=number, pk=pk: ways[number % 4](pk, f"text {number}")
                for number, pk in enumerate(conversations)
            ]
        )

        assert Counter(told) == {"sent": LEFT, "limit_messages": SENDS - LEFT}
        until(lambda: fake.calls().total() == LEFT, 30, "ten messages at the provider")
        with context.entered(vendor):
            out = Message.objects.filter(direction="out")
            until(lambda: set(out.values_list("status", flat=True)) == {"sent"}, 10)
            assert out.count() == LEFT
        assert fake.calls().total() == LEFT
        assert limits.meter(vendor.number, limits.Kind.MESSAGES).left == 0


def test_two_people_at_once_for_the_last_place_are_one_person(vendor):
    for number in range(3):
        with context.entered(vendor):
            User.objects.create_user(f"more{number}@limit.test", PASSWORD)

    def join(number: int):
        with context.entered(vendor):
            try:
                User.objects.create_user(f"last{number}@limit.test", PASSWORD)
            except limits.LimitReached as exc:
                return exc.code
        return "joined"

    told = at_once([lambda number=number: join(number) for number in range(6)])

    assert Counter(told) == {"joined": 1, "limit_users": 5}
