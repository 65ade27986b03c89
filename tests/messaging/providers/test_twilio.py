"""Twilio's posts become events, its signatures are checked, its answers become outcomes."""

import base64
import hashlib
import hmac
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.events import (
    Attachment,
    ConsentChanged,
    Event,
    Ignored,
    Kind,
    Person,
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
    Hook,
    InstanceRef,
    Outgoing,
    SendError,
    Sent,
    Via,
)
from messaging.providers.twilio import errors
from messaging.providers.twilio.consent import opts_out
from tests.fakes.twilio import signature

FIXTURES = Path(__file__).parents[2] / "fixtures" / "webhooks" / "twilio"
ACCOUNT = "AC00000000000000000000000000000a01"
OURS, THEIRS = "+33644600001", "+33644600002"
REFERENCE = f"{ACCOUNT}:{OURS}"
SERVICE = "MG00000000000000000000000000000b01"
URL = "https://amda.example/webhooks/twilio-sms/incoming"
STATUS_URL = "https://amda.example/webhooks/twilio-sms/status"
FORM = "application/x-www-form-urlencoded"

twilio = get("twilio")


def load(name: str) -> Hook:
    return Hook(body=(FIXTURES / f"{name}.form").read_bytes(), content_type=FORM)


def parse(name: str, **facts) -> list[Event]:
    return twilio.parse(replace(load(name), **facts), REFERENCE)


def sid(number: int, kind: str = "SM") -> str:
    return f"{kind}{number:032x}"


def said(number: int, text: str = "", kind: Kind = Kind.TEXT, **more) -> Received:
    name = sid(number, "SM" if kind is Kind.TEXT else "MM")
    return Received(
        event_id=name,
        instance_ref=REFERENCE,
        external_id=name,
        person=Person(phone=THEIRS),
        kind=kind,
        text=text,
        **more,
    )


def told(number: int, word: str, status: Status, **more) -> StatusChanged:
    return StatusChanged(
        event_id=f"{sid(number)}:status:{word}",
        instance_ref=REFERENCE,
        status=status,
        external_id=sid(number),
        **more,
    )


def wishes(number: int, *, opted_out: bool, **more) -> ConsentChanged:
    return ConsentChanged(
        event_id=f"{sid(number)}:consent",
        instance_ref=REFERENCE,
        person=Person(phone=THEIRS),
        opted_out=opted_out,
        **more,
    )


def media(number: int, place: int, kind: Kind, mime_type: str) -> Attachment:
    path = f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{sid(number, 'MM')}/Media/{sid(place, 'ME')}"
    url = f"https://api.twilio.com{path}"
    return Attachment(kind=kind, mime_type=mime_type, reference={"url": url})


LONG = "Bonjour, je vous écris en plusieurs morceaux, est-ce que tout arrive bien chez vous ?"
CASES = {
    "incoming__text": [said(1, "Bonjour, votre boutique est-elle ouverte samedi ?")],
    "incoming__blank": [said(2)],
    "incoming__accents_and_emoji": [said(3, "Déjà vu ? À bientôt 👋 & merci = 100 %")],
    "incoming__stop": [said(4, "Stop"), wishes(4, opted_out=True)],
    "incoming__arret": [said(5, " ARRÊT. "), wishes(5, opted_out=True)],
    "incoming__start": [said(6, "START"), wishes(6, opted_out=False)],
    "incoming__help": [said(7, "HELP")],
    "incoming__opt_out_type": [said(8, "plus rien svp"), wishes(8, opted_out=True)],
    "incoming__picture": [
        said(
            9,
            "Voici la photo",
            Kind.IMAGE,
            attachments=(media(9, 1, Kind.IMAGE, "image/jpeg"),),
        )
    ],
    "incoming__several_files": [
        said(
            10,
            "",
            Kind.VIDEO,
            attachments=(
                media(10, 1, Kind.VIDEO, "video/mp4"),
                media(10, 2, Kind.AUDIO, "audio/amr"),
                media(10, 3, Kind.DOCUMENT, "application/pdf"),
            ),
        )
    ],
    "incoming__contact_card": [
        said(11, "", Kind.DOCUMENT, attachments=(media(11, 1, Kind.DOCUMENT, "text/vcard"),))
    ],
    "incoming__base64": [said(12, LONG)],
    "incoming__messaging_service": [said(14, "Par le service")],
    "incoming__from_a_name": [
        Unlisted(
            event_id=f"{sid(13)}:sender without a number",
            instance_ref=REFERENCE,
            name="sender without a number",
        )
    ],
    "status__sent": [told(104, "sent", Status.SENT)],
    "status__delivered": [told(105, "delivered", Status.DELIVERED)],
    "status__read": [told(106, "read", Status.READ)],
    "status__partially_delivered": [told(107, "partially_delivered", Status.SENT)],
    "status__undelivered_off": [told(120, "undelivered", Status.FAILED, error_code="30003")],
    "status__failed_opted_out": [
        told(121, "failed", Status.FAILED, error_code="21610"),
        wishes(121, opted_out=True, by_provider=True),
    ],
    "status__canceled": [told(122, "canceled", Status.FAILED, error_code="canceled")],
    "status__unknown_word": [
        Unlisted(
            event_id=f"{sid(123)}:status teleported",
            instance_ref=REFERENCE,
            name="status teleported",
        )
    ],
    **{
        f"status__{word}": [
            Ignored(
                event_id=f"{sid(number)}:status:{word}",
                instance_ref=REFERENCE,
                reason="not sent yet",
            )
        ]
        for number, word in enumerate(("accepted", "scheduled", "queued", "sending"), 100)
    },
    "journal__received": [
        said(200, "Pendant la panne", at=datetime(2026, 3, 2, 9, 30, tzinfo=UTC))
    ],
    "journal__sent_elsewhere": [
        said(
            201,
            "Envoyé depuis la console",
            at=datetime(2026, 3, 2, 9, 31, tzinfo=UTC),
            from_us=True,
        ),
        told(201, "delivered", Status.DELIVERED, at=datetime(2026, 3, 2, 9, 31, tzinfo=UTC)),
    ],
}


@pytest.mark.parametrize("fixture", sorted(path.stem for path in FIXTURES.glob("*.form")))
def test_parse(fixture):
    assert parse(fixture) == CASES[fixture]


def test_a_status_brings_back_the_reference_that_was_sent_along():
    reference = "7b0c1b7e-2f0a-4a53-9d2b-0d8f3b5a9c11"

    [event] = parse("status__sent", route="status", query=f"instance=x&message={reference}")

    assert event.echo == reference


def test_a_journal_is_read_on_its_own_route():
    assert parse("journal__received", route=JOURNAL_ROUTE) == CASES["journal__received"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((word, True) for word in "STOP StopAll unsubscribe CANCEL end Quit REVOKE".split()),
        *((word, True) for word in ("OPTOUT", "Opt-out", "stop all", " stop!\n", "«Stop»")),
        *((word, True) for word in ("ARRET", "arrêt", "Arrêt !", "ARRE\u0302T")),
        *((word, False) for word in ("START", "start.", "Yes", "UNSTOP")),
        *((word, None) for word in ("HELP", "info", "", "Oui", "ne pas STOP", "Stop la pluie")),
        *((word, None) for word in ("arrêter", "stopper", "yesterday", "👋", "STOPSTOP")),
    ],
)
def test_words_of_consent_are_whole_messages_in_any_spelling(text, expected):
    assert opts_out(text) is expected


@pytest.mark.parametrize(
    ("said_by_twilio", "expected"), [("STOP", True), ("START", False), ("HELP", None)]
)
def test_what_twilio_understood_counts_before_the_words(said_by_twilio, expected):
    assert opts_out("STOP" if expected is None else "bonjour", said_by_twilio) is expected


@pytest.mark.parametrize("body", ["A" * 64, "YWJj" * 15, "Bonjour " * 8])
def test_words_that_only_look_like_base64_stay_as_they_are(body):
    form = urlencode({"MessageSid": "SM1", "From": THEIRS, "Body": body})

    [event] = twilio.parse(Hook(body=form.encode()), REFERENCE)

    assert event.text == body


@pytest.mark.parametrize("body", [b"", b"{}", b"MessageSid=", b"a=1&" * 600, b"\xff\x00"])
def test_what_cannot_be_read_says_so(body):
    with pytest.raises(BadPayload):
        twilio.parse(Hook(body=body), REFERENCE)


NAMES = st.sampled_from(
    "MessageSid SmsSid SmsStatus MessageStatus From To Body NumMedia MediaUrl0 MediaUrl9 "
    "MediaContentType0 ErrorCode ErrorMessage OptOutType Direction DateSent AccountSid "
    "MessagingServiceSid ProfileName".split()
)
VALUES = (
    st.text(max_size=12)
    | st.sampled_from(
        ["SM1", "received", "sent", "failed", "21610", THEIRS, "outbound-api", "inbound", "STOP"]
    )
    | st.sampled_from(
        ["Mon, 02 Mar 2026 09:30:00 +0000", "Mon, 99 Mar 99999 09:30:00 +9999", "\ud800", "\x00"]
    )
)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=14), st.text(max_size=30))
def test_any_form_is_read_or_refused(pairs, query):
    body = urlencode(pairs, errors="surrogatepass").encode()

    try:
        events = twilio.parse(Hook(body=body, query=query), REFERENCE)
    except BadPayload:
        return

    for event in events:
        assert (event.instance_ref, bool(event.event_id)) == (REFERENCE, True)
        repr(event.raw).encode()
        if isinstance(event, Received):
            event.text.encode()


@given(st.binary(max_size=200), st.text(max_size=40))
def test_any_post_is_routed(body, query):
    refs = twilio.route(Hook(body=body, query=query))

    assert all(isinstance(ref, InstanceRef) for ref in refs)


def test_a_message_is_routed_by_the_number_it_was_for():
    assert twilio.route(load("incoming__text")) == [InstanceRef(reference=REFERENCE)]


def test_a_message_to_a_service_is_routed_by_the_service_too():
    assert twilio.route(load("incoming__messaging_service")) == [
        InstanceRef(reference=REFERENCE),
        InstanceRef(account=SERVICE),
    ]


def test_a_status_is_routed_by_what_we_wrote_into_its_address_else_by_the_sender():
    hook = replace(load("status__sent"), route="status")

    assert twilio.route(hook) == [InstanceRef(reference=REFERENCE)]
    assert twilio.route(replace(hook, query="instance=AC1%3A%2B336&message=1")) == [
        InstanceRef(reference="AC1:+336")
    ]


# Signatures


def candidate(instance_id=1, reference=REFERENCE, tokens=("token",), **settings) -> Candidate:
    return Candidate(instance_id, 1, reference, settings, tuple({"auth_token": t} for t in tokens))


def signed(hook: Hook, given: str, **headers) -> Hook:
    return replace(hook, headers={"x-twilio-signature": given, **headers})


# The first is the example of Twilio's documentation.
VECTORS = [
    (
        "12345",
        "https://mycompany.com/myapp.php?foo=1&bar=2",
        "CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309"
        "&To=%2B18005551212",
        "RSOYDt4T1cUTdK1PDd93/VVr8B8=",
    ),
]


@pytest.mark.parametrize(("token", "url", "body", "expected"), VECTORS)
def test_signature_vectors(token, url, body, expected):
    hook = Hook(body=body.encode(), url=url, content_type=FORM)
    meant = candidate(tokens=(token,))

    assert twilio.verify(signed(hook, expected), [meant]) == [meant]
    with pytest.raises(BadSignature):
        twilio.verify(signed(replace(hook, url=url + "&x=1"), expected), [meant])


@given(
    st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=6),
    st.sampled_from([URL, "https://amda.example:8443/webhooks/twilio-sms/status?message=1"]),
)
def test_signatures_cover_blank_and_foreign_parameters(fields, url):
    hook = Hook(body=urlencode(fields).encode(), url=url, content_type=FORM)
    meant = candidate()
    given_signature = signature(url, fields, "token")

    assert twilio.verify(signed(hook, given_signature), [meant]) == [meant]
    for changed in ({**fields, "extra": ""}, {name: f"{fields[name]}x" for name in fields}):
        if changed == fields:
            continue
        with pytest.raises(BadSignature):
            other = replace(hook, body=urlencode(changed).encode())
            twilio.verify(signed(other, given_signature), [meant])


def test_a_blank_parameter_is_part_of_what_is_signed():
    fields = {"Body": "", "From": THEIRS, "To": OURS}
    hook = Hook(body=urlencode(fields).encode(), url=URL, content_type=FORM)
    without = signature(URL, {"From": THEIRS, "To": OURS}, "token")

    with pytest.raises(BadSignature):
        twilio.verify(signed(hook, without), [candidate()])


def test_a_repeated_parameter_counts_each_value_once_in_order():
    hook = Hook(body=b"A=2&A=1&A=2&B=", url=URL, content_type=FORM)
    expected = signature(URL + "A1A2B", {}, "token")

    assert twilio.verify(signed(hook, expected), [candidate()])


def test_bytes_that_are_no_utf8_are_signed_as_they_came():
    hook = Hook(body=b"Body=%E9t%E9", url=URL, content_type=FORM)
    raw = (URL + "Body").encode() + b"\xe9t\xe9"
    expected = _hmac_of(raw)

    assert twilio.verify(signed(hook, expected), [candidate()])


def _hmac_of(text: bytes, key: str = "token", algorithm: str = "sha1") -> str:
    return base64.b64encode(hmac.new(key.encode(), text, algorithm).digest()).decode()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("https://amda.example/x", "https://amda.example:443/x"),
        ("https://amda.example:8443/x?a=1", "https://amda.example/x?a=1"),
        ("http://amda.example/x", "http://amda.example:80/x"),
    ],
)
def test_the_port_may_be_written_or_not(ours, theirs):
    hook = Hook(body=b"A=1", url=ours, content_type=FORM)

    assert twilio.verify(signed(hook, signature(theirs, {"A": "1"}, "token")), [candidate()])


def test_a_signature_for_another_address_is_refused():
    hook = Hook(body=b"A=1", url=URL, content_type=FORM)

    for other in (STATUS_URL, URL.replace("https", "http"), f"{URL}/"):
        with pytest.raises(BadSignature):
            twilio.verify(signed(hook, signature(other, {"A": "1"}, "token")), [candidate()])


SETTINGS = {"x-twilio-webhooks-signature-settings": "key=SK1,algorithm=HMAC_SHA256"}


def sha256_of(secret: str, fields: dict[str, str]) -> str:
    text = URL + "".join(name + fields[name] for name in sorted(fields))
    return base64.b64encode(
        hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()
    ).decode()


def with_shared_key() -> Candidate:
    return Candidate(
        1,
        1,
        REFERENCE,
        {"shared_key_id": "SK1"},
        ({"auth_token": "token", "shared_key_secret": "shared"},),
    )


def test_a_shared_key_signs_with_sha256():
    hook = Hook(body=b"A=1", url=URL, content_type=FORM)

    assert twilio.verify(
        signed(hook, sha256_of("shared", {"A": "1"}), **SETTINGS), [with_shared_key()]
    )


@pytest.mark.parametrize(
    ("secret", "headers"),
    [
        ("sha1", {}),
        ("sha1", SETTINGS),
        ("shared", {}),
        ("shared", {"x-twilio-webhooks-signature-settings": "key=SK2,algorithm=HMAC_SHA256"}),
        ("shared", {"x-twilio-webhooks-signature-settings": "key=SK1,algorithm=HMAC_SHA1"}),
        ("shared", {"x-twilio-webhooks-signature-settings": "key=SK1"}),
        ("shared", {"x-twilio-webhooks-signature-settings": ""}),
        ("token", SETTINGS),
    ],
)
def test_a_header_never_talks_a_shared_key_out_of_sha256(secret, headers):
    hook = Hook(body=b"A=1", url=URL, content_type=FORM)
    given_signature = (
        signature(URL, {"A": "1"}, "token") if secret == "sha1" else sha256_of(secret, {"A": "1"})
    )

    with pytest.raises(BadSignature):
        twilio.verify(signed(hook, given_signature, **headers), [with_shared_key()])


def test_a_header_is_refused_where_no_shared_key_is_known():
    hook = Hook(body=b"A=1", url=URL, content_type=FORM)

    for given_signature in (sha256_of("token", {"A": "1"}), signature(URL, {"A": "1"}, "token")):
        with pytest.raises(BadSignature):
            twilio.verify(signed(hook, given_signature, **SETTINGS), [candidate()])


def test_a_json_body_is_vouched_for_by_its_hash_in_the_address():
    body = b'{"property": "value"}'
    query = f"bodySHA256={hashlib.sha256(body).hexdigest()}"
    url = f"{URL}?{query}"
    hook = Hook(body=body, url=url, query=query, content_type="application/json")
    right = signed(hook, signature(url, {}, "token"))

    assert twilio.verify(right, [candidate()])
    with pytest.raises(BadSignature):
        twilio.verify(replace(right, body=b"{}"), [candidate()])


def test_vendors_who_share_an_account_get_their_own_numbers_posts_only():
    hook = replace(load("incoming__text"), url=URL)
    given_signature = _signature_of(hook)
    neighbour = candidate(2, f"{ACCOUNT}:+33644600009", messaging_service_sid=SERVICE)
    mine = candidate(1, REFERENCE, messaging_service_sid=SERVICE)

    assert twilio.verify(signed(hook, given_signature), [neighbour, mine]) == [mine]


def test_a_post_for_a_number_of_nobody_in_a_shared_service_is_nobodys():
    hook = replace(load("incoming__text"), url=URL)
    strangers = [candidate(number, f"{ACCOUNT}:+3364460000{number}") for number in (7, 8)]

    with pytest.raises(BadSignature):
        twilio.verify(signed(hook, _signature_of(hook)), strangers)


def _signature_of(hook: Hook) -> str:
    fields = dict(parse_qsl(hook.body.decode(), keep_blank_values=True))
    return signature(hook.url, fields, "token")


# Answers


def via(handle, **settings) -> Via:
    return Via(
        instance_id=1,
        reference=REFERENCE,
        address=OURS,
        settings={"account_sid": ACCOUNT, **settings},
        secrets={"auth_token": "token"},
        http=httpx.Client(transport=httpx.MockTransport(handle)),
        webhooks={"status": f"{STATUS_URL}#rc=3&rp=all"},
    )


def taken(request: httpx.Request) -> httpx.Response:
    return httpx.Response(201, json={"sid": "SM1"})


@pytest.mark.parametrize("code", sorted(errors.VERDICTS))
def test_every_code_of_the_table_becomes_its_outcome(code):
    verdict = errors.VERDICTS[code]
    answer = httpx.Response(400, json={"code": int(code), "message": "No."})

    with pytest.raises(SendError) as failed:
        twilio.send(Outgoing("1", THEIRS, "Oui"), via(lambda request: answer))

    error = failed.value
    assert (error.code, error.retry, error.blame) == (code, verdict.retry, verdict.blame)
    assert error.opted_out == (code == "21610")
    assert twilio.blame_of(code) == verdict.blame


def test_an_unlisted_code_of_a_status_is_the_providers():
    assert twilio.blame_of("39999") is Blame.PROVIDER


@pytest.mark.parametrize(
    ("webhook", "api_url", "expected"),
    [
        (f"{STATUS_URL}#rc=3&rp=all", "", f"{STATUS_URL}?instance=AC"),
        ("https://my_shop.example/s#rc=3&rp=all", "", None),
        ("http://localhost:8000/s#rc=3&rp=all", "", None),
        ("http://localhost:8000/s#rc=3&rp=all", "http://127.0.0.1:9", "http://localhost:8000/s?i"),
    ],
)
def test_the_status_callback_is_one_that_twilio_can_call(webhook, api_url, expected):
    seen = []

    def handle(request):
        seen.append(dict(httpx.QueryParams(request.content.decode())))
        return taken(request)

    opened = replace(via(handle, api_url=api_url), webhooks={"status": webhook})
    assert twilio.send(Outgoing("ref-1", THEIRS, "Oui"), opened) == Sent(external_id="SM1")

    callback = seen[0].get("StatusCallback")
    if expected is None:
        assert callback is None
    else:
        assert callback.startswith(expected)
        assert callback.endswith("&message=ref-1#rc=3&rp=all")


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.test/file",
        "http://api.twilio.com/file",
        "https://api.twilio.com.elsewhere.test/file",
        "file:///etc/passwd",
        "https://[bad",
        "",
    ],
)
def test_keys_and_requests_go_to_twilio_alone(url):
    requests = []

    with pytest.raises(SendError) as failed:
        twilio.fetch_media({"url": url}, via(requests.append), limit=100)

    assert (failed.value.code, requests) == ("bad_media_url", [])


def test_a_file_is_fetched_where_twilio_sends_us_and_the_keys_stay_behind():
    seen = []

    def handle(request):
        seen.append((request.url.host, "authorization" in request.headers))
        if request.url.host == "api.twilio.com":
            return httpx.Response(307, headers={"location": "https://media.twiliocdn.com/a"})
        return httpx.Response(200, headers={"content-type": "image/png"}, content=b"png")

    found = twilio.fetch_media({"url": "https://api.twilio.com/a"}, via(handle), limit=100)

    with closing(found.file):
        assert (found.size, found.mime_type, found.file.read()) == (3, "image/png", b"png")
    assert seen == [("api.twilio.com", True), ("media.twiliocdn.com", False)]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"account_sid": "AC/../x"}, "account_sid"),
        ({"messaging_service_sid": "MG 1"}, "messaging_service_sid"),
        ({"from_number": "a name that is too long"}, "from_number"),
        ({"shared_key_id": "SK1"}, "shared_key_secret"),
        ({"shared_key_secret": "s"}, "shared_key_id"),
    ],
)
def test_fields_that_do_not_go_together_are_named(values, field):
    assert list(twilio.complaints({"account_sid": ACCOUNT, **values})) == [field]
    assert twilio.complaints({"account_sid": ACCOUNT, "from_number": "AMDA"}) == {}
