"""Meta's webhooks become events: each shape, each batch, each signature."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.utils import translation
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
    NumberChanged,
    Person,
    Problem,
    Reacted,
    Received,
    Status,
    StatusChanged,
    TemplateChanged,
    Unlisted,
)
from messaging.providers import get
from messaging.providers.base import (
    Answer,
    BadPayload,
    BadSignature,
    Blame,
    Candidate,
    Hook,
    InstanceRef,
)
from messaging.providers.signatures import hmac_sha256_hex

FIXTURES = Path(__file__).parents[2] / "fixtures" / "webhooks" / "whatsapp_cloud"
NUMBER, OTHER_NUMBER = "106600000000001", "106600000000002"
ACCOUNT, OTHER_ACCOUNT = "105500000000001", "105500000000002"
T0 = datetime.fromtimestamp(1760000000, UTC)
AWA = Person(phone="33612345678", bsuid="FR.4400112233445566", name="Awa Diop")
NAMELESS = Person(phone="33612345678", bsuid="FR.4400112233445566")
REFERENCE = "7b0c1b7e-2f0a-4a53-9d2b-0d8f3b5a9c11"

meta = get("whatsapp_cloud")


def load(name: str, account: str = ACCOUNT) -> Hook:
    return Hook(body=(FIXTURES / f"{name}.json").read_bytes(), account=account)


def parse(name: str, number: str = NUMBER, account: str = ACCOUNT) -> list[Event]:
    return meta.parse(load(name, account), number)


def said(message_id: str, kind: Kind, text: str = "", **more) -> Received:
    facts = {"instance_ref": NUMBER, "at": T0, "person": AWA, **more}
    return Received(event_id=message_id, external_id=message_id, kind=kind, text=text, **facts)


def file(kind: Kind, media_id: str, mime_type: str, **more) -> tuple[Attachment, ...]:
    return (Attachment(kind=kind, mime_type=mime_type, reference={"id": media_id}, **more),)


def told(message_id: str, status: Status, at: datetime = T0, **more) -> StatusChanged:
    return StatusChanged(
        event_id=f"{message_id}:status:{status}",
        instance_ref=NUMBER,
        at=at,
        external_id=message_id,
        status=status,
        **more,
    )


def reacted(event_id: str, target: str, emoji: str, **more) -> Reacted:
    facts = {"person": AWA, "instance_ref": NUMBER, "at": T0, **more}
    return Reacted(event_id=event_id, external_id=target, emoji=emoji, **facts)


def edited(event_id: str, target: str, text: str) -> Edited:
    return Edited(event_id=event_id, instance_ref=NUMBER, at=T0, external_id=target, text=text)


def deleted(target: str) -> Deleted:
    return Deleted(event_id=f"{target}:deleted", instance_ref=NUMBER, at=T0, external_id=target)


@dataclass(frozen=True)
class Case:
    fixture: str
    events: list[Event]

    def __str__(self) -> str:
        return self.fixture


QUESTION = said("wamid.A1", Kind.TEXT, "Bonjour, avez-vous la robe en bleu ?")
HIDDEN = Person(bsuid="FR.4400112233445566", name="Awa")

CASES = [
    Case("messages__text", [QUESTION]),
    Case("messages__reply", [said("wamid.A2", Kind.TEXT, "Oui, celle-ci", reply_to="wamid.B1")]),
    Case(
        "messages__from_advertisement",
        [said("wamid.A3", Kind.TEXT, "C'est encore disponible ?", subject="Robes d'été")],
    ),
    Case("messages__bsuid_only", [said("wamid.A4", Kind.TEXT, "Sans numéro", person=HIDDEN)]),
    Case(
        "messages__bsuid_in_from",
        [said("wamid.A5", Kind.TEXT, "Toujours sans", person=replace(HIDDEN, name=""))],
    ),
    Case("messages__named_by_its_contact", [said("wamid.A26", Kind.TEXT, "Qui suis-je ?")]),
    Case(
        "messages__image",
        [said("wamid.A6", Kind.IMAGE, "Celle-ci", attachments=file(
            Kind.IMAGE, "990001", "image/jpeg",
            sha256="2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"))],
    ),
    Case(
        "messages__voice",
        [said("wamid.A7", Kind.VOICE,
              attachments=file(Kind.VOICE, "990002", "audio/ogg; codecs=opus"))],
    ),
    Case(
        "messages__audio",
        [said("wamid.A8", Kind.AUDIO, attachments=file(Kind.AUDIO, "990003", "audio/mpeg"))],
    ),
    Case(
        "messages__video",
        [said("wamid.A9", Kind.VIDEO, attachments=file(Kind.VIDEO, "990004", "video/mp4"))],
    ),
    Case(
        "messages__document",
        [said("wamid.A10", Kind.DOCUMENT, "La facture", attachments=file(
            Kind.DOCUMENT, "990005", "application/pdf", file_name="facture.pdf"))],
    ),
    Case(
        "messages__sticker",
        [said("wamid.A11", Kind.STICKER, attachments=file(Kind.STICKER, "990006", "image/webp"))],
    ),
    Case(
        "messages__location",
        [said("wamid.A12", Kind.LOCATION, "Marché Sandaga\nDakar\n14.6937, -17.4441")],
    ),
    Case(
        "messages__contacts",
        [said("wamid.A13", Kind.CONTACT,
              "Moussa Fall\n+221 77 000 00 01\nFatou\nfatou@example.org")],
    ),
    Case("messages__template_button", [said("wamid.A14", Kind.TEXT, "Oui", reply_to="wamid.B1")]),
    Case("messages__button_reply", [said("wamid.A15", Kind.TEXT, "Taille M")]),
    Case("messages__list_reply", [said("wamid.A16", Kind.TEXT, "Taille L\nEn stock")]),
    Case(
        "messages__form",
        [said("wamid.A17", Kind.TEXT, 'Envoyé\nnote: 5\ntailles: ["M", "L"]')],
    ),
    Case("messages__form_unreadable", [said("wamid.A18", Kind.TEXT, "Envoyé")]),
    Case(
        "messages__order",
        [said("wamid.A19", Kind.TEXT, "Livraison samedi\n2 × ROBE-M · 39.9 EUR\n1 × SAC")],
    ),
    Case("messages__unsupported", [said("wamid.A20", Kind.PLACEHOLDER)]),
    Case("messages__interactive_with_error", [said("wamid.A21", Kind.PLACEHOLDER)]),
    Case("messages__newer_kind", [said("wamid.A22", Kind.PLACEHOLDER, "vu de face")]),
    Case(
        "messages__group",
        [said("wamid.A23", Kind.TEXT, "Qui vient ?", group="Y2FwaV9ncm91cDox")],
    ),
    Case("messages__unstorable_text", [said("wamid.A24", Kind.TEXT, "a\ufffdb\ufffdc")]),
    Case("messages__system_unknown", [said("wamid.S3", Kind.PLACEHOLDER, "Something new")]),
    Case("messages__reaction", [reacted("wamid.R1", "wamid.B1", "❤️")]),
    Case("messages__reaction_removed", [reacted("wamid.R2", "wamid.B1", "")]),
    Case("messages__edit", [edited("wamid.E1", "wamid.A1", "En vert plutôt")]),
    Case("messages__edit_caption", [edited("wamid.E2", "wamid.A6", "Celle-là")]),
    Case("messages__revoke", [deleted("wamid.A1")]),
    Case("statuses__deleted", [deleted("wamid.B1")]),
    Case(
        "messages__number_changed",
        [NumberChanged(event_id="wamid.S1", instance_ref=NUMBER, at=T0,
                       old=Person(phone="33612345678"), new=Person(phone="33698765432"))],
    ),
    Case("statuses__sent", [told("wamid.B1", Status.SENT, echo=REFERENCE)]),
    Case(
        "statuses__delivered_and_read",
        [told("wamid.B1", Status.DELIVERED),
         told("wamid.B1", Status.READ, T0 + timedelta(seconds=5))],
    ),
    Case("statuses__played", [told("wamid.B2", Status.PLAYED)]),
    Case(
        "statuses__failed",
        [told("wamid.B3", Status.FAILED, error_code="131047",
              error_detail="More than 24 hours have passed.")],
    ),
    Case("statuses__failed_without_error", [told("wamid.B3", Status.FAILED)]),
    Case(
        "smb_message_echoes__text",
        [said("wamid.P1", Kind.TEXT, "Je vous rappelle", from_us=True, person=NAMELESS)],
    ),
    Case(
        "smb_message_echoes__edit_and_revoke",
        [edited("wamid.P2", "wamid.P1", "Demain"), deleted("wamid.P1")],
    ),
    Case(
        "smb_message_echoes__reaction",
        [reacted("wamid.P4", "wamid.A1", "👍", person=NAMELESS, from_us=True)],
    ),
    Case(
        "batch__two_numbers_two_accounts",
        [
            said("wamid.M1", Kind.TEXT, "Un"),
            said("wamid.M2", Kind.TEXT, "Deux"),
            told("wamid.B1", Status.SENT),
            told("wamid.B2", Status.READ),
            said("wamid.M4", Kind.TEXT, "Trois"),
        ],
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_parse(case):
    assert parse(case.fixture) == case.events


def test_each_number_of_a_batch_gets_its_own_and_nothing_else():
    theirs = parse("batch__two_numbers_two_accounts", OTHER_NUMBER, OTHER_ACCOUNT)

    assert [(type(each), each.instance_ref) for each in theirs] == [
        (Received, OTHER_NUMBER),
        (TemplateChanged, OTHER_NUMBER),
    ]
    assert parse("batch__two_numbers_two_accounts", "3", "4") == []


def test_what_concerns_an_account_is_for_the_numbers_of_that_account_only():
    assert parse("template__approved", account="") == []
    assert parse("template__approved", account=OTHER_ACCOUNT) == []


@pytest.mark.parametrize(
    ("fixture", "facts"),
    [
        ("template__approved", {"status": "approved", "category": "utility"}),
        (
            "template__rejected",
            {"status": "rejected", "reason": "Parameters stand next to each other."},
        ),
        ("template__quality", {"quality": "yellow"}),
        ("template__category", {"category": "marketing", "language": "en_US"}),
        ("template__content", {"content_changed": True}),
    ],
)
def test_template_change_says_what_is_different(fixture, facts):
    [event] = parse(fixture)

    assert event == TemplateChanged(
        event_id=event.event_id,
        instance_ref=NUMBER,
        at=T0,
        external_id="1689556908129832",
        name="order_ready",
        **{"language": "fr", **facts},
    )


@pytest.mark.parametrize(
    ("fixture", "state", "reason"),
    [
        ("account_update__disabled", Connection.BLOCKED, "disable"),
        ("account_update__reinstated", Connection.CONNECTED, ""),
        ("account_update__partner_removed", Connection.DISCONNECTED, "primary_inactivity"),
    ],
)
def test_account_update_moves_the_state_of_the_number(fixture, state, reason):
    [event] = parse(fixture)

    assert event == InstanceChanged(
        event_id=event.event_id, instance_ref=NUMBER, at=T0, state=state, reason=reason
    )


@pytest.mark.parametrize(
    ("fixture", "code", "detail"),
    [
        ("errors__throttled", "130429", "Too many messages from this number."),
        ("account_update__ban_scheduled", "disabled_update", "schedule_for_disable"),
        (
            "account_update__restricted",
            "account_restriction",
            "restricted_biz_initiated_messaging",
        ),
        ("account_update__violation", "account_violation", "spam"),
        ("phone_number_quality_update__flagged", "flagged", "33199000001 TIER_1K"),
    ],
)
def test_problem_keeps_metas_code_and_words(fixture, code, detail):
    [event] = parse(fixture)

    assert isinstance(event, Problem)
    assert (event.code, event.detail) == (code, detail)


def test_stopped_marketing_is_a_problem_and_resumed_is_none():
    stopped, resumed = parse("user_preferences__stop_and_resume")

    assert isinstance(stopped, Problem)
    assert (stopped.code, stopped.detail) == ("marketing_stopped", "33612345678")
    assert isinstance(resumed, Ignored)


@pytest.mark.parametrize(
    ("fixture", "reason"),
    [
        ("messages__security_code", "security code"),
        ("messages__call_permission", "call"),
        ("messages__chat_opened", "chat opened"),
        ("calls__connect", "call"),
        ("history__chunk", "history"),
        ("smb_app_state_sync__contact", "address book"),
        ("group_lifecycle_update__created", "group settings"),
        ("account_review_update__approved", "account settings"),
        ("account_update__other", "account settings"),
        ("phone_number_quality_update__upgraded", "messaging limit"),
    ],
)
def test_only_listed_kinds_are_ignored(fixture, reason):
    [event] = parse(fixture)

    assert isinstance(event, Ignored)
    assert event.reason == reason


@pytest.mark.parametrize(
    ("fixture", "name"),
    [
        ("unlisted__field", "moon_phase_update"),
        ("statuses__unknown", "messages.statuses"),
        ("messages__empty", "messages"),
        ("template__nameless", "message_template_status_update"),
    ],
)
def test_what_no_table_lists_stays_visible(fixture, name):
    [event] = parse(fixture)

    assert isinstance(event, Unlisted)
    assert event.name == name


def test_an_unreadable_item_does_not_hide_the_others():
    unreadable, message = parse("messages__nobody")

    assert isinstance(unreadable, Unlisted)
    assert message == replace(QUESTION, person=Person(phone="33612345678"))


def test_a_message_without_id_gets_one_that_repeats():
    [first] = parse("messages__without_id")
    [again] = parse("messages__without_id")

    assert first == again
    assert first.external_id.startswith("built:")


def test_a_contact_of_another_name_is_never_taken_for_the_sender():
    body = json.loads(load("messages__text").body)
    body["entry"][0]["changes"][0]["value"]["contacts"][0] |= {"wa_id": "1", "user_id": "US.1"}

    [event] = meta.parse(Hook(body=json.dumps(body).encode()), NUMBER)

    assert event.person == Person(phone="33612345678")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"entry": {}}', b"\xff", b"[" * 2000])
def test_what_is_no_envelope_is_refused(body):
    with pytest.raises(BadPayload):
        meta.parse(Hook(body=body), NUMBER)


# Routing


def test_route_names_every_number_and_account():
    assert meta.route(load("batch__two_numbers_two_accounts")) == [
        InstanceRef(reference=NUMBER),
        InstanceRef(reference=OTHER_NUMBER),
        InstanceRef(account=OTHER_ACCOUNT),
    ]


def test_route_names_the_account_inside_a_partners():
    assert meta.route(load("account_update__partner_removed")) == [
        InstanceRef(account="777"),
        InstanceRef(account=ACCOUNT),
    ]


_IDS = st.text(alphabet="0123456789", min_size=1, max_size=5)


@given(st.lists(st.tuples(_IDS, st.lists(st.tuples(_IDS, _IDS), max_size=3)), max_size=4))
def test_batch_loses_nothing_and_tells_nobody_anothers(entries):
    """However a post is packed, each number reads exactly its own messages."""
    wanted: dict[str, list[str]] = {}
    packed = []
    for place, (account, messages) in enumerate(entries):
        changes = []
        for position, (number, sender) in enumerate(messages):
            message_id = f"wamid.{place}.{position}"
            wanted.setdefault(number, []).append(message_id)
            changes.append(_change(number, sender, message_id))
        packed.append({"id": account, "changes": changes})
    hook = Hook(body=json.dumps({"entry": packed}).encode())

    assert {ref.reference for ref in meta.route(hook)} == set(wanted)
    for number, ids in wanted.items():
        assert [event.event_id for event in meta.parse(hook, number)] == ids


def _change(number: str, sender: str, message_id: str) -> dict:
    message = {
        "id": message_id,
        "from": f"33612{sender:0>5}",
        "type": "text",
        "text": {"body": "x"},
    }
    metadata = {"phone_number_id": number}
    return {"field": "messages", "value": {"metadata": metadata, "messages": [message]}}


def test_what_is_kept_for_a_number_holds_nothing_of_the_others():
    batch = load("batch__two_numbers_two_accounts")
    ours = Candidate(1, 1, NUMBER, {"waba_id": ACCOUNT}, ())
    theirs = Candidate(2, 2, OTHER_NUMBER, {"waba_id": OTHER_ACCOUNT}, ())

    part = meta.part_for(batch, ours)

    assert b"leak me" not in part and b"theirs" not in part
    assert meta.parse(Hook(body=part, account=ACCOUNT), NUMBER) == parse(
        "batch__two_numbers_two_accounts"
    )
    assert b"Bonjour" not in meta.part_for(batch, theirs)


def test_what_is_about_one_number_is_kept_as_it_came():
    post = load("messages__text")

    assert meta.part_for(post, Candidate(1, 1, NUMBER, {}, ())) == post.body


# Handshake and signatures


def candidate(instance_id: int = 1, *secret_sets: dict) -> Candidate:
    return Candidate(instance_id, 1, NUMBER, {}, secret_sets)


def asked(query: str) -> Hook:
    return Hook(body=b"", method="GET", query=query)


PLATFORM = candidate(0, {"app_secret": "platform", "verify_token": "of the platform"})
OWN = candidate(1, {"app_secret": "own", "verify_token": "of the vendor"})


@pytest.mark.parametrize("token", ["of+the+platform", "of%20the%20vendor"])
def test_handshake_answers_the_challenge_to_who_knows_a_token(token):
    hook = asked(f"hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={token}")

    assert meta.route(hook) == [InstanceRef()]
    assert meta.answer_handshake(hook, [PLATFORM, OWN]) == "1158201444"


@pytest.mark.parametrize("token", ["", "wrong", "of+the+vendo%C3%A9", "%FF"])
def test_handshake_with_a_wrong_token_is_refused(token):
    hook = asked(f"hub.mode=subscribe&hub.challenge=1&hub.verify_token={token}")

    for candidates in ([PLATFORM, OWN], [], [candidate(1, {})]):
        with pytest.raises(BadSignature):
            meta.answer_handshake(hook, candidates)


@pytest.mark.parametrize("query", ["", "hub.challenge=1", "hub.mode=unsubscribe"])
def test_what_is_no_handshake_is_none(query):
    assert meta.answer_handshake(asked(query), [PLATFORM]) is None
    assert meta.route(asked("x=1")) == []


# Computed with `openssl dgst -sha256 -hmac`, over the very bytes: é stands there as \u00e9.
VECTORS = [
    (
        b'{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[]}]}',
        "app-secret-of-amda",
        "61c3074e44bed87de4210311cff3cc319de4da1a94229010b91f887ef70d6aef",
    ),
    (
        b'{"text":"caf\\u00e9"}',
        "app-secret-of-amda",
        "40e1aee78823e585d439288d68c6f6694f602a2a9f8241d0fe3bcb6470befd1e",
    ),
]


@pytest.mark.parametrize(("body", "secret", "signature"), VECTORS)
def test_signature_vectors(body, secret, signature):
    meant = candidate(1, {"app_secret": secret})
    hook = Hook(body=body, headers={"x-hub-signature-256": f"sha256={signature}"})

    assert meta.verify(hook, [meant]) == [meant]
    for other in (body + b" ", json.dumps(json.loads(body), ensure_ascii=False).encode() + b"\n"):
        with pytest.raises(BadSignature):
            meta.verify(replace(hook, body=other), [meant])


def test_only_candidates_of_the_app_that_signed_are_meant():
    platforms = candidate(2, {"app_secret": "platform"})
    hook = signed(b"{}", "platform")

    assert meta.verify(hook, [OWN, platforms, PLATFORM]) == [platforms, PLATFORM]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-hub-signature": f"sha1={hmac_sha256_hex('own', b'{}')[:40]}"},
        {"x-hub-signature-256": hmac_sha256_hex("own", b"{}")},
        {"x-hub-signature-256": "sha256="},
        {"x-hub-signature-256": "sha256=é"},
        {"x-hub-signature-256": f"sha256={hmac_sha256_hex('', b'{}')}"},
    ],
)
def test_other_signatures_are_refused(headers):
    with pytest.raises(BadSignature):
        meta.verify(Hook(body=b"{}", headers=headers), [OWN, candidate(3, {"app_secret": ""})])


def signed(body: bytes, secret: str) -> Hook:
    signature = f"sha256={hmac_sha256_hex(secret, body)}"
    return Hook(body=body, headers={"x-hub-signature-256": signature})


def test_answer_says_that_it_was_queued():
    assert meta.answer(load("messages__text")) == Answer('{"success":true,"queued":true}')


@pytest.mark.parametrize(
    ("code", "blame"),
    [
        ("131026", Blame.RECIPIENT),
        ("190", Blame.ACCOUNT),
        ("1", Blame.PROVIDER),
        ("x", Blame.PROVIDER),
    ],
)
def test_a_failure_told_later_says_whose_fault_it_is(code, blame):
    assert meta.blame_of(code) == blame


def test_codes_that_a_team_meets_say_what_to_do():
    with translation.override("en"):
        assert "template" in str(meta.advice["131047"])
    assert meta.advice.get("424242") is None
