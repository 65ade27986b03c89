"""The team's pages: what they show, to whom, and what they cost."""

import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from messaging.models import Conversation, Lead, Message
from tenants import context
from tenants.accounts.models import Role
from tenants.models import ProviderInstance
from tests import factories
from tests.conftest import NOW, user_of

pytestmark = pytest.mark.django_db

MOST_QUERIES = 10
HTMX = {"HX-Request": "true"}


@pytest.fixture
def conversation(tenant) -> Conversation:
    with context.entered(tenant):
        return factories.make_conversation(tenant, text="Is the table still there?")


def test_pages_ask_to_sign_in_first(client_for, tenant):
    answer = client_for(tenant).get("/")

    assert answer.status_code == 302
    assert answer["Location"] == "/accounts/login/?next=/"


def test_piece_for_somebody_signed_out_is_401_and_not_the_sign_in_page(client_for, tenant):
    answer = client_for(tenant).get("/inbox/rows/", headers=HTMX)

    assert (answer.status_code, answer.content) == (401, b"")


def test_inbox_lists_own_conversations_only(browser, conversation, other_tenant):
    page = browser.get("/").content.decode()

    assert f'data-conversation="{conversation.pk}"' in page
    assert "Is the table still there?" in page
    assert "Leaky Lead" not in page
    assert "leak me" not in page


@pytest.mark.parametrize(
    "path",
    [
        "/inbox/{conversation}/",
        "/inbox/{conversation}/pane/",
        "/inbox/{conversation}/head/",
        "/inbox/{conversation}/row/",
        "/inbox/{conversation}/messages/",
        "/inbox/{conversation}/panel/",
        "/inbox/{conversation}/assignment/",
        "/messages/{message}/",
        "/leads/{lead}/",
    ],
)
def test_what_is_another_tenants_does_not_exist(browser, other_tenant, path):
    with context.entered(other_tenant):
        ids = _move_far_away(other_tenant)

    answer = browser.get(path.format(**ids))

    assert answer.status_code == 404
    assert b"leak" not in answer.content.lower()


@pytest.mark.parametrize("action", ["send", "assign", "close", "reopen", "read"])
def test_nobody_acts_on_another_tenants_conversation(browser, other_tenant, action):
    with context.entered(other_tenant):
        ids = _move_far_away(other_tenant)

    answer = browser.post(f"/inbox/{ids['conversation']}/{action}/", {"text": "hello"})

    assert answer.status_code == 404


def _move_far_away(other) -> dict:
    """Ids that the first tenant has no rows for, so that a 404 means: not found by this id."""
    lead = Lead.objects.create(pk=900_001, name="Leaky Far")
    near = Conversation.objects.first()
    far = Conversation.objects.create(
        pk=900_002,
        lead=lead,
        instance_id=near.instance_id,
        provider="wasender",
        medium="whatsapp",
        peer="+33199000098",
        last_message_at=NOW,
    )
    message = factories.make_message(far, pk=900_003, text="leak far")
    return {"conversation": far.pk, "message": message.pk, "lead": lead.pk}


@pytest.mark.parametrize("path", ["/", "/inbox/rows/", "/leads/"])
def test_lists_cost_the_same_however_long_they_are(browser, tenant, path):
    with context.entered(tenant):
        _many_conversations(tenant, 5)
    few = _queries_of(browser, path)
    with context.entered(tenant):
        _many_conversations(tenant, 60, start=5)

    many = _queries_of(browser, path)

    assert few == many <= MOST_QUERIES


@pytest.mark.parametrize(
    "path", ["/inbox/{}/", "/inbox/{}/pane/", "/inbox/{}/messages/", "/inbox/{}/panel/"]
)
def test_conversation_costs_the_same_however_long_it_is(browser, tenant, conversation, path):
    browser.get(f"/inbox/{conversation.pk}/")
    with context.entered(tenant):
        _many_messages(conversation, 5)
    few = _queries_of(browser, path.format(conversation.pk))
    with context.entered(tenant):
        _many_messages(conversation, 500, start=5)

    many = _queries_of(browser, path.format(conversation.pk))

    assert few == many <= MOST_QUERIES


def test_opening_something_unread_stays_within_the_budget(browser, conversation):
    assert _queries_of(browser, f"/inbox/{conversation.pk}/") <= MOST_QUERIES


def _queries_of(browser, path: str) -> int:
    browser.get(path)
    with CaptureQueriesContext(connection) as queries:
        assert browser.get(path).status_code == 200
    # What is looked up once a second is not the page's.
    skipped = ("SET search_path", 'SELECT "tenants_tenanthistory"')
    return len([each for each in queries if not each["sql"].startswith(skipped)])


def _many_conversations(tenant, count: int, start: int = 0) -> None:
    for index in range(start, start + count):
        factories.make_conversation(
            tenant, phone=f"+2217012{index:05d}", at=NOW - timedelta(minutes=index)
        )


def _many_messages(conversation, count: int, start: int = 0) -> None:
    earlier = factories.make_message(conversation, text="quoted", at=NOW)
    for index in range(start, start + count):
        factories.make_message(
            conversation, at=NOW + timedelta(minutes=index), reply_to=earlier.external_id
        )


def test_list_goes_on_where_the_page_before_ended(browser, tenant):
    with context.entered(tenant):
        _many_conversations(tenant, 35)
    first = browser.get("/inbox/rows/", headers=HTMX)
    cursor = first.context["next"]

    second = browser.get("/inbox/rows/", {"after": str(cursor)}, headers=HTMX)

    shown = [each.pk for each in [*first.context["rows"], *second.context["rows"]]]
    assert len(shown) == len(set(shown)) == 35
    assert second.context["next"] is None


@pytest.mark.parametrize("query", ["after=nonsense", "after=2026-01-01~5"])
def test_cursor_that_cannot_be_read_is_refused(browser, query):
    assert browser.get(f"/inbox/rows/?{query}").status_code == 400


def test_row_is_gone_from_a_view_it_does_not_belong_to(browser, conversation):
    path = f"/inbox/{conversation.pk}/row/"

    answers = {view: browser.get(path, {"view": view}).status_code for view in VIEWS}

    assert answers == {"mine": 204, "unassigned": 200, "all": 200, "closed": 204}


VIEWS = ("mine", "unassigned", "all", "closed")


def test_looking_marks_read_and_the_unread_count_says_so(browser, tenant, conversation):
    page = browser.get(f"/inbox/{conversation.pk}/").content.decode()
    before = browser.get("/unread/")["X-Unread"]

    answer = browser.post(f"/inbox/{conversation.pk}/read/")

    with context.entered(tenant):
        conversation.refresh_from_db()
    assert 'data-to-read="1"' in page
    assert (before, answer["X-Unread"], conversation.unread_count) == ("1", "0", 0)
    assert browser.get("/unread/")["X-Unread"] == "0"


def test_row_of_what_is_being_read_is_not_unread(browser, conversation):
    beside = browser.get(f"/inbox/{conversation.pk}/").content.decode()

    alone = browser.get("/").content.decode()

    assert [page.count('<li class="unread"') for page in (beside, alone)] == [0, 1]


def test_assistant_reads_without_making_it_look_taken_care_of(
    client_for, tenant, assistant, conversation
):
    page = client_for(tenant, assistant).get(f"/inbox/{conversation.pk}/")
    client_for(tenant, assistant).post(f"/inbox/{conversation.pk}/read/")

    with context.entered(tenant):
        conversation.refresh_from_db()
    assert conversation.unread_count == 1
    assert b'id="composer"' not in page.content
    assert b"data-to-read" not in page.content


@pytest.mark.parametrize("action", ["send", "assign", "close", "reopen"])
def test_assistant_changes_nothing(client_for, tenant, assistant, conversation, action):
    browser = client_for(tenant, assistant)

    answer = browser.post(f"/inbox/{conversation.pk}/{action}/", {"text": "hello"})

    assert answer.status_code == 403
    with context.entered(tenant):
        assert Message.objects.count() == 1


def test_assistant_neither_starts_conversations_nor_edits_leads(
    client_for, tenant, assistant, conversation
):
    browser = client_for(tenant, assistant)

    answers = [
        browser.get("/new/").status_code,
        browser.post("/new/", {"to": "+221701111119", "text": "hello"}).status_code,
        browser.post(f"/leads/{conversation.lead_id}/edit/", {"name": "x"}).status_code,
        browser.post(f"/leads/{conversation.lead_id}/note/", {"note": "x"}).status_code,
    ]

    assert answers == [403, 403, 403, 403]


def test_answer_is_queued_and_drawn(browser, tenant, agent, conversation):
    reference = uuid.uuid4()

    answer = browser.post(
        f"/inbox/{conversation.pk}/send/", {"text": "Yes", "reference": reference}, headers=HTMX
    )

    with context.entered(tenant):
        message = Message.objects.get(reference=reference)
        assert (message.text, message.by, message.origin) == ("Yes", agent, "person")
    assert answer.status_code == 201
    assert f'data-message="{message.pk}" data-status="queued"' in answer.content.decode()


def test_answer_posted_twice_is_one_message(browser, tenant, conversation):
    posted = {"text": "Yes", "reference": uuid.uuid4()}

    for _attempt in range(2):
        answer = browser.post(f"/inbox/{conversation.pk}/send/", posted, headers=HTMX)

    assert answer.status_code == 201
    with context.entered(tenant):
        assert Message.objects.filter(direction="out").count() == 1


def test_refusal_stands_beside_the_composer(browser, conversation):
    answer = browser.post(f"/inbox/{conversation.pk}/send/", {"text": "x" * 20_001}, headers=HTMX)

    assert answer.status_code == 422
    assert "20001" in answer.content.decode()


def test_what_a_contact_wrote_is_text_and_never_markup(browser, tenant):
    evil = "<script>alert(1)</script>"
    with context.entered(tenant):
        written = factories.make_conversation(tenant, name=evil, text=evil)

    page = browser.get(f"/inbox/{written.pk}/").content.decode()

    assert evil not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_deleted_message_leaves_a_tombstone_and_no_word(browser, tenant, conversation):
    with context.entered(tenant):
        message = conversation.messages.get()
        factories.make_message(
            conversation, text="About that", reply_to=message.external_id, at=NOW
        )
        Message.objects.filter(pk=message.pk).update(text="", deleted_at=NOW)
        Conversation.objects.update(last_message_snippet="")

    page = browser.get(f"/inbox/{conversation.pk}/").content.decode()

    assert "Is the table still there?" not in page
    assert 'class="tombstone' in page


def test_failed_message_says_why_and_is_sent_again_on_request(browser, tenant, conversation):
    with context.entered(tenant):
        failed = factories.make_message(
            conversation,
            direction="out",
            origin="person",
            status="failed",
            error_blame="recipient",
            error_detail="not on WhatsApp",
        )
    shown = browser.get(f"/messages/{failed.pk}/").content.decode()

    answer = browser.post(f"/messages/{failed.pk}/retry/", headers=HTMX)

    assert "not on WhatsApp" in shown
    assert 'data-status="queued"' in answer.content.decode()


def test_nothing_is_sent_again_where_the_number_was_removed(browser, tenant, conversation):
    with context.entered(tenant):
        failed = factories.make_message(
            conversation, direction="out", origin="person", status="failed", error_blame="provider"
        )
    path = f"/messages/{failed.pk}/"
    before = browser.get(path).content.decode()
    ProviderInstance.objects.of(tenant).delete()

    alone = browser.get(path).content.decode()
    pane = browser.get(f"/inbox/{conversation.pk}/pane/").content.decode()

    retry = f"{path}retry/"
    assert [retry in shown for shown in (before, alone, pane)] == [True, False, False]


def test_assigning_can_be_taken_back(browser, tenant, agent, conversation):
    path = f"/inbox/{conversation.pk}/assign/"

    taken = browser.post(path, {"to": agent.pk}, headers=HTMX)
    given = browser.post(path, {"to": ""}, headers=HTMX)

    assert f'"values": {{"to": {agent.pk}}}' in given["HX-Trigger"]
    assert f'"undo": "{path}"' in taken["HX-Trigger"]
    with context.entered(tenant):
        conversation.refresh_from_db()
        assert conversation.assignee is None


def test_nobody_outside_the_team_can_be_assigned(browser, tenant, conversation):
    answer = browser.post(f"/inbox/{conversation.pk}/assign/", {"to": 999_999}, headers=HTMX)

    assert answer.status_code == 422


def test_close_and_reopen(browser, tenant, conversation):
    states = []
    for action in ("close", "reopen"):
        browser.post(f"/inbox/{conversation.pk}/{action}/", headers=HTMX)
        with context.entered(tenant):
            conversation.refresh_from_db()
            states.append(conversation.state)

    assert states == ["closed", "open"]


def test_first_message_makes_the_lead_and_opens_the_conversation(browser, tenant):
    answer = browser.post("/new/", {"to": "70 123 45 67", "text": "Hello"}, headers=HTMX)

    with context.entered(tenant):
        message = Message.objects.get()
        assert message.conversation.peer == "+221701234567"
    opened = reverse("messaging:conversation", args=[message.conversation_id])
    assert answer["HX-Redirect"] == opened


@pytest.mark.parametrize(("to", "text"), [("hello", "Hello"), ("", "Hello"), ("70 123 45 67", "")])
def test_first_message_that_cannot_be_sent_keeps_what_was_typed(browser, tenant, to, text):
    answer = browser.post("/new/", {"to": to, "text": text}, headers=HTMX)

    page = answer.content.decode()
    assert answer.status_code == 200
    assert 'role="alert"' in page
    assert f'value="{to}"' in page
    with context.entered(tenant):
        assert not Message.objects.exists()


def test_lead_is_found_by_name_and_number_and_edited(browser, tenant, agent, conversation):
    by_name = browser.get("/leads/", {"q": "awa"}).context["rows"]
    by_number = browser.get("/leads/", {"q": "1111111"}).context["rows"]
    nobody = browser.get("/leads/", {"q": "zzz"}).context["rows"]

    browser.post(
        f"/leads/{conversation.lead_id}/edit/",
        {"name": "Awa N.", "owner": agent.pk, "note": "likes oak"},
    )

    assert (len(by_name), len(by_number), len(nobody)) == (1, 1, 0)
    with context.entered(tenant):
        lead = Lead.objects.select_related("owner").get(pk=conversation.lead_id)
        assert (lead.name, lead.owner, lead.note) == ("Awa N.", agent, "likes oak")


def test_pages_allow_nothing_inline_and_nothing_from_elsewhere(browser):
    policy = browser.get("/")["Content-Security-Policy"]

    assert "unsafe" not in policy
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy


def test_language_is_the_persons_own(client_for, tenant, agent):
    browser = client_for(tenant, agent)
    french = browser.get("/").content.decode()

    browser.post("/language/", {"language": "en", "next": "/"})

    english = browser.get("/").content.decode()
    assert "Boîte de réception" in french
    assert 'lang="en"' in english
    assert "Boîte de réception" not in english
    assert user_of(tenant, Role.AGENT).language == "en"


@pytest.mark.parametrize("address", ["555@lid", "US.13491208655302741918"])
def test_identifiers_only_machines_use_are_put_in_words(client_for, tenant, agent, address):
    with context.entered(tenant):
        conversation = factories.make_conversation(tenant, name="", phone=address)
        conversation.lead.identities.update(kind="lid")
    browser = client_for(tenant, agent)

    pages = [
        browser.get(path).content.decode()
        for path in (
            "/",
            f"/inbox/{conversation.pk}/",
            f"/inbox/{conversation.pk}/panel/",
            "/leads/",
            f"/leads/{conversation.lead_id}/",
        )
    ]

    assert [address in page for page in pages] == [False] * 5
    assert f"Identifiant WhatsApp #{conversation.lead_id}" in pages[0]
