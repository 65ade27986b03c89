"""The sandbox as its users meet it: a separate process that speaks HTTP and posts webhooks."""

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from messaging import providers
from messaging.events import Connection, Kind
from messaging.providers.base import File, Known, Outgoing, Via
from messaging.providers.base import Hook as Posted
from messaging.providers.signatures import hmac_sha256_hex
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
BUSINESS = "+33199000001"
AWA = "+221770000012"
WAIT_SECONDS = 15


def eventually(look):
    """What `look` returns once it is truthy; the test fails when that never happens."""
    give_up = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < give_up:
        if found := look():
            return found
        time.sleep(0.02)
    raise AssertionError(f"still not true after {WAIT_SECONDS} s")


@dataclass
class Post:
    path: str
    signature: str
    simulation: str
    raw: bytes

    @property
    def body(self) -> dict:
        return json.loads(self.raw)


@dataclass
class Hook:
    """A receiver of webhooks that answers as it is told."""

    url: str = ""
    answer: int = 200
    posts: list[Post] = field(default_factory=list)

    def of(self, event: str) -> list[Post]:
        return [post for post in self.posts if post.body["event"] == event]

    def statuses(self) -> list[int]:
        return [post.body["data"]["update"]["status"] for post in self.of("messages.update")]


@pytest.fixture
def hook():
    hook = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            signature = self.headers["X-Webhook-Signature"]
            hook.posts.append(Post(self.path, signature, self.headers["X-Simulation"], raw))
            self.send_response(hook.answer)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hook.url = f"http://127.0.0.1:{server.server_address[1]}/api/webhooks/wasender/demo"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield hook
    server.shutdown()
    thread.join()
    server.server_close()


class Sandbox:
    """One data folder, the commands run on it, and the process that serves it."""

    def __init__(self, data_dir: Path):
        self.data_dir = data_dir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(base_url=self.url, timeout=10, trust_env=False)
        self._process = None

    @property
    def environment(self) -> dict:
        settings = {"SANDBOX_PORT": str(self.port), "SANDBOX_DATA_DIR": str(self.data_dir)}
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return {**inherited, "PYTHONPATH": str(ROOT), **settings}

    def command(self, *arguments) -> dict:
        done = subprocess.run(
            [sys.executable, "-m", "messaging.sandbox", *arguments],
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
        )
        return json.loads(done.stdout)

    def create_session(self, hook: Hook, *more) -> dict:
        return self.command(
            "create-session",
            *("--name", "Maison Kelani"),
            *("--phone", BUSINESS),
            *("--webhook-url", hook.url),
            *more,
        )

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "messaging.sandbox"],
            env=self.environment,
            stdout=subprocess.DEVNULL,
        )
        eventually(self._answers)

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=WAIT_SECONDS)
        self._process = None

    def _answers(self) -> bool:
        assert self._process.poll() is None, "the sandbox ended at once"
        try:
            return self.client.get("/phone").status_code == 200
        except httpx.TransportError:
            return False

    def send(self, session: dict, **body) -> httpx.Response:
        return self.client.post("/api/send-message", json=body, headers=bearer(session["api_key"]))

    def customer(self, phone: str) -> dict:
        customers = self.state()["customers"]
        return next(one for one in customers if one["phone"] == phone)

    def state(self, **chosen) -> dict:
        return self.client.get("/phone/state", params=chosen).json()

    def chat(self, customer: dict, session: dict) -> list[dict]:
        return self.state(customer=customer["id"], session=session["id"])["chat"]["messages"]

    def say(self, customer: dict, session: dict, text: str, **options) -> dict:
        body = {"customer": customer["id"], "session": session["id"], "text": text, **options}
        answer = self.client.post("/phone/messages", json=body)
        assert answer.status_code == 201
        return answer.json()

    def switch(self, customer: dict, on: bool) -> None:
        self.client.post(f"/phone/customers/{customer['id']}/power", json={"on": on})

    @contextmanager
    def looking_at(self, customer: dict, session: dict):
        chosen = {"customer": customer["id"], "session": session["id"]}
        with self.client.stream("GET", "/phone/events", params=chosen) as stream:
            lines = stream.iter_lines()
            assert "data: changed" in (next(lines), next(lines))
            yield


def bearer(token: str) -> dict:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def sandbox(tmp_path):
    sandbox = Sandbox(tmp_path / "sandbox")
    yield sandbox
    sandbox.client.close()
    sandbox.stop()


@pytest.fixture
def session(sandbox, hook):
    session = sandbox.create_session(hook)
    sandbox.start()
    return session


@pytest.fixture(scope="module")
def standing(tmp_path_factory):
    """A sandbox with a session, shared by the tests that change nothing in it."""
    sandbox = Sandbox(tmp_path_factory.mktemp("standing") / "sandbox")
    session = sandbox.create_session(Hook(url="http://127.0.0.1:9/never-posted-to"))
    sandbox.start()
    yield sandbox, session
    sandbox.client.close()
    sandbox.stop()


# From the business to the phone


def test_send_message_is_taken_in_at_once_and_told_by_webhooks(sandbox, session, hook):
    answer = sandbox.send(session, to=AWA, text="Bonjour Awa")

    msg_id = answer.json()["data"]["msgId"]
    assert answer.status_code == 200
    assert answer.json() == {
        "success": True,
        "data": {"msgId": msg_id, "jid": AWA, "status": "in_progress"},
    }
    assert msg_id >= 100000
    assert answer.headers["X-RateLimit-Limit"] == "256"
    assert answer.headers["X-RateLimit-Remaining"] == "255"

    eventually(lambda: hook.statuses() == [2, 3])
    echo = hook.of("message.sent")[0].body["data"]
    assert echo["key"]["fromMe"] is True
    assert echo["key"]["msgId"] == msg_id
    assert echo["key"]["remoteJid"] == "221770000012@s.whatsapp.net"
    assert echo["message"] == {"conversation": "Bonjour Awa"}
    assert {update.body["data"]["key"]["id"] for update in hook.of("messages.update")} == {
        echo["key"]["id"]
    }
    assert {update.body["sessionId"] for update in hook.of("messages.update")} == {
        session["api_key"]
    }


def test_webhooks_carry_the_secret_and_say_that_they_are_simulated(sandbox, session, hook):
    sandbox.send(session, to=AWA, text="Bonjour")
    eventually(lambda: hook.statuses() == [2, 3])

    assert {post.path for post in hook.posts} == {"/api/webhooks/wasender/demo"}
    assert {post.signature for post in hook.posts} == {session["webhook_secret"]}
    assert {post.simulation for post in hook.posts} == {"wasender"}


def test_webhooks_of_an_hmac_session_sign_the_body(sandbox, hook):
    session = sandbox.create_session(hook, "--signature", "hmac")
    sandbox.start()

    sandbox.send(session, to=AWA, text="Ça va ?")

    post = eventually(lambda: hook.of("message.sent"))[0]
    assert post.signature == hmac_sha256_hex(session["webhook_secret"], post.raw)


def test_webhooks_are_only_posted_for_subscribed_events(sandbox, hook):
    session = sandbox.create_session(hook, "--events", "messages.update")
    sandbox.start()

    sandbox.send(session, to=AWA, text="Bonjour")

    eventually(lambda: hook.statuses() == [2, 3])
    assert {post.body["event"] for post in hook.posts} == {"messages.update"}


def test_message_info_maps_the_number_to_whatsapps_key(sandbox, session, hook):
    msg_id = sandbox.send(session, to=AWA, text="Bonjour").json()["data"]["msgId"]
    eventually(lambda: hook.statuses() == [2, 3])

    headers = bearer(session["api_key"])
    info = sandbox.client.get(f"/api/messages/{msg_id}/info", headers=headers).json()["data"]

    assert info["key"]["id"] == hook.of("message.sent")[0].body["data"]["key"]["id"]
    assert info["msgId"] == msg_id
    assert info["status"] == 3
    assert info["messageTimestamp"].isdigit()


def test_a_phone_switched_off_keeps_messages_at_one_tick(sandbox, session, hook):
    awa = sandbox.customer(AWA)
    sandbox.switch(awa, on=False)

    sandbox.send(session, to=AWA, text="Êtes-vous là ?")
    eventually(lambda: hook.statuses() == [2])
    assert sandbox.chat(awa, session) == []
    assert sandbox.customer(AWA)["waiting"] == 1

    sandbox.switch(awa, on=True)
    eventually(lambda: hook.statuses() == [2, 3])
    assert [message["text"] for message in sandbox.chat(awa, session)] == ["Êtes-vous là ?"]


def test_an_open_chat_reads_what_arrives_and_what_was_there(sandbox, session, hook):
    awa = sandbox.customer(AWA)
    sandbox.send(session, to=AWA, text="Votre devis est prêt")
    eventually(lambda: hook.statuses() == [2, 3])
    assert sandbox.customer(AWA)["unread"] == 1

    with sandbox.looking_at(awa, session):
        eventually(lambda: hook.statuses() == [2, 3, 4])
        sandbox.send(session, to=AWA, text="Vous le voyez ?")
        eventually(lambda: hook.statuses() == [2, 3, 4, 2, 3, 4])

    assert sandbox.customer(AWA)["unread"] == 0


def test_an_unknown_number_becomes_somebody(sandbox, session, hook):
    sandbox.send(session, to="+33199000099", text="Bonjour")

    eventually(lambda: hook.statuses() == [2, 3])
    assert sandbox.customer("+33199000099")["name"] == "+33199000099"


def test_a_group_is_sent_to_but_never_delivered(sandbox, session, hook):
    answer = sandbox.send(session, to="120363000000000001@g.us", text="Bonjour à tous")

    assert answer.status_code == 200
    eventually(lambda: hook.statuses() == [2])
    assert {line["who"] for line in sandbox.state()["journal"]} == {None}


def test_a_reply_quotes_the_earlier_message(sandbox, session, hook):
    awa = sandbox.customer(AWA)
    asked = sandbox.say(awa, session, "Avez-vous du bleu ?")

    sandbox.send(session, to=AWA, text="Oui, deux.", replyTo=asked["message"])

    echo = eventually(lambda: hook.of("message.sent"))[0].body["data"]
    assert echo["message"]["extendedTextMessage"]["text"] == "Oui, deux."
    assert echo["message"]["extendedTextMessage"]["contextInfo"]["stanzaId"] == asked["key"]


def test_a_reply_quotes_what_came_in_by_its_webhook(sandbox, session, hook):
    awa = sandbox.customer(AWA)
    asked = sandbox.say(awa, session, "Avez-vous du bleu ?")
    told = {"key": {"id": asked["key"]}, "message": {"conversation": "Avez-vous du bleu ?"}}

    sandbox.send(session, to=AWA, text="Oui, deux.", replyToObject=told)
    refused = sandbox.send(session, to=AWA, text="Oui", replyToObject={"key": asked["key"]})

    echo = eventually(lambda: hook.of("message.sent"))[0].body["data"]
    assert echo["message"]["extendedTextMessage"]["contextInfo"]["stanzaId"] == asked["key"]
    assert list(refused.json()["errors"]) == ["replyToObject"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"imageUrl": "https://example.com/a.png", "text": "La photo"}, "imageMessage"),
        ({"documentUrl": "https://example.com/b.pdf", "fileName": "devis.pdf"}, "documentMessage"),
        ({"audioUrl": "https://example.com/c.ogg"}, "audioMessage"),
        ({"contact": {"name": "Awa", "phone": AWA}}, "contactMessage"),
        ({"location": {"latitude": 14.69, "longitude": -17.44}}, "locationMessage"),
        ({"poll": {"question": "Quand ?", "options": ["Lundi", "Mardi"]}}, "pollCreationMessage"),
    ],
)
def test_send_message_takes_the_other_kinds(sandbox, session, hook, body, kind):
    assert sandbox.send(session, to=AWA, **body).status_code == 200

    echo = eventually(lambda: hook.of("message.sent"))[0].body["data"]
    assert list(echo["message"]) == [kind]
    awa = sandbox.customer(AWA)
    eventually(lambda: len(sandbox.chat(awa, session)) == 1)


# From the phone to the business


def test_a_customers_message_is_posted_with_the_full_key(sandbox, session, hook):
    said = sandbox.say(sandbox.customer(AWA), session, "Bonjour, c'est possible demain ? 🙂")

    post = eventually(lambda: hook.of("messages.received"))[0]
    message = post.body["data"]["messages"]
    lid = message["key"]["senderLid"]
    assert post.signature == session["webhook_secret"]
    assert lid.endswith("@lid")
    assert message == {
        "key": {
            "id": said["key"],
            "fromMe": False,
            "remoteJid": "221770000012@s.whatsapp.net",
            "addressingMode": "pn",
            "senderPn": "221770000012@s.whatsapp.net",
            "cleanedSenderPn": "221770000012",
            "senderLid": lid,
        },
        "pushName": "Awa Ndiaye",
        "messageBody": "Bonjour, c'est possible demain ? 🙂",
        "message": {"conversation": "Bonjour, c'est possible demain ? 🙂"},
        "messageTimestamp": message["messageTimestamp"],
    }
    assert abs(message["messageTimestamp"] - time.time()) < WAIT_SECONDS


def test_a_message_sent_twice_repeats_its_key(sandbox, session, hook):
    said = sandbox.say(sandbox.customer(AWA), session, "Allô ?", twice=True)

    posts = eventually(lambda: len(hook.posts) == 2 and hook.of("messages.received"))
    assert [post.body["data"]["messages"]["key"]["id"] for post in posts] == [said["key"]] * 2


def test_a_late_message_carries_the_time_it_was_said(sandbox, session, hook):
    sandbox.say(sandbox.customer(AWA), session, "Envoyé dans le tunnel", late=True)

    message = eventually(lambda: hook.of("messages.received"))[0].body["data"]["messages"]
    assert abs(time.time() - 600 - message["messageTimestamp"]) < WAIT_SECONDS


def test_a_customer_without_a_number_can_be_answered_by_lid(sandbox, session, hook):
    sandbox.say(sandbox.customer(AWA), session, "Sans numéro", only_lid=True)
    key = eventually(lambda: hook.of("messages.received"))[0].body["data"]["messages"]["key"]
    lid = key["senderLid"]
    assert key == {
        "id": key["id"],
        "fromMe": False,
        "remoteJid": lid,
        "addressingMode": "lid",
        "senderLid": lid,
    }

    sandbox.send(session, to=lid, text="Bien reçu")

    eventually(lambda: hook.statuses() == [2, 3])
    texts = [message["text"] for message in sandbox.chat(sandbox.customer(AWA), session)]
    assert texts == ["Sans numéro", "Bien reçu"]


def test_a_withdrawn_message_loses_its_text_and_is_told(sandbox, session, hook):
    awa = sandbox.customer(AWA)
    said = sandbox.say(awa, session, "Mon code est 1234")

    sandbox.client.post(f"/phone/messages/{said['message']}/delete", json={})

    told = eventually(lambda: hook.of("messages.delete"))[0].body["data"]["keys"]
    assert [key["id"] for key in told] == [said["key"]]
    [message] = sandbox.chat(awa, session)
    assert (message["deleted"], message["text"]) == (True, "")


def test_a_refused_webhook_shows_its_status_and_can_be_posted_again(sandbox, session, hook):
    awa = sandbox.customer(AWA)
    hook.answer = 403
    sandbox.say(awa, session, "Bonjour")

    def refused():
        [message] = sandbox.chat(awa, session)
        return message["post"]["state"] == "refused" and message["post"]

    post = eventually(refused)
    assert post["http_status"] == 403
    assert len(hook.posts) == 4
    assert sandbox.state()["journal"][0]["http_status"] == 403

    hook.answer = 200
    sandbox.client.post(f"/phone/deliveries/{post['id']}/again", json={})

    eventually(lambda: sandbox.chat(awa, session)[0]["post"]["state"] == "accepted")


# Refusals, as documented

UNREADABLE = (b"{", b"[]", b"\xff", b"[" * 100_000, b'{"to": NaN}', b'{"text": "\\ud800"}')


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/send-message"),
        ("GET", "/api/status"),
        ("GET", "/api/messages/100000/info"),
        ("GET", "/api/whatsapp-sessions"),
        ("POST", "/api/whatsapp-sessions"),
        ("DELETE", "/api/whatsapp-sessions/1"),
    ],
)
@pytest.mark.parametrize("headers", [{}, bearer("wrong"), {"Authorization": "Basic YTpi"}])
def test_a_wrong_token_is_a_401(standing, method, path, headers):
    sandbox, _ = standing
    answer = sandbox.client.request(method, path, headers=headers)

    assert answer.status_code == 401
    assert answer.json()["success"] is False
    assert answer.headers["X-Simulation"] == "wasender"


def test_the_two_tokens_are_not_interchangeable(standing):
    sandbox, session = standing
    client = sandbox.client
    personal, own = bearer(session["personal_token"]), bearer(session["api_key"])

    assert client.get("/api/status", headers=personal).status_code == 401
    assert client.get("/api/whatsapp-sessions", headers=own).status_code == 401
    assert client.get("/api/status", headers=own).json() == {"status": "connected"}
    assert client.get("/api/whatsapp-sessions", headers=personal).status_code == 200


def test_a_body_without_its_fields_is_a_422_that_names_them(standing):
    sandbox, session = standing
    answer = sandbox.send(session)

    assert answer.status_code == 422
    assert answer.json() == {
        "success": False,
        "message": "Validation failed",
        "errors": {
            "to": ["The to field is required."],
            "text": ["The text field is required when no media is present."],
        },
    }


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({"to": "0177", "text": "a"}, "to"),
        ({"to": "33199000012", "text": "a"}, "to"),
        ({"to": "abc@g.us", "text": "a"}, "to"),
        ({"to": 33199000012, "text": "a"}, "to"),
        ({"to": AWA, "text": "  "}, "text"),
        ({"to": AWA, "text": ["a"]}, "text"),
        ({"to": AWA, "imageUrl": "javascript:alert(1)"}, "imageUrl"),
        (
            {"to": AWA, "imageUrl": "https://e.com/a.png", "audioUrl": "https://e.com/b"},
            "audioUrl",
        ),
        ({"to": AWA, "contact": {"name": "Awa"}}, "contact.phone"),
        ({"to": AWA, "location": {"latitude": 120, "longitude": 0}}, "location.latitude"),
        ({"to": AWA, "text": "a", "replyTo": "3EB0"}, "replyTo"),
        ({"to": AWA, "text": "a", "replyTo": 424242}, "replyTo"),
        ({"to": AWA, "text": "a", "replyTo": 10**30}, "replyTo"),
    ],
)
def test_a_wrong_field_is_a_422_that_names_it(standing, body, wrong):
    sandbox, session = standing
    answer = sandbox.send(session, **body)

    assert answer.status_code == 422
    assert list(answer.json()["errors"]) == [wrong]


def test_wrong_methods_types_and_addresses_are_refused(standing):
    sandbox, session = standing
    client, headers = sandbox.client, bearer(session["api_key"])
    form = client.post("/api/send-message", data={"to": AWA, "text": "a"}, headers=headers)
    json_headers = {**headers, "Content-Type": "application/json"}

    assert client.get("/api/send-message", headers=headers).status_code == 405
    assert form.status_code == 415
    for content in UNREADABLE:
        answer = client.post("/api/send-message", content=content, headers=json_headers)
        assert answer.status_code == 422
    for message_id in (999999, 10**30):
        answer = client.get(f"/api/messages/{message_id}/info", headers=headers)
        assert answer.status_code == 404
    assert client.get("/api/nothing", headers=headers).json()["success"] is False
    assert client.get("/api/status/", headers=headers).status_code == 404


def test_sending_too_fast_is_a_429_that_says_when_to_come_back(sandbox, hook):
    session = sandbox.create_session(hook, "--rate-limit", "2")
    sandbox.start()
    for _ in range(2):
        assert sandbox.send(session, to=AWA, text="a").status_code == 200

    answer = sandbox.send(session, to=AWA, text="a")

    assert answer.status_code == 429
    assert set(answer.json()) == {"message", "retry_after"}
    assert 0 < answer.json()["retry_after"] <= 60
    assert answer.headers["X-RateLimit-Limit"] == "2"
    assert answer.headers["X-RateLimit-Remaining"] == "0"
    assert int(answer.headers["X-RateLimit-Reset"]) >= int(time.time())


def test_other_names_for_this_machine_and_forms_of_other_pages_are_refused(standing):
    sandbox, _ = standing
    client = sandbox.client
    rebound = client.get("/phone/state", headers={"Host": "attacker.example"})
    form = client.post("/phone/customers/1/power", data={"on": "false"})

    assert rebound.status_code == 400
    assert rebound.headers["X-Simulation"] == "wasender"
    assert form.status_code == 415
    assert sandbox.state()["customers"][0]["on"] is True


# Sessions


def test_a_session_is_created_scanned_and_sends(sandbox, session, hook):
    client, personal = sandbox.client, bearer(session["personal_token"])
    settings = {
        "name": "Cabinet Diop",
        "phone_number": "+33199000002",
        "account_protection": False,
        "log_messages": True,
        "webhook_url": hook.url,
        "webhook_enabled": True,
        "webhook_events": ["message.sent", "session.status", "qrcode.updated"],
    }

    created = client.post("/api/whatsapp-sessions", json=settings, headers=personal).json()["data"]
    assert {name: created[name] for name in settings} == settings
    assert created["status"] == "disconnected"
    assert sandbox.send(created, to=AWA, text="a").status_code == 422

    path = f"/api/whatsapp-sessions/{created['id']}"
    code = client.post(f"{path}/connect", headers=personal).json()["data"]
    assert code["status"] == "NEED_SCAN"
    shown = client.get(f"{path}/qrcode", headers=personal).json()["data"]
    assert shown == {"qrCode": code["qrCode"]}
    client.post(f"/phone/sessions/{created['id']}/scan", json={})
    told = eventually(lambda: len(hook.of("session.status")) == 2 and hook.of("session.status"))
    assert [post.body["data"]["status"] for post in told] == ["need_scan", "connected"]
    assert hook.of("qrcode.updated")[0].body["data"]["qr"] == code["qrCode"]

    assert sandbox.send(created, to=AWA, text="a").status_code == 200
    eventually(lambda: hook.of("message.sent"))
    assert hook.posts[-1].signature == created["webhook_secret"]


def test_a_session_can_be_changed_rekeyed_disconnected_and_deleted(sandbox, session):
    client, personal = sandbox.client, bearer(session["personal_token"])
    path = f"/api/whatsapp-sessions/{session['id']}"

    changed = client.put(path, json={"webhook_events": []}, headers=personal).json()["data"]
    assert changed["webhook_events"] == []
    assert changed["webhook_url"] == session["webhook_url"]

    key = client.post(f"{path}/regenerate-key", headers=personal).json()["api_key"]
    assert client.get("/api/status", headers=bearer(session["api_key"])).status_code == 401

    assert client.post(f"{path}/restart", headers=personal).status_code == 200
    assert client.post(f"{path}/disconnect", headers=personal).status_code == 200
    assert client.get("/api/status", headers=bearer(key)).json() == {"status": "disconnected"}

    assert client.delete(path, headers=personal).json() == {"success": True}
    assert client.get(path, headers=personal).status_code == 404


def test_a_session_lists_without_its_secrets(standing):
    sandbox, session = standing
    personal = bearer(session["personal_token"])

    [listed] = sandbox.client.get("/api/whatsapp-sessions", headers=personal).json()["data"]

    assert listed["phone_number"] == BUSINESS
    assert "api_key" not in listed
    assert "webhook_secret" not in listed


def test_a_session_with_wrong_settings_is_a_422_that_names_them(standing):
    sandbox, session = standing
    personal = bearer(session["personal_token"])
    settings = {"name": "", "phone_number": BUSINESS[1:], "account_protection": "no"}

    answer = sandbox.client.post("/api/whatsapp-sessions", json=settings, headers=personal)

    assert answer.status_code == 422
    assert set(answer.json()["errors"]) == {
        "name",
        "phone_number",
        "account_protection",
        "log_messages",
    }


# The commands, the page, the disk


def test_create_session_keeps_the_keys_of_a_number(sandbox, hook):
    first = sandbox.create_session(hook)
    again = sandbox.command(
        "create-session",
        *("--name", "Maison Kelani & fils"),
        *("--phone", "+33 1 99 00 00 01"),
        *("--webhook-url", "http://127.0.0.1:9/elsewhere"),
    )

    assert again == {
        **first,
        "name": "Maison Kelani & fils",
        "webhook_url": "http://127.0.0.1:9/elsewhere",
    }
    assert first["status"] == "connected"


def test_create_session_is_seen_by_a_running_sandbox(sandbox, hook):
    sandbox.start()

    session = sandbox.create_session(hook)

    assert sandbox.send(session, to=AWA, text="a").status_code == 200


def test_add_customer_names_a_number(sandbox):
    first = sandbox.command("add-customer", "--name", "Inès", "--phone", "+33199000055")
    again = sandbox.command("add-customer", "--name", "Inès Haddad", "--phone", "+33199000055")

    assert again == {**first, "name": "Inès Haddad"}


def test_secrets_are_readable_by_their_owner_only(sandbox, hook):
    sandbox.create_session(hook)

    modes = {
        name: stat.S_IMODE((sandbox.data_dir / name).stat().st_mode)
        for name in ("personal_token", "sandbox.sqlite3")
    }

    assert modes == {"personal_token": 0o600, "sandbox.sqlite3": 0o600}


def test_a_wrong_port_is_refused_by_name(sandbox):
    done = subprocess.run(
        [sys.executable, "-m", "messaging.sandbox"],
        env={**sandbox.environment, "SANDBOX_PORT": "none"},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 2
    assert "SANDBOX_PORT" in done.stderr


def test_a_restart_keeps_chats_and_finishes_what_was_on_its_way(sandbox, session, hook):
    awa = sandbox.customer(AWA)
    sandbox.say(awa, session, "Bonjour")
    eventually(lambda: hook.of("messages.received"))
    sandbox.switch(awa, on=False)
    sandbox.send(session, to=AWA, text="À demain")
    eventually(lambda: hook.statuses() == [2])
    sandbox.stop()

    sandbox.start()
    assert [message["text"] for message in sandbox.chat(awa, session)] == ["Bonjour"]
    assert sandbox.customer(AWA)["on"] is False
    sandbox.switch(awa, on=True)

    eventually(lambda: hook.statuses() == [2, 3])
    texts = [message["text"] for message in sandbox.chat(awa, session)]
    assert texts == ["Bonjour", "À demain"]
    assert len(hook.of("messages.received")) == 1


def test_a_stop_does_not_wait_for_open_pages(sandbox, session):
    with sandbox.looking_at(sandbox.customer(AWA), session):
        started = time.monotonic()
        sandbox.stop()

    assert time.monotonic() - started < 4


@pytest.mark.parametrize(
    ("query", "headers", "language", "ribbon"),
    [
        ("", {}, "fr", "aucun message ne part sur WhatsApp"),
        ("", {"Accept-Language": "en-GB,en;q=0.9"}, "en", "nothing leaves for WhatsApp"),
        ("", {"Accept-Language": "de,fr;q=0.5"}, "fr", "aucun message ne part sur WhatsApp"),
        ("?lang=en", {"Accept-Language": "fr"}, "en", "nothing leaves for WhatsApp"),
    ],
)
def test_the_page_speaks_two_languages_and_says_what_it_is(
    standing, query, headers, language, ribbon
):
    sandbox, _ = standing
    page = sandbox.client.get(f"/phone{query}", headers=headers)

    assert f'<html lang="{language}"' in page.text
    assert ribbon in page.text
    assert page.headers["X-Simulation"] == "wasender"
    assert "'unsafe" not in page.headers["Content-Security-Policy"]
    assert "<style" not in page.text
    assert 'style="' not in page.text


def test_the_root_leads_to_the_phone(standing):
    sandbox, _ = standing
    answer = sandbox.client.get("/")

    assert (answer.status_code, answer.headers["Location"]) == (307, "/phone")


# Files, and messages that are there


PDF = {"name": "facture.pdf", "mimetype": "application/pdf", "base64": "JVBERg=="}


def test_a_picked_file_is_told_encrypted_and_opens_through_decrypt_media(sandbox, session, hook):
    headers = bearer(session["api_key"])
    sandbox.say(sandbox.customer(AWA), session, "La facture", file=PDF)
    message = eventually(lambda: hook.of("messages.received"))[0].body["data"]["messages"]
    part = message["message"]["documentMessage"]

    assert (part["fileName"], part["fileLength"], part["caption"]) == (
        "facture.pdf",
        "4",
        "La facture",
    )
    body = {"data": {"messages": {"key": message["key"], "message": message["message"]}}}
    answer = sandbox.client.post("/api/decrypt-media", json=body, headers=headers).json()

    assert list(answer) == ["publicUrl"]
    file = sandbox.client.get(answer["publicUrl"])
    assert (file.content, file.headers["content-type"]) == (b"%PDF", "application/pdf")
    assert sandbox.client.get(f"{sandbox.url}/media/unknown").status_code == 404


def test_an_upload_answers_with_an_address_that_can_be_sent(sandbox, session, hook):
    headers = bearer(session["api_key"])
    body = {"base64": "aGVsbG8=", "mimetype": "image/png"}

    url = sandbox.client.post("/api/upload", json=body, headers=headers).json()["publicUrl"]

    assert sandbox.client.get(url).content == b"hello"
    assert sandbox.send(session, to=AWA, imageUrl=url).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "wrong"),
    [
        ("/api/upload", {"mimetype": "image/png"}, "base64"),
        ("/api/upload", {"base64": "a b", "mimetype": "image/png"}, "base64"),
        ("/api/upload", {"base64": "aGVsbG8="}, "mimetype"),
        ("/api/decrypt-media", {"data": {"messages": {"key": {"id": "a"}}}},
         "data.messages.message"),
        ("/api/messages/read", {"key": {"id": "a"}}, "key"),
    ],
)  # fmt: skip
def test_a_wrong_file_or_key_is_a_422_that_names_it(standing, path, body, wrong):
    sandbox, session = standing
    answer = sandbox.client.post(path, json=body, headers=bearer(session["api_key"]))

    assert answer.status_code == 422
    assert list(answer.json()["errors"]) == [wrong]


def test_a_message_of_the_business_is_edited_and_taken_back(sandbox, session, hook):
    headers = bearer(session["api_key"])
    awa = sandbox.customer(AWA)
    number = sandbox.send(session, to=AWA, text="Oui").json()["data"]["msgId"]
    eventually(lambda: sandbox.chat(awa, session))
    path = f"/api/messages/{number}"

    assert sandbox.client.put(path, json={"text": "Non"}, headers=headers).status_code == 200
    assert sandbox.chat(awa, session)[0]["text"] == "Non"
    assert sandbox.client.delete(path, headers=headers).status_code == 200
    assert sandbox.chat(awa, session)[0]["deleted"] is True
    assert sandbox.client.put(path, json={"text": "Si"}, headers=headers).status_code == 422
    assert sandbox.client.delete("/api/messages/1", headers=headers).status_code == 404


def test_a_customer_sees_that_the_business_has_read(sandbox, session, hook):
    awa = sandbox.customer(AWA)
    said = sandbox.say(awa, session, "Bonjour")
    key = {"id": said["key"], "remoteJid": "221770000012@s.whatsapp.net", "fromMe": False}
    headers = bearer(session["api_key"])

    read = sandbox.client.post("/api/messages/read", json={"key": key}, headers=headers)
    unknown = sandbox.client.post(
        "/api/messages/read", json={"key": {**key, "id": "x"}}, headers=headers
    )

    assert (read.status_code, unknown.status_code) == (200, 404)
    assert sandbox.chat(awa, session)[0]["status"] == 4


# The adapter against the sandbox: neither was written from the other


def test_the_adapter_and_the_sandbox_understand_each_other(sandbox, session, hook):
    wasender = providers.get("wasender")
    secrets = {name: session[name] for name in ("api_key", "webhook_secret", "personal_token")}
    settings = {"api_url": session["api_url"], "session_id": str(session["id"])}
    via = Via(1, "reference", BUSINESS, settings, secrets, sandbox.client)
    sandbox.say(sandbox.customer(AWA), session, "La facture", file=PDF)
    post = eventually(lambda: hook.of("messages.received"))[0]
    [event] = wasender.parse(Posted(body=post.raw), "reference")

    media = wasender.fetch_media(event.attachments[0].reference, via, limit=100)
    with media.file:
        assert (media.file.read(), media.mime_type) == (b"%PDF", "application/pdf")
    chat = f"{AWA.removeprefix('+')}@s.whatsapp.net"
    wasender.mark_read(Known(external_id=event.external_id, chat=chat), via)

    picture = File("image/png", content=b"png")
    sent = wasender.send(Outgoing("1", AWA, "Voici", Kind.IMAGE, file=picture), via)
    answer = wasender.send(Outgoing("2", AWA, "Oui", reply_to_number=sent.provider_number), via)
    eventually(lambda: wasender.find_sent(via, answer.provider_number).status)
    ours = Known(provider_number=answer.provider_number)
    wasender.edit(ours, "Non", via)
    wasender.delete(ours, via)

    assert wasender.configure_webhook(via, hook.url).values["api_key"] == session["api_key"]
    assert [found.address for found in wasender.instances(via)] == [BUSINESS]
    assert wasender.restart(via).state is Connection.CONNECTED
    assert wasender.disconnect(via).state is Connection.DISCONNECTED
    assert wasender.connect(via).qr == wasender.qr(via)
    assert wasender.regenerate_key(via)["api_key"] != session["api_key"]
