"""Wasender's webhooks become events, and its answers become outcomes."""

import hashlib
import json
import logging
import traceback
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    Card,
    File,
    Found,
    Hook,
    InstanceRef,
    InstanceState,
    Known,
    Outgoing,
    Place,
    Poll,
    SendError,
    Sent,
    Via,
)
from messaging.providers.signatures import hmac_sha256_hex

FIXTURES = Path(__file__).parents[2] / "fixtures" / "webhooks" / "wasender"
REFERENCE = "session-7"
T0 = datetime.fromtimestamp(1760000000, UTC)
T1 = T0 + timedelta(seconds=1)
T_UPDATE = T0 + timedelta(milliseconds=250)

AWA = Person(phone="33612345678", lid="77001122334455@lid", name="Awa Diop")
CUSTOMER = Person(phone="33612345678")
GROUP = "120363000000000001@g.us"

wasender = get("wasender")


def load(name: str) -> Hook:
    return Hook(body=(FIXTURES / f"{name}.json").read_bytes(), vendor="vendor_001")


def parse(name: str) -> list[Event]:
    return wasender.parse(load(name), REFERENCE)


def said(message_id: str, kind: Kind, text: str = "", **more) -> Received:
    facts = {"instance_ref": REFERENCE, "at": T0, "person": CUSTOMER, **more}
    return Received(event_id=message_id, external_id=message_id, kind=kind, text=text, **facts)


def file(message_id: str, part: str, kind: Kind, content: dict, **more) -> Attachment:
    reference = {"key": {"id": message_id}, "message": {part: content}}
    return Attachment(kind=kind, reference=reference, **more)


def told(message_id: str, status: Status, at: datetime | None = T_UPDATE, **more) -> StatusChanged:
    facts = {"external_id": message_id, "instance_ref": REFERENCE, "at": at, **more}
    return StatusChanged(event_id=f"{message_id}:status:{status}", status=status, **facts)


def session(word: str, state: Connection, reason: str = "") -> InstanceChanged:
    return InstanceChanged(
        event_id=f"session:{word}:1760000000",
        instance_ref=REFERENCE,
        at=T0,
        state=state,
        reason=reason,
    )


def deleted(message_id: str) -> Deleted:
    return Deleted(
        event_id=f"{message_id}:deleted", instance_ref=REFERENCE, at=T0, external_id=message_id
    )


def reacted(emoji: str, at: datetime) -> Reacted:
    return Reacted(
        event_id=f"AMDA30:reaction:33612345678:{emoji}:{int(at.timestamp())}",
        instance_ref=REFERENCE,
        at=at,
        external_id="AMDA30",
        person=CUSTOMER,
        emoji=emoji,
    )


@dataclass(frozen=True)
class Case:
    fixture: str
    events: list[Event]

    def __str__(self) -> str:
        return self.fixture


QUESTION = said("AMDA1", Kind.TEXT, "Bonjour, avez-vous la robe en bleu ?", person=AWA)
PICTURE = {
    "url": "https://mmg.whatsapp.net/v/picture.enc",
    "mimetype": "image/jpeg",
    "mediaKey": "a2V5",
    "fileLength": "20480",
}
VOICE = {"mimetype": "audio/ogg", "fileLength": {"low": 900, "high": 0}}
DOCUMENT = {"mimetype": "application/pdf", "fileName": "facture.pdf"}

CASES = [
    Case("messages_received__text", [QUESTION]),
    Case("messages_upsert__same_text_array", [QUESTION]),
    Case("messages_personal_received__same_text_flat", [QUESTION]),
    Case(
        "messages_received__lid_only",
        [
            said(
                "AMDA2",
                Kind.TEXT,
                "Et en rouge ?",
                person=Person(lid="77001122334455@lid"),
                reply_to="AMDA1",
            )
        ],
    ),
    Case("messages_received__device_suffix", [said("AMDA3", Kind.TEXT, "Merci")]),
    Case(
        "messages_group_received__text",
        [
            said(
                "AMDA4",
                Kind.TEXT,
                "Qui vient ?",
                group=GROUP,
                person=Person(phone="+221771112233", lid="88001122334455@lid", name="Binta"),
            )
        ],
    ),
    Case(
        "messages_received__image",
        [
            said(
                "AMDA7",
                Kind.IMAGE,
                "Celle-ci",
                attachments=(
                    file(
                        "AMDA7",
                        "imageMessage",
                        Kind.IMAGE,
                        PICTURE,
                        mime_type="image/jpeg",
                        size=20480,
                    ),
                ),
            )
        ],
    ),
    Case(
        "messages_received__view_once_voice",
        [
            said(
                "AMDA8",
                Kind.VOICE,
                view_once=True,
                attachments=(
                    file(
                        "AMDA8", "audioMessage", Kind.VOICE, VOICE, mime_type="audio/ogg", size=900
                    ),
                ),
            )
        ],
    ),
    Case(
        "messages_received__document_with_caption",
        [
            said(
                "AMDA9",
                Kind.DOCUMENT,
                "La facture",
                attachments=(
                    file(
                        "AMDA9",
                        "documentMessage",
                        Kind.DOCUMENT,
                        DOCUMENT,
                        mime_type="application/pdf",
                        file_name="facture.pdf",
                    ),
                ),
            )
        ],
    ),
    Case(
        "messages_received__location",
        [said("AMDA12", Kind.LOCATION, "Marché Sandaga\nDakar\n14.6937, -17.4441")],
    ),
    Case("messages_received__contact", [said("AMDA13", Kind.CONTACT, "Moussa\n+221 77 000 00 01")]),
    Case("messages_received__contacts", [said("AMDA14", Kind.CONTACT, "Moussa\nFatou")]),
    Case("messages_received__poll", [said("AMDA15", Kind.POLL, "Quelle taille ?\n- M\n- L")]),
    Case("messages_received__button_reply", [said("AMDA42", Kind.TEXT, "Oui")]),
    Case("messages_received__interactive_reply", [said("AMDA43", Kind.TEXT, "Taille M")]),
    Case("messages_received__group_invite", [said("AMDA44", Kind.TEXT, "Clients\nRejoignez-nous")]),
    Case("messages_received__poll_vote", [said("AMDA45", Kind.PLACEHOLDER)]),
    Case("messages_received__event", [said("AMDA46", Kind.TEXT, "Soldes\nSamedi")]),
    Case(
        "messages_upsert__written_on_the_phone",
        [said("AMDA48", Kind.TEXT, "Je vous rappelle", from_us=True,
              person=Person(phone="33612345678", lid="77001122334455@lid"))],
    ),
    Case("messages_update__sent", [told("AMDA30", Status.SENT, T0)]),
    Case("messages_update__read", [told("AMDA30", Status.READ, T0)]),
    Case("messages_update__played", [told("AMDA30", Status.PLAYED, T0)]),
    Case("messages_received__unknown_kind", [said("AMDA16", Kind.PLACEHOLDER, "vu de face")]),
    Case("messages_received__unstorable_text", [said("AMDA18", Kind.TEXT, "a\ufffdb\ufffdc")]),
    Case("messages_received__revoke", [deleted("AMDA1")]),
    Case("messages_received__reaction", [reacted("❤️", T0)]),
    Case(
        "messages_reaction__set_and_removed",
        [reacted("❤️", T0), reacted("", T0 + timedelta(seconds=5))],
    ),
    Case("messages_delete__keys", [deleted("AMDA1"), deleted("AMDA2")]),
    Case(
        "message_sent__echo",
        [said("AMDA30", Kind.TEXT, "Oui, en bleu.", from_us=True, provider_number="100001",
              person=Person(phone="33612345678", lid="77001122334455@lid"))],
    ),
    Case(
        "message_sent__sdk_shape",
        [said("AMDA31", Kind.TEXT, "À demain.", from_us=True, provider_number="100002",
              person=Person(phone="+33612345678"))],
    ),
    Case(
        "message_sent__failed",
        [told("AMDA30", Status.FAILED, T0, provider_number="100001",
              error_detail="recipient unavailable")],
    ),
    Case(
        "message_sent__to_group",
        [said("AMDA32", Kind.TEXT, "À tous", from_us=True, provider_number="100003",
              person=Person(), group=GROUP)],
    ),
    Case("messages_update__delivered", [told("AMDA30", Status.DELIVERED)]),
    Case("messages_update__failed", [told("AMDA30", Status.FAILED, error_code="479")]),
    Case(
        "messages_update__words_array",
        [
            told("AMDA30", Status.READ, T0),
            told("100002", Status.PLAYED, T0, external_id="", provider_number="100002"),
        ],
    ),
    Case("messages_update__revoked", [replace(deleted("AMDA1"), at=T_UPDATE)]),
    Case("session_status__connected", [session("connected", Connection.CONNECTED)]),
    Case("session_status__need_scan", [session("need_scan", Connection.PENDING, "need_scan")]),
    Case(
        "session_status__logged_out",
        [session("logged_out", Connection.DISCONNECTED, "logged_out")],
    ),
    Case("session_status__expired", [session("expired", Connection.DISCONNECTED, "expired")]),
    Case("session_status__banned", [session("banned", Connection.BLOCKED, "banned")]),
    Case(
        "session_status__replaced",
        [session("disconnected", Connection.CONFLICT, "Stream replaced by another device")],
    ),
    Case("unlisted__with_message", [replace(QUESTION, kind=Kind.PLACEHOLDER)]),
    Case(
        "replaced__message_full",
        [said("old-1", Kind.TEXT, "Bonjour", person=Person(phone="+221 70 123 45 67", name="Awa"))],
    ),
    Case("replaced__status", [told("old-2", Status.DELIVERED, T0)]),
    Case(
        "replaced__status_flat_number",
        [told("100001", Status.READ, None, external_id="", provider_number="100001")],
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_parse(case):
    assert parse(case.fixture) == case.events


@pytest.mark.parametrize(
    ("fixture", "reason"),
    [
        ("messages_received__story", "story"),
        ("messages_newsletter_received__post", "newsletter post"),
        ("messages_received__group_keys", "group keys"),
        ("messages_received__housekeeping", "disappearing messages setting"),
        ("messages_update__pending", "not sent yet"),
        ("messages_update__of_received", "status of a received message"),
        ("message_receipt_update__group", "group receipt"),
        ("call__incoming", "call"),
        ("messages_received__history_sync", "history synchronisation"),
        ("messages_received__key_share", "phone synchronisation"),
        ("chats_update__list", "chat list"),
        ("contacts_upsert__names", "address book"),
        ("groups_update__subject", "group settings"),
        ("group_participants_update__added", "group members"),
    ],
)
def test_only_listed_kinds_are_ignored(fixture, reason):
    [event] = parse(fixture)

    assert event == Ignored(
        event_id=event.event_id, instance_ref=REFERENCE, at=event.at, reason=reason
    )


@pytest.mark.parametrize(
    ("fixture", "name"),
    [
        ("unlisted__without_message", "poll.results"),
        ("messages_update__unknown_status", "messages.update"),
        ("session_status__unknown_word", "session.status"),
    ],
)
def test_what_no_table_lists_stays_visible(fixture, name):
    [event] = parse(fixture)

    assert event == Unlisted(
        event_id=event.event_id, instance_ref=REFERENCE, at=event.at, name=name
    )


def test_an_unreadable_item_does_not_hide_the_others():
    events = parse("messages_received__one_of_two_unreadable")

    assert [type(event) for event in events] == [Unlisted, Received]
    assert events[1] == QUESTION


@pytest.mark.parametrize(
    "fixture",
    ["messages_received__sticker", "messages_received__ephemeral_video"],
)
def test_files_are_attachments_of_their_kind(fixture):
    [event] = parse(fixture)

    assert [attachment.kind for attachment in event.attachments] == [event.kind]


def test_a_file_may_quote_too():
    [event] = parse("messages_received__reply_with_image")

    assert (event.kind, event.reply_to) == (Kind.IMAGE, "AMDA30")


def test_an_edit_is_the_same_fact_however_it_is_wrapped():
    [plain] = parse("messages_received__edit")
    [wrapped] = parse("messages_received__edit_wrapped")

    assert plain == wrapped == Edited(
        event_id=plain.event_id,
        instance_ref=REFERENCE,
        at=T0,
        external_id="AMDA1",
        text="En vert plutôt",
    )  # fmt: skip
    assert plain.event_id.startswith("AMDA1:edited:")


def test_an_edit_told_as_an_update_names_the_message_it_changes():
    [event] = parse("messages_update__edited")

    assert (event.external_id, event.text) == ("AMDA1", "Finalement en noir")


def test_a_message_without_id_gets_one_that_repeats():
    [first] = parse("replaced__message")
    [again] = parse("replaced__message")
    [elsewhere] = wasender.parse(load("replaced__message"), "another-session")

    assert first == again == said(
        first.event_id, Kind.TEXT, "Test", at=None, person=Person(phone="221701234567")
    )  # fmt: skip
    assert first.event_id.startswith("built:")
    assert first.event_id != elsewhere.event_id


def test_a_flat_message_of_the_replaced_systems_is_read():
    [event] = parse("replaced__message_flat")

    assert (event.person, event.text, event.at) == (Person(phone="221701234567"), "Test", T0)


def test_a_connection_of_the_replaced_systems_is_read():
    [event] = parse("replaced__connection")

    assert (event.state, event.reason) == (Connection.DISCONNECTED, "phone offline")


def test_a_qr_code_is_shown_to_be_scanned():
    [event] = parse("qrcode_updated__code")

    assert (event.state, event.reason, event.qr) == (Connection.PENDING, "need_scan", "2@AbCdEf")


@pytest.mark.parametrize("fixture", sorted(path.stem for path in FIXTURES.glob("*.json")))
def test_no_event_keeps_the_api_key_that_came_as_session_id(fixture):
    for event in parse(fixture):
        assert "session-api-key" not in json.dumps(event.raw)
        assert event.raw is not None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b'\xef\xbb\xbf{"event":"message"}',
        b'{"event":"messages.received","data":' + b"[" * 100_000,
        b'{"event":"messages.received","data":' + b"[" * 500 + b"]" * 500 + b"}",
        b'{"event":"session.status","timestamp":' + b"9" * 5000 + b',"data":{}}',
        b'{"event":"messages.delete","data":{"keys":[]}}',
    ],
)
def test_what_cannot_be_read_says_so(body):
    with pytest.raises(BadPayload):
        wasender.parse(Hook(body=body), REFERENCE)


NAMES = st.sampled_from(
    "event data messages key id fromMe remoteJid remoteId cleanedSenderPn participant message "
    "messageBody conversation imageMessage protocolMessage editedMessage viewOnceMessage type "
    "reactionMessage reaction text update status keys msgId timestamp messageTimestamp low from "
    "state reason qr contextInfo stanzaId fileLength options contacts success pushName".split()
)
WORDS = st.sampled_from(
    "messages.received messages.upsert message.sent messages.update messages.reaction "
    "messages.delete session.status qrcode.updated message status connection call "
    "33612345678@s.whatsapp.net 1@lid 1@g.us status@broadcast connected REVOKE".split()
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | WORDS
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=40,
)


@given(st.fixed_dictionaries({"event": WORDS | LEAVES, "data": VALUES, "timestamp": LEAVES}))
def test_any_json_is_read_or_refused(envelope):
    hook = Hook(body=json.dumps(envelope).encode(), vendor="v")

    assert wasender.route(hook) == [InstanceRef(vendor="v")]
    try:
        events = wasender.parse(hook, REFERENCE)
    except BadPayload:
        return
    assert events
    stored = json.dumps([event.raw for event in events], allow_nan=False)
    assert "\\u0000" not in stored
    assert all(event.event_id and "\x00" not in event.event_id for event in events)


# Signatures

BODY = b'{"event":"session.status","data":{"status":"connected"}}'


def candidate(instance_id: int, *secrets: str, **settings) -> Candidate:
    sets = tuple({"webhook_secret": secret} for secret in secrets)
    return Candidate(instance_id, 1, f"session-{instance_id}", settings, sets)


def signed(signature: str, header: str = "x-webhook-signature") -> Hook:
    return Hook(body=BODY, headers={header: signature}, vendor="vendor_001")


OTHER = candidate(2, "another secret")
PLAIN = candidate(1, "s3cret")
ROTATED = candidate(1, "new", "s3cret")
HMAC = candidate(1, "s3cret", signature="hmac")
DIGEST = hmac_sha256_hex("s3cret", BODY)


@pytest.mark.parametrize(
    ("hook", "meant"),
    [
        (signed("s3cret"), PLAIN),
        (signed("s3cret", "x-wasender-signature"), PLAIN),
        (signed("s3cret"), ROTATED),
        (signed(DIGEST), HMAC),
        (signed(f"sha256={DIGEST}"), HMAC),
        (signed(DIGEST.upper()), HMAC),
        (signed(DIGEST, "x-wasender-signature"), HMAC),
    ],
)
def test_the_instance_whose_secret_signed_is_meant(hook, meant):
    assert wasender.verify(hook, [OTHER, meant]) == [meant]


@pytest.mark.parametrize(
    ("hook", "meant"),
    [
        (Hook(body=BODY), PLAIN),
        (signed(""), PLAIN),
        (signed("S3CRET"), PLAIN),
        (signed("\udcff\x00"), PLAIN),
        (signed(DIGEST), PLAIN),
        (signed("s3cret"), HMAC),
        (signed(hmac_sha256_hex("s3cret", BODY + b" ")), HMAC),
        (signed(hmac_sha256_hex("", BODY)), candidate(1, "", signature="hmac")),
        (signed(""), candidate(1, "")),
        (signed("s3cret"), candidate(1)),
        (signed("s3cret"), Candidate(1, 1, "", {}, ({},))),
        (signed("s3cret"), candidate(1, "s3cret", signature="unheard of")),
    ],
)
def test_every_other_signature_is_refused(hook, meant):
    with pytest.raises(BadSignature) as refused:
        wasender.verify(hook, [OTHER, meant])

    assert "s3cret" not in str(refused.value)


def test_the_session_id_of_a_body_never_decides_whose_it_is():
    hook = Hook(body=b'{"sessionId":"somebody-else"}', vendor="vendor_001")

    assert wasender.route(hook) == [InstanceRef(vendor="vendor_001")]
    assert wasender.route(replace(hook, vendor="")) == []


# Calls

API_KEY = "k-" + hashlib.sha256(b"key").hexdigest()
SECRETS = {"api_key": API_KEY, "webhook_secret": "wh-s3cret", "personal_token": "pat-s3cret"}
OUTGOING = Outgoing(reference="1", to="+33612345678", text="Bonjour é")


def on(server, path: str) -> dict:
    """What was sent there, as JSON."""
    [call] = [call for call in server.calls if call.url.path == path]
    return json.loads(call.content)


class Server:
    """Answers one call and keeps it."""

    def __init__(self, status=200, body=None, headers=None, error=None):
        self.status, self.body, self.headers, self.error = status, body, headers, error
        self.calls = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(request)
        if self.error:
            raise self.error
        content = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        return httpx.Response(self.status, content=content, headers=self.headers)

    def via(self, **changes) -> Via:
        client = httpx.Client(transport=httpx.MockTransport(self))
        via = Via(1, REFERENCE, "+221700000001", {}, SECRETS, client)
        return replace(via, **changes)


def refusal(server: Server, call=lambda via: wasender.send(OUTGOING, via), **changes) -> SendError:
    with pytest.raises(SendError) as refused:
        call(server.via(**changes))
    told = "".join(traceback.format_exception(refused.value))
    assert not any(secret in told for secret in SECRETS.values())
    return refused.value


def outcome(error: SendError) -> tuple:
    return error.code, error.retry, error.blame, error.unknown, error.retry_after


def test_send_posts_once_and_returns_the_number(caplog):
    caplog.set_level(logging.DEBUG)
    server = Server(body={"success": True, "data": {"msgId": 100000, "status": "in_progress"}})

    sent = wasender.send(OUTGOING, server.via())

    assert sent == Sent(provider_number="100000")
    [call] = server.calls
    assert (call.method, str(call.url)) == ("POST", "https://www.wasenderapi.com/api/send-message")
    assert call.headers["authorization"] == f"Bearer {API_KEY}"
    assert call.headers["content-type"] == "application/json"
    assert json.loads(call.content) == {"to": "+33612345678", "text": "Bonjour é"}
    assert not any(secret in caplog.text for secret in SECRETS.values())


def test_send_uses_the_address_of_the_instance():
    server = Server(body={"success": True, "data": {"msgId": 1}})

    wasender.send(OUTGOING, server.via(settings={"api_url": "http://127.0.0.1:9/api/"}))

    assert str(server.calls[0].url) == "http://127.0.0.1:9/api/send-message"


def test_send_never_passes_off_a_file_as_text():
    server = Server()

    image = refusal(server, lambda via: wasender.send(replace(OUTGOING, kind=Kind.IMAGE), via))
    poll = refusal(server, lambda via: wasender.send(replace(OUTGOING, kind=Kind.POLL), via))

    assert outcome(image) == ("file_missing", False, Blame.MESSAGE, False, None)
    assert outcome(poll) == ("unsupported_kind", False, Blame.MESSAGE, False, None)
    assert server.calls == []


@pytest.mark.parametrize(
    ("status", "body", "headers", "expected"),
    [
        (401, {}, {}, ("unauthorized", False, Blame.ACCOUNT, False, None)),
        (403, {}, {}, ("forbidden", False, Blame.ACCOUNT, False, None)),
        (404, {}, {}, ("not_found", False, Blame.ACCOUNT, False, None)),
        (408, {}, {}, ("timeout", True, Blame.PROVIDER, False, None)),
        (422, {}, {}, ("invalid", False, Blame.MESSAGE, False, None)),
        (422, {"errors": {"to": ["Bad."], "text": ["Bad."]}}, {},
         ("to", False, Blame.RECIPIENT, False, None)),
        (422, {"errors": {"text": []}}, {}, ("text", False, Blame.MESSAGE, False, None)),
        (422, {"message": "The WhatsApp session is not connected: need_scan."}, {},
         ("not_connected", True, Blame.ACCOUNT, False, None)),
        (429, {"retry_after": 60}, {"retry-after": "5"},
         ("rate_limited", True, Blame.PROVIDER, False, 60)),
        (429, {}, {"retry-after": "5", "x-ratelimit-reset": "9"},
         ("rate_limited", True, Blame.PROVIDER, False, 5)),
        (429, {}, {"x-ratelimit-reset": "9"}, ("rate_limited", True, Blame.PROVIDER, False, 9)),
        (429, {}, {"x-ratelimit-reset": "1760000000"},
         ("rate_limited", True, Blame.PROVIDER, False, None)),
        (429, {}, {"x-ratelimit-reset": "1760000030", "date": "Thu, 09 Oct 2025 08:53:20 GMT"},
         ("rate_limited", True, Blame.PROVIDER, False, 30)),
        (429, {"retry_after": "soon"}, {}, ("rate_limited", True, Blame.PROVIDER, False, None)),
        (500, b"<html>", {}, ("http_500", False, Blame.PROVIDER, True, None)),
        (502, b"", {}, ("http_502", False, Blame.PROVIDER, True, None)),
        (504, b"", {}, ("http_504", False, Blame.PROVIDER, True, None)),
        (503, b"", {}, ("unavailable", True, Blame.PROVIDER, False, None)),
        (302, b"", {}, ("http_302", False, Blame.PROVIDER, False, None)),
        (200, b"<html>", {}, ("unreadable_answer", False, Blame.PROVIDER, True, None)),
        (200, {"success": True}, {}, ("unreadable_answer", False, Blame.PROVIDER, True, None)),
        (200, {"success": False}, {}, ("refused", False, Blame.PROVIDER, False, None)),
    ],
)  # fmt: skip
def test_every_refusal_says_whether_to_try_again_and_whose_fault_it_is(
    status, body, headers, expected
):
    server = Server(status, body, headers)

    assert outcome(refusal(server)) == expected
    assert len(server.calls) == 1


@pytest.mark.parametrize(
    ("error", "retry"),
    [
        (httpx.ConnectError("no"), True),
        (httpx.ConnectTimeout("no"), True),
        (httpx.PoolTimeout("no"), True),
        (httpx.ReadTimeout("no"), False),
        (httpx.ReadError("no"), False),
        (httpx.WriteError("no"), False),
        (httpx.RemoteProtocolError("no"), False),
    ],
)
def test_a_request_that_left_is_never_sent_again_blindly(error, retry):
    failed = refusal(Server(error=error))

    assert (failed.retry, failed.unknown) == (retry, not retry)


def test_a_secret_that_the_provider_repeats_is_not_passed_on():
    error = refusal(Server(401, {"message": f"Unknown key {API_KEY}"}))

    assert error.detail == "Unknown key [secret]"


@pytest.mark.parametrize("key", ["", "clé-wh-s3cret", "line\nwh-s3cret"])
def test_a_key_that_no_header_can_carry_is_refused_without_being_told(key):
    server = Server()

    error = refusal(server, secrets={**SECRETS, "api_key": key})

    assert outcome(error) == ("bad_api_key", False, Blame.ACCOUNT, False, None)
    assert server.calls == []


def test_find_sent_links_both_ids():
    info = {"msgId": 100000, "key": {"id": "EN82", "fromMe": True}, "status": 3}
    server = Server(body={"success": True, "data": info})

    sent = wasender.find_sent(server.via(), "100000")

    assert sent == Sent(external_id="EN82", provider_number="100000", status=Status.DELIVERED)
    [call] = server.calls
    assert (call.method, call.url.path) == ("GET", "/api/messages/100000/info")
    assert call.headers["authorization"] == f"Bearer {API_KEY}"


def test_find_sent_knows_what_it_does_not_know():
    server = Server(404, {"success": False, "message": "Message not found."})

    assert wasender.find_sent(server.via(), "100000") is None
    assert wasender.find_sent(server.via(), "../../status") is None
    assert len(server.calls) == 1


def test_check_asks_for_the_state():
    server = Server(body={"status": "NEED_SCAN"})

    assert wasender.check(server.via()) == InstanceState(Connection.PENDING, "need_scan")
    assert (server.calls[0].method, server.calls[0].url.path) == ("GET", "/api/status")


@pytest.mark.parametrize(
    ("server", "code", "retry"),
    [
        (Server(401), "unauthorized", False),
        (Server(body={"status": "dreaming"}), "unknown_state", False),
        (Server(error=httpx.ReadTimeout("no")), "ReadTimeout", True),
    ],
)
def test_check_says_why_it_cannot_tell(server, code, retry):
    error = refusal(server, wasender.check)

    assert (error.code, error.retry, error.unknown) == (code, retry, False)


# Messages of every kind

TAKEN = {"success": True, "data": {"msgId": 100000}}
INSTANCE = {"settings": {"session_id": "7"}}


class Servers(Server):
    """Answers by method and path; anything else fails the test."""

    def __init__(self):
        super().__init__()
        self.answers = {}

    def answering(self, name: str, answer) -> "Servers":
        self.answers[name] = answer
        return self

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(request)
        answer = self.answers[f"{request.method} {request.url.path}"]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return answer
        return httpx.Response(200, json=answer)


PDF = File("application/pdf", "facture.pdf", url="https://files.test/f.pdf")
TOLD = {"key": {"id": "AMDA1", "remoteJid": "1@lid"}, "message": {"conversation": "Et le bleu ?"}}
HOME = Place(14.6937, -17.4441, "Marché Sandaga")


@pytest.mark.parametrize(
    ("changes", "body"),
    [
        ({"reply_to": "AMDA1", "reply_to_number": "100001"},
         {"text": "Bonjour é", "replyTo": 100001}),
        ({"reply_to": "AMDA1"}, {"text": "Bonjour é"}),
        ({"reply_to": "AMDA1", "reply_to_raw": {**TOLD, "pushName": "Awa"}},
         {"text": "Bonjour é", "replyToObject": TOLD}),
        ({"reply_to": "AMDA1", "reply_to_raw": {"key": {"id": "AMDA1"}}}, {"text": "Bonjour é"}),
        ({"kind": Kind.DOCUMENT, "file": PDF},
         {"documentUrl": PDF.url, "fileName": "facture.pdf", "text": "Bonjour é"}),
        ({"kind": Kind.IMAGE, "file": PDF, "text": ""}, {"imageUrl": PDF.url}),
        ({"kind": Kind.VIDEO, "file": PDF, "text": ""}, {"videoUrl": PDF.url}),
        ({"kind": Kind.AUDIO, "file": PDF, "text": ""}, {"audioUrl": PDF.url}),
        ({"kind": Kind.VOICE, "file": PDF, "text": ""}, {"audioUrl": PDF.url}),
        ({"kind": Kind.STICKER, "file": PDF, "text": ""}, {"stickerUrl": PDF.url}),
        ({"kind": Kind.LOCATION, "place": HOME},
         {"location": {"latitude": 14.6937, "longitude": -17.4441, "name": "Marché Sandaga"}}),
        ({"kind": Kind.CONTACT, "card": Card("Moussa", "+221770000001")},
         {"contact": {"name": "Moussa", "phone": "+221770000001"}}),
        ({"kind": Kind.POLL, "poll": Poll("Quelle taille ?", ("M", "L"), several=True)},
         {"poll": {"question": "Quelle taille ?", "options": ["M", "L"], "multiSelect": True}}),
    ],
)  # fmt: skip
def test_every_kind_has_its_member(changes, body):
    server = Server(body=TAKEN)

    sent = wasender.send(replace(OUTGOING, **changes), server.via())

    assert sent == Sent(provider_number="100000")
    [call] = server.calls
    assert json.loads(call.content) == {"to": "+33612345678", **body}


def test_a_file_without_address_is_uploaded_first():
    server = Servers().answering(
        "POST /api/upload", {"success": True, "publicUrl": "https://wasender.test/u/1"}
    )
    server.answering("POST /api/send-message", TAKEN)
    file = File("image/png", "a.png", content=b"\x89PNG")

    sent = wasender.send(replace(OUTGOING, kind=Kind.IMAGE, file=file), server.via())

    assert sent.provider_number == "100000"
    assert on(server, "/api/upload") == {"base64": "iVBORw==", "mimetype": "image/png"}
    assert on(server, "/api/send-message")["imageUrl"] == "https://wasender.test/u/1"
    assert "PNG" not in repr(file)


def test_an_upload_that_got_lost_is_simply_tried_again():
    file = File("image/png", content=b"a")
    server = Server(error=httpx.ReadTimeout("no"))

    error = refusal(
        server, lambda via: wasender.send(replace(OUTGOING, kind=Kind.IMAGE, file=file), via)
    )

    assert (error.retry, error.unknown) == (True, False)


# Messages that are there

OURS = Known(external_id="AMDA30", provider_number="100001", from_us=True)
THEIRS = Known(external_id="AMDA1", chat="33612345678@s.whatsapp.net")
NOT_THERE = {"success": False, "message": "Message not found."}


@pytest.mark.parametrize(
    ("act", "method", "path", "body"),
    [
        (lambda via: wasender.edit(OURS, "Non", via), "PUT", "/api/messages/100001",
         {"text": "Non"}),
        (lambda via: wasender.delete(OURS, via), "DELETE", "/api/messages/100001", None),
        (lambda via: wasender.mark_read(THEIRS, via), "POST", "/api/messages/read",
         {"key": {"id": "AMDA1", "remoteJid": THEIRS.chat, "fromMe": False}}),
        (lambda via: wasender.mark_read(replace(THEIRS, chat="+33612345678"), via),
         "POST", "/api/messages/read",
         {"key": {"id": "AMDA1", "remoteJid": THEIRS.chat, "fromMe": False}}),
        (lambda via: wasender.mark_read(replace(THEIRS, chat=GROUP, author="1@lid"), via),
         "POST", "/api/messages/read",
         {"key": {"id": "AMDA1", "remoteJid": GROUP, "fromMe": False, "participant": "1@lid"}}),
    ],
)  # fmt: skip
def test_messages_are_changed_by_one_call_that_may_be_repeated(act, method, path, body):
    server = Server(body={"success": True})

    act(server.via())

    [call] = server.calls
    assert (call.method, call.url.path) == (method, path)
    assert (json.loads(call.content) if call.content else None) == body
    act(Server(204, b"").via())
    assert outcome(refusal(Server(404, NOT_THERE), act))[:3] == ("not_found", False, Blame.MESSAGE)
    assert outcome(refusal(Server(502, b""), act))[:2] == ("http_502", True)


def test_only_what_has_a_number_can_be_edited():
    server = Server()
    known = replace(OURS, provider_number="../status")

    error = refusal(server, lambda via: wasender.edit(known, "Non", via))

    assert outcome(error) == ("no_number", False, Blame.MESSAGE, False, None)
    assert server.calls == []


def test_a_number_is_looked_up_by_its_lid():
    server = Server(body={"success": True, "data": {"pn": "33612345678@s.whatsapp.net"}})

    assert wasender.find_phone("77001122334455@lid", server.via()) == "33612345678"
    assert server.calls[0].url.path == "/api/pn-from-lid/77001122334455"
    assert wasender.find_phone("77@lid", Server(404, NOT_THERE).via()) == ""
    assert wasender.find_phone("../status", server.via()) == ""


# Files

PICTURE_REFERENCE = {"key": {"id": "AMDA7"}, "message": {"imageMessage": PICTURE}}


def media_server(content: bytes = b"\xff\xd8jpeg", url: str = "https://wasender.test/d/1"):
    server = Servers().answering("POST /api/decrypt-media", {"publicUrl": url})
    return server.answering("GET /d/1", httpx.Response(200, content=content))


def fetch(limit: int = 1000):
    return lambda via: wasender.fetch_media(PICTURE_REFERENCE, via, limit=limit)


def test_a_file_is_decrypted_then_fetched_without_our_key():
    server = media_server()

    media = fetch(100_000)(server.via())

    with media.file:
        assert media.file.read() == b"\xff\xd8jpeg"
    assert (media.size, media.mime_type, media.file_name) == (6, "image/jpeg", "")
    assert on(server, "/api/decrypt-media") == {"data": {"messages": PICTURE_REFERENCE}}
    assert "authorization" not in server.calls[1].headers


def test_the_reference_of_a_received_file_is_enough_to_fetch_it():
    [event] = parse("messages_received__image")

    media = wasender.fetch_media(
        event.attachments[0].reference, media_server().via(), limit=100_000
    )

    with media.file:
        assert media.size == 6


def test_a_file_is_never_read_further_than_allowed():
    small = {"imageMessage": {**PICTURE, "fileLength": "10"}}
    liar = {**PICTURE_REFERENCE, "message": small}
    server, refused = media_server(b"a" * 5000), Server()

    error = refusal(server, lambda via: wasender.fetch_media(liar, via, limit=1000))

    assert outcome(error) == ("too_large", False, Blame.MESSAGE, False, None)
    assert refusal(refused, fetch(1000)).code == "too_large"
    assert refused.calls == []


@pytest.mark.parametrize(
    "url", ["http://wasender.test/d/1", "file:///etc/passwd", "http://[", "/d"]
)
def test_a_file_only_travels_encrypted(url):
    assert refusal(media_server(url=url), fetch(100_000)).code == "bad_media_url"


def test_a_file_may_come_unencrypted_from_the_very_server_of_the_instance():
    server = media_server(url="http://127.0.0.1:9/d/1")

    media = fetch(100_000)(server.via(settings={"api_url": "http://127.0.0.1:9/api"}))

    with media.file:
        assert media.size == 6


@pytest.mark.parametrize("answer", [httpx.Response(500), httpx.ReadTimeout("no")])
def test_a_fetch_that_fails_is_tried_again(answer):
    error = refusal(media_server().answering("GET /d/1", answer), fetch(100_000))

    assert (error.retry, error.unknown) == (True, False)


# Sessions

SESSION = {
    "id": 7,
    "name": "Maison Kelani",
    "phone_number": "+33199000001",
    "status": "NEED_SCAN",
    "webhook_url": "https://amda.test/api/webhooks/wasender/demo",
    "webhook_enabled": True,
    "webhook_events": [
        "messages.received", "messages.upsert", "message.sent", "messages.update",
        "messages.delete", "messages.reaction", "session.status", "qrcode.updated",
    ],
    "api_key": "k-new",
    "webhook_secret": "wh-new",
}  # fmt: skip
URL = SESSION["webhook_url"]
KEYS = {"session_id": "7", "api_key": "k-new", "webhook_secret": "wh-new"}


def test_sessions_are_listed_with_the_personal_token():
    listed = {name: SESSION[name] for name in ("id", "name", "phone_number", "status")}
    server = Server(body={"success": True, "data": [listed]})

    assert wasender.instances(server.via()) == [
        Found(
            "7",
            "Maison Kelani",
            "+33199000001",
            InstanceState(Connection.PENDING, "need_scan"),
            {"session_id": "7"},
        )
    ]
    assert server.calls[0].headers["authorization"] == "Bearer pat-s3cret"
    assert wasender.instances(Server(body={"success": True, "data": []}).via()) == []


def test_a_session_is_made_with_its_webhook():
    server = Server(body={"success": True, "data": SESSION})

    found = wasender.make_instance(
        server.via(), name="Maison Kelani", address="+33199000001", webhook_url=URL
    )

    assert found.values == KEYS
    assert "k-new" not in repr(found) and "wh-new" not in repr(found)
    assert on(server, "/api/whatsapp-sessions") == {
        "name": "Maison Kelani",
        "phone_number": "+33199000001",
        "account_protection": False,
        "log_messages": False,
        "webhook_url": URL,
        "webhook_enabled": True,
        "webhook_events": SESSION["webhook_events"],
    }


def test_a_session_that_may_have_been_made_is_not_made_again_blindly():
    def make(via):
        wasender.make_instance(via, name="a", address="+33199000001", webhook_url=URL)

    assert outcome(refusal(Server(502, b""), make))[:4] == (
        "http_502", False, Blame.PROVIDER, True
    )  # fmt: skip
    assert refusal(Server(body={"success": True}), make).unknown


@pytest.mark.parametrize(
    ("verb", "answer", "state"),
    [
        ("connect", {"status": "NEED_SCAN", "qrCode": "2@AbC"},
         InstanceState(Connection.PENDING, "need_scan", qr="2@AbC")),
        ("connect", {"qrCode": "2@AbC"},
         InstanceState(Connection.PENDING, "need_scan", qr="2@AbC")),
        ("connect", {"status": "connected"}, InstanceState(Connection.CONNECTED)),
        ("disconnect", {"status": "DISCONNECTED"}, InstanceState(Connection.DISCONNECTED)),
        ("restart", {"status": "connecting"}, InstanceState(Connection.PENDING, "connecting")),
    ],
)  # fmt: skip
def test_a_session_is_connected_restarted_and_disconnected(verb, answer, state):
    server = Server(body={"success": True, "data": answer})

    assert getattr(wasender, verb)(server.via(**INSTANCE)) == state
    [call] = server.calls
    assert (call.method, call.url.path) == ("POST", f"/api/whatsapp-sessions/7/{verb}")
    assert "2@AbC" not in repr(state)


def test_the_code_to_scan_is_asked_for():
    server = Server(body={"success": True, "data": {"qrCode": "2@AbC"}})

    assert wasender.qr(server.via(**INSTANCE)) == "2@AbC"
    assert server.calls[0].url.path == "/api/whatsapp-sessions/7/qrcode"
    assert refusal(Server(body={"data": {}}), wasender.qr, **INSTANCE).code == "no_qr"


def test_a_webhook_is_set_and_read_back():
    path = "/api/whatsapp-sessions/7"
    server = Servers().answering(f"PUT {path}", {"success": True})
    server.answering(f"GET {path}", {"success": True, "data": SESSION})

    state = wasender.configure_webhook(server.via(**INSTANCE), URL)

    assert (state.url, state.enabled, state.values) == (URL, True, KEYS)
    assert [call.method for call in server.calls] == ["PUT", "GET"]
    assert "wh-new" not in repr(state)


@pytest.mark.parametrize(
    ("kept", "wrong"),
    [
        ({"webhook_url": None}, "webhook_url"),
        ({"webhook_url": "https://elsewhere.test/"}, "webhook_url"),
        ({"webhook_enabled": False}, "webhook_enabled"),
        ({"webhook_events": ["messages.received"]}, "webhook_events"),
        ({"webhook_events": None}, "webhook_events"),
    ],
)
def test_a_yes_that_kept_nothing_is_an_error(kept, wrong):
    path = "/api/whatsapp-sessions/7"
    server = Servers().answering(f"PUT {path}", {"success": True})
    server.answering(f"GET {path}", {"success": True, "data": {**SESSION, **kept}})

    error = refusal(server, lambda via: wasender.configure_webhook(via, URL), **INSTANCE)

    assert (error.code, error.detail) == ("webhook_not_kept", wrong)


def test_a_new_key_comes_back_under_the_name_of_its_field():
    server = Server(body={"success": True, "api_key": "k-newer"})

    assert wasender.regenerate_key(server.via(**INSTANCE)) == {"api_key": "k-newer"}
    assert server.calls[0].url.path == "/api/whatsapp-sessions/7/regenerate-key"
    lost = refusal(Server(error=httpx.ReadTimeout("no")), wasender.regenerate_key, **INSTANCE)
    assert lost.unknown


def test_a_session_without_id_or_token_is_not_asked_about():
    server = Server()

    assert refusal(server, wasender.connect).code == "no_session_id"
    missing = {**SECRETS, "personal_token": ""}
    assert refusal(server, wasender.qr, secrets=missing, **INSTANCE).code == "bad_personal_token"
    assert server.calls == []
