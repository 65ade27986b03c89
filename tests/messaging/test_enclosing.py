"""Places, contact cards and polls: asked for on the page or by a program, kept like those that
come in, handed to the provider, gone with a withdrawal."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from messaging import delivering, erasing, optouts, outbox
from messaging.addressing import Address, Kind
from messaging.models import Conversation, Lead, LeadIdentity, Message
from messaging.providers import get as provider_of
from tenants import context, directory
from tenants.models import ProviderInstance, Tenant
from tests import factories
from tests.fakes import graph, greenapi, wasender
from tests.fakes.serving import beside
from tests.messaging.files import ordered
from tests.messaging.test_erasing import run_jobs
from tests.messaging.test_ingest import deliver, drain, echo

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}
SHOP = {"name": "Marché Sandaga", "address": "Av. Pompidou", "latitude": 14.67, "longitude": -17}
SHOP_READ = "Marché Sandaga\nAv. Pompidou\n14.67, -17"
MOUSSA = {"name": "Moussa Ba", "phone": "77 000 00 12"}
MOUSSA_READ = "Moussa Ba\n+221770000012"
SIZES = {"question": "Quelle taille ?", "options": ["M", "L"], "several": True}
SIZES_READ = "Quelle taille ?\n- M\n- L"


@pytest.fixture
def conversation(tenant) -> Conversation:
    with context.entered(tenant):
        return factories.make_conversation(tenant)


def sent_in(tenant) -> list[Message]:
    with context.entered(tenant):
        return list(Message.objects.filter(direction="out").order_by("pk"))


def post(browser, conversation, what, **typed):
    return browser.post(f"/inbox/{conversation.pk}/{what}/", typed, headers=HTMX)


# On the page


@pytest.mark.parametrize(
    ("what", "typed", "kind", "text"),
    [
        ("place", SHOP, "location", SHOP_READ),
        ("place", {"where": "14,67; -17,44"}, "location", "14.67, -17.44"),
        (
            "place",
            {"where": "https://maps.apple.com/?ll=14.67,-17.44&q=Sandaga", "address": " Dakar "},
            "location",
            "Sandaga\nDakar\n14.67, -17.44",
        ),
        ("contact", MOUSSA, "contact", MOUSSA_READ),
    ],
)
def test_sent_one_reads_like_one_that_came_in(
    browser, tenant, agent, conversation, what, typed, kind, text
):
    answer = post(browser, conversation, what, **typed)

    assert answer.status_code == 204
    [message] = sent_in(tenant)
    sent = {"conversation": conversation.pk, "message": message.pk}
    assert json.loads(answer["HX-Trigger"]) == {"message-sent": sent}
    assert (message.kind, message.text, message.by_id) == (kind, text, agent.pk)
    assert (message.status, message.origin) == ("queued", "person")
    bubble = browser.get(f"/messages/{message.pk}/").content.decode()
    assert f"#{kind}" in bubble
    assert text.splitlines()[0] in bubble
    row = browser.get(f"/inbox/{conversation.pk}/row/").content.decode()
    assert f"#{kind}" in row
    assert text.splitlines()[0] in row


def test_sent_twice_with_one_reference_it_is_one_message(browser, tenant, conversation):
    reference = "7b0c1b7e-2f0a-4a53-9d2b-0d8f3b5a9c11"

    for _ in "ab":
        post(browser, conversation, "contact", **MOUSSA, reference=reference)

    assert [str(each.reference) for each in sent_in(tenant)] == [reference]


@pytest.mark.parametrize(
    ("what", "typed", "wrong", "said"),
    [
        ("place", {}, "latitude", "obligatoire"),
        ("place", {**SHOP, "longitude": ""}, "longitude", "obligatoire"),
        ("place", {**SHOP, "latitude": "nord"}, "latitude", "nombre de degrés"),
        ("place", {**SHOP, "latitude": "91"}, "latitude", "-90"),
        ("place", {**SHOP, "name": "x" * 201}, "name", "trop long"),
        ("place", {"where": "https://maps.app.goo.gl/x"}, "where", "liens courts"),
        ("place", {**SHOP, "where": "1.5, 2.5"}, "where", "un autre lieu"),
        ("contact", {"phone": "77 000 00 12"}, "name", "obligatoire"),
        ("contact", {**MOUSSA, "phone": "12"}, "phone", "pas un numéro"),
    ],
)
def test_bad_input_is_said_at_its_field_and_nothing_typed_is_lost(
    browser, tenant, conversation, what, typed, wrong, said
):
    shown = post(browser, conversation, what, **typed).content.decode()

    [field] = [each for each in shown.split("<input") if 'aria-invalid="true"' in each]
    assert f'name="{wrong}"' in field
    assert said in field
    for value in typed.values():
        assert f'value="{value}"' in shown
    assert sent_in(tenant) == []


def silence(tenant, conversation) -> None:
    with context.entered(tenant):
        address = Address(Kind.PHONE, conversation.peer)
        at = timezone.now()
        optouts.change([address], opted_out=True, by=optouts.Source.MESSAGE, at=at)


def suspend(tenant, conversation) -> None:
    Tenant.objects.filter(pk=tenant.pk).update(state=Tenant.State.SUSPENDED)
    directory.changed()


def close_window(tenant, conversation) -> None:
    ProviderInstance.objects.of(tenant).update(provider="whatsapp_cloud")
    with context.entered(tenant):
        Conversation.objects.update(
            provider="whatsapp_cloud", window_ends_at=timezone.now() - timedelta(hours=1)
        )


def move_to_sms(tenant, conversation) -> None:
    ProviderInstance.objects.of(tenant).update(provider="twilio")
    with context.entered(tenant):
        Conversation.objects.update(provider="twilio", medium="sms")


@pytest.mark.parametrize(
    ("happens", "status", "said"),
    [
        (silence, 200, "ne plus recevoir"),
        (suspend, 401, ""),
        (close_window, 200, "dernières 24 heures"),
        (move_to_sms, 200, "ne peuvent pas être envoyée"),
    ],
)
@pytest.mark.parametrize(("what", "typed"), [("place", SHOP), ("contact", MOUSSA)])
def test_what_refuses_a_text_refuses_it_too(
    browser, tenant, conversation, what, typed, happens, status, said
):
    happens(tenant, conversation)

    answer = post(browser, conversation, what, **typed)

    assert answer.status_code == status
    assert said in answer.content.decode()
    if status == 200:
        assert f'value="{typed["name"]}"' in answer.content.decode()
    assert sent_in(tenant) == []


def test_assistant_and_another_tenant_send_nothing(
    client_for, tenant, agent, assistant, conversation, other_tenant
):
    with context.entered(other_tenant):
        theirs = factories.make_far_conversation(other_tenant)
        leaky = Lead.objects.get(name="Leaky Lead").pk

    mine, stranger = client_for(tenant, assistant), client_for(tenant, agent)

    for what, typed in (("place", SHOP), ("contact", MOUSSA)):
        assert mine.get(f"/inbox/{conversation.pk}/{what}/").status_code == 403
        assert post(mine, conversation, what, **typed).status_code == 403
        assert stranger.get(f"/inbox/{theirs.pk}/{what}/").status_code == 404
        assert post(stranger, theirs, what, **typed).status_code == 404
    found = stranger.get(f"/inbox/{conversation.pk}/contact/?q=Leaky").content.decode()
    assert "Leaky" not in found.replace("q=Leaky", "")
    with context.entered(tenant):
        if not Lead.objects.filter(pk=leaky).exists():
            chosen = stranger.get(f"/inbox/{conversation.pk}/contact/?lead={leaky}")
            assert chosen.status_code == 404
    assert sent_in(tenant) == []


def test_card_is_filled_in_from_a_lead_that_is_looked_for(browser, tenant, conversation):
    with context.entered(tenant):
        lead = factories.make_lead("Moussa Ba", "+221770000012")
        LeadIdentity.objects.create(lead=lead, kind=Kind.PHONE, value="+221770000013")
        silent = factories.make_lead("Moussa Sy", "88001122334455@lid")
        silent.identities.update(kind=Kind.LID)
    address = f"/inbox/{conversation.pk}/contact/"

    found = browser.get(f"{address}?q=moussa").content.decode()
    chosen = browser.get(f"{address}?lead={lead.pk}&phone=%2B221770000013").content.decode()

    assert found.count(f"{address}?lead={lead.pk}&amp;phone=%2B2217700000") == 2
    assert f"lead={silent.pk}" not in found
    assert "Moussa Sy" in found
    assert 'value="Moussa Ba"' in chosen
    assert 'value="+221770000013"' in chosen
    assert browser.get(f"{address}?lead=999999").status_code == 404
    assert browser.get(f"{address}?lead=x").status_code == 404


@pytest.mark.parametrize(
    ("provider", "offered"),
    [("wasender", True), ("whatsapp_cloud", True), ("greenapi", True), ("twilio", False)],
)
def test_composer_offers_what_the_number_can_send(browser, tenant, conversation, provider, offered):
    ProviderInstance.objects.of(tenant).update(provider=provider)
    with context.entered(tenant):
        Conversation.objects.update(provider=provider)

    shown = browser.get(f"/inbox/{conversation.pk}/pane/").content.decode()

    for what in ("place", "contact"):
        assert (f'data-dialog="/inbox/{conversation.pk}/{what}/"' in shown) is offered
    assert 'id="composer-file"' in shown


def test_place_quotes_the_message_it_answers(browser, tenant, conversation):
    with context.entered(tenant):
        asked = conversation.messages.get().external_id

    post(browser, conversation, "place", **SHOP, reply_to=asked)
    post(browser, conversation, "place", **SHOP, reply_to="gone")

    assert [each.reply_to for each in sent_in(tenant)] == [asked]


@pytest.fixture
def at_green(tenant, conversation) -> Conversation:
    """The conversation is held through a number that can send polls."""
    ProviderInstance.objects.of(tenant).update(provider="greenapi")
    with context.entered(tenant):
        Conversation.objects.update(provider="greenapi")
    return conversation


def test_poll_is_sent_from_the_page(browser, tenant, at_green):
    pane = browser.get(f"/inbox/{at_green.pk}/pane/").content.decode()
    typed = {"question": "Quelle  taille ?", "options": "M\n\n L \n", "several": "on"}

    answer = post(browser, at_green, "poll", **typed)

    [message] = sent_in(tenant)
    assert (answer.status_code, message.kind, message.text) == (204, "poll", SIZES_READ)
    assert message.parts == {"poll": SIZES}
    assert f'data-dialog="/inbox/{at_green.pk}/poll/"' in pane


@pytest.mark.parametrize(
    ("typed", "wrong", "said"),
    [
        ({"options": "M\nL"}, "question", "obligatoire"),
        ({"question": "Taille ?", "options": "M"}, "options", "de 2 à 12"),
        ({"question": "Taille ?", "options": "M\nM"}, "options", "identiques"),
        ({"question": "Taille ?", "options": "M\n" + "x" * 101}, "options", "trop longue"),
    ],
)
def test_bad_poll_is_said_at_its_field_and_stays_typed(
    browser, tenant, at_green, typed, wrong, said
):
    shown = post(browser, at_green, "poll", **typed, several="on").content.decode()

    [before, after] = shown.split('aria-invalid="true"')
    assert before.rpartition("<")[2].split('name="')[1].startswith(wrong)
    assert said in after
    assert typed.get("question", "") in shown
    assert typed["options"] in shown
    assert "checked" in shown
    assert sent_in(tenant) == []


def test_number_without_polls_refuses_one(browser, tenant, conversation):
    ProviderInstance.objects.of(tenant).update(provider="unipile")
    with context.entered(tenant):
        Conversation.objects.update(provider="unipile")
    pane = browser.get(f"/inbox/{conversation.pk}/pane/").content.decode()
    answer = post(browser, conversation, "poll", question="Taille ?", options="M\nL")

    assert "/poll/" not in pane
    assert "Les sondages ne peuvent pas" in answer.content.decode()
    assert sent_in(tenant) == []


def test_programs_send_polls_and_are_told_what_is_wrong(browser, tenant, at_green):
    def call(**poll):
        body = {"poll": {**SIZES, **poll}}
        address = f"/api/conversations/{at_green.pk}/messages/"
        return browser.post(address, body, content_type="application/json").json()

    sent = call()
    wrong = [call(question=" "), call(options="M"), call(options=["M"]), call(options=["M", " "])]

    assert (sent["kind"], sent["text"]) == ("poll", SIZES_READ)
    fields = ["poll.question", "poll.options", "poll.options", "poll.options.1"]
    assert [each["error"]["field"] for each in wrong] == fields


# To the provider


def number_at(tenant, provider: str, url: str) -> None:
    """The tenant's number is one at this provider, whose servers stand here."""
    known = {
        "wasender": ({"api_url": f"{url}/api", "signature": "secret"}, {}),
        "whatsapp_cloud": (
            {"api_url": f"{url}/v25.0", "phone_number_id": graph.NUMBER},
            {"access_token": graph.TOKEN},
        ),
        "greenapi": (
            {"api_url": url, "id_instance": greenapi.ID},
            {"api_token": greenapi.TOKEN},
        ),
    }
    settings, secrets = known[provider]
    instance = ProviderInstance.objects.of(tenant).get()
    instance.provider, instance.settings = provider, settings
    instance.reference = graph.NUMBER if provider == "whatsapp_cloud" else greenapi.ID
    instance.secrets = {**instance.secrets, **secrets}
    instance.save()
    with context.entered(tenant):
        Conversation.objects.update(
            provider=provider, window_ends_at=timezone.now() + timedelta(hours=1)
        )


@pytest.fixture(params=["wasender", "whatsapp_cloud", "greenapi"])
def calls(request, tenant, conversation, monkeypatch):
    """The provider's servers as a fake; what they were asked, by the name of the provider."""
    state = {"wasender": wasender, "whatsapp_cloud": graph, "greenapi": greenapi}[
        request.param
    ].State()
    for module in (wasender, greenapi):
        monkeypatch.setattr(module, "STATE", state)
    if request.param == "wasender":
        key = factories.secrets_of(tenant)["api_key"]
        state.sessions["instance_1"] = wasender.session(1, api_key=key)
    answer = graph.answer(state) if request.param == "whatsapp_cloud" else _answer_of(request.param)
    asked: list = []

    def note(call):
        asked.append(call.json() if call.method == "POST" else None)
        return answer(call)

    with beside(state, note) as url:
        number_at(tenant, request.param, url)
        yield request.param, asked


def _answer_of(provider: str):
    return {"wasender": wasender.answer, "greenapi": greenapi.answer}[provider]


AT_PROVIDERS = {
    ("wasender", "place"): {
        "to": "+221701111111",
        "location": {
            "latitude": 14.67,
            "longitude": -17,
            "name": "Marché Sandaga",
            "address": "Av. Pompidou",
        },
    },
    ("wasender", "contact"): {
        "to": "+221701111111",
        "contact": {"name": "Moussa Ba", "phone": "+221770000012"},
    },
    ("whatsapp_cloud", "place"): {
        "type": "location",
        "location": {
            "latitude": 14.67,
            "longitude": -17,
            "name": "Marché Sandaga",
            "address": "Av. Pompidou",
        },
    },
    ("whatsapp_cloud", "contact"): {
        "type": "contacts",
        "contacts": [
            {
                "name": {
                    "formatted_name": "Moussa Ba",
                    "first_name": "Moussa",
                    "last_name": "Ba",
                },
                "phones": [{"phone": "+221770000012", "type": "CELL", "wa_id": "221770000012"}],
            }
        ],
    },
    ("greenapi", "place"): {
        "chatId": "221701111111@c.us",
        "nameLocation": "Marché Sandaga",
        "address": "Av. Pompidou",
        "latitude": 14.67,
        "longitude": -17,
    },
    ("greenapi", "contact"): {
        "chatId": "221701111111@c.us",
        "contact": {"phoneContact": 221770000012, "firstName": "Moussa Ba"},
    },
}


@pytest.mark.parametrize(("what", "typed"), [("place", SHOP), ("contact", MOUSSA)])
def test_provider_gets_it_whole(browser, tenant, conversation, calls, what, typed):
    provider, asked = calls

    post(browser, conversation, what, **typed)
    with context.entered(tenant):
        delivering.drain(tenant.number, conversation.instance_id)

    [message] = sent_in(tenant)
    assert (message.status, message.error_code) == ("sent", "")
    [call] = asked
    wanted = AT_PROVIDERS[provider, what]
    assert {name: call[name] for name in wanted} == wanted


@pytest.mark.parametrize("calls", ["greenapi"], indirect=True)
def test_green_api_gets_the_poll(browser, tenant, conversation, calls):
    _provider, asked = calls

    post(browser, conversation, "poll", question="Quelle taille ?", options="M\nL")
    with context.entered(tenant):
        delivering.drain(tenant.number, conversation.instance_id)

    assert [each.status for each in sent_in(tenant)] == ["sent"]
    assert asked == [
        {
            "chatId": "221701111111@c.us",
            "message": "Quelle taille ?",
            "options": [{"optionName": "M"}, {"optionName": "L"}],
            "multipleAnswers": False,
        }
    ]


def test_echo_of_a_place_is_the_place_that_was_sent(browser, tenant, conversation):
    post(browser, conversation, "place", **SHOP)
    [message] = sent_in(tenant)
    with context.entered(tenant):
        Message.objects.filter(pk=message.pk).update(status="sent", sent_at=timezone.now())
    place = {
        "degreesLatitude": 14.67,
        "degreesLongitude": -17,
        "name": "Marché Sandaga",
        "address": "Av. Pompidou",
    }
    told = echo("E1", "", timezone.now(), "221701111111")
    told["data"]["message"] = {"locationMessage": place}

    deliver(tenant, told)
    drain(tenant)

    assert [each.external_id for each in sent_in(tenant)] == ["E1"]


def test_number_that_stands_in_takes_only_what_it_can_send(inside, conversation):
    from messaging import enclosing

    message = outbox.queue_enclosed(conversation, "place", SHOP, origin="person")

    carried = [enclosing.is_carried(message.parts, provider_of(each)) for each in ("wasender",
               "unipile")]  # fmt: skip
    assert carried == [True, False]


# Gone again


@pytest.mark.parametrize(("what", "wanted"), [("place", SHOP), ("contact", MOUSSA)])
def test_withdrawn_one_leaves_every_place(client_for, tenant, agent, conversation, what, wanted):
    marker = "Zanzibar 4711 at noon"
    client = client_for(tenant, agent)
    answer = client.post(
        f"/api/conversations/{conversation.pk}/messages/",
        {what: {**wanted, "name": marker}},
        content_type="application/json",
        headers={"Idempotency-Key": "once"},
    )
    assert answer.status_code == 201
    run_jobs(tenant, "keep_history")
    with context.entered(tenant):
        message = Message.objects.get(direction="out")
        Message.objects.filter(pk=message.pk).update(external_id="W1")
        assert set(places_of(marker)) >= {"messaging_message", "accounts_rememberedwrite"}

        message.refresh_from_db()
        erasing.bury(message, timezone.now())
        erasing.take_out(tenant.number, message.instance_id, "W1")

        message.refresh_from_db()
        assert (message.text, message.parts) == ("", {})
        assert places_of(marker) == []


def places_of(marker: str) -> list[str]:
    """The tables of the tenant in which these words stand."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
        tables = [name for (name,) in cursor.fetchall()]
        found = []
        for table in sorted(tables):
            cursor.execute(
                f'SELECT 1 FROM "{table}" AS t WHERE t::text LIKE %s LIMIT 1',  # noqa: S608
                [f"%{marker}%"],
            )
            found += [table] if cursor.fetchone() else []
    return found


# For programs


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        ({"place": SHOP}, "location", SHOP_READ),
        ({"place": {"latitude": 0, "longitude": 179.5}}, "location", "0, 179.5"),
        ({"contact": MOUSSA}, "contact", MOUSSA_READ),
    ],
)
def test_programs_send_them_once(client_for, tenant, agent, conversation, body, kind, text):
    client = client_for(tenant, agent)
    address = f"/api/conversations/{conversation.pk}/messages/"
    headers = {"Idempotency-Key": "place-1"}

    first, second = (
        client.post(address, body, content_type="application/json", headers=headers) for _ in "ab"
    )

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    told = first.json()
    assert (told["kind"], told["text"], told["origin"]) == (kind, text, "api")
    assert len(sent_in(tenant)) == 1
    assert len(ordered("drain_outbox")) == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"place": {"latitude": 14}}, "place.longitude"),
        ({"place": {"latitude": "14", "longitude": 1}}, "place.latitude"),
        ({"place": {"latitude": 91, "longitude": 1}}, "place.latitude"),
        ({"place": {"latitude": True, "longitude": 1}}, "place.latitude"),
        ({"place": {"latitude": 10**400, "longitude": 1}}, "place.latitude"),
        ({"place": {**SHOP, "name": "x" * 201}}, "place.name"),
        ({"place": "Dakar"}, "place"),
        ({"contact": {"name": "", "phone": "77 000 00 12"}}, "contact.name"),
        ({"contact": {"name": "Moussa", "phone": "12"}}, "contact.phone"),
        ({"contact": MOUSSA, "text": "Voici"}, "text"),
        ({"contact": MOUSSA, "place": SHOP}, "contact"),
    ],
)
def test_programs_are_told_which_field_is_wrong(
    client_for, tenant, agent, conversation, body, field
):
    answer = client_for(tenant, agent).post(
        f"/api/conversations/{conversation.pk}/messages/", body, content_type="application/json"
    )

    assert answer.status_code == 400
    assert answer.json()["error"]["field"] == field
    assert sent_in(tenant) == []
