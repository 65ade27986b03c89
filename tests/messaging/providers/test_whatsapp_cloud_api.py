"""What leaves for Meta, against a strict Graph API that runs as a process of its own."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import httpx
import pytest

from messaging.events import Connection, Kind
from messaging.providers import get
from messaging.providers.base import (
    Blame,
    Card,
    Choice,
    Choices,
    File,
    InstanceState,
    Known,
    Outgoing,
    Place,
    SendError,
    Sent,
    Via,
)
from messaging.providers.templates import (
    ButtonValue,
    FilledTemplate,
    Template,
    TemplateButton,
    Variable,
)
from tests.fakes import graph
from tests.fakes.serving import Fake, running

meta = get("whatsapp_cloud")

TEXT = Outgoing(reference="our-id", to="+33612345678", text="Bonjour")
READY = FilledTemplate(
    "order_ready",
    "fr",
    header=(Variable("A-12"),),
    body=(Variable("Awa"), Variable("samedi")),
    buttons=(ButtonValue(1, "url", "A-12"),),
)


@pytest.fixture(scope="module")
def server() -> Iterator[Fake]:
    with running("tests.fakes.graph") as fake:
        yield fake


@pytest.fixture
def fake(server) -> Fake:
    server.set(
        token=graph.TOKEN, phone=graph.PHONE, status="CONNECTED", window_open=True, down=False,
        templates=graph.TEMPLATES, sent=[], pairs={}, burst=80,
    )  # fmt: skip
    server.before = len(server.calls())
    return server


@pytest.fixture
def via(fake) -> Iterator[Via]:
    with httpx.Client(trust_env=False) as client:
        yield Via(
            instance_id=1,
            reference=graph.NUMBER,
            address="+33199000001",
            settings={"api_url": f"{fake.url}/v25.0", "waba_id": graph.ACCOUNT},
            secrets={"access_token": graph.TOKEN, "app_secret": "app-secret"},
            http=client,
        )


def bodies(fake: Fake) -> list[dict]:
    """What was posted to the API as JSON in this test."""
    return [
        json.loads(call["body"])
        for call in fake.calls()[fake.before :]
        if call["method"] == "POST" and call["path"].endswith("/messages")
    ]


def refusal(call) -> SendError:
    with pytest.raises(SendError) as refused:
        call()
    return refused.value


def test_send_gives_our_own_id_along_and_theirs_back(fake, via):
    assert meta.send(replace(TEXT, reply_to="wamid.A1"), via) == Sent(external_id="wamid.FAKE1")

    assert bodies(fake) == [
        {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": "33612345678",
            "type": "text",
            "text": {"body": "Bonjour", "preview_url": True},
            "context": {"message_id": "wamid.A1"},
            "biz_opaque_callback_data": "our-id",
        }
    ]


@pytest.mark.parametrize(
    ("to", "addressed"),
    [
        ("+33612345678", {"recipient_type": "individual", "to": "33612345678"}),
        ("FR.44001122", {"recipient_type": "individual", "recipient": "FR.44001122"}),
        ("Y2FwaV9ncm91cDox", {"recipient_type": "group", "to": "Y2FwaV9ncm91cDox"}),
    ],
)
def test_send_reaches_numbers_hidden_numbers_and_groups(fake, via, to, addressed):
    meta.send(replace(TEXT, to=to), via)

    [body] = bodies(fake)
    names = ("recipient_type", "to", "recipient")
    assert {name: body[name] for name in names if name in body} == addressed


@pytest.mark.parametrize(
    ("kind", "mime_type", "text", "member"),
    [
        (Kind.IMAGE, "image/jpeg", "Voici", {"caption": "Voici"}),
        (Kind.VIDEO, "video/mp4", "", {}),
        (Kind.VOICE, "audio/ogg", "", {}),
        (Kind.STICKER, "image/webp", "", {}),
        (Kind.DOCUMENT, "application/pdf", "La facture",
         {"caption": "La facture", "filename": "f.pdf"}),
    ],
)  # fmt: skip
def test_send_uploads_a_file_first(fake, via, kind, mime_type, text, member):
    file = File(mime_type, "f.pdf", content=b"content of the file")

    meta.send(replace(TEXT, kind=kind, text=text, file=file), via)

    [body] = bodies(fake)
    content = dict(body[body["type"]])
    media_id = content.pop("id")
    assert content == member
    fetched = meta.fetch_media({"id": media_id}, via, limit=100)
    with closing(fetched.file):
        assert fetched.file.read() == b"content of the file"


def test_send_lets_meta_fetch_a_file_that_has_an_address(fake, via):
    file = File("image/png", url="https://files.test/a.png")

    meta.send(replace(TEXT, kind=Kind.IMAGE, file=file), via)

    assert bodies(fake)[0]["image"] == {"link": "https://files.test/a.png", "caption": "Bonjour"}


def test_send_never_loses_words_that_a_voice_message_cannot_carry(fake, via):
    file = File("audio/ogg", content=b"voice")

    error = refusal(lambda: meta.send(replace(TEXT, kind=Kind.VOICE, file=file), via))

    assert (error.code, error.blame, bodies(fake)) == ("caption_unsupported", Blame.MESSAGE, [])


def test_send_refuses_a_file_type_with_metas_words(fake, via):
    file = File("image/gif", content=b"GIF89a")

    error = refusal(lambda: meta.send(replace(TEXT, kind=Kind.IMAGE, file=file), via))

    assert (error.code, error.blame) == ("100", Blame.MESSAGE)
    assert "one of the types" in error.detail


def test_send_places_and_cards(fake, via):
    meta.send(replace(TEXT, kind=Kind.LOCATION, place=Place(14.69, -17.44, name="Sandaga")), via)
    card = Card("Moussa Fall", "+221770000001")
    meta.send(replace(TEXT, kind=Kind.CONTACT, card=card), via)

    place, contact = bodies(fake)
    assert place["location"] == {"latitude": 14.69, "longitude": -17.44, "name": "Sandaga"}
    assert contact["contacts"][0]["phones"][0]["wa_id"] == "221770000001"


def test_send_choices_as_buttons_or_as_a_list(fake, via):
    options = (Choice("m", "Taille M", "En stock"), Choice("l", "Taille L"))
    meta.send(replace(TEXT, choices=Choices(options)), via)
    meta.send(replace(TEXT, choices=Choices(options, label="Tailles")), via)

    buttons, rows = bodies(fake)
    assert buttons["interactive"] == {
        "type": "button",
        "body": {"text": "Bonjour"},
        "action": {
            "buttons": [
                {"type": "reply", "reply": {"id": "m", "title": "Taille M"}},
                {"type": "reply", "reply": {"id": "l", "title": "Taille L"}},
            ]
        },
    }
    assert rows["interactive"]["action"] == {
        "button": "Tailles",
        "sections": [
            {
                "rows": [
                    {"id": "m", "title": "Taille M", "description": "En stock"},
                    {"id": "l", "title": "Taille L"},
                ]
            }
        ],
    }


def test_send_a_template_with_its_places_filled(fake, via):
    meta.send(replace(TEXT, template=READY), via)

    assert bodies(fake)[0]["template"] == {
        "name": "order_ready",
        "language": {"code": "fr"},
        "components": [
            {"type": "header", "parameters": [{"type": "text", "text": "A-12"}]},
            {
                "type": "body",
                "parameters": [{"type": "text", "text": "Awa"}, {"type": "text", "text": "samedi"}],
            },
            {
                "type": "button",
                "sub_type": "url",
                "index": "1",
                "parameters": [{"type": "text", "text": "A-12"}],
            },
        ],
    }


def test_send_a_template_with_a_file_and_named_places(fake, via):
    template = FilledTemplate(
        "invoice", "fr", body=(Variable("3 mars", "day"), Variable("Awa", "name"))
    )
    file = File("application/pdf", "facture.pdf", content=b"%PDF")

    meta.send(replace(TEXT, kind=Kind.DOCUMENT, template=template, file=file), via)

    header, body = bodies(fake)[0]["template"]["components"]
    assert header["parameters"][0]["document"]["filename"] == "facture.pdf"
    assert [each["parameter_name"] for each in body["parameters"]] == ["day", "name"]


@pytest.mark.parametrize(
    ("template", "code"),
    [
        (replace(READY, body=()), "132000"),
        (replace(READY, name="gone"), "132001"),
        (FilledTemplate("summer_sale", "fr"), "132015"),
    ],
)
def test_template_that_cannot_be_sent_is_the_messages_fault(fake, via, template, code):
    error = refusal(lambda: meta.send(replace(TEXT, template=template), via))

    assert (error.code, error.blame, error.retry) == (code, Blame.MESSAGE, False)


def test_closed_window_and_unreachable_numbers_are_told_apart(fake, via):
    fake.set(window_open=False)

    assert refusal(lambda: meta.send(TEXT, via)).code == "131047"
    assert meta.send(replace(TEXT, template=READY), via).external_id
    stranger = replace(TEXT, to=f"+{graph.STRANGER}", template=READY)
    assert refusal(lambda: meta.send(stranger, via)).code == "131026"


def test_limits_of_the_number_and_of_the_pair(fake, via):
    fake.set(pairs={"33612345678": 45})
    pair = refusal(lambda: meta.send(TEXT, via))
    fake.set(burst=0)
    whole = refusal(lambda: meta.send(replace(TEXT, to="+33600000003"), via))

    # The pair's limit holds nobody else back; the number's holds the whole instance.
    assert (pair.code, pair.retry, pair.retry_after) == ("131056", True, None)
    assert (whole.code, whole.retry, whole.retry_after) == ("130429", True, 5)


def test_token_that_is_no_longer_good_is_the_accounts_fault(fake, via):
    fake.set(token="another")

    error = refusal(lambda: meta.send(TEXT, via))

    assert (error.code, error.blame, error.retry) == ("190", Blame.ACCOUNT, False)


def test_gateway_that_gives_up_leaves_the_outcome_open(fake, via):
    fake.set(down=True)

    assert refusal(lambda: meta.send(TEXT, via)).unknown
    # Asking does no harm, so it is only asked again.
    assert refusal(lambda: meta.templates(via)).retry


def test_mark_read_and_react(fake, via):
    known = Known(external_id="wamid.A1", chat="+33612345678")

    meta.mark_read(known, via)
    meta.react(known, "👍", via)

    read, reaction = bodies(fake)
    assert (read["status"], read["message_id"]) == ("read", "wamid.A1")
    assert reaction["reaction"] == {"message_id": "wamid.A1", "emoji": "👍"}


# Files that arrived


def test_fetch_looks_the_file_up_and_shows_the_token_again(fake, via):
    media = meta.fetch_media({"id": "990001"}, via, limit=100)

    with closing(media.file):
        content = media.file.read()
    assert (content, media.mime_type, media.size) == (graph.PICTURE, "image/jpeg", len(content))
    calls = fake.calls()[fake.before :]
    assert [(call["path"], call["query"]) for call in calls] == [
        ("/v25.0/990001", {"phone_number_id": graph.NUMBER}),
        ("/files/990001", {}),
    ]


def test_fetch_stops_at_the_limit(fake, via):
    assert refusal(lambda: meta.fetch_media({"id": "990001"}, via, limit=3)).code == "too_large"


@pytest.mark.parametrize("media_id", ["", "../me", "a/b", "?x=1"])
def test_fetch_asks_for_nothing_but_ids(fake, via, media_id):
    assert refusal(lambda: meta.fetch_media({"id": media_id}, via, limit=9)).code == "bad_reference"


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.test/x",
        "https://facebook.com.evil.test/x",
        "http://lookaside.fbsbx.com/x",
        "https://[",
    ],
)
def test_token_goes_to_metas_hosts_only(url):
    asked = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, json={"url": url})

    with httpx.Client(transport=httpx.MockTransport(handle)) as client:
        via = Via(1, graph.NUMBER, "+33199000001", {}, {"access_token": "t"}, client)
        error = refusal(lambda: meta.fetch_media({"id": "1"}, via, limit=9))

    assert (error.code, len(asked)) == ("bad_media_url", 1)


# The account


def test_check_proves_that_the_token_owns_the_number(fake, via):
    assert meta.check(via) == InstanceState(Connection.CONNECTED, address="+33199000001")


@pytest.mark.parametrize(
    ("status", "state"),
    [("BANNED", Connection.BLOCKED), ("DISCONNECTED", Connection.DISCONNECTED),
     ("FLAGGED", Connection.CONNECTED), ("PENDING", Connection.PENDING)],
)  # fmt: skip
def test_check_tells_the_state_of_the_number(fake, via, status, state):
    fake.set(status=status)

    assert meta.check(via).state == state


def test_check_refuses_another_number_and_another_token(fake, via):
    others = replace(via, reference="106600000000009")
    misnamed = replace(via, address="+33199000002")
    stranger = replace(via, secrets={"access_token": "another"})

    assert refusal(lambda: meta.check(others)).code == "100"
    assert refusal(lambda: meta.check(misnamed)).code == "another_number"
    assert refusal(lambda: meta.check(stranger)).code == "190"


def test_templates_are_read_page_by_page_without_the_token_in_any_address(fake, via):
    found = {each.name: each for each in meta.templates(via)}

    assert list(found) == [each["name"] for each in graph.TEMPLATES]
    ready = found["order_ready"]
    assert ready == Template(
        external_id=ready.external_id,
        name="order_ready",
        language="fr",
        status="approved",
        category="utility",
        quality="green",
        header_kind="text",
        header="Commande {{1}}",
        body="Bonjour {{1}}, votre commande vous attend jusqu'au {{2}}.",
        footer="Boutique Awa",
        buttons=(
            TemplateButton("reply", "Je passe"),
            TemplateButton(
                "url",
                "Suivre",
                "https://shop.example.org/o/{{1}}",
                "https://shop.example.org/o/A-12",
            ),
        ),
        examples={"header.1": "A-12", "body.1": "Awa", "body.2": "samedi"},
    )
    assert found["invoice"].examples == {"body.day": "3 mars", "body.name": "Awa"}
    assert found["invoice"].header_kind == "document"
    assert found["refused_one"].reason == "INVALID_FORMAT"
    assert found["gallery"].unsupported == "carousel"
    assert not any("access_token" in call["query"] for call in fake.calls()[fake.before :])
