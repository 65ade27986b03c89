"""Leads, conversations and messages for programs: what they see, do, and are refused."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver

from messaging.models import Conversation, Lead, Message, MessageFile
from messaging.providers.base import Blame
from tenants import context
from tenants.accounts.models import Role, User
from tenants.api import tokens
from tenants.models import ProviderInstance
from tests import factories
from tests.conftest import NOW, host_of, user_of
from tests.messaging.files import ordered

HUGE = 10**30


class Caller:
    """A program of one person, signed in with a token."""

    def __init__(self, tenant, user, **headers):
        with context.entered(tenant):
            access = tokens.pair_for(user)["access"]
        self.client = Client(
            headers={
                "host": host_of(tenant),
                "authorization": f"Bearer {access}",
                "accept-language": "en",
                **headers,
            }
        )

    def get(self, path):
        return self.client.get(path)

    def post(self, path, body=None):
        return self.client.post(path, body or {}, content_type="application/json")

    def patch(self, path, body):
        return self.client.patch(path, body, content_type="application/json")


@pytest.fixture
def caller(tenant, agent):
    return Caller(tenant, agent)


@pytest.fixture
def conversation(tenant, instance):
    with context.entered(tenant):
        return factories.make_conversation(tenant)


def refusal(response):
    answer = response.json()
    assert answer["success"] is False
    return response.status_code, answer["error"]["code"], answer["error"]["field"]


def ids_of(other):
    """The ids of a conversation that another tenant holds, its message and its lead."""
    with context.entered(other):
        conversation = Conversation.objects.order_by("-pk").first()
        message = conversation.messages.first()
        return conversation.pk, message.pk, conversation.lead_id


def test_conversation_shows_lead_last_message_and_assignee(caller, conversation, agent, tenant):
    with context.entered(tenant):
        Conversation.objects.update(assignee=agent)

    listed = caller.get("/api/conversations/?view=mine").json()
    single = caller.get(f"/api/conversations/{conversation.pk}/").json()

    assert listed == {"results": [single], "next": None}
    assert single == {
        "id": conversation.pk,
        "lead": {"id": conversation.lead_id, "name": "Awa", "is_vip": False},
        "instance": conversation.instance_id,
        "provider": "wasender",
        "medium": "whatsapp",
        "peer": "+221701111111",
        "is_group": False,
        "state": "open",
        "assignee": {"id": agent.pk, "name": str(agent)},
        "unread_count": 1,
        "last_message": {
            "id": conversation.last_message_id,
            "text": "Bonjour",
            "direction": "in",
            "status": "received",
            "sent_at": "2026-03-02T09:30:00Z",
        },
        "last_received_at": "2026-03-02T09:30:00Z",
        "window_ends_at": None,
        "closed_at": None,
        "created_at": single["created_at"],
    }


@pytest.mark.parametrize(
    ("view", "names"),
    [
        ("mine", ["Mine"]),
        ("unassigned", ["Free"]),
        ("all", ["Mine", "Free"]),
        ("closed", ["Closed"]),
    ],
)
def test_inbox_views_show_what_their_name_says(caller, tenant, agent, instance, view, names):
    with context.entered(tenant):
        facts = [("Free", {}), ("Mine", {"assignee": agent}), ("Closed", {"state": "closed"})]
        for minute, (name, fact) in enumerate(facts):
            phone = f"+22170111111{minute}"
            at = NOW + timedelta(minutes=minute)
            factories.make_conversation(tenant, name=name, phone=phone, at=at, **fact)

    listed = caller.get(f"/api/conversations/?view={view}").json()

    assert [each["lead"]["name"] for each in listed["results"]] == names


def pages_of(caller, path):
    while path:
        answer = caller.get(path).json()
        yield answer["results"]
        path = answer["next"]


def test_lists_page_through_everything_once(caller, tenant, conversation):
    with context.entered(tenant):
        for number in range(4):
            phone = f"+22170222222{number}"
            factories.make_conversation(tenant, name=f"N{number}", phone=phone)
            factories.make_message(conversation, text=f"text {number}")

    messages = f"/api/conversations/{conversation.pk}/messages/"
    paged = {
        path: [[each["id"] for each in page] for page in pages_of(caller, f"{path}?limit=2")]
        for path in ("/api/conversations/", "/api/leads/", messages)
    }

    for pages in paged.values():
        ids = [each for page in pages for each in page]
        assert [len(page) for page in pages] == [2, 2, 1]
        assert ids == sorted(set(ids), reverse=True)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("conversations/?limit=x", "limit"),
        ("conversations/?limit=0", "limit"),
        ("conversations/?limit=101", "limit"),
        (f"conversations/?limit={HUGE}", "limit"),
        ("conversations/?view=theirs", "view"),
        ("conversations/?view=%00", "view"),
        ("conversations/?after=garbage", "after"),
        ("conversations/?after=2026-01-01T00:00:00~1", "after"),
        (f"conversations/?after=2026-01-01T00:00:00Z~{HUGE}", "after"),
        ("conversations/?after=%00", "after"),
        ("leads/?after=-1", "after"),
        (f"leads/?after={HUGE}", "after"),
        ("leads/?text=%00", "text"),
        ("instances/?after=x", "after"),
        ("users/?limit=-1", "limit"),
    ],
)
def test_bad_query_parameters_are_named(caller, path, field):
    answer = caller.get(f"/api/{path}")

    status, _code, named = refusal(answer)
    assert (status, named) == (400, field)


def test_extreme_cursors_give_an_empty_page(caller, conversation):
    for moment in ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z"):
        path = f"/api/conversations/{conversation.pk}/messages/"
        answer = caller.client.get(path, {"before": f"{moment}~1"})

        assert answer.json() == {"results": [], "next": None}


def test_message_shows_all_that_programs_rely_on(caller, conversation, tenant, agent):
    told = {"kind": "image", "mime_type": "image/png", "file_name": "a.png", "size": 9}
    with context.entered(tenant):
        message = factories.make_message(
            conversation,
            direction="out",
            origin="api",
            status="failed",
            external_id="",
            by=agent,
            error_code="number_unknown",
            error_detail="No such number",
            error_blame=Blame.RECIPIENT,
        )
        file = MessageFile.objects.create(message=message, reference={"secret": "x"}, **told)

    shown = caller.get(f"/api/messages/{message.pk}/").json()

    assert shown == {
        "id": message.pk,
        "direction": "out",
        "medium": "whatsapp",
        "provider": "wasender",
        "origin": "api",
        "kind": "text",
        "text": "Bonjour",
        "subject": "",
        "status": "failed",
        "external_id": "",
        "reply_to": "",
        "sent_at": "2026-03-02T09:30:00Z",
        "received_at": "2026-03-02T09:30:00Z",
        "edited_at": None,
        "deleted_at": None,
        "lead": conversation.lead_id,
        "conversation": conversation.pk,
        "instance": conversation.instance_id,
        "author": None,
        "by": {"id": agent.pk, "name": str(agent)},
        "template": None,
        "taps": [],
        "reactions": [],
        "attachments": [
            {
                "id": file.pk,
                **told,
                "width": None,
                "height": None,
                "state": "waiting",
                "error": "",
                "url": None,
            }
        ],
        "error": {"code": "number_unknown", "detail": "No such number", "blame": "recipient"},
    }


def test_reply_is_queued_in_the_conversation(caller, conversation, tenant, agent):
    with context.entered(tenant):
        quoted = conversation.messages.get()

    answer = caller.post(
        f"/api/conversations/{conversation.pk}/messages/",
        {"text": "Oui", "reply_to": quoted.external_id},
    )

    said = answer.json()
    assert answer.status_code == 201
    assert (said["text"], said["status"], said["origin"]) == ("Oui", "queued", "api")
    assert said["reply_to"] == quoted.external_id
    assert said["by"]["id"] == agent.pk


def test_reply_quotes_only_its_own_conversation(caller, conversation, tenant):
    with context.entered(tenant):
        factories.make_conversation(tenant, name="B", phone="+221701111112")
        elsewhere = Message.objects.exclude(conversation=conversation).get()

    answer = caller.post(
        f"/api/conversations/{conversation.pk}/messages/",
        {"text": "Oui", "reply_to": elsewhere.external_id},
    )

    assert refusal(answer) == (404, "reply_to_unknown", "reply_to")


def test_message_to_a_number_makes_lead_and_conversation(caller, tenant):
    answer = caller.post("/api/messages/", {"to": "70 111 22 33", "text": "Bonjour"})

    said = answer.json()
    assert answer.status_code == 201
    lead = caller.get(f"/api/leads/{said['lead']}/").json()
    assert lead["identities"] == [
        {
            "kind": "phone",
            "value": "+221701112233",
            "opted_out": False,
            "consent_changed_at": None,
        }
    ]
    assert caller.get(f"/api/conversations/{said['conversation']}/").status_code == 200


def test_message_to_a_merged_lead_reaches_the_one_that_took_its_place(caller, tenant):
    with context.entered(tenant):
        kept = factories.make_lead("Kept", "+221701111119")
        merged = Lead.objects.create(name="Merged", merged_into=kept)

    answer = caller.post("/api/messages/", {"lead": merged.pk, "text": "Bonjour"})

    assert answer.json()["lead"] == kept.pk


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"text": "x"}, (400, "recipient_missing", "to")),
        ({"text": "x", "to": "nobody"}, (400, "recipient_invalid", "to")),
        ({"text": "x", "to": "+221701111111", "lead": 1}, (400, "recipient_ambiguous", "to")),
        ({"text": "x", "lead": 999_999}, (404, "lead_unknown", "lead")),
        (
            {"text": "x", "to": "+221701111111", "instance": 999_999},
            (404, "instance_unknown", "instance"),
        ),
        ({"text": " ", "to": "+221701111111"}, (400, "text_empty", "text")),
        ({"text": "x" * 20_001, "to": "+221701111111"}, (400, "text_too_long", "text")),
        ({"to": "+221701111111"}, (400, "required", "text")),
    ],
)
def test_refused_messages_say_why(caller, body, expected):
    answer = caller.post("/api/messages/", body)

    assert refusal(answer) == expected


def test_message_asks_which_number_where_there_are_several(caller, tenant):
    factories.make_instance(tenant)

    answer = caller.post("/api/messages/", {"to": "+221701111111", "text": "x"})

    assert refusal(answer) == (409, "instance_ambiguous", "instance")


WRONG = [None, True, 5, 1.5, HUGE, "", "\x00", "\ud800", "word", [], {}, [1], {"a": 1}]
FIELDS = [
    ("post", "messages/", {"text": "x", "to": "+221701111111"}, "to"),
    ("post", "messages/", {"text": "x", "to": "+221701111111"}, "text"),
    ("post", "messages/", {"text": "x", "to": "+221701111111"}, "subject"),
    ("post", "messages/", {"text": "x", "to": "+221701111111"}, "instance"),
    ("post", "messages/", {"text": "x"}, "lead"),
    ("post", "conversations/{conversation}/messages/", {"text": "x"}, "text"),
    ("post", "conversations/{conversation}/messages/", {"text": "x"}, "reply_to"),
    ("patch", "conversations/{conversation}/", {}, "assignee"),
    ("patch", "conversations/{conversation}/", {}, "state"),
    ("post", "leads/", {"name": "x"}, "name"),
    ("post", "leads/", {"name": "x"}, "phone"),
    ("post", "leads/", {"name": "x"}, "email"),
    ("patch", "leads/{lead}/", {}, "name"),
    ("patch", "leads/{lead}/", {}, "note"),
    ("patch", "leads/{lead}/", {}, "owner"),
]
MAY_BE = {
    "text": ["word"],
    "subject": ["", "word"],
    "name": ["word"],
    "note": ["", "word"],
    "assignee": [None],
    "owner": [None],
}


@pytest.mark.parametrize(("method", "path", "body", "field"), FIELDS)
def test_wrong_values_name_their_field(caller, conversation, method, path, body, field):
    path = path.format(conversation=conversation.pk, lead=conversation.lead_id)
    wrong = [each for each in WRONG if each not in MAY_BE.get(field, [])]

    refused = [getattr(caller, method)(f"/api/{path}", {**body, field: each}) for each in wrong]

    # An id that is a well-formed number but nobody's is not here; all else is bad input.
    told = {(refusal(answer)[0], refusal(answer)[2]) for answer in refused}
    assert told <= {(400, field), (404, field)}


@pytest.mark.parametrize(
    "path",
    [
        "conversations/{conversation}/",
        "conversations/{conversation}/messages/",
        "messages/{message}/",
        "leads/{lead}/",
        f"leads/{HUGE}/",
        "messages/" + "9" * 5000 + "/",
    ],
)
def test_another_tenants_things_are_not_here(caller, other_tenant, path):
    conversation, message, lead = ids_of(other_tenant)

    answer = caller.get(
        "/api/" + path.format(conversation=conversation, message=message, lead=lead)
    )

    assert answer.status_code == 404
    assert answer.json()["success"] is False


def test_another_tenants_things_cannot_be_named_in_a_write(caller, other_tenant):
    theirs = ProviderInstance.objects.of(other_tenant).get()
    _conversation, _message, lead = ids_of(other_tenant)

    by_instance = caller.post(
        "/api/messages/", {"to": "+221701111111", "text": "x", "instance": theirs.pk}
    )
    by_lead = caller.post("/api/messages/", {"lead": lead, "text": "x"})
    by_address = caller.get(f"/api/instances/?after={theirs.pk - 1}")

    assert refusal(by_instance) == (404, "instance_unknown", "instance")
    assert refusal(by_lead) == (404, "lead_unknown", "lead")
    assert theirs.pk not in [each["id"] for each in by_address.json()["results"]]


def test_lists_show_nothing_of_another_tenant(caller, other_tenant):
    answers = [
        caller.get(f"/api/{path}").content.decode()
        for path in ("conversations/", "leads/", "leads/?text=Leaky", "users/", "instances/")
    ]

    for answer in answers:
        assert "eak" not in answer
        assert "vendor-002" not in answer


def test_conversation_is_handed_on_closed_and_brought_back(caller, conversation, tenant):
    colleague = user_of(tenant, Role.ADMIN)
    path = f"/api/conversations/{conversation.pk}/"

    handed = caller.patch(path, {"assignee": colleague.pk, "state": "closed"}).json()
    freed = caller.patch(path, {"assignee": None, "state": "open"}).json()

    assert (handed["assignee"]["id"], handed["state"]) == (colleague.pk, "closed")
    assert (freed["assignee"], freed["state"], freed["closed_at"]) == (None, "open", None)


def test_conversation_is_not_handed_to_who_left(caller, conversation, tenant):
    gone = user_of(tenant, Role.ADMIN)
    with context.entered(tenant):
        User.objects.filter(pk=gone.pk).update(is_active=False)

    answer = caller.patch(f"/api/conversations/{conversation.pk}/", {"assignee": gone.pk})

    assert refusal(answer) == (404, "assignee_unknown", "assignee")


def test_read_leaves_nothing_unread(caller, conversation):
    answer = caller.post(f"/api/conversations/{conversation.pk}/read/")

    assert answer.json()["unread_count"] == 0


def test_assistant_leaves_unread_what_others_have_to_answer(tenant, assistant, conversation):
    answer = Caller(tenant, assistant).post(f"/api/conversations/{conversation.pk}/read/")

    assert answer.status_code == 403
    with context.entered(tenant):
        conversation.refresh_from_db()
    assert conversation.unread_count == 1
    assert ordered("show_read") == []


def test_lead_is_made_once_and_found_again(caller):
    made = caller.post("/api/leads/", {"name": "Awa", "phone": "70 111 22 33", "email": "A@b.SN"})
    found = caller.post("/api/leads/", {"name": "Other", "phone": "+221 70 111 22 33"})

    assert (made.status_code, found.status_code) == (201, 200)
    assert found.json()["id"] == made.json()["id"]
    assert found.json()["name"] == "Awa"
    assert {each["value"] for each in found.json()["identities"]} == {"+221701112233", "a@b.sn"}


def test_lead_with_the_addresses_of_two_is_refused(caller):
    caller.post("/api/leads/", {"name": "A", "phone": "+221701112233"})
    caller.post("/api/leads/", {"name": "B", "email": "b@b.sn"})

    answer = caller.post("/api/leads/", {"name": "C", "phone": "+221701112233", "email": "b@b.sn"})

    assert refusal(answer) == (409, "lead_ambiguous", "email")


@pytest.mark.parametrize(("field", "value"), [("phone", "a@b.sn"), ("email", "+221701112233")])
def test_lead_takes_each_address_in_its_own_field(caller, field, value):
    answer = caller.post("/api/leads/", {"name": "Awa", field: value})

    assert refusal(answer) == (400, f"{field}_invalid", field)


def test_lead_changes_only_what_is_named(caller, conversation, agent):
    path = f"/api/leads/{conversation.lead_id}/"

    before = caller.get(path).json()
    after = caller.patch(path, {"note": "VIP", "owner": agent.pk}).json()

    owner = {"id": agent.pk, "name": str(agent)}
    assert after == {
        **before, "note": "VIP", "owner": owner, "updated_at": after["updated_at"],
    }  # fmt: skip


def test_failed_message_is_queued_again(caller, conversation, tenant):
    with context.entered(tenant):
        message = factories.make_message(
            conversation, direction="out", status="failed", error_code="x", origin="api"
        )

    answer = caller.post(f"/api/messages/{message.pk}/retry/")

    assert (answer.json()["status"], answer.json()["error"]) == ("queued", None)


def test_instances_show_no_secret(caller, instance):
    answer = caller.get("/api/instances/")

    assert answer.json()["results"] == [
        {
            "id": instance.pk,
            "provider": "wasender",
            "medium": "whatsapp",
            "label": "Shop",
            "address": instance.address,
            "state": "connected",
        }
    ]


def test_assistants_read_and_change_nothing(tenant, assistant, conversation):
    caller = Caller(tenant, assistant)
    path = f"/api/conversations/{conversation.pk}"

    read = caller.get(f"{path}/messages/")
    writes = [
        caller.post(f"{path}/messages/", {"text": "x"}),
        caller.patch(f"{path}/", {"assignee": None}),
        caller.patch(f"{path}/", {"state": "closed"}),
        caller.post("/api/messages/", {"to": "+221701111111", "text": "x"}),
        caller.post("/api/leads/", {"name": "x"}),
        caller.patch(f"/api/leads/{conversation.lead_id}/", {"name": "x"}),
    ]

    assert read.status_code == 200
    assert {refusal(each) for each in writes} == {(403, "permission_denied", None)}


def test_nobody_reads_without_signing_in(tenant, conversation):
    client = Client(headers={"host": host_of(tenant)})

    answer = client.get(f"/api/conversations/{conversation.pk}/messages/")

    assert refusal(answer) == (401, "not_authenticated", None)
    assert answer["WWW-Authenticate"].startswith("Bearer")


def test_x_tenant_leads_to_the_same_conversation(tenant, agent, conversation):
    caller = Caller(tenant, agent, host="localhost", **{"x-tenant": "Vendor_001"})

    answer = caller.get(f"/api/conversations/{conversation.pk}/")

    assert answer.json()["id"] == conversation.pk


@pytest.mark.parametrize(
    "path",
    ["conversations/", "conversations/{conversation}/messages/", "leads/", "instances/", "users/"],
)
def test_lists_cost_the_same_with_one_row_and_with_many(caller, tenant, conversation, agent, path):
    path = "/api/" + path.format(conversation=conversation.pk)
    caller.get(path)

    with CaptureQueriesContext(
        connection,
    ) as one:
        caller.get(path)
    with context.entered(tenant):
        for number in range(3):
            phone = f"+22170222222{number}"
            factories.make_conversation(tenant, phone=phone, assignee=agent)
            factories.make_message(conversation, by=agent)
            User.objects.create_user(f"more{number}@vendor.test", name="More")
        factories.make_instance(tenant)
    with CaptureQueriesContext(connection) as many:
        caller.get(path)

    assert len(many) <= len(one) <= 10


def test_every_write_honours_idempotency_keys():
    careless = [
        f"{pattern.pattern} {method}"
        for pattern in get_resolver("messaging.api.urls").url_patterns
        for method in ("post", "put", "patch", "delete")
        if (handler := getattr(pattern.callback.cls, method, None))
        and not getattr(handler, "written_once", False)
    ]

    assert careless == []
