"""Emojis of ours on messages: shown at once, told to the provider, undone where it refuses."""

from datetime import timedelta

import pytest
from django.utils import timezone

from messaging import erasing, optouts, reacting, tasks
from messaging.addressing import Address, Kind
from messaging.models import Conversation, Message
from messaging.providers import get as provider_of
from messaging.providers.base import SendError
from tenants import context
from tenants.accounts.models import RememberedWrite
from tenants.models import ProviderInstance
from tests import factories
from tests.fakes import graph, greenapi
from tests.fakes.serving import beside
from tests.messaging.files import ordered

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}
THUMB, HEART = "👍", "❤️"


@pytest.fixture
def heard(tenant) -> Message:
    """What a contact wrote a minute ago to a number of Green-API."""
    ProviderInstance.objects.of(tenant).update(provider="greenapi")
    with context.entered(tenant):
        at = timezone.now() - timedelta(minutes=1)
        return factories.make_conversation(tenant, provider="greenapi", at=at).messages.get()


@pytest.fixture
def refusals() -> list:
    """What the adapter answers first."""
    return []


@pytest.fixture
def asked(monkeypatch, refusals) -> list:
    """What the Green-API adapter was asked."""
    calls: list = []

    def react(known, emoji, via):
        calls.append((known.external_id, known.chat, emoji))
        if refusals:
            raise refusals.pop(0)

    monkeypatch.setattr(provider_of("greenapi"), "react", react)
    return calls


def put(browser, message: Message, emoji: str):
    return browser.post(f"/messages/{message.pk}/reaction/", {"emoji": emoji}, headers=HTMX)


def shown(browser, message: Message) -> str:
    return browser.get(f"/messages/{message.pk}/").content.decode()


def work() -> None:
    """Do the waiting jobs, as the worker does."""
    done = 0
    while len(jobs := ordered("react")) > done:
        for job in jobs[done:]:
            tasks.react(**job)
        done = len(jobs)


def renewed(tenant, message: Message) -> Message:
    with context.entered(tenant):
        return Message.objects.get(pk=message.pk)


def test_reaction_shows_at_once_as_ours_and_the_provider_is_told(browser, tenant, heard, asked):
    answer = put(browser, heard, THUMB)
    at_once = shown(browser, heard)
    before = list(asked)
    work()

    assert answer.status_code == 204
    assert "message-revised" in answer["HX-Trigger"]
    assert "👍 par nous" in at_once
    assert before == []
    assert asked == [(heard.external_id, heard.peer, THUMB)]
    after = renewed(tenant, heard)
    assert (reacting.ours(after), after.parts) == (THUMB, {})


def test_reaction_is_taken_back_and_the_contacts_own_stays(browser, tenant, heard, asked):
    with context.entered(tenant):
        theirs = {"emoji": "🙏", "name": "", "at": 1.0}
        Message.objects.update(reactions={"contact": theirs})
    put(browser, heard, THUMB)
    work()

    put(browser, heard, "")
    work()

    assert [emoji for _id, _chat, emoji in asked] == [THUMB, ""]
    after = renewed(tenant, heard)
    assert (reacting.ours(after), after.reactions["contact"]) == ("", theirs)
    assert "👍" not in shown(browser, heard)


def test_reaction_that_is_there_already_asks_nobody(browser, heard, asked):
    put(browser, heard, THUMB)
    put(browser, heard, THUMB)
    work()
    put(browser, heard, THUMB)

    assert len(ordered("react")) == len(asked) == 1


def test_refusal_undoes_it_and_is_said_beside_the_message(browser, tenant, heard, asked, refusals):
    put(browser, heard, HEART)
    work()
    refusals.append(SendError("not_found"))

    put(browser, heard, THUMB)
    work()

    page = shown(browser, heard)
    assert "❤️ par nous" in page
    assert "Réaction 👍 non envoyée" in page
    assert "ne le connaît plus" in page
    after = renewed(tenant, heard)
    assert reacting.ours(after) == HEART
    assert reacting.refusal(after, timezone.now() + timedelta(days=2)) is None


def test_first_reaction_that_is_refused_leaves_none(browser, tenant, heard, asked, refusals):
    refusals.append(SendError("refused"))

    put(browser, heard, THUMB)
    work()

    assert renewed(tenant, heard).reactions == {}
    put(browser, heard, THUMB)
    work()
    assert (reacting.ours(renewed(tenant, heard)), len(asked)) == (THUMB, 2)


@pytest.mark.parametrize(("failures", "calls", "stays"), [(2, 3, True), (3, 3, False)])
def test_provider_that_does_not_answer_is_asked_again_a_few_times(
    browser, tenant, heard, asked, refusals, failures, calls, stays
):
    refusals += [SendError("timeout", retry=True)] * failures

    put(browser, heard, THUMB)
    work()

    after = renewed(tenant, heard)
    assert (len(asked), bool(reacting.ours(after))) == (calls, stays)
    assert [after.parts[name]["code"] for name in after.parts] == ([] if stays else ["no_answer"])


def test_choice_made_meanwhile_is_told_last_by_the_same_job(browser, tenant, heard, asked):
    put(browser, heard, THUMB)
    put(browser, heard, HEART)

    assert len(ordered("react")) == 1
    work()

    assert [emoji for _id, _chat, emoji in asked] == [HEART]
    assert reacting.ours(renewed(tenant, heard)) == HEART


@pytest.mark.parametrize("fails", [False, True])
def test_choice_made_during_the_call_is_told_after_it(
    browser, tenant, agent, heard, monkeypatch, fails
):
    asked: list = []

    def react(known, emoji, via):
        asked.append(emoji)
        if emoji == THUMB:
            same = Message.objects.select_related("conversation").get(pk=heard.pk)
            reacting.react(same, HEART, by=agent, now=timezone.now())
            if fails:
                raise SendError("refused")

    monkeypatch.setattr(provider_of("greenapi"), "react", react)
    put(browser, heard, THUMB)

    work()

    assert asked == [THUMB, HEART]
    after = renewed(tenant, heard)
    assert (reacting.ours(after), after.parts) == (HEART, {})


@pytest.mark.parametrize(
    ("facts", "may"),
    [
        ({}, True),
        ({"provider": "whatsapp_cloud"}, True),
        ({"provider": "wasender"}, False),
        ({"provider": "twilio"}, False),
        ({"kind": "image"}, True),
        ({"direction": "out", "status": "delivered"}, True),
        ({"provider": "whatsapp_cloud", "direction": "out", "status": "delivered"}, False),
        ({"direction": "out", "status": "queued"}, False),
        ({"direction": "out", "status": "failed"}, False),
        ({"external_id": ""}, False),
        ({"deleted_at": timezone.now()}, False),
        ({"sent_at": timezone.now() - timedelta(days=31)}, False),
    ],
)
def test_what_may_be_reacted_to(facts, may):
    known = {
        "provider": "greenapi",
        "external_id": "E1",
        "direction": "in",
        "status": "received",
        "sent_at": timezone.now(),
    }

    assert reacting.may_react(Message(**{**known, **facts}), timezone.now()) is may


@pytest.mark.parametrize(
    "emoji", ["👍", "❤", "❤️", "👍🏽", "👩‍💻", "👩🏽‍❤️‍👨🏻", "🇸🇳", "1️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "☎️", "✅"]
)
def test_one_emoji_of_any_kind_is_taken(browser, tenant, heard, asked, emoji):
    answer = put(browser, heard, f" {emoji} ")

    assert answer.status_code == 204
    assert reacting.ours(renewed(tenant, heard)) == emoji


@pytest.mark.parametrize("emoji", ["ok", "👍👍", "👍 !", "1", "<b>", "🇸", "👍" + "\u200d👍" * 20])
def test_what_is_not_one_emoji_is_refused_and_kept_in_the_field(browser, tenant, heard, emoji):
    answer = put(browser, heard, emoji)

    assert answer.status_code == 200
    assert "un seul emoji" in answer.content.decode()
    assert renewed(tenant, heard).reactions == {}
    assert ordered("react") == []


def test_contact_who_wants_nothing_gets_no_reaction(browser, tenant, heard, asked):
    put(browser, heard, THUMB)
    with context.entered(tenant):
        address, at = Address(Kind.PHONE, heard.peer), timezone.now()
        optouts.change([address], opted_out=True, by=optouts.Source.MESSAGE, at=at)

    refused = put(browser, heard, HEART).content.decode()
    work()

    assert "ne plus recevoir" in refused
    assert asked == []
    assert renewed(tenant, heard).reactions == {}


def test_number_that_is_gone_undoes_it(browser, tenant, heard, asked):
    put(browser, heard, THUMB)
    ProviderInstance.objects.of(tenant).delete()

    work()

    after = renewed(tenant, heard)
    assert (after.reactions, after.parts["reaction"]["code"]) == ({}, "instance_gone")


def test_official_number_reacts_within_the_24_hours_only(browser, tenant, heard):
    ProviderInstance.objects.of(tenant).update(provider="whatsapp_cloud")
    with context.entered(tenant):
        ended = timezone.now() - timedelta(hours=1)
        Conversation.objects.update(provider="whatsapp_cloud", window_ends_at=ended)
        Message.objects.update(provider="whatsapp_cloud")

    answer = put(browser, heard, THUMB).content.decode()

    assert "dernières 24 heures" in answer
    assert ordered("react") == []


def test_withdrawn_message_loses_its_reactions_and_is_not_told_of(browser, tenant, heard, asked):
    put(browser, heard, THUMB)
    with context.entered(tenant):
        erasing.bury(renewed(tenant, heard), timezone.now())

    work()

    after = renewed(tenant, heard)
    assert (asked, after.reactions, after.parts) == ([], {}, {})


def test_dialog_offers_the_usual_ones_and_taking_back(browser, tenant, heard, asked):
    page = browser.get(f"/inbox/{heard.conversation_id}/pane/").content.decode()
    empty = browser.get(f"/messages/{heard.pk}/acts/").content.decode()
    put(browser, heard, THUMB)
    chosen = browser.get(f"/messages/{heard.pk}/acts/").content.decode()

    assert f'data-dialog="/messages/{heard.pk}/acts/"' in page
    assert "data-quote" in page
    assert "data-reacts" in page
    assert all(f'value="{emoji}"' in empty for emoji in reacting.USUAL)
    assert "Retirer" not in empty
    assert 'aria-pressed="true"' in chosen
    assert "Retirer 👍" in chosen


def test_message_without_reactions_at_its_provider_offers_none(browser, tenant):
    with context.entered(tenant):
        message = factories.make_conversation(tenant, at=timezone.now()).messages.get()

    acts = browser.get(f"/messages/{message.pk}/acts/").content.decode()
    answer = put(browser, message, THUMB)

    assert "/reaction/" not in acts
    assert "Aucune réaction ne peut" in answer.content.decode()


def test_assistant_and_another_tenant_react_to_nothing(
    client_for, tenant, assistant, agent, heard, other_tenant
):
    with context.entered(other_tenant):
        conversation = Conversation.objects.get()
        theirs = factories.make_message(conversation, pk=900_002, text="leak me").pk
        before = Message.objects.get(pk=theirs).reactions

    mine = client_for(tenant, assistant).post(f"/messages/{heard.pk}/reaction/", {"emoji": THUMB})
    client = client_for(tenant, agent)
    page = client.post(f"/messages/{theirs}/reaction/", {"emoji": THUMB})
    api = client.post(
        f"/api/messages/{theirs}/reaction/", {"emoji": THUMB}, content_type="application/json"
    )

    assert (mine.status_code, page.status_code, api.status_code) == (403, 404, 404)
    with context.entered(other_tenant):
        assert Message.objects.get(pk=theirs).reactions == before == {}
    assert ordered("react") == []


def test_programs_react_once_and_take_back(browser, tenant, heard, asked):
    def call(emoji, key):
        return browser.post(
            f"/api/messages/{heard.pk}/reaction/",
            {"emoji": emoji},
            content_type="application/json",
            headers={"Idempotency-Key": key},
        )

    first, again = call(THUMB, "a"), call(THUMB, "a")
    work()
    wrong = call("ok", "b").json()["error"]
    back = call("", "c").json()
    work()

    told = [(each["emoji"], each["by"]) for each in first.json()["reactions"]]
    assert (first.status_code, again.status_code, told) == (202, 202, [(THUMB, "us")])
    assert again.json() == first.json()
    assert (wrong["field"], wrong["code"]) == ("emoji", "emoji_invalid")
    assert back["reactions"] == []
    assert [emoji for _id, _chat, emoji in asked] == [THUMB, ""]


def test_remembered_answer_forgets_the_reactions_of_a_withdrawn_message(browser, tenant, heard):
    browser.post(
        f"/api/messages/{heard.pk}/reaction/",
        {"emoji": THUMB},
        content_type="application/json",
        headers={"Idempotency-Key": "a"},
    )
    with context.entered(tenant):
        # A write is remembered from when the message was made on.
        Message.objects.update(received_at=timezone.now())
        erasing.bury(renewed(tenant, heard), timezone.now())
        erasing.take_out(tenant.number, heard.instance_id, heard.external_id)

        assert RememberedWrite.objects.get().answer["reactions"] == []


# Over HTTP


@pytest.mark.parametrize("emoji", [THUMB, ""])
@pytest.mark.parametrize("provider", ["whatsapp_cloud", "greenapi"])
def test_provider_gets_the_reaction(browser, tenant, heard, monkeypatch, provider, emoji):
    state = graph.State() if provider == "whatsapp_cloud" else greenapi.State()
    monkeypatch.setattr(greenapi, "STATE", state)
    answer = graph.answer(state) if provider == "whatsapp_cloud" else greenapi.answer
    calls: list = []

    def note(request):
        calls.append((request.path.rpartition(".")[2], request.json()))
        return answer(request)

    with beside(state, note) as url:
        _move_to(tenant, provider, url)
        if not emoji:
            with context.entered(tenant):
                Message.objects.update(reactions={"us": {"emoji": "🙏", "name": "", "at": 1.0}})
        put(browser, heard, emoji)
        work()

    [(_path, body)] = calls
    wanted = {
        "whatsapp_cloud": {
            "to": "221701111111",
            "type": "reaction",
            "reaction": {"message_id": heard.external_id, "emoji": emoji},
        },
        "greenapi": {
            "chatId": "221701111111@c.us",
            "idMessage": heard.external_id,
            "reaction": emoji,
        },
    }[provider]
    assert {name: body[name] for name in wanted} == wanted
    after = renewed(tenant, heard)
    assert (reacting.ours(after), after.parts) == (emoji, {})


def _move_to(tenant, provider: str, url: str) -> None:
    instance = ProviderInstance.objects.of(tenant).get()
    instance.provider = provider
    if provider == "greenapi":
        instance.reference = greenapi.ID
        instance.settings = {"api_url": url, "id_instance": greenapi.ID}
        instance.secrets = {"api_token": greenapi.TOKEN}
    else:
        instance.reference = graph.NUMBER
        instance.settings = {"api_url": f"{url}/v25.0", "phone_number_id": graph.NUMBER}
        instance.secrets = {"access_token": graph.TOKEN}
    instance.save()
    with context.entered(tenant):
        until = timezone.now() + timedelta(hours=1)
        Conversation.objects.update(provider=provider, window_ends_at=until)
        Message.objects.update(provider=provider)
