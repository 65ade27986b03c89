"""Green-API's notifications become events, and its answers become outcomes."""

import json
import logging
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
    JOURNAL_ROUTE,
    BadPayload,
    BadSignature,
    Blame,
    Candidate,
    Card,
    File,
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
from messaging.providers.greenapi import calls
from tests.fakes import greenapi as fake_module
from tests.fakes import serving

FIXTURES = Path(__file__).parents[2] / "fixtures" / "webhooks" / "greenapi"
ID = fake_module.ID
TOKEN = fake_module.TOKEN
SECRETS = {"api_token": TOKEN, "webhook_token": "hook-s3cret"}
T0 = datetime.fromtimestamp(1760000000, UTC)
T1 = T0 + timedelta(seconds=1)

AWA = Person(phone="33612345678", name="Awa Diop")
CUSTOMER = Person(phone="33612345678")
GROUP = "120363000000000001@g.us"
FILES = f"https://files.green.test/{ID}/"

green = get("greenapi")


def load(name: str) -> Hook:
    path = FIXTURES / f"{name}.json"
    return Hook(body=path.read_bytes(), route=JOURNAL_ROUTE if "/" in name else "")


def parse(name: str) -> list[Event]:
    return green.parse(load(name), ID)


def said(message_id: str, kind: Kind, text: str = "", **more) -> Received:
    facts = {"instance_ref": ID, "at": T0, "person": AWA, **more}
    return Received(event_id=message_id, external_id=message_id, kind=kind, text=text, **facts)


def with_file(
    message_id: str, kind: Kind, mime: str, name: str, text="", url="", **more
) -> Received:
    reference = {
        "chatId": "33612345678@c.us",
        "idMessage": message_id,
        "downloadUrl": url or FILES + name,
        "mimeType": mime,
        "fileName": name,
    }
    attachment = Attachment(kind=kind, mime_type=mime, file_name=name, reference=reference)
    return said(message_id, kind, text, attachments=(attachment,), **more)


def told(status: Status, message_id: str = "G30", at: datetime = T1, **more) -> StatusChanged:
    event_id = f"{message_id}:status:{status}"
    return StatusChanged(
        event_id=event_id, instance_ref=ID, at=at, status=status, external_id=message_id, **more
    )


def state(word: str, connection: Connection, reason: str = "") -> InstanceChanged:
    event_id = f"state:{word}:1760000000"
    return InstanceChanged(
        event_id=event_id, instance_ref=ID, at=T0, state=connection, reason=reason
    )


def deleted(message_id: str) -> Deleted:
    return Deleted(event_id=f"{message_id}:deleted", instance_ref=ID, at=T0, external_id=message_id)


def reacted(target: str, emoji: str, who: str = "33612345678", at=T0, **more) -> Reacted:
    return Reacted(
        event_id=f"{target}:reaction:{who}:{emoji}:{int(at.timestamp())}",
        instance_ref=ID,
        at=at,
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


IN = "incomingMessageReceived__"
OUT = "outgoingMessageReceived__"
PDF_TYPE = "application/pdf"
TOO_LARGE = "{{SWE002}}"
QUESTION = said("G1", Kind.TEXT, "Bonjour, avez-vous la robe en bleu ?")

CASES = [
    Case(IN + "text", QUESTION),
    Case(IN + "link", said("G2", Kind.TEXT, "https://boutique.test/robe")),
    Case(IN + "quote", said("G3", Kind.TEXT, "Celle-ci", reply_to="G30")),
    Case(IN + "image", with_file("G4", Kind.IMAGE, "image/jpeg", "a.jpg", "En photo")),
    Case(
        IN + "image_quoting",
        with_file("G5", Kind.IMAGE, "image/jpeg", "b.jpg", reply_to="G30"),
    ),
    Case(IN + "video", with_file("G6", Kind.VIDEO, "video/mp4", "c.mp4")),
    Case(IN + "document", with_file("G7", Kind.DOCUMENT, PDF_TYPE, "facture.pdf", "La facture")),
    Case(
        IN + "document_too_large",
        with_file("G8", Kind.DOCUMENT, PDF_TYPE, "catalogue.pdf", url=TOO_LARGE),
    ),
    Case(IN + "voice", with_file("G9", Kind.VOICE, "audio/ogg; codecs=opus", "d.oga")),
    Case(IN + "audio", with_file("G10", Kind.AUDIO, "audio/mpeg", "e.mp3")),
    Case(IN + "sticker", with_file("G11", Kind.STICKER, "image/webp", "f.webp")),
    Case(IN + "location", said("G12", Kind.LOCATION, "Marché Sandaga\nDakar\n14.6937, -17.4441")),
    Case(IN + "contact", said("G13", Kind.CONTACT, "Moussa\n+221 77 000 00 01")),
    Case(IN + "contacts", said("G14", Kind.CONTACT, "Moussa\n+221 77 000 00 01\nFatou")),
    Case(IN + "poll", said("G15", Kind.POLL, "Quelle taille ?\n- M\n- L")),
    Case(IN + "poll_vote", said("G16", Kind.POLL, "Quelle taille ?\n✓ M", reply_to="G31")),
    Case(IN + "group_invite", said("G17", Kind.TEXT, "Clients\nRejoignez-nous")),
    Case(IN + "buttons_reply", said("G18", Kind.TEXT, "Oui", reply_to="G32")),
    Case(IN + "template_reply", said("G19", Kind.TEXT, "Rappelez-moi", reply_to="G32")),
    Case(IN + "list_reply", said("G20", Kind.TEXT, "Taille M", reply_to="G32")),
    Case(IN + "template", said("G21", Kind.TEXT, "Votre colis arrive")),
    Case(IN + "interactive_buttons", said("G22", Kind.TEXT, "Soldes\nSamedi")),
    Case(IN + "unknown_kind", said("G23", Kind.PLACEHOLDER)),
    Case(IN + "empty_for_devices", said("G24", Kind.PLACEHOLDER)),
    Case(IN + "not_decrypted", said("G25", Kind.PLACEHOLDER)),
    Case(
        IN + "group",
        said("G26", Kind.TEXT, "Qui vient ?", group=GROUP,
             person=Person(phone="221771112233", name="Binta")),
    ),
    Case(
        IN + "lid_only",
        said("G27", Kind.TEXT, "Et en rouge ?",
             person=Person(lid="77001122334455@lid", name="awa")),
    ),
    Case(IN + "unstorable_text", said("G46", Kind.TEXT, "a\ufffdb\ufffdc")),
    Case(IN + "deleted", deleted("G1")),
    Case(IN + "reaction", reacted("G30", "👍")),
    Case(IN + "reaction_removed", reacted("G30", "", at=T0 + timedelta(seconds=5))),
    Case(
        OUT + "written_on_the_phone",
        said("G33", Kind.TEXT, "Je vous rappelle", from_us=True, person=CUSTOMER),
    ),
    Case(
        OUT + "to_group",
        said("G34", Kind.TEXT, "À tous", from_us=True, person=Person(), group=GROUP),
    ),
    Case(OUT + "deleted", deleted("G30")),
    Case(OUT + "reaction", reacted("G1", "❤️", who="us", person=CUSTOMER, from_us=True)),
    Case(
        "outgoingAPIMessageReceived__echo",
        said("G30", Kind.TEXT, "Oui, en bleu.", from_us=True, person=CUSTOMER),
    ),
    *(
        Case(f"outgoingMessageStatus__{word}", told(Status(word)))
        for word in ("sent", "delivered", "read", "played")
    ),
    Case(
        "outgoingMessageStatus__failed",
        told(Status.FAILED, error_code="failed", error_detail="SWE004: 1000"),
    ),
    Case(
        "outgoingMessageStatus__no_account",
        told(Status.FAILED, error_code="noAccount", error_detail="SWE004: 1000"),
    ),
    Case("outgoingMessageStatus__not_in_group", told(Status.FAILED, error_code="notInGroup")),
    Case("outgoingMessageStatus__yellow_card", told(Status.FAILED, error_code="yellowCard")),
    Case("stateInstanceChanged__authorized", state("authorized", Connection.CONNECTED)),
    Case("stateInstanceChanged__polled", state("authorized", Connection.CONNECTED)),
    Case(
        "stateInstanceChanged__not_authorized",
        state("notAuthorized", Connection.DISCONNECTED, "not_authorized"),
    ),
    Case("stateInstanceChanged__starting", state("starting", Connection.PENDING, "starting")),
    Case("stateInstanceChanged__blocked", state("blocked", Connection.BLOCKED, "blocked")),
    Case(
        "stateInstanceChanged__yellow_card",
        state("yellowCard", Connection.BLOCKED, "yellow_card"),
    ),
    Case(
        "stateInstanceChanged__sleeping",
        state("sleepMode", Connection.DISCONNECTED, "sleep_mode"),
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_parse(case):
    assert parse(case.fixture) == [case.event]


@pytest.mark.parametrize(
    ("fixture", "reason"),
    [
        (IN + "story", "story"),
        (IN + "newsletter", "newsletter post"),
        ("outgoingMessageStatus__pending", "not sent yet"),
        ("statusInstanceChanged__offline", "socket state"),
        ("incomingCall__offer", "call"),
        ("outgoingCall__offer", "call"),
        ("incomingBlock__block", "block"),
        ("deviceInfo__phone", "device"),
    ],
)
def test_only_listed_kinds_are_ignored(fixture, reason):
    [event] = parse(fixture)

    assert event == Ignored(event_id=event.event_id, instance_ref=ID, at=event.at, reason=reason)


@pytest.mark.parametrize(
    ("fixture", "name"),
    [
        ("avatarInfo__unlisted", "avatarInfo"),
        (IN + "reaction_without_target", "incomingMessageReceived"),
        ("outgoingMessageStatus__unknown_word", "outgoingMessageStatus"),
        ("stateInstanceChanged__unknown_word", "stateInstanceChanged"),
    ],
)
def test_what_no_table_lists_stays_visible(fixture, name):
    [event] = parse(fixture)

    assert event == Unlisted(event_id=event.event_id, instance_ref=ID, at=event.at, name=name)


@pytest.mark.parametrize(
    ("fixture", "target", "text"),
    [
        (IN + "edited", "G1", "En vert plutôt"),
        (IN + "caption_edited", "G4", "En photo, de dos"),
        ("journal/incoming__edited", "G1", "En vert plutôt"),
    ],
)
def test_an_edit_names_the_message_it_changes(fixture, target, text):
    [event] = parse(fixture)

    assert isinstance(event, Edited)
    assert (event.external_id, event.text, event.at) == (target, text, T0)
    assert event.event_id.startswith(f"{target}:edited:")


def test_a_spent_plan_is_told_each_time_without_a_time():
    [event] = parse("quotaExceeded__correspondents")

    assert (event.state, event.at) == (Connection.CONNECTED, None)
    assert event.reason == "quota_exceeded: correspondents (3/3)"


def test_the_picture_in_miniature_is_not_kept():
    [event] = parse(IN + "image")

    assert "jpegThumbnail" not in json.dumps(event.raw)


@pytest.mark.parametrize(
    ("fixture", "events"),
    [
        ("incoming__text", [QUESTION]),
        ("incoming__quote", [said("G3", Kind.TEXT, "Celle-ci", reply_to="G30")]),
        ("incoming__image",
         [with_file("G4", Kind.IMAGE, "image/jpeg", "a.jpg", "En photo")]),
        ("incoming__location",
         [said("G12", Kind.LOCATION, "Marché Sandaga\nDakar\n14.6937, -17.4441")]),
        ("incoming__contact", [said("G13", Kind.CONTACT, "Moussa\n+221 77 000 00 01")]),
        ("incoming__deleted", [deleted("G1")]),
        ("incoming__withdrawn", [QUESTION, deleted("G1")]),
        ("outgoing__delivered",
         [said("G30", Kind.TEXT, "Oui, en bleu.", from_us=True, person=CUSTOMER),
          told(Status.DELIVERED, at=T0)]),
        ("outgoing__from_the_phone",
         [said("G33", Kind.TEXT, "Je vous rappelle", from_us=True, person=CUSTOMER),
          told(Status.READ, "G33", at=T0)]),
    ],
)  # fmt: skip
def test_a_line_of_a_journal_is_the_same_fact_as_its_notification(fixture, events):
    assert parse(f"journal/{fixture}") == events


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"type":"x"}'])
def test_a_line_without_an_id_is_refused(body):
    with pytest.raises(BadPayload):
        green.parse(Hook(body=body, route=JOURNAL_ROUTE), ID)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'{"receiptId":1,"body":null}',
        b'{"a":' + b"[" * 500,
    ],
)
def test_what_cannot_be_read_says_so(body):
    with pytest.raises(BadPayload):
        green.parse(Hook(body=body), ID)


NAMES = st.sampled_from(
    "typeWebhook instanceData idInstance timestamp idMessage senderData chatId sender senderName "
    "messageData typeMessage textMessageData textMessage extendedTextMessageData text stanzaId "
    "fileMessageData downloadUrl mimeType quotedMessage editedMessageData deletedMessageData "
    "pollMessageData options votes optionVoters contacts vcard status stateInstance receiptId body "
    "quotaData isDeleted statusMessage type sendByApi".split()
)
WORDS = st.sampled_from(
    "incomingMessageReceived outgoingMessageReceived outgoingAPIMessageReceived "
    "outgoingMessageStatus stateInstanceChanged quotaExceeded textMessage quotedMessage "
    "imageMessage pollUpdateMessage reactionMessage editedMessage deletedMessage authorized read "
    "33612345678@c.us 1@lid 1@g.us status@broadcast {{SWE001}} outgoing".split()
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | WORDS
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=40,
)


@given(
    st.fixed_dictionaries(
        {"typeWebhook": WORDS, "messageData": VALUES, "senderData": VALUES},
        optional={"idMessage": LEAVES, "timestamp": LEAVES, "instanceData": VALUES, "type": WORDS},
    ),
    st.sampled_from(["", JOURNAL_ROUTE]),
)
def test_any_json_is_read_or_refused(envelope, route):
    hook = Hook(body=json.dumps(envelope).encode(), route=route)

    [ref] = green.route(hook)
    assert ref.reference == "" or ref.reference.isdecimal()
    assert json.loads(green.answer(hook).body)["ok"] is True
    try:
        events = green.parse(hook, ID)
    except BadPayload:
        return
    assert events
    stored = json.dumps([event.raw for event in events], allow_nan=False)
    assert "\\u0000" not in stored


# Whose it is


@pytest.mark.parametrize(
    ("body", "reference"),
    [
        (b'{"instanceData":{"idInstance":1101000001}}', "1101000001"),
        (b'{"instanceData":{"idInstance":"1101000001","wid":""}}', "1101000001"),
        (b'{"receiptId":1,"body":{"instanceData":{"idInstance":7}}}', "7"),
        (b'{"instanceData":{"idInstance": 1101000001},"messageData":{"te', "1101000001"),
        (b'{"instanceData":{"idInstance":true}}', ""),
        (b'{"instanceData":{"idInstance":"1 OR 1"}}', ""),
        (b"not json", ""),
        (b"", ""),
    ],
)
def test_the_instance_is_found_even_where_the_rest_cannot_be_read(body, reference):
    assert green.route(Hook(body=body)) == [InstanceRef(reference=reference)]


def test_the_answer_repeats_the_type():
    answer = green.answer(load(IN + "text"))

    assert json.loads(answer.body) == {"ok": True, "received": "incomingMessageReceived"}
    assert answer.content_type == "application/json"
    assert json.loads(green.answer(Hook(body=b"no json")).body) == {"ok": True, "received": ""}


def candidate(instance_id: int, *tokens: str, tenant: int = 1) -> Candidate:
    sets = tuple({"webhook_token": token} for token in tokens)
    return Candidate(instance_id, tenant, str(instance_id), {}, sets)


def carrying(authorization: str) -> Hook:
    return Hook(body=b"{}", headers={"authorization": authorization})


MINE = candidate(1, "s3cret")
OTHER = candidate(2, "another", tenant=2)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("s3cret", MINE),
        ("Bearer s3cret", MINE),
        ("bearer  s3cret ", MINE),
        ("Basic s3cret", MINE),
        ("s3cret", candidate(1, "Bearer s3cret")),
        ("Bearer s3cret", candidate(1, "Bearer s3cret")),
        ("s3cret", candidate(1, "new", "s3cret")),
    ],
)
def test_the_token_is_taken_with_and_without_its_scheme(given, meant):
    assert green.verify(carrying(given), [OTHER, meant]) == [meant]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("", MINE),
        ("Bearer", MINE),
        ("Bearer ", MINE),
        ("S3CRET", MINE),
        ("Bearer Bearer s3cret", MINE),
        ("Digest s3cret", MINE),
        ("\udcff\x00", MINE),
        ("", candidate(1, "")),
        ("Bearer ", candidate(1, "Bearer ")),
        ("s3cret", candidate(1)),
        ("s3cret", Candidate(1, 1, "1", {}, ({},))),
    ],
)
def test_every_other_token_is_refused(given, meant):
    with pytest.raises(BadSignature) as refused:
        green.verify(carrying(given), [OTHER, meant])

    assert "s3cret" not in str(refused.value)


def test_a_body_that_names_nobody_is_never_given_to_two_vendors():
    twin = candidate(3, "s3cret", tenant=2)
    sister = candidate(4, "s3cret")

    assert green.verify(carrying("s3cret"), [MINE, sister]) == [MINE]
    with pytest.raises(BadSignature):
        green.verify(carrying("s3cret"), [MINE, twin])


# Calls, answered in the test

OUTGOING = Outgoing(reference="1", to="+33612345678", text="Bonjour é")
SETTINGS = {"id_instance": ID}


class Server:
    """Answers every call alike and keeps it."""

    def __init__(self, status=200, body=None, headers=None, error=None):
        self.status, self.body, self.headers, self.error = status, body, headers, error
        self.calls: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(request)
        if self.error:
            raise self.error
        content = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        return httpx.Response(self.status, content=content, headers=self.headers)

    def via(self, **changes) -> Via:
        client = httpx.Client(transport=httpx.MockTransport(self))
        return replace(Via(1, ID, "+221700000001", SETTINGS, SECRETS, client), **changes)


def refusal(server: Server, call=lambda via: green.send(OUTGOING, via), **changes) -> SendError:
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
        ({}, "https://api.green-api.com"),
        ({"api_url": "https://1103.api.greenapi.com/"}, "https://1103.api.greenapi.com"),
        ({"api_url": "http://127.0.0.1:9/green"}, "http://127.0.0.1:9/green"),
    ],
)
def test_the_token_is_called_and_never_told(caplog, settings, address):
    caplog.set_level(logging.DEBUG, logger="httpx")
    server = Server(body={"idMessage": "G30"})

    sent = green.send(OUTGOING, server.via(settings=SETTINGS | settings))

    [call] = server.calls
    assert sent == Sent(external_id="G30")
    assert call.url.path.endswith(f"/waInstance{ID}/sendMessage/{TOKEN}")
    assert f"{call.url.scheme}://{call.url.netloc.decode()}" == "/".join(address.split("/")[:3])
    assert "HTTP Request" in caplog.text
    assert not any(TOKEN in text for text in (caplog.text, str(call.url), repr(call.url)))


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        ({}, "https://media.green-api.com"),
        ({"api_url": "https://1103.api.greenapi.com"}, "https://1103.media.greenapi.com"),
        ({"api_url": "http://127.0.0.1:9"}, "http://127.0.0.1:9"),
        ({"media_url": "https://files.test/"}, "https://files.test"),
    ],
)
def test_files_go_to_the_server_for_files(settings, address):
    assert calls.media_url(Server().via(settings=SETTINGS | settings)) == address


@pytest.mark.parametrize(
    ("secrets", "settings", "code"),
    [
        ({"api_token": ""}, {}, "bad_api_token"),
        ({"api_token": "a/../../b"}, {}, "bad_api_token"),
        ({"api_token": "a\nb"}, {}, "bad_api_token"),
        ({}, {"id_instance": "1/../2"}, "bad_id_instance"),
    ],
)
def test_an_address_is_only_made_of_an_id_and_a_token(secrets, settings, code):
    server = Server()

    error = refusal(server, secrets=SECRETS | secrets, settings=SETTINGS | settings)

    assert outcome(error) == (code, False, Blame.ACCOUNT, False)
    assert server.calls == []


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, {"message": "instance in starting process try later"},
         ("starting", True, Blame.ACCOUNT, False)),
        (400, {"message": "instance is starting or not authorized"},
         ("starting", True, Blame.ACCOUNT, False)),
        (400, {"message": "Instance account is expired. Renew your instance"},
         ("instance_expired", False, Blame.ACCOUNT, False)),
        (400, {"message": "Validation failed. Details: 'message' is required"},
         ("bad_request", False, Blame.MESSAGE, False)),
        (400, {"message": {"chatId": "is required"}},
         ("recipient", False, Blame.RECIPIENT, False)),
        (400, "bad request data", ("bad_request", False, Blame.MESSAGE, False)),
        (500, {"message": "File from url exceeded max upload size. Size: 120mb Limit: 100mb"},
         ("too_large", False, Blame.MESSAGE, False)),
        (503, b"", ("unavailable", True, Blame.PROVIDER, False)),
        (504, b"", ("http_504", False, Blame.PROVIDER, True)),
        (200, {}, ("unreadable_answer", False, Blame.PROVIDER, True)),
        (200, [], ("unreadable_answer", False, Blame.PROVIDER, True)),
    ],
)  # fmt: skip
def test_a_refusal_is_judged_by_its_words_too(status, body, expected):
    server = Server(status, body)

    assert outcome(refusal(server)) == expected
    assert len(server.calls) == 1


def test_a_spent_plan_says_what_is_spent():
    body = {
        "invokeStatus": {"method": "sendmessage", "status": "QUOTE_ALLOWED"},
        "correspondentsStatus": {
            "status": "CORRESPONDENTS_QUOTE_EXCEEDED",
            "description": f"Only these numbers. {TOKEN}",
        },
    }

    error = refusal(Server(466, body))

    assert outcome(error) == ("quota_exceeded", False, Blame.ACCOUNT, False)
    assert error.detail == "CORRESPONDENTS_QUOTE_EXCEEDED: Only these numbers. [secret]"


def test_a_pause_is_as_long_as_it_says():
    error = refusal(Server(429, {}, headers={"retry-after": "7"}))

    assert (error.code, error.retry_after) == ("rate_limited", 7)


@pytest.mark.parametrize(
    ("address", "chat"),
    [
        ("+33612345678", "33612345678@c.us"),
        ("33612345678@s.whatsapp.net", "33612345678@c.us"),
        ("77001122334455@lid", "77001122334455@lid"),
        (GROUP, GROUP),
    ],
)
def test_people_and_groups_are_written_as_chats(address, chat):
    server = Server(body={"idMessage": "G30"})

    green.send(replace(OUTGOING, to=address), server.via())

    assert json.loads(server.calls[0].content)["chatId"] == chat


def test_an_address_without_digits_is_nobodys():
    error = refusal(Server(), lambda via: green.send(replace(OUTGOING, to="Awa"), via))

    assert outcome(error) == ("recipient", False, Blame.RECIPIENT, False)


@pytest.mark.parametrize(
    ("code", "blame"),
    [
        ("noAccount", Blame.RECIPIENT),
        ("yellowCard", Blame.ACCOUNT),
        ("failed", Blame.PROVIDER),
    ],
)
def test_a_failure_told_later_has_somebody_to_blame(code, blame):
    assert green.blame_of(code) == blame


# Calls to the stand-in for Green-API's servers


@pytest.fixture(scope="module")
def fake() -> Iterator[serving.Fake]:
    with serving.running("tests.fakes.greenapi") as running:
        yield running


@pytest.fixture
def via(fake) -> Iterator[Via]:
    fake.tick()
    fake.set(state="authorized", settings={}, spent=False, expired=False, keeps_settings=True,
             incoming=[], outgoing=[], files={})  # fmt: skip
    with http.client() as client:
        settings = {"id_instance": ID, "api_url": fake.url}
        yield Via(1, ID, "+221700000001", settings, SECRETS, client)


PNG = File("image/png", "a.png", content=b"\x89PNG\x00\xff")
LINKED = File("application/pdf", url="https://files.test/f.pdf")
HOME = Place(14.6937, -17.4441, "Marché Sandaga")
SIZES = Poll("Quelle taille ?", ("M", "L"), several=True)


@pytest.mark.parametrize(
    ("changes", "method", "body"),
    [
        ({}, "sendMessage", {"message": "Bonjour é"}),
        ({"reply_to": "G1"}, "sendMessage", {"message": "Bonjour é", "quotedMessageId": "G1"}),
        ({"kind": Kind.DOCUMENT, "file": LINKED}, "sendFileByUrl",
         {"urlFile": LINKED.url, "fileName": "file.pdf", "caption": "Bonjour é"}),
        ({"kind": Kind.LOCATION, "place": HOME}, "sendLocation",
         {"latitude": 14.6937, "longitude": -17.4441, "nameLocation": "Marché Sandaga"}),
        ({"kind": Kind.CONTACT, "card": Card("Moussa", "+221 77 000 00 01")}, "sendContact",
         {"contact": {"phoneContact": 221770000001, "firstName": "Moussa"}}),
        ({"kind": Kind.POLL, "poll": SIZES}, "sendPoll",
         {"message": "Quelle taille ?", "multipleAnswers": True,
          "options": [{"optionName": "M"}, {"optionName": "L"}]}),
    ],
)  # fmt: skip
def test_every_kind_has_a_method_that_takes_it(fake, via, changes, method, body):
    sent = green.send(replace(OUTGOING, **changes), via)

    last = fake.calls()[-1]
    assert sent.external_id.startswith("GREEN")
    assert last["path"] == f"/waInstance{ID}/{method}/{TOKEN}"
    assert json.loads(last["body"]) == {"chatId": "33612345678@c.us", **body}


@pytest.mark.parametrize(
    "kind", [Kind.IMAGE, Kind.VIDEO, Kind.AUDIO, Kind.VOICE, Kind.DOCUMENT, Kind.STICKER]
)
def test_a_file_of_ours_is_uploaded_and_can_be_fetched_again(via, kind):
    sent = green.send(replace(OUTGOING, kind=kind, file=PNG, reply_to="G1"), via)

    reference = {"chatId": "1@c.us", "idMessage": "x"}
    link = f"{via.settings['api_url']}/files/a.png"
    fetched = green.fetch_media(reference | {"downloadUrl": link}, via, limit=100)
    with fetched.file:
        assert fetched.file.read() == PNG.content
    assert sent.external_id.startswith("GREEN")


@pytest.mark.parametrize("kind", [Kind.IMAGE, Kind.LOCATION, Kind.CONTACT, Kind.POLL])
def test_a_kind_is_never_sent_without_its_content(kind):
    server = Server()

    error = refusal(server, lambda via: green.send(replace(OUTGOING, kind=kind), via))

    assert (error.retry, error.blame, server.calls) == (False, Blame.MESSAGE, [])


OURS = Known(external_id="GREEN1", chat="+33612345678", from_us=True)


@pytest.mark.parametrize(
    ("act", "method", "more"),
    [
        (lambda via: green.edit(OURS, "Non", via), "editMessage", {"message": "Non"}),
        (lambda via: green.delete(OURS, via), "deleteMessage", {}),
        (lambda via: green.mark_read(OURS, via), "readChat", {}),
        (lambda via: green.react(OURS, "👍", via), "sendReaction", {"reaction": "👍"}),
        (lambda via: green.react(OURS, "", via), "sendReaction", {"reaction": ""}),
    ],
)
def test_messages_are_changed_by_one_call_that_may_be_repeated(fake, via, act, method, more):
    act(via)

    last = fake.calls()[-1]
    assert last["path"] == f"/waInstance{ID}/{method}/{TOKEN}"
    assert json.loads(last["body"]) == {
        "chatId": "33612345678@c.us",
        "idMessage": "GREEN1",
        **more,
    }
    assert outcome(refusal(Server(502, b""), act))[:2] == ("http_502", True)


def test_a_message_queued_while_nobody_is_connected_is_taken(fake, via):
    fake.set(state="notAuthorized")

    assert green.send(OUTGOING, via).external_id
    with pytest.raises(SendError) as refused:
        green.edit(OURS, "Non", via)
    assert outcome(refused.value)[:2] == ("starting", True)


@pytest.mark.parametrize(
    ("state_set", "expected"),
    [
        ({"spent": True}, ("quota_exceeded", False, Blame.ACCOUNT, False)),
        ({"expired": True}, ("instance_expired", False, Blame.ACCOUNT, False)),
    ],
)
def test_a_plan_that_ended_fails_for_the_account(fake, via, state_set, expected):
    fake.set(**state_set)

    with pytest.raises(SendError) as refused:
        green.send(OUTGOING, via)

    assert outcome(refused.value) == expected


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"secrets": {**SECRETS, "api_token": "0" * 50}}, "unauthorized"),
        ({"settings": {"id_instance": "2"}}, "forbidden"),
    ],
)
def test_a_stranger_is_told_apart(via, changes, code):
    changed = {**changes}
    if "settings" in changes:
        changed["settings"] = {**via.settings, **changes["settings"]}

    with pytest.raises(SendError) as refused:
        green.send(OUTGOING, replace(via, **changed))

    assert refused.value.code == code


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("authorized", InstanceState(Connection.CONNECTED)),
        ("notAuthorized", InstanceState(Connection.DISCONNECTED, "not_authorized")),
        ("starting", InstanceState(Connection.PENDING, "starting")),
        ("suspended", InstanceState(Connection.BLOCKED, "suspended")),
    ],
)
def test_check_asks_for_the_state(fake, via, word, expected):
    fake.set(state=word)

    assert green.check(via) == expected


def test_check_twice_in_a_second_is_told_to_wait(via):
    green.check(via)

    with pytest.raises(SendError) as refused:
        green.check(via)

    assert outcome(refused.value)[:2] == ("rate_limited", True)


def test_an_unknown_state_is_no_state(fake, via):
    fake.set(state="dreaming")

    with pytest.raises(SendError) as refused:
        green.check(via)

    assert (refused.value.code, refused.value.detail) == ("unknown_state", "dreaming")


PICTURE = f"data:image/png;base64,{fake_module.PICTURE}"


def test_the_code_to_scan_comes_as_a_picture(fake, via):
    fake.set(state="notAuthorized")

    assert green.connect(via) == InstanceState(Connection.PENDING, "need_scan", qr=PICTURE)
    assert green.qr(via) == PICTURE


def test_who_is_connected_needs_no_code(fake, via):
    assert green.connect(via) == InstanceState(Connection.CONNECTED)
    with pytest.raises(SendError) as refused:
        green.qr(via)
    assert refused.value.code == "already_connected"

    fake.set(state="starting")
    with pytest.raises(SendError) as starting:
        green.qr(via)
    assert (starting.value.code, starting.value.retry) == ("no_qr", True)


def test_an_instance_is_restarted_and_logged_out(via):
    assert green.restart(via) == InstanceState(Connection.PENDING, "starting")
    assert green.disconnect(via) == InstanceState(Connection.DISCONNECTED, "logged_out")
    assert green.check(via) == InstanceState(Connection.DISCONNECTED, "not_authorized")


URL = "https://amda.test/webhooks/greenapi"


def test_a_webhook_is_set_and_read_back_with_everything_the_table_reads(fake, via):
    kept = green.configure_webhook(via, URL)

    assert (kept.url, kept.enabled) == (URL, True)
    assert kept.values == {"webhook_token": "hook-s3cret"}
    assert "hook-s3cret" not in repr(kept)
    sent = json.loads(fake.calls()[-2]["body"])
    assert {name: value for name, value in sent.items() if name.endswith("Webhook")} == (
        dict.fromkeys(kept.events, "yes")
    )
    fake.tick()
    assert green.read_webhook(via) == kept


def test_nothing_is_on_before_it_is_asked_for(via):
    kept = green.read_webhook(via)

    assert (kept.url, kept.enabled, kept.events) == ("", False, ())


def test_a_yes_that_kept_nothing_is_an_error(fake, via):
    fake.set(keeps_settings=False)

    with pytest.raises(SendError) as refused:
        green.configure_webhook(via, URL)

    assert refused.value.code == "webhook_not_kept"
    assert refused.value.detail.startswith("webhookUrl, incomingWebhook")


# Files

PICTURE_REFERENCE = {"chatId": "33612345678@c.us", "idMessage": "G4", "mimeType": "image/jpeg",
                     "fileName": "a.jpg"}  # fmt: skip


def test_a_link_that_ended_is_replaced_by_a_new_one(fake, via):
    link = f"{fake.url}/files/new.jpg"
    fake.set(files={"G4": link, "new.jpg": "jpeg"})
    reference = PICTURE_REFERENCE | {"downloadUrl": f"{fake.url}/files/old.jpg"}

    media = green.fetch_media(reference, via, limit=100)

    with media.file:
        assert media.file.read() == b"jpeg"
    assert (media.mime_type, media.file_name, media.size) == ("image/jpeg", "a.jpg", 4)


def test_a_file_that_whatsapp_lost_has_ended(via):
    with pytest.raises(SendError) as refused:
        green.fetch_media(PICTURE_REFERENCE, via, limit=100)

    assert outcome(refused.value) == ("expired", False, Blame.MESSAGE, False)


def test_a_marker_is_never_fetched():
    server = Server()
    reference = PICTURE_REFERENCE | {"downloadUrl": "{{SWE002}}"}

    error = refusal(server, lambda via: green.fetch_media(reference, via, limit=100))

    assert (outcome(error), server.calls) == (("too_large", False, Blame.MESSAGE, False), [])


@pytest.mark.parametrize("link", ["http://elsewhere.test/a", "file:///etc/passwd", "http://["])
def test_a_file_only_travels_encrypted(link):
    server = Server()
    reference = PICTURE_REFERENCE | {"downloadUrl": link}

    assert refusal(server, lambda via: green.fetch_media(reference, via, limit=1)).code == (
        "bad_media_url"
    )
    assert server.calls == []


def test_a_file_is_never_read_further_than_allowed(fake, via):
    fake.set(files={"a.jpg": "a" * 500})
    reference = PICTURE_REFERENCE | {"downloadUrl": f"{fake.url}/files/a.jpg"}

    with pytest.raises(SendError) as refused:
        green.fetch_media(reference, via, limit=100)

    assert refused.value.code == "too_large"


# Journals


def test_a_journal_is_read_oldest_first(fake, via):
    newer = json.loads((FIXTURES / "journal" / "incoming__text.json").read_text())
    older = newer | {"idMessage": "G0", "timestamp": newer["timestamp"] - 60}
    fake.set(incoming=[older, newer])

    lines = green.read_journal(via, minutes=90)

    assert [json.loads(line)["idMessage"] for line in lines] == ["G0", "G1"]
    asked = fake.calls()[-2:]
    assert [call["query"] for call in asked] == [{"minutes": "90"}] * 2
    assert [call["path"].split("/")[2] for call in asked] == [
        "lastIncomingMessages",
        "lastOutgoingMessages",
    ]


def test_a_journal_that_is_no_list_is_asked_for_again():
    error = refusal(Server(body={}), lambda via: green.read_journal(via, minutes=1))

    assert (error.code, error.retry, error.unknown) == ("unreadable_answer", True, False)
