"""Finding messages and leads: words, stems, beginnings, accents; whose, and where it leads."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from messaging import searching
from messaging.filters import Filters
from messaging.models import Conversation, Lead, Message
from messaging.models.words import Words
from tenants import context
from tests import factories
from tests.conftest import NOW

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}
SAID = (
    "L’été dernier, j'ai commandé trois chevaux à Évry — livrés par Cœur & Cie."
    " He was running 😀vite"
)


@pytest.fixture
def conversation(tenant) -> Conversation:
    with context.entered(tenant):
        return factories.make_conversation(tenant, name="Aïssatou N’Diaye", text=SAID)


@pytest.mark.parametrize(
    "looked_for",
    [
        "ete",
        "ÉTÉ",
        "l'été",
        "comm",
        "commander",
        "cheval",
        "livré",
        "livrées",
        "coeur",
        "run",
        "vite",
        "evry chevaux",
        "  trois,  (chevaux)!",
    ],
)
def test_message_is_found_by(tenant, agent, conversation, looked_for):
    with context.entered(tenant):
        [found] = searching.messages(agent, Filters(text=looked_for)).rows

    assert found.message.text == SAID


@pytest.mark.parametrize("looked_for", ["tables", "evry tables", "vry", "e", "!!!", "été & !trois"])
def test_message_is_not_found_by(tenant, agent, conversation, looked_for):
    with context.entered(tenant):
        found = searching.messages(agent, Filters(text=looked_for)).rows

    expected = 1 if looked_for == "été & !trois" else 0
    assert len(found) == expected


def test_rare_words_are_never_looked_for_along_the_primary_key(tenant, agent, conversation):
    with context.entered(tenant), CaptureQueriesContext(connection) as asked:
        searching.messages(agent, Filters(text="chevaux"))
        last = [each["sql"] for each in asked if each["sql"].startswith("SELECT")][-1]
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            # So small a table would be sorted in any case; a million rows would not.
            cursor.execute("SET LOCAL enable_sort = off")
            cursor.execute(f"EXPLAIN {last}")
            plan = "\n".join(line for [line] in cursor.fetchall())

    assert "Sort Key" in plan
    assert "Backward using messaging_message_pkey" not in plan


@given(st.text(max_size=80))
def test_whatever_is_typed_is_a_question_and_never_an_error(tenant_once, text):
    with context.entered(tenant_once):
        assert len(searching.messages(None, Filters(text=text.replace("\ud800", ""))).rows) == 0


@pytest.fixture(scope="module")
def tenant_once(django_db_setup, django_db_blocker):
    from tenants.models import Tenant

    with django_db_blocker.unblock():
        yield Tenant.objects.get(slug="vendor_001")


@pytest.mark.parametrize(
    "text",
    [
        SAID,
        "Straße ÆØÅ ŒUVRE",
        "Привет, Ёлка!",
        "مُحَمَّد ١٢٣",
        "12e4 5kg a4 00123",
        "x_y-z@acme.com/p?q=1",
    ],
)
def test_question_is_folded_as_the_index_folds(tenant, text):
    with connection.cursor() as cursor:
        folding = Words.template.partition("to_tsvector('simple'::regconfig, ")[2]
        folding = folding.partition(") || to_tsvector('french'")[0]
        cursor.execute(f"SELECT {folding % {'expressions': '%s::text'}}", [text])
        [folded] = cursor.fetchone()

    assert searching.folded(text) == folded


def test_edited_and_deleted_messages_are_found_by_what_they_say_now(tenant, agent, conversation):
    with context.entered(tenant):
        Message.objects.update(text="Finalement des vélos")
        by_old = searching.messages(agent, Filters(text="chevaux")).rows
        by_new = searching.messages(agent, Filters(text="velo")).rows
        Message.objects.update(text="")
        after_deletion = searching.messages(agent, Filters(text="velo")).rows

    assert (len(by_old), len(by_new), len(after_deletion)) == (0, 1, 0)


def test_excerpt_shows_the_words_around_and_marks_them(tenant, agent):
    text = "Bonjour " * 40 + "vos tables livrées hier ? " + "Merci " * 40
    with context.entered(tenant):
        factories.make_conversation(tenant, text=text)
        [found] = searching.messages(agent, Filters(text="livrer table")).rows

    marked = [piece.text for piece in found.pieces if piece.is_found]
    whole = "".join(piece.text for piece in found.pieces)
    assert marked == ["tables", "livrées"]
    assert whole.startswith("…Bonjour")
    assert len(whole) < 260


@pytest.mark.parametrize("latest", [0, 3, 5_000], ids="{} looked through first".format)
def test_results_are_paged_latest_first(tenant, agent, conversation, latest, monkeypatch):
    monkeypatch.setattr(searching, "LATEST", latest)
    with context.entered(tenant):
        for minute in range(25):
            factories.make_message(
                conversation, text=f"facture {minute}", at=NOW + timedelta(minutes=minute)
            )
        first = searching.messages(agent, Filters(text="factures"))
        second = searching.messages(agent, Filters(text="factures"), after=first.next)

    numbers = [found.message.text for found in [*first.rows, *second.rows]]
    assert numbers == [f"facture {minute}" for minute in reversed(range(25))]
    assert second.next is None


def test_search_leads_on_to_everybody_called_so(browser, tenant):
    most = searching.MOST_CONVERSATIONS
    with context.entered(tenant):
        for number in range(most + 3):
            name = "Marie" if number < most + 1 else "Paul"
            made = factories.make_conversation(
                tenant, name=f"{name} {number}", phone=f"+22170111{number}001"
            )

    many = browser.get(f"/?q=marie&number={made.instance_id}").content.decode()
    few = browser.get("/?q=paul").content.decode()
    everybody = browser.get("/leads/?q=marie").content.decode()

    way_on = 'href="/leads/?q=marie"'
    assert (many.count('class="row-name">Marie'), way_on in many) == (most, True)
    assert (few.count('class="row-name">Paul'), "/leads/?q" in few) == (2, False)
    assert sum(f"Marie {number}" in everybody for number in range(most + 1)) == most + 1


def test_search_shows_who_and_what_and_leads_to_the_message(browser, conversation, other_tenant):
    with context.entered(other_tenant):
        Message.objects.update(text="chevaux: leak me")

    page = browser.get("/", {"q": "aissa"}).content.decode()
    said = browser.get("/inbox/rows/", {"q": "chevaux"}, headers=HTMX)

    [hit] = said.context["found"]
    address = f'href="/inbox/{conversation.pk}/?q=chevaux&amp;message={hit.message.pk}"'
    assert f'data-conversation="{conversation.pk}"' in page
    assert address in said.content.decode()
    assert "<mark>chevaux</mark>" in said.content.decode()
    assert "leak" not in said.content.decode()


def test_search_finds_closed_conversations_and_obeys_filters(browser, tenant, agent, conversation):
    with context.entered(tenant):
        Conversation.objects.update(state="closed")
        mine = factories.make_conversation(
            tenant, name="Moussa", phone="+221701111112", text="Un cheval", assignee=agent
        )

    def found(**asked):
        answer = browser.get("/inbox/rows/", {"q": "cheval", **asked}, headers=HTMX)
        return {hit.message.conversation_id for hit in answer.context["found"]}

    assert found() == {conversation.pk, mine.pk}
    assert found(view="closed") == {conversation.pk}
    assert found(view="mine") == {mine.pk}
    assert found(person=agent.pk) == {mine.pk}
    assert found(number=mine.instance_id + 1) == set()


@pytest.mark.parametrize(
    "looked_for", ["aissatou", "NDiaye", "n'diaye", "701 11 11", "0701111111", "fidele"]
)
def test_lead_is_found_by_name_note_and_number(browser, tenant, conversation, looked_for):
    with context.entered(tenant):
        Lead.objects.update(note="Cliente fidèle")
        factories.make_lead("Somebody else", phone="+33155555555")

    rows = browser.get("/leads/", {"q": looked_for}).context["rows"]

    assert [lead.pk for lead in rows] == [conversation.lead_id]


def test_lead_search_that_means_nothing_finds_nobody(browser, conversation):
    assert browser.get("/leads/", {"q": "!!!"}).context["rows"] == []


def test_search_costs_the_same_however_much_is_found(browser, tenant, conversation):
    def cost() -> int:
        browser.get("/", {"q": "cheval"})
        with CaptureQueriesContext(connection) as queries:
            assert browser.get("/", {"q": "cheval"}).status_code == 200
        # What is looked up once a second is not the page's.
        skipped = ("SET search_path", 'SELECT "tenants_tenanthistory"')
        return len([each for each in queries if not each["sql"].startswith(skipped)])

    few = cost()
    with context.entered(tenant):
        for minute in range(15):
            factories.make_message(conversation, text="cheval", at=NOW + timedelta(minutes=minute))

    assert few == cost() <= 10


@pytest.mark.parametrize("query", ["q=x&after=nonsense", "q=x&after=1.5"])
def test_place_in_results_that_cannot_be_read_is_refused(browser, query):
    assert browser.get(f"/inbox/rows/?{query}").status_code == 400


def test_words_are_not_read_with_their_rows(tenant, conversation):
    with context.entered(tenant), CaptureQueriesContext(connection) as queries:
        list(Message.objects.all())
        list(Lead.objects.all())

    assert not [each for each in queries if '"words"' in each["sql"]]
