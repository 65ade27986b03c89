"""Floods of posts against real processes: each message once, whatever comes between."""

import json
import random
import socket
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest

from messaging.models import Conversation, Message
from tenants import context, onboarding
from tenants.models import WebhookDelivery
from tests import factories
from tests.messaging.test_ingest import received
from tests.processes import CLIENT, Poster, Processes, Web, until

pytestmark = pytest.mark.processes

T0 = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MEGABYTE = 1024 * 1024
# A body has its text twice: this one comes to 4.9 MB.
LARGE = "L" * int(2.45 * MEGABYTE)
State = WebhookDelivery.State


@pytest.fixture(scope="module")
def web(django_db_setup):
    """The whole product under uvicorn, with a worker beside it."""
    with Processes() as processes:
        processes.worker()
        yield processes.web("application")


@pytest.fixture
def vendor(committed, web):
    """A vendor of the test's own."""
    return committed("vendor_flood")


@pytest.fixture
def poster(vendor, web):
    return poster_of(vendor, web)


def poster_of(vendor, web: Web) -> Poster:
    return Poster(web.url, vendor.slug, factories.secrets_of(vendor)["webhook_secret"])


def deliveries_of(vendor):
    return WebhookDelivery.objects.of(vendor)


def all_are_read(vendor) -> bool:
    return not deliveries_of(vendor).filter(state=State.WAITING).exists()


def texts_of(vendor) -> list[str]:
    with context.entered(vendor):
        return sorted(Message.objects.values_list("text", flat=True))


def phone_of(number: int) -> str:
    return f"2217{number:08d}"


def spoken(leads: int, each: int) -> list[dict]:
    """Messages of several leads: what was said by whom and when."""
    return [
        {
            "key": f"3EB0{lead:04X}{position:04X}",
            "text": f"lead {lead} says {position}",
            "phone": phone_of(lead),
            "at": T0 + timedelta(seconds=position * 60 + lead),
        }
        for lead in range(leads)
        for position in range(each)
    ]


def test_thousand_shuffled_posts_with_repeats_are_each_message_once(vendor, poster):
    said = spoken(leads=40, each=20)
    chance = random.Random(20260302)
    posts = [received(**message) for message in said + chance.sample(said, 200)]
    chance.shuffle(posts)

    answers = poster.post_all(posts, at_once=8)

    assert answers == [200] * 1000
    assert deliveries_of(vendor).count() == 1000
    until(lambda: all_are_read(vendor), 60, "every post is read")
    assert set(deliveries_of(vendor).values_list("state", flat=True)) == {State.DONE}
    with context.entered(vendor):
        rows = Message.objects.values_list(
            "external_id", "text", "sent_at", "lead__identities__value"
        )
        assert sorted(rows) == sorted(
            (each["key"], each["text"], each["at"], f"+{each['phone']}") for each in said
        )
        for conversation in Conversation.objects.all():
            texts = conversation.messages.order_by("sent_at", "id").values_list("text", flat=True)
            lead = texts[0].split()[1]
            assert list(texts) == [f"lead {lead} says {position}" for position in range(20)]
            assert conversation.last_message_snippet == texts[19]
            assert conversation.unread_count == 20
        assert Conversation.objects.count() == 40


def test_odd_posts_among_64_at_once_harm_nobody(vendor, poster):
    good = [received(f"GOOD{number}", f"fine {number}") for number in range(56)]
    odd = {
        "nul": received("ODD1", "a\x00b"),
        "surrogate": json.dumps(received("ODD2", "lone-mark")).replace("-", "\\ud800").encode(),
        "large": received("ODD3", LARGE),
        "rtl": received("ODD4", "\u202eabc\u200f سلام \u2066x\u2069"),
        "nul in key": received("ODD5\x00", "key"),
        "surrogate name": json.dumps(received("ODD6", "six")).replace("Awa", "\\udfff").encode(),
        "nul phone": received("ODD7", "seven", phone="22170\x001112299"),
        "huge time": {**received("ODD8", "eight"), "timestamp": 10**30},
    }
    posts = good + list(odd.values())
    random.Random(64).shuffle(posts)

    answers = poster.post_all(posts, at_once=64)

    assert answers == [200] * 64
    assert deliveries_of(vendor).count() == 64
    until(lambda: all_are_read(vendor), 30, "every post is read or parked")
    found = texts_of(vendor)
    assert {f"fine {number}" for number in range(56)} <= set(found)
    assert len([text for text in found if text.startswith("fine ")]) == 56
    assert {"a\ufffdb", "lone\ufffdmark", "\u202eabc\u200f سلام \u2066x\u2069"} <= set(found)
    assert max(map(len, found)) == len(LARGE)
    parked = deliveries_of(vendor).exclude(state=State.DONE)
    assert all(error for error in parked.values_list("error", flat=True))


GARBAGE = {
    "empty": b"",
    "truncated": json.dumps(received()).encode()[:-20],
    "not json": b"<xml>no</xml>",
    "wrong type": b"[1, 2, 3]",
    "wrong encoding": json.dumps(received(text="é"), ensure_ascii=False).encode("utf-16"),
    "latin-1": json.dumps(received(text="é"), ensure_ascii=False).encode("latin-1"),
    "random bytes": random.Random(6).randbytes(2000),
    "deep": b'{"event": "messages.received", "data": ' + b"[" * 5000 + b"]" * 5000 + b"}",
}


def test_authentic_garbage_is_answered_200_and_kept_as_unreadable(vendor, poster):
    answers = {name: poster.post(body) for name, body in GARBAGE.items()}

    assert answers == dict.fromkeys(GARBAGE, 200)
    until(lambda: all_are_read(vendor), 20, "all of it is looked at")
    kept = deliveries_of(vendor).values_list("state", "error")
    assert {state for state, _error in kept} == {State.UNREADABLE}
    assert all(error for _state, error in kept)
    assert len(kept) == len(GARBAGE)


def test_unsigned_posts_are_refused_in_silence_and_leave_nothing(vendor, poster):
    bodies = [*GARBAGE.values(), json.dumps(received()).encode()]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda body: poster.answer(body, signed=False), bodies))

    assert answers == [(403, b"")] * len(bodies)
    assert not deliveries_of(vendor).exists()


@pytest.mark.parametrize("signed", [True, False])
def test_too_large_post_is_refused_and_leaves_nothing(vendor, poster, signed):
    body = received(text="L" * 6 * MEGABYTE)

    status = poster.post(body, signed=signed)

    assert status == 413
    assert not deliveries_of(vendor).exists()


def test_too_large_post_that_does_not_say_so_is_refused_too(vendor, web):
    signature = {"X-Webhook-Signature": factories.secrets_of(vendor)["webhook_secret"]}
    url = f"{web.url}/api/webhooks/wasender/{vendor.slug}"

    answer = CLIENT.post(url, content=(b"x" * MEGABYTE for _ in range(6)), headers=signature)

    assert answer.status_code == 413
    assert not deliveries_of(vendor).exists()


@pytest.mark.parametrize("application", ["intake", "application"])
def test_server_told_to_stop_answers_the_50_posts_in_flight(committed, application):
    vendor = committed("vendor_stop")
    said = [received(f"STOP{number}", f"in flight {number}") for number in range(50)]
    with Processes() as processes, ExitStack() as stack:
        web = processes.web(application)
        posts = [stack.enter_context(HalfPost(web, vendor, body)) for body in said]
        for post in posts:
            post.wait_until_read()

        web.terminate()
        until(web.port_is_closed, 10, "it takes nobody else in")
        statuses = [post.finish() for post in posts]

        assert statuses == [200] * 50
        assert web.ended() in (0, -15)
    assert deliveries_of(vendor).count() == 50


@pytest.mark.parametrize("server", ["uvicorn", "daphne"])
def test_whatever_a_stopping_server_answered_200_is_stored(committed, server):
    vendor = committed("vendor_stop")
    said = {f"STOP{number}": f"in flight {number}" for number in range(400)}
    with Processes() as processes:
        web = processes.web("intake", server=server)
        poster = poster_of(vendor, web)
        with ThreadPoolExecutor(50) as pool:
            answers = {
                key: pool.submit(poster.post, received(key, text)) for key, text in said.items()
            }
            until(lambda: sum(map(Future.done, answers.values())) > 40, 20, "it is busy")
            web.terminate()
            taken = {key for key, answer in answers.items() if answer.result() == 200}
        web.ended()

        assert len(taken) > 40
        processes.worker()
        until(lambda: all_are_read(vendor), 30, "every post is read")
    with context.entered(vendor):
        found = list(Message.objects.values_list("external_id", flat=True))
    assert taken <= set(found)
    assert len(found) == len(set(found))


def test_vendor_can_be_deleted_while_its_inbox_is_read(vendor, poster):
    poster.post_all(received(f"GONE{number}") for number in range(300))
    until(lambda: deliveries_of(vendor).filter(state=State.DONE).exists(), 10, "it is being read")

    onboarding.delete_tenant(vendor)

    assert onboarding.leftovers(vendor.number) == []


class HalfPost:
    """A post whose server has begun to read it while its body is still on the way."""

    def __init__(self, web: Web, vendor, body: dict) -> None:
        self._body = json.dumps(body).encode()
        self._socket = socket.create_connection(("127.0.0.1", web.port), timeout=20)
        secret = factories.secrets_of(vendor)["webhook_secret"]
        head = (
            f"POST /api/webhooks/wasender/{vendor.slug} HTTP/1.1\r\nHost: localhost\r\n"
            f"X-Webhook-Signature: {secret}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(self._body)}\r\nExpect: 100-continue\r\n\r\n"
        )
        self._socket.sendall(head.encode())

    def __enter__(self) -> "HalfPost":
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()

    def wait_until_read(self) -> None:
        """Return once the server asks for the body."""
        assert self._socket.recv(1000).startswith(b"HTTP/1.1 100")

    def finish(self) -> int:
        """Send the body; the status of the answer, 0 where none came."""
        self._socket.sendall(self._body)
        line = self._socket.recv(1000).partition(b"\r\n")[0]
        return int(line.split()[1]) if line else 0
