"""Unipile's webhooks become events, and its answers become outcomes, in both versions."""

import json
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amda import http
from messaging.events import (
    Attachment,
    Connection,
    Deleted,
    Edited,
    Event,
    Ignored,
    InstanceChanged,
    Kind,
    Person,
    Reacted,
    Received,
    Status,
    StatusChanged,
    Unlisted,
)
from messaging.providers import get
from messaging.providers.base import (
    BadPayload,
    BadSignature,
    Blame,
    Candidate,
    File,
    Hook,
    InstanceRef,
    InstanceState,
    Outgoing,
    SendError,
    Via,
)
from messaging.providers.signatures import hmac_sha256_hex
from tests.fakes import serving
from tests.fakes import unipile as fake_module

FIXTURES = Path(__file__).parents[2] / "fixtures" / "webhooks" / "unipile"
ACCOUNT = fake_module.ACCOUNT
SECRETS = {"api_key": fake_module.KEY, "webhook_secret": "hook-s3cret"}
T0 = datetime.fromtimestamp(1760000000, UTC)
T1 = T0 + timedelta(seconds=1)

AWA = Person(phone="33612345678", name="Awa Diop")
BINTA = Person(phone="221771112233", name="Binta")
LID = Person(lid="77001122334455@lid", name="Awa Diop")

unipile = get("unipile")


def load(name: str) -> Hook:
    return Hook(body=(FIXTURES / f"{name}.json").read_bytes(), vendor="vendor_001")


def parse(name: str) -> list[Event]:
    return unipile.parse(load(name), ACCOUNT)


def said(message_id: str, text: str = "", kind: Kind = Kind.TEXT, **more) -> Received:
    facts = {"instance_ref": ACCOUNT, "at": T0, "person": AWA, **more}
    return Received(event_id=message_id, external_id=message_id, kind=kind, text=text, **facts)


def file(message_id: str, file_id: str, kind: Kind, mime: str, name="", **more) -> Attachment:
    facts = {"size": None, "chat_id": "chat1", "unavailable": False, **more}
    reference = {
        "message_id": message_id,
        "chat_id": facts["chat_id"],
        "attachment_id": file_id,
        "mimetype": mime,
        "filename": name,
        "unavailable": facts["unavailable"],
    }
    return Attachment(
        kind=kind, mime_type=mime, file_name=name, size=facts["size"], reference=reference
    )


def with_files(message_id: str, *files: Attachment, text: str = "") -> Received:
    return said(message_id, text, files[0].kind, attachments=files)


def told(status: Status, message_id: str = "U30", at=T0) -> StatusChanged:
    event_id = f"{message_id}:status:{status}"
    return StatusChanged(
        event_id=event_id, instance_ref=ACCOUNT, at=at, status=status, external_id=message_id
    )


def deleted(message_id: str, at=T0) -> Deleted:
    return Deleted(
        event_id=f"{message_id}:deleted", instance_ref=ACCOUNT, at=at, external_id=message_id
    )


def reacted(target: str, emoji: str, who: str = "33612345678", **more) -> Reacted:
    return Reacted(
        event_id=f"{target}:reaction:{who}:{emoji}:1760000000",
        instance_ref=ACCOUNT,
        at=T0,
        external_id=target,
        emoji=emoji,
        **{"person": AWA, **more},
    )


@dataclass(frozen=True)
class Case:
    fixture: str
    event: Event

    def __str__(self) -> str:
        return self.fixture


IN = "message_received__"
NEW = "v2_message_new__"
QUESTION = "Bonjour, avez-vous la robe en bleu ?"
OURS = Person(phone="221700000001", name="Maison Kelani")
GROUP = "chat1@chats.unipile"

CASES = [
    Case(IN + "text", said("U1", QUESTION)),
    Case(IN + "quote", said("U2", "Celle-ci", reply_to="U30")),
    Case(
        IN + "image",
        with_files("U3", file("U3", "f1", Kind.IMAGE, "image/jpeg", size=20480), text="En photo"),
    ),
    Case(
        IN + "object_attachment", with_files("U4", file("U4", "f2", Kind.STICKER, "image/webp"))
    ),
    Case(
        IN + "voice", with_files("U5", file("U5", "f3", Kind.VOICE, "audio/ogg; codecs=opus"))
    ),
    Case(IN + "audio", with_files("U6", file("U6", "f4", Kind.AUDIO, "audio/mpeg"))),
    Case(
        IN + "two_files",
        with_files(
            "U7",
            file("U7", "f5", Kind.DOCUMENT, "application/pdf", "a.pdf"),
            file("U7", "f6", Kind.DOCUMENT, "application/pdf", "b.pdf"),
            text="Les factures",
        ),
    ),
    Case(
        IN + "video_gone",
        with_files("U8", file("U8", "f7", Kind.VIDEO, "video/mp4", unavailable=True)),
    ),
    Case(IN + "without_words", said("U9", "", Kind.PLACEHOLDER)),
    Case(IN + "lid_only", said("U10", "Et en rouge ?", person=LID)),
    Case(
        IN + "lid_with_phone", said("U11", "Et en vert ?", person=replace(LID, phone=AWA.phone))
    ),
    Case(IN + "group", said("U12", "Qui vient ?", person=BINTA, group=GROUP)),
    Case(IN + "group_by_its_chat", said("U13", "Qui vient ?", person=BINTA, group=GROUP)),
    Case(IN + "from_us", said("U30", "Oui, en bleu.", from_us=True)),
    Case(
        IN + "from_us_to_group",
        said("U31", "À tous", from_us=True, person=Person(), group=GROUP),
    ),
    Case(IN + "from_us_to_nobody", told(Status.SENT, "U32")),
    Case(IN + "by_is_sender", said("U33", "Je vous rappelle", from_us=True)),
    Case(IN + "unstorable_text", said("U15", "a\ufffdb\ufffdc")),
    Case("message_deleted__withdrawn", deleted("U1")),
    Case("message_delivered__delivered", told(Status.DELIVERED)),
    Case("message_read__read", told(Status.READ)),
    Case("message_reaction__set", reacted("U30", "😄")),
    Case("message_reaction__removed", reacted("U30", "")),
    Case("message_reaction__ours", reacted("U30", "❤️", "us", person=OURS, from_us=True)),
    Case(NEW + "text", said("V1", QUESTION)),
    Case(NEW + "nested", said("V2", QUESTION)),
    Case(
        NEW + "image",
        with_files(
            "V3", file("V3", "f8", Kind.IMAGE, "image/jpeg", "a.jpg",
                       chat_id="33612345678@s.whatsapp.net")
        ),
    ),
    Case(
        NEW + "from_us",
        said("V30", "Oui, en bleu.", from_us=True, person=Person(phone="33612345678")),
    ),
    Case(NEW + "group", said("V4", "Qui vient ?", group="120363000000000001@g.us")),
    Case(NEW + "lid", said("V5", QUESTION, person=LID)),
    Case("v2_message_update__deleted", deleted("V1")),
    Case("v2_message_delete__withdrawn", deleted("V1", T1)),
    Case("v2_message_receipt_read__read", told(Status.READ, "V30")),
    Case("v2_message_receipt_delivery__delivered", told(Status.DELIVERED, "V30")),
    Case("v2_message_reaction_new__set", reacted("V30", "😄")),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_parse(case):
    assert parse(case.fixture) == [case.event]


@pytest.mark.parametrize(
    ("fixture", "target"),
    [("message_edited__new_text", "U1"), ("v2_message_update__edited", "V1")],
)
def test_an_edit_names_the_message_it_changes(fixture, target):
    [event] = parse(fixture)

    assert isinstance(event, Edited)
    assert (event.external_id, event.text) == (target, "En vert plutôt")
    assert event.event_id.startswith(f"{target}:edited:")


@pytest.mark.parametrize(
    ("fixture", "state", "reason", "at"),
    [
        ("account_status__ok", Connection.CONNECTED, "", None),
        ("account_status__reconnected", Connection.CONNECTED, "", None),
        ("account_status__connecting", Connection.PENDING, "connecting", None),
        ("account_status__credentials", Connection.DISCONNECTED, "credentials", None),
        ("account_status__stopped", Connection.DISCONNECTED, "stopped", None),
        ("account_status__deleted", Connection.DISCONNECTED, "deleted", None),
        ("v2_account_status_running__now", Connection.CONNECTED, "", T0),
        ("v2_account_status_disconnected__now", Connection.DISCONNECTED, "", T0),
        ("v2_account_status_errored__now", Connection.DISCONNECTED, "errored", T0),
        ("v2_account_status_paused__now", Connection.DISCONNECTED, "paused", T0),
        ("v2_account_reconnect__scanned", Connection.CONNECTED, "", T0),
        ("v2_account_remove__gone", Connection.DISCONNECTED, "remove", T1),
    ],
)
def test_the_state_of_the_account_is_told(fixture, state, reason, at):
    [event] = parse(fixture)

    assert event == InstanceChanged(
        event_id=event.event_id, instance_ref=ACCOUNT, at=at, state=state, reason=reason
    )


@pytest.mark.parametrize(
    ("fixture", "reason"),
    [
        (IN + "story", "story"),
        (IN + "chat_event", "chat event"),
        ("v2_message_update__seen", "same text"),
        ("mail_received__text", "mail"),
        ("new_relation__accepted", "relation"),
        ("v2_email_new__received", "mail"),
        ("v2_account_initial_sync_running__started", "synchronisation"),
        ("v2_calendar_event_new__planned", "calendar"),
        ("v2_call_started__started", "call"),
        ("v2_chat_update__renamed", "chat list"),
        ("v2_tracking_open__opened", "tracking"),
        ("v2_relation_request_accept__accepted", "relation"),
    ],
)
def test_only_listed_kinds_are_ignored(fixture, reason):
    [event] = parse(fixture)

    assert event == Ignored(
        event_id=event.event_id, instance_ref=ACCOUNT, at=event.at, reason=reason
    )


@pytest.mark.parametrize(
    ("fixture", "name"),
    [
        (IN + "linkedin", "message_received LINKEDIN"),
        (IN + "without_id", "message_received"),
        (NEW + "empty", "message.new"),
        ("v2_story_new__surprise", "story.new"),
        ("account_status__dreaming", "AccountStatus"),
        ("message_reaction__by_nobody", "message_reaction"),
    ],
)
def test_what_no_table_lists_stays_visible(fixture, name):
    [event] = parse(fixture)

    assert event == Unlisted(event_id=event.event_id, instance_ref=ACCOUNT, at=event.at, name=name)


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{}", b"\xff\xfe", b'{"a":' + b"[" * 500])
def test_what_cannot_be_read_says_so(body):
    with pytest.raises(BadPayload):
        unipile.parse(Hook(body=body), ACCOUNT)


NAMES = st.sampled_from(
    "event type payload account_id account_type account_info user_id chat_id provider_chat_id "
    "message_id message id text timestamp sender attendees attendee_provider_id attendee_name "
    "attachments mimetype quoted reaction reaction_sender is_sender is_group is_edited is_deleted "
    "AccountStatus created_at".split()
)
WORDS = st.sampled_from(
    "message_received message_edited message_deleted message_reaction message_read message.new "
    "message.update message.reaction.new account.status.running OK CREDENTIALS WHATSAPP LINKEDIN "
    "33612345678@s.whatsapp.net 1@lid 1@g.us status@broadcast".split()
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | WORDS
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=40,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(("event", "type"), WORDS),
            **dict.fromkeys(("payload", "AccountStatus", "sender", "attendees", "message"), VALUES),
            **dict.fromkeys(("message_id", "timestamp", "account_id", "attachments"), VALUES),
        },
    )
)
def test_any_json_is_read_or_refused(envelope):
    hook = Hook(body=json.dumps(envelope).encode(), vendor="v")

    assert unipile.route(hook) == [InstanceRef(vendor="v")]
    try:
        events = unipile.parse(hook, ACCOUNT)
    except BadPayload:
        return
    assert events
    assert "\\u0000" not in json.dumps([event.raw for event in events], allow_nan=False)


# Whose it is

BODY = b'{"id":"evt_1","type":"message.new","account_id":"acc_1","payload":{}}'
# Made once by the scheme that two public implementations agree on, and kept.
VECTOR = "t=1700000000,v0=0c7911649cea0c4ef967143f6cf6b3d4a1ee0460cc391b7cdbbf836115c94934"


def candidate(reference: str, *secrets: str, version: str = "v1", instance_id: int = 1):
    sets = tuple({"webhook_secret": secret} for secret in secrets)
    return Candidate(instance_id, 1, reference, {"version": version}, sets)


def by_header(secret: str, body: bytes = b"{}") -> Hook:
    return Hook(body=body, headers={"unipile-auth": secret}, vendor="vendor_001")


def by_signature(signature: str, body: bytes = BODY) -> Hook:
    return Hook(body=body, headers={"unipile-signature": signature}, vendor="vendor_001")


def signature(secret: str, time: str = "1700000000", body: bytes = BODY) -> str:
    return f"t={time},v0={hmac_sha256_hex(secret, time.encode() + b'.' + body)}"


V1 = candidate("acc_1", "s3cret")
V2 = candidate("acc_1", "whsec", version="v2")
OTHER = candidate("acc_2", "another", instance_id=2)


@pytest.mark.parametrize(
    ("hook", "meant"),
    [
        (by_header("s3cret"), V1),
        (by_header("s3cret"), candidate("acc_1", "new", "s3cret")),
        (by_header("s3cret"), replace(V1, settings={})),
        (by_signature(VECTOR), V2),
        (by_signature(VECTOR.replace(",v0", ", v0")), V2),
        (by_signature(signature("whsec")), candidate("acc_1", "new", "whsec", version="v2")),
    ],
)
def test_the_instance_whose_secret_signed_is_meant(hook, meant):
    assert unipile.verify(hook, [OTHER, meant]) == [meant]


@pytest.mark.parametrize(
    ("hook", "meant"),
    [
        (Hook(body=b"{}"), V1),
        (by_header(""), V1),
        (by_header("S3CRET"), V1),
        (by_header("\udcff\x00"), V1),
        (by_header(""), candidate("acc_1", "")),
        (by_header("s3cret"), candidate("acc_1")),
        (by_header("whsec"), V2),
        (by_signature(signature("s3cret")), V1),
        (by_signature(VECTOR, BODY + b" "), V2),
        (by_signature(VECTOR.replace("t=17", "t=18")), V2),
        (by_signature(VECTOR.partition(",")[2]), V2),
        (by_signature(signature("")), candidate("acc_1", "", version="v2")),
        (by_signature("t=,v0="), V2),
    ],
)
def test_every_other_post_is_refused(hook, meant):
    with pytest.raises(BadSignature) as refused:
        unipile.verify(hook, [OTHER, meant])

    assert "s3cret" not in str(refused.value)


def test_a_webhook_for_all_accounts_is_told_to_the_one_it_is_about():
    mine, sister = candidate("acc_1", "shared"), candidate("acc_2", "shared", instance_id=2)

    about = [unipile.verify(by_header("shared", body), [mine, sister]) for body in (
        b'{"account_id":"acc_2","event":"message_received"}',
        b'{"AccountStatus":{"account_id":"acc_1"}}',
        b'{"account_id":"acc_of_somebody_else"}',
        b"not json",
    )]  # fmt: skip

    assert about == [[sister], [mine], [], [mine]]


# Calls, answered in the test

OUTGOING = Outgoing(reference="1", to="+33612345678", text="Bonjour é")
SETTINGS = {"dsn": "api8.unipile.com:13443", "account_id": ACCOUNT, "version": "v1"}


class Server:
    """Answers every call alike and keeps it."""

    def __init__(self, status=200, body=None, error=None):
        self.status, self.body, self.error = status, body, error
        self.calls: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(request)
        if self.error:
            raise self.error
        content = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        return httpx.Response(self.status, content=content)

    def via(self, **changes) -> Via:
        client = httpx.Client(transport=httpx.MockTransport(self))
        return replace(Via(1, ACCOUNT, "+221700000001", SETTINGS, SECRETS, client), **changes)


def refusal(server: Server, call=lambda via: unipile.send(OUTGOING, via), **changes) -> SendError:
    with pytest.raises(SendError) as refused:
        call(server.via(**changes))
    printed = "".join(traceback.format_exception(refused.value))
    assert not any(secret in printed for secret in SECRETS.values())
    return refused.value


def outcome(error: SendError) -> tuple:
    return error.code, error.retry, error.blame, error.unknown


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        ({}, "https://api8.unipile.com:13443/api/v1/chats"),
        ({"dsn": "https://api8.unipile.com:13443/"}, "https://api8.unipile.com:13443/api/v1/chats"),
        ({"dsn": "127.0.0.1:9"}, "http://127.0.0.1:9/api/v1/chats"),
        ({"dsn": "localhost:9"}, "http://localhost:9/api/v1/chats"),
        (
            {"dsn": "", "version": "v2"},
            f"https://api.unipile.com/v2/{ACCOUNT}/chats/33612345678%40s.whatsapp.net/messages/send",
        ),
    ],
)
def test_each_version_lives_elsewhere(settings, address):
    server = Server(body={"message_id": "UNI1"})

    unipile.send(OUTGOING, server.via(settings=SETTINGS | settings))

    assert str(server.calls[0].url) == address
    assert server.calls[0].headers["x-api-key"] == SECRETS["api_key"]


@pytest.mark.parametrize(
    ("settings", "secrets", "code"),
    [
        ({"dsn": ""}, {}, "bad_dsn"),
        ({"dsn": "api8.unipile.com/../x"}, {}, "bad_dsn"),
        ({"dsn": "user@elsewhere.test"}, {}, "bad_dsn"),
        ({}, {"api_key": "a\nb"}, "bad_api_key"),
    ],
)
def test_an_address_is_only_a_host_and_a_port(settings, secrets, code):
    server = Server()

    error = refusal(server, settings=SETTINGS | settings, secrets=SECRETS | secrets)

    assert outcome(error) == (code, False, Blame.ACCOUNT, False)
    assert server.calls == []


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"dsn": "api8.unipile.com:13443"}, []),
        ({"dsn": "api8.unipile.com:13443", "version": "v1"}, []),
        ({"version": "v2"}, []),
        ({"version": "v1"}, ["dsn"]),
        ({}, ["dsn"]),
        ({"dsn": "not a host"}, ["dsn"]),
    ],
)
def test_the_first_version_needs_its_server(values, wrong):
    assert list(unipile.complaints(values)) == wrong


@pytest.mark.parametrize(
    ("error", "retry"),
    [(httpx.ConnectError("no"), True), (httpx.ReadTimeout("no"), False)],
)
def test_a_request_that_left_is_never_sent_again_blindly(error, retry):
    failed = refusal(Server(error=error))

    assert (failed.retry, failed.unknown) == (retry, not retry)


@pytest.mark.parametrize("kind", [Kind.LOCATION, Kind.CONTACT, Kind.POLL, Kind.IMAGE])
def test_what_it_cannot_send_is_refused_without_asking(kind):
    server = Server()
    linked = File("image/png", url="https://files.test/a.png")

    error = refusal(
        server, lambda via: unipile.send(replace(OUTGOING, kind=kind, file=linked), via)
    )

    assert (error.retry, error.blame, server.calls) == (False, Blame.MESSAGE, [])


# Calls to the stand-in for Unipile's servers


@pytest.fixture(scope="module")
def fake() -> Iterator[serving.Fake]:
    with serving.running("tests.fakes.unipile") as running:
        yield running


@pytest.fixture(params=["v1", "v2"])
def via(request, fake) -> Iterator[Via]:
    fake.set(status="OK", status_v2="running", connected=True, busy=False, unreachable=[],
             files={}, webhooks=[], chats_v2=[PERSON], keeps_webhooks=True)  # fmt: skip
    settings = {"account_id": ACCOUNT, "dsn": fake.url, "version": request.param}
    with http.client() as client:
        yield Via(1, ACCOUNT, "+221700000001", settings, SECRETS, client, webhooks={"": URL})


PERSON = "33612345678@s.whatsapp.net"
URL = "https://amda.test/api/webhooks/unipile/vendor_001"
PNG = File("image/png", "a.png", content=b"\x89PNG\x00\xff")


def sent_to(fake) -> str:
    return fake.calls()[-1]["path"]


@pytest.mark.parametrize("address", ["+33612345678", "33612345678@c.us"])
def test_a_text_is_sent_to_a_person(fake, via, address):
    sent = unipile.send(replace(OUTGOING, to=address), via)

    body = fake.calls()[-1]["body"]
    assert sent.external_id.startswith("UNI")
    if via.settings["version"] == "v1":
        assert sent_to(fake) == "/api/v1/chats"
        assert all(each in body for each in (ACCOUNT, PERSON, "Bonjour é"))
    else:
        assert sent_to(fake) == f"/v2/{ACCOUNT}/chats/33612345678%40s.whatsapp.net/messages/send"
        assert json.loads(body) == {"text": "Bonjour é"}


def test_a_person_without_a_chat_gets_one(fake, via):
    fake.set(chats_v2=[])

    sent = unipile.send(replace(OUTGOING, to="77001122334455@lid"), via)

    assert sent.external_id.startswith("UNI")
    if via.settings["version"] == "v2":
        assert sent_to(fake) == f"/v2/{ACCOUNT}/chats/send"
        assert json.loads(fake.calls()[-1]["body"])["users_ids"] == ["77001122334455@lid"]


@pytest.mark.parametrize(
    "kind", [Kind.IMAGE, Kind.VIDEO, Kind.AUDIO, Kind.VOICE, Kind.DOCUMENT, Kind.STICKER]
)
def test_a_file_is_sent_with_its_content(fake, via, kind):
    sent = unipile.send(replace(OUTGOING, kind=kind, file=PNG), via)

    assert sent.external_id.startswith("UNI")
    if via.settings["version"] == "v2":
        [file] = json.loads(fake.calls()[-1]["body"])["attachments"]
        assert file == {"content": "iVBORwD/", "content_type": "image/png", "filename": "a.png"}


def test_a_quote_goes_into_the_chat_it_is_from(fake, via):
    sent = unipile.send(replace(OUTGOING, reply_to="U1"), via)

    last = fake.calls()[-1]
    assert sent.external_id.startswith("UNI")
    assert last["path"].endswith("/messages" if via.settings["version"] == "v1" else "/send")
    assert "U1" in last["body"]


def test_an_answer_matters_more_than_a_quote_that_is_gone(fake, via):
    if via.settings["version"] == "v1":
        assert unipile.send(replace(OUTGOING, reply_to="U404"), via).external_id
        assert sent_to(fake) == "/api/v1/chats"


def test_a_group_is_written_to_in_its_chat(fake, via):
    group = GROUP if via.settings["version"] == "v1" else "120363000000000001@g.us"
    fake.set(chats_v2=[group])

    assert unipile.send(replace(OUTGOING, to=group), via).external_id.startswith("UNI")
    assert sent_to(fake) in (
        "/api/v1/chats/chat1/messages",
        f"/v2/{ACCOUNT}/chats/120363000000000001%40g.us/messages/send",
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"connected": False}, ("not_connected", True, Blame.ACCOUNT, False)),
        ({"unreachable": [PERSON]}, ("recipient", False, Blame.RECIPIENT, False)),
        ({"busy": True}, ("rate_limited", True, Blame.PROVIDER, False)),
    ],
)
def test_a_refusal_is_judged_by_its_type(fake, via, changes, expected):
    fake.set(**changes)

    with pytest.raises(SendError) as refused:
        unipile.send(OUTGOING, via)

    assert outcome(refused.value) == expected


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"secrets": {"api_key": "wrong"}}, "missing_credentials"),
        ({"reference": "acc_x"}, "not_found"),
    ],
)
def test_a_stranger_is_told_apart(via, changes, code):
    settings = {**via.settings, "account_id": changes.get("reference", ACCOUNT)}

    with pytest.raises(SendError) as refused:
        unipile.send(OUTGOING, replace(via, settings=settings, **changes))

    assert (refused.value.code, refused.value.blame) == (code, Blame.ACCOUNT)


@pytest.mark.parametrize(
    ("word", "word_v2", "expected"),
    [
        ("OK", "running", InstanceState(Connection.CONNECTED)),
        ("ERROR", "error", InstanceState(Connection.DISCONNECTED, "error")),
    ],
)
def test_check_asks_for_the_state(fake, via, word, word_v2, expected):
    fake.set(status=word, status_v2=word_v2)

    assert unipile.check(via) == expected


def test_the_worst_source_says_how_the_account_is():
    sources = [{"status": "OK"}, {"status": "CREDENTIALS"}, {"status": "CONNECTING"}]
    server = Server(body={"object": "Account", "sources": sources})

    assert unipile.check(server.via()) == InstanceState(Connection.DISCONNECTED, "credentials")
    assert refusal(Server(body={"sources": [{"status": "DREAMING"}]}), unipile.check).code == (
        "unknown_state"
    )


def test_a_page_to_link_the_phone_is_asked_for(fake, via):
    until = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)

    link = unipile.login_link(via, back_url="https://shop.test/", until=until)

    assert link.startswith("https://")
    body = json.loads(fake.calls()[-1]["body"])
    assert "2026-03-02T10:00:00.000Z" in (body.get("expiresOn"), body.get("expires_on"))
    assert ACCOUNT in (body.get("reconnect_account"), body.get("account_id"))


def test_webhooks_are_made_once_and_read_back(fake, via):
    first = unipile.configure_webhook(via, URL)
    again = unipile.configure_webhook(via, URL)

    is_v2 = via.settings["version"] == "v2"
    assert (again.url, again.enabled) == (URL, True)
    assert again.events == first.events
    assert again.values == ({"webhook_secret": "whsec-of-the-endpoint"} if is_v2 else {})
    assert "whsec" not in repr(again)
    assert unipile.read_webhook(via).url == URL
    made = [call for call in fake.calls()[-8:] if call["method"] == "POST"]
    assert all(ACCOUNT in call["body"] for call in made)
    if not is_v2:
        assert all('"Unipile-Auth"' in call["body"] for call in made)


def test_a_yes_that_kept_nothing_is_an_error(fake, via):
    fake.set(keeps_webhooks=False)

    with pytest.raises(SendError) as refused:
        unipile.configure_webhook(via, URL)

    assert refused.value.code == "webhook_not_kept"


def test_without_webhook_nothing_is_posted(via):
    kept = unipile.read_webhook(via)

    assert (kept.url, kept.enabled, kept.events) == ("", False, ())


# Files

REFERENCE = {"message_id": "U3", "attachment_id": "f1", "chat_id": PERSON,
             "mimetype": "image/jpeg", "filename": "a.jpg", "unavailable": False}  # fmt: skip


def test_a_file_is_fetched_through_the_api(fake, via):
    fake.set(files={"f1": "jpeg"})

    media = unipile.fetch_media(REFERENCE, via, limit=100)

    with media.file:
        assert media.file.read() == b"jpeg"
    assert (media.mime_type, media.file_name, media.size) == ("image/jpeg", "a.jpg", 4)


def test_a_file_is_never_read_further_than_allowed(fake, via):
    fake.set(files={"f1": "a" * 500})

    with pytest.raises(SendError) as refused:
        unipile.fetch_media(REFERENCE, via, limit=100)

    assert refused.value.code == "too_large"


def test_a_file_that_is_gone_has_ended(via):
    with pytest.raises(SendError) as refused:
        unipile.fetch_media(REFERENCE, via, limit=100)
    assert outcome(refused.value) == ("expired", False, Blame.MESSAGE, False)

    server = Server()
    gone = REFERENCE | {"unavailable": True}
    error = refusal(server, lambda via: unipile.fetch_media(gone, via, limit=100))
    assert (error.code, server.calls) == ("expired", [])
