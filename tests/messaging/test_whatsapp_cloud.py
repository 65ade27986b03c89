"""The WhatsApp Cloud API through the whole product: connecting, posts of several tenants, windows,
templates; against the strict Graph API in a process of its own."""

import asyncio
import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from asgiref.testing import ApplicationCommunicator
from django.core.management import CommandError, call_command
from django.db import connections
from django.utils import timezone

from messaging import (
    connecting,
    conversing,
    delivering,
    inbox,
    media,
    outbox,
    tasks,
    templates,
    webhooks,
    windows,
)
from messaging.models import Conversation, Lead, Message, MessageEvent, MessageFile, MessageTemplate
from messaging.providers.signatures import hmac_sha256_hex
from messaging.webhooks import UNKNOWN, Webhooks
from tenants import context, secrets
from tenants.models import ProviderInstance, WebhookDelivery
from tests import factories
from tests.fakes import graph
from tests.fakes.serving import Fake, running

FIXTURES = Path(__file__).parents[1] / "fixtures" / "webhooks" / "whatsapp_cloud"
PATH = "/api/webhooks/whatsapp"
PHONE = "+33199000001"
OWN_SECRET, PLATFORM_SECRET = "secret-of-the-vendors-app", "secret-of-the-platforms-app"
OTHER_NUMBER, OTHER_ACCOUNT = "106600000000002", "105500000000002"


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
def platform(settings):
    """The platform has a Meta app of its own."""
    app = {"app_secret": PLATFORM_SECRET, "verify_token": "platform-token"}
    settings.PLATFORM_SECRETS = {"whatsapp_cloud": app}


def values(fake: Fake, **more) -> dict[str, str]:
    known = {
        "phone_number_id": graph.NUMBER,
        "waba_id": graph.ACCOUNT,
        "access_token": graph.TOKEN,
        "app_secret": OWN_SECRET,
        "verify_token": "own-token",
        "api_url": f"{fake.url}/v25.0",
        **more,
    }
    return {name: value for name, value in known.items() if value}


def connect(tenant, fake: Fake, phone: str = PHONE, **more) -> ProviderInstance:
    return connecting.connect_instance(
        tenant, "whatsapp_cloud", address=phone, values=values(fake, **more)
    )


@pytest.fixture
def cloud(tenant, fake) -> ProviderInstance:
    """A number of the tenant that is live, with its templates."""
    instance = connect(tenant, fake)
    tasks.synchronise_templates(tenant.number, instance.pk)
    return instance


# Connecting


def test_number_goes_live_once_its_token_proved_to_own_it(tenant, fake):
    instance = connect(tenant, fake)

    assert (instance.state, instance.reference) == ("connected", graph.NUMBER)
    assert connecting.webhook_url(instance).endswith(PATH)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"access_token": "another"}, "access_token"),
        ({"phone_number_id": "106600000000009"}, "phone_number_id"),
        ({"waba_id": "105500000000009"}, "waba_id"),
        ({"phone": "+33199000005"}, "phone"),
        ({"access_token": ""}, "access_token"),
        ({"app_secret": ""}, "app_secret"),
        ({"api_url": "http://10.0.0.1/v25.0"}, "api_url"),
    ],
)
def test_what_is_not_owned_is_refused_by_name_and_nothing_is_kept(tenant, fake, given, field):
    with pytest.raises(connecting.OnboardingError) as refused:
        connect(tenant, fake, **given)

    assert refused.value.field == field
    assert graph.TOKEN not in str(refused.value)
    assert not ProviderInstance.objects.of(tenant).filter(provider="whatsapp_cloud").exists()


def test_number_that_somebody_has_cannot_be_taken(tenant, other_tenant, fake):
    connect(other_tenant, fake)

    with pytest.raises(connecting.OnboardingError) as refused:
        connect(tenant, fake)

    assert refused.value.field == "phone_number_id"


def test_number_that_cannot_be_proven_yet_waits_and_sends_nothing(tenant, fake):
    fake.set(down=True)
    instance = connect(tenant, fake)
    assert (instance.state, instance.state_reason) == ("pending", "unproven")
    with context.entered(tenant):
        message = _queued(instance)
        delivering.drain(tenant.number, instance.pk)
        message.refresh_from_db()
        assert message.status == "queued"

    fake.set(down=False)
    connecting.probe_waiting()

    instance.refresh_from_db()
    assert (instance.state, instance.state_reason) == ("connected", "")
    with context.entered(tenant):
        delivering.drain(tenant.number, instance.pk)
        message.refresh_from_db()
        assert (message.status, message.external_id) == ("sent", "wamid.FAKE1")


def test_number_that_proves_to_be_anothers_gives_its_reference_up(tenant, other_tenant, fake):
    fake.set(down=True)
    squatter = connect(tenant, fake, access_token="stolen")
    fake.set(down=False)
    connecting.probe_waiting()

    rightful = connect(other_tenant, fake)

    squatter.refresh_from_db()
    assert (squatter.state, squatter.reference == graph.NUMBER) == ("disconnected", False)
    assert rightful.state == "connected"


def test_platforms_app_never_vouches_for_an_unproven_number(tenant, fake, platform):
    fake.set(down=True)

    with pytest.raises(connecting.OnboardingError) as refused:
        connect(tenant, fake, app_secret="", verify_token="")

    assert refused.value.field == "phone_number_id"


def test_live_number_stays_live_when_it_is_connected_again_unchanged(tenant, fake, cloud):
    fake.set(down=True)

    again = connecting.connect_instance(
        tenant, "whatsapp_cloud", address=PHONE, values={}, label="Shop"
    )

    assert (again.pk, again.state, again.label) == (cloud.pk, "connected", "Shop")


def test_command_connects_and_says_the_state(tenant, fake, capsys):
    pairs = [f"{name}={value}" for name, value in values(fake).items()]

    command = ("connect_instance", tenant.slug, "whatsapp_cloud", "--phone", PHONE, "--set")
    call_command(*command, *pairs)

    said = capsys.readouterr().out
    assert f"{PATH}\n" in said and "state: connected" in said
    assert graph.TOKEN not in said
    with pytest.raises(CommandError, match="access_token"):
        call_command(*command, *pairs, "access_token=wrong")


# Posts


class WriterOnThisConnection:
    """Stores what the route hands over on the test's own connection."""

    def __init__(self) -> None:
        self.kept = []

    async def store(self, arrivals) -> None:
        self.kept += arrivals


@pytest.fixture
def post(db, monkeypatch):
    """Post a body as Meta does: (status, body, what was kept).

    The directory is asked on the test's own connection, which sees what the test made.
    """

    shared = connections["default"]

    def look_up(function, args):
        connections["default"] = shared
        return function(*args)

    shared.inc_thread_sharing()
    monkeypatch.setattr(webhooks, "_in_public", look_up)

    def send(body: bytes, secret: str = OWN_SECRET, method: str = "POST", query: str = ""):
        writer = WriterOnThisConnection()
        signature = f"sha256={hmac_sha256_hex(secret, body)}" if secret else ""
        status, answer = asyncio.run(_exchange(Webhooks(writer), body, signature, method, query))
        return status, answer, writer.kept

    yield send
    shared.dec_thread_sharing()


async def _exchange(application, body, signature, method, query):
    scope = {
        "type": "http",
        "method": method,
        "path": PATH,
        "query_string": query.encode(),
        "headers": [(b"x-hub-signature-256", signature.encode())],
    }
    communicator = ApplicationCommunicator(application, scope)
    await communicator.send_input({"type": "http.request", "body": body, "more_body": False})
    start = await communicator.receive_output(10)
    answer = await communicator.receive_output(10)
    return start["status"], answer["body"]


def load(name: str) -> bytes:
    return (FIXTURES / f"{name}.json").read_bytes()


def unknown() -> float:
    return UNKNOWN.labels("whatsapp_cloud")._value.get()


def make_cloud(tenant, number=graph.NUMBER, account=graph.ACCOUNT, **own) -> ProviderInstance:
    """An instance that is live, without asking anybody."""
    instance = ProviderInstance(
        tenant=tenant,
        provider="whatsapp_cloud",
        address=f"+3319900{number[-4:]}",
        reference=number,
        settings={"phone_number_id": number, "waba_id": account},
        state="connected",
    )
    instance.secrets = {"access_token": "t", **own}
    instance.save()
    return instance


def test_post_is_kept_and_answered_as_promised(tenant, post):
    instance = make_cloud(tenant, app_secret=OWN_SECRET)

    status, answer, kept = post(load("messages__text"))

    assert (status, json.loads(answer)) == (200, {"success": True, "queued": True})
    assert [(each.instance_id, each.body) for each in kept] == [
        (instance.pk, load("messages__text"))
    ]


@pytest.mark.parametrize("secret", ["", "wrong", PLATFORM_SECRET])
def test_post_that_the_numbers_own_app_did_not_sign_is_refused(tenant, post, secret, platform):
    """Also by the platform's app: it must not be told what it does not own, nor the reverse."""
    make_cloud(tenant, app_secret=OWN_SECRET)

    status, answer, kept = post(load("messages__text"), secret)

    assert kept == []
    # The platform's app signed: what it says of a number that is not its own is dropped.
    assert (status, answer[:1]) == ((200, b"{") if secret == PLATFORM_SECRET else (403, b""))


def test_each_tenant_of_one_post_keeps_its_own_part_only(tenant, other_tenant, post, platform):
    mine = make_cloud(tenant)
    theirs = make_cloud(other_tenant, OTHER_NUMBER, OTHER_ACCOUNT)

    status, _answer, kept = post(load("batch__two_numbers_two_accounts"), PLATFORM_SECRET)

    assert status == 200
    by_instance = {each.instance_id: (each.tenant_number, each.body) for each in kept}
    assert set(by_instance) == {mine.pk, theirs.pk}
    assert by_instance[mine.pk][0] == tenant.number
    assert b"leak me" not in by_instance[mine.pk][1]
    assert b"Un" not in by_instance[theirs.pk][1]
    assert {each.post for each in kept} == {None}


def test_numbers_of_one_account_share_what_it_is_told(tenant, other_tenant, post, platform):
    mine = [make_cloud(tenant), make_cloud(tenant, OTHER_NUMBER)]
    make_cloud(other_tenant, "777000111", OTHER_ACCOUNT)
    body = load("template__approved")

    _status, _answer, kept = post(body, PLATFORM_SECRET)

    assert {each.instance_id for each in kept} == {each.pk for each in mine}
    assert {each.body for each in kept} == {body}
    assert len({each.post for each in kept} - {None}) == 1


def test_two_apps_in_one_post_reach_only_who_signed(tenant, other_tenant, post, platform):
    mine = make_cloud(tenant, app_secret=OWN_SECRET)
    make_cloud(other_tenant, OTHER_NUMBER, OTHER_ACCOUNT)

    _status, _answer, kept = post(load("batch__two_numbers_two_accounts"), OWN_SECRET)

    assert [each.instance_id for each in kept] == [mine.pk]


def test_unknown_numbers_are_dropped_and_counted(tenant, post, platform):
    make_cloud(tenant)
    before = unknown()

    status, _answer, kept = post(load("batch__two_numbers_two_accounts"), PLATFORM_SECRET)
    nobody, _answer, none = post(
        load("messages__text").replace(graph.NUMBER.encode(), b"123"), PLATFORM_SECRET
    )

    assert (status, len(kept)) == (200, 1)
    assert (nobody, none) == (200, [])
    # The other number and its account, then the number nobody has.
    assert unknown() - before == 3


def test_unknown_numbers_of_an_unsigned_post_are_not_counted(tenant, post):
    before = unknown()

    assert post(load("messages__text"), "wrong")[0] == 403
    assert unknown() == before


def test_account_posts_reach_the_numbers_of_that_account(tenant, other_tenant, post, platform):
    mine = make_cloud(tenant)
    make_cloud(other_tenant, OTHER_NUMBER, OTHER_ACCOUNT)

    _status, _answer, kept = post(load("template__approved"), PLATFORM_SECRET)

    assert [each.instance_id for each in kept] == [mine.pk]


@pytest.mark.parametrize("number", ["x\\u0000y", "\\ud800", "x" * 500, ""])
def test_odd_numbers_are_nobodys(tenant, post, platform, number):
    body = load("messages__text").replace(graph.NUMBER.encode(), number.encode())

    assert post(body, PLATFORM_SECRET)[::2] == (200, [])


@pytest.mark.parametrize("token", ["platform-token", "own-token"])
def test_handshake_of_either_app(tenant, post, platform, token):
    make_cloud(tenant, app_secret=OWN_SECRET, verify_token="own-token")
    query = f"hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={token}"

    assert post(b"", "", "GET", query)[:2] == (200, b"1158201444")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("hub.mode=subscribe&hub.challenge=1&hub.verify_token=wrong", 403),
        ("hub.mode=subscribe&hub.challenge=1&hub.verify_token=", 403),
        ("hub.mode=subscribe&hub.challenge=1", 403),
        ("", 405),
    ],
)
def test_handshake_without_the_token(tenant, post, platform, query, status):
    make_cloud(tenant, app_secret=OWN_SECRET)

    assert post(b"", "", "GET", query)[0] == status


# From posts to rows


def deliver(instance: ProviderInstance, body: bytes, at: datetime | None = None) -> None:
    """A post as the intake keeps it, then read."""
    WebhookDelivery(
        tenant=instance.tenant,
        instance=instance,
        provider=instance.provider,
        body=secrets.seal(body),
        size=len(body),
        received_at=at or timezone.now(),
    ).save()
    inbox.drain(instance.tenant_id)


def written(at: datetime, text: str = "Bonjour", message_id: str = "wamid.N1") -> bytes:
    """A text of the contact that was written at this moment."""
    post = json.loads(load("messages__text"))
    message = post["entry"][0]["changes"][0]["value"]["messages"][0]
    message |= {"id": message_id, "timestamp": str(int(at.timestamp())), "text": {"body": text}}
    return json.dumps(post).encode()


def _queued(instance: ProviderInstance) -> Message:
    """A text in an open window, waiting to be sent."""
    lead = factories.make_lead()
    conversation = outbox.open_conversation(lead, instance, "+221701111111")
    conversation.window_ends_at = timezone.now() + timedelta(hours=1)
    conversation.save()
    return outbox.queue(conversation, "Oui", origin="person")


def test_message_opens_the_window_for_24_hours(tenant, cloud):
    now = timezone.now().replace(microsecond=0)

    deliver(cloud, written(now))

    with context.entered(tenant):
        conversation = Conversation.objects.get()
        assert conversation.window_ends_at == now + timedelta(hours=24)
        assert windows.of(conversation, now).is_open
        assert not windows.of(conversation, now + timedelta(hours=24)).is_open


def test_advertisement_stands_above_what_the_contact_wrote(tenant, cloud):
    deliver(cloud, load("messages__from_advertisement"))

    with context.entered(tenant):
        assert Message.objects.get().subject == "Robes d'été"


def test_hidden_number_is_answered_by_its_id(tenant, cloud, fake):
    deliver(cloud, load("messages__bsuid_only"))

    with context.entered(tenant):
        conversation = Conversation.objects.get()
        Conversation.objects.update(window_ends_at=timezone.now() + timedelta(hours=1))
        conversation.refresh_from_db()
        outbox.queue(conversation, "Bonjour", origin="person")
        delivering.drain(tenant.number, cloud.pk)
        assert Message.objects.get(direction="out").status == "sent"
    assert json.loads(fake.calls()[-1]["body"])["recipient"] == "FR.4400112233445566"


def test_number_change_keeps_lead_and_conversation(tenant, cloud):
    deliver(cloud, load("messages__text"))
    deliver(cloud, load("messages__number_changed"))

    with context.entered(tenant):
        conversation = Conversation.objects.get()
        assert conversation.peer == "+33698765432"
        values = set(conversation.lead.identities.values_list("value", flat=True))
        assert {"+33612345678", "+33698765432"} <= values


def test_number_change_to_a_known_lead_makes_one_of_two(tenant, cloud):
    with context.entered(tenant):
        known = factories.make_lead("Awa bis", "+33698765432")
    deliver(cloud, load("messages__text"))
    deliver(cloud, load("messages__number_changed"))

    with context.entered(tenant):
        known.refresh_from_db()
        assert known.merged_into is not None
        assert Lead.objects.filter(merged_into=None).count() == 1


def test_problem_is_kept_for_staff(tenant, cloud):
    deliver(cloud, load("errors__throttled"))

    with context.entered(tenant):
        fact = MessageEvent.objects.get(kind="problem")
        assert fact.detail == "130429 Too many messages from this number."


def test_disabled_account_blocks_the_number(tenant, cloud):
    deliver(cloud, load("account_update__disabled"))
    cloud.refresh_from_db()
    # What was told before the number was connected is no news.
    assert cloud.state == "connected"

    late = json.loads(load("account_update__disabled"))
    late["entry"][0]["time"] = int(timezone.now().timestamp()) + 60
    deliver(cloud, json.dumps(late).encode())

    cloud.refresh_from_db()
    assert (cloud.state, cloud.state_reason) == ("blocked", "disable")


@pytest.mark.parametrize("order", ["sent first", "status first"])
def test_failure_told_later_says_whose_fault_it_is(tenant, cloud, fake, order):
    with context.entered(tenant):
        message = _queued(cloud)
        if order == "sent first":
            delivering.drain(tenant.number, cloud.pk)
    failed = load("statuses__failed").replace(b"wamid.B3", b"wamid.FAKE1")
    deliver(cloud, failed.replace(b"131047", b"131026"))
    with context.entered(tenant):
        delivering.drain(tenant.number, cloud.pk)
        message.refresh_from_db()

        assert (message.status, message.error_code) == ("failed", "131026")
        assert message.error_blame == "recipient"


def test_received_file_is_fetched_with_the_token(tenant, cloud, fake):
    deliver(cloud, load("messages__image"))

    with context.entered(tenant):
        file = MessageFile.objects.get()
        tasks.fetch_media(tenant.number, file.pk)
        file.refresh_from_db()
        assert (file.state, file.size) == ("stored", len(graph.PICTURE))


# The window


@pytest.fixture
def conversation(tenant, cloud) -> Conversation:
    """A conversation whose window is open."""
    deliver(cloud, written(timezone.now() - timedelta(hours=1)))
    with context.entered(tenant):
        return Conversation.objects.get()


def close_window(conversation: Conversation) -> None:
    Conversation.objects.update(window_ends_at=timezone.now() - timedelta(minutes=1))
    conversation.refresh_from_db()


def test_reading_shows_the_contact_that_it_was_read(tenant, fake, conversation):
    with context.entered(tenant):
        received = conversation.messages.get()
        conversing.mark_read(conversation)

    tasks.show_read(tenant.number, received.pk, 1)

    asked = fake.calls()[-1]
    assert asked["path"] == f"/v25.0/{graph.NUMBER}/messages"
    assert json.loads(asked["body"]) == {
        "messaging_product": "whatsapp",
        "status": "read",
        "message_id": received.external_id,
    }


def test_free_text_outside_the_window_is_refused_with_what_may_be_sent(tenant, conversation):
    with context.entered(tenant):
        outbox.queue(conversation, "Dedans", origin="person")
        close_window(conversation)

        for origin in ("person", "api", "automation", "campaign"):
            with pytest.raises(outbox.Refused) as refused:
                outbox.queue(conversation, "Dehors", origin=origin)

        assert (refused.value.code, refused.value.field) == ("window_closed", "text")
        names = [each["name"] for each in refused.value.facts["templates"]]
        assert names == ["hello", "invoice", "order_ready"]
        assert Message.objects.filter(direction="out").count() == 1


def test_same_reference_is_the_same_message_also_once_the_window_closed(tenant, conversation):
    reference = "7b0c1b7e-2f0a-4a53-9d2b-0d8f3b5a9c11"
    with context.entered(tenant):
        first = outbox.queue(conversation, "Dedans", origin="person", reference=reference)
        close_window(conversation)

        assert outbox.queue(conversation, "Dedans", origin="person", reference=reference) == first


def test_retry_of_free_text_outside_the_window_is_refused(tenant, conversation):
    with context.entered(tenant):
        message = outbox.queue(conversation, "Dedans", origin="person")
        Message.objects.filter(pk=message.pk).update(status="failed")
        close_window(conversation)

        with pytest.raises(outbox.Refused, match="window_closed"):
            outbox.retry(Message.objects.get(pk=message.pk))


def test_first_message_to_a_stranger_needs_a_template(tenant, cloud, fake):
    with context.entered(tenant):
        with pytest.raises(outbox.Refused) as refused:
            outbox.start("+33688888888", "Bonjour", origin="api", instance_id=cloud.pk)
        message = outbox.start(
            "+33688888888",
            "",
            origin="api",
            instance_id=cloud.pk,
            template=MessageTemplate.objects.get(name="hello"),
        )
        delivering.drain(tenant.number, cloud.pk)
        message.refresh_from_db()

        assert refused.value.code == "window_closed"
        assert (message.status, message.text) == ("sent", "Bonjour et bienvenue !")


# Templates


READY = {
    "header.1": "A-12",
    "body.1": "Awa",
    "body.2": " samedi\n 3 ",
    "button.1": "A-12",
}


def template(name: str = "order_ready") -> MessageTemplate:
    return MessageTemplate.objects.get(name=name)


def test_synchronising_keeps_exactly_what_the_provider_has(tenant, cloud, fake, other_tenant):
    fake.set(templates=graph.TEMPLATES[:1])
    with context.entered(tenant):
        assert MessageTemplate.objects.count() == len(graph.TEMPLATES)
        MessageTemplate.objects.update(changed_at=timezone.now() - timedelta(minutes=1))

        templates.synchronise(cloud)

        assert [each.name for each in templates.of(cloud)] == ["hello"]
    with context.entered(other_tenant):
        assert not MessageTemplate.objects.exists()


def test_account_that_refuses_its_templates_is_not_asked_again_at_once(tenant, cloud, fake):
    fake.set(token="another")

    tasks.synchronise_templates(tenant.number, cloud.pk)

    with context.entered(tenant):
        assert MessageTemplate.objects.exists()


def changed(fixture: str, **facts) -> bytes:
    post = json.loads(load(fixture))
    post["entry"][0]["time"] = int(timezone.now().timestamp()) + 60
    post["entry"][0]["changes"][0]["value"] |= facts
    return json.dumps(post).encode()


def test_rejected_template_is_no_longer_offered(tenant, cloud):
    deliver(cloud, changed("template__rejected"))

    with context.entered(tenant):
        assert (template().status, template().reason) == (
            "rejected",
            "Parameters stand next to each other.",
        )
        assert "order_ready" not in [each.name for each in templates.sendable(cloud)]

    deliver(cloud, changed("template__approved"))

    with context.entered(tenant):
        assert (template().may_be_sent, template().reason) == (True, "")


def test_old_news_of_a_template_changes_nothing(tenant, cloud):
    deliver(cloud, load("template__rejected"))

    with context.entered(tenant):
        assert template().status == "approved"


@pytest.mark.parametrize(
    ("fixture", "facts"),
    [
        ("template__approved", {"message_template_name": "brand_new"}),
        ("template__content", {}),
    ],
)
def test_unknown_template_or_new_words_are_asked_for(tenant, cloud, fixture, facts):
    before = _orders()

    deliver(cloud, changed(fixture, **facts))

    assert _orders() - before == 1


def _orders() -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM public.procrastinate_jobs"
            " WHERE task_name = 'amda.synchronise_templates'"
        )
        return cursor.fetchone()[0]


def test_template_is_sent_outside_the_window_and_read_as_filled(tenant, conversation, cloud, fake):
    with context.entered(tenant):
        close_window(conversation)
        message = outbox.queue_template(conversation, template(), READY, origin="person")
        delivering.drain(tenant.number, cloud.pk)
        message.refresh_from_db()

        assert message.status == "sent"
        assert message.text == (
            "Commande A-12\n\nBonjour Awa, votre commande vous attend jusqu'au samedi 3."
            "\n\nBoutique Awa"
        )
        assert message.parts["taps"] == ["Je passe", "Suivre"]
    sent = json.loads(fake.calls()[-1]["body"])
    assert sent["biz_opaque_callback_data"] == str(message.reference)
    assert sent["template"]["components"][1]["parameters"][1]["text"] == "samedi 3"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({**READY, "body.2": "  "}, "template.variables.body.2"),
        ({"body.1": "Awa"}, "template.variables.header.1"),
        ({**READY, "body.3": "x"}, "template.variables.body.3"),
        ({**READY, "body.1": "x" * 2000}, "template.variables.body.1"),
        ({**READY, "body.1": "\ud800"}, "template.variables.body.1"),
    ],
)
def test_template_that_is_not_filled_well_names_the_place(tenant, conversation, values, field):
    with context.entered(tenant):
        with pytest.raises(outbox.Refused) as refused:
            outbox.queue_template(conversation, template(), values, origin="api")

        assert (refused.value.code, refused.value.field) == ("template_unfit", field)


def test_withdrawn_template_keeps_nothing_of_what_was_filled_in(tenant, conversation, cloud):
    with context.entered(tenant):
        message = outbox.queue_template(conversation, template(), READY, origin="person")
        delivering.drain(tenant.number, cloud.pk)
    deliver(cloud, load("statuses__deleted").replace(b"wamid.B1", b"wamid.FAKE1"))

    with context.entered(tenant):
        message.refresh_from_db()
        assert (message.text, message.parts, message.deleted_at is None) == ("", {}, False)


@pytest.mark.parametrize("name", ["summer_sale", "refused_one", "gallery"])
def test_template_that_is_not_approved_or_not_ours_to_send_is_refused(tenant, conversation, name):
    with context.entered(tenant):
        with pytest.raises(outbox.Refused, match="template_gone"):
            outbox.queue_template(conversation, template(name), {}, origin="api")


def test_template_of_another_account_is_refused(tenant, conversation):
    with context.entered(tenant):
        MessageTemplate.objects.filter(name="hello").update(account=OTHER_ACCOUNT)

        with pytest.raises(outbox.Refused, match="template_gone"):
            outbox.queue_template(conversation, template("hello"), {}, origin="api")


def test_template_with_a_file_at_its_head(tenant, conversation, cloud, fake, agent):
    from django.core.files.uploadedfile import SimpleUploadedFile

    values = {"body.day": "3 mars", "body.name": "Awa"}
    with context.entered(tenant):
        with pytest.raises(outbox.Refused) as refused:
            outbox.queue_template(conversation, template("invoice"), values, origin="person")
        upload = SimpleUploadedFile("facture.pdf", b"%PDF-1.4 x", "application/pdf")
        file = media.take(upload, by=agent)
        message = outbox.queue_template(
            conversation, template("invoice"), values, origin="person", files=[file]
        )
        delivering.drain(tenant.number, cloud.pk)
        message.refresh_from_db()

        assert (refused.value.code, refused.value.field) == ("template_unfit", "files")
        assert (message.status, message.kind) == ("sent", "document")
    header = json.loads(fake.calls()[-1]["body"])["template"]["components"][0]
    assert header["parameters"][0]["document"]["filename"] == "facture.pdf"


def test_choices_travel_with_their_text(tenant, conversation, cloud, fake):
    wanted = {"options": [{"title": "Taille M"}, {"title": "Taille L", "id": "l"}]}
    with context.entered(tenant):
        message = outbox.queue(conversation, "Quelle taille ?", origin="api", choices=wanted)
        delivering.drain(tenant.number, cloud.pk)
        message.refresh_from_db()

        assert (message.status, message.parts["taps"]) == ("sent", ["Taille M", "Taille L"])
    buttons = json.loads(fake.calls()[-1]["body"])["interactive"]["action"]["buttons"]
    assert [each["reply"]["id"] for each in buttons] == ["1", "l"]


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"options": []}, "choices.options"),
        ({"options": [{"title": str(each)} for each in range(4)]}, "choices.options"),
        ({"options": [{"title": "x"}, {"title": "x"}]}, "choices.options"),
        ({"options": [{"title": ""}]}, "choices.options.0.title"),
        ({"options": [{"title": "x" * 21}]}, "choices.options.0.title"),
        ({"options": [{"title": "x", "description": "y"}]}, "choices.options.0.description"),
        ({"label": "x" * 21, "options": [{"title": "x"}]}, "choices.label"),
    ],
)
def test_choices_that_whatsapp_would_refuse_name_the_field(tenant, conversation, wanted, field):
    with context.entered(tenant):
        with pytest.raises(outbox.Refused) as refused:
            outbox.queue(conversation, "Quoi ?", origin="api", choices=wanted)

        assert (refused.value.code, refused.value.field) == ("choices_unfit", field)


def test_texts_and_captions_keep_to_the_numbers_limits(tenant, conversation, agent):
    from django.core.files.uploadedfile import SimpleUploadedFile

    with context.entered(tenant):
        picture = media.take(SimpleUploadedFile("a.pdf", b"%PDF-1.4 x"), by=agent)
        voice = MessageFile.objects.create(kind="voice", state="stored", size=3, uploaded_by=agent)
        for text, files, code in (
            ("x" * 4097, [], "text_too_long"),
            ("x" * 1025, [picture], "text_too_long"),
            ("x", [voice], "caption_unsupported"),
        ):
            with pytest.raises(outbox.Refused, match=code):
                outbox.queue(conversation, text, origin="person", files=files)


# Pages


HTMX = {"HX-Request": "true"}


def test_composer_counts_the_window_down(browser, conversation):
    page = browser.get(f"/inbox/{conversation.pk}/pane/").content.decode()

    assert 'data-window="open"' in page
    told = re.search(r'data-ends-at="([^"]+)"', page)
    assert datetime.fromisoformat(told[1]) == conversation.window_ends_at


def test_composer_offers_templates_once_the_window_closed(browser, tenant, conversation):
    with context.entered(tenant):
        close_window(conversation)

    piece = browser.get(f"/inbox/{conversation.pk}/window/").content.decode()

    assert 'data-window="closed"' in piece
    assert f'data-dialog="/inbox/{conversation.pk}/templates/"' in piece


def test_number_without_window_shows_none(browser, tenant):
    with context.entered(tenant):
        free = factories.make_conversation(tenant)

    assert "reply-window" not in browser.get(f"/inbox/{free.pk}/pane/").content.decode()
    assert browser.get(f"/inbox/{free.pk}/window/").status_code == 204


def test_picker_lists_what_can_be_sent_only(browser, conversation):
    page = browser.get(f"/inbox/{conversation.pk}/templates/").content.decode()

    assert "Order ready" in page and "Invoice" in page
    assert "Summer sale" not in page and "Gallery" not in page


def test_picker_says_what_to_do_where_there_is_none(browser, tenant, conversation):
    with context.entered(tenant):
        MessageTemplate.objects.all().delete()

    page = browser.get(f"/inbox/{conversation.pk}/templates/").content.decode()

    assert "WhatsApp Manager" in page


def address(tenant, conversation, name: str = "order_ready") -> str:
    with context.entered(tenant):
        return f"/inbox/{conversation.pk}/templates/{template(name).pk}/"


def test_template_is_shown_with_its_places_and_a_preview(browser, tenant, conversation):
    page = browser.get(address(tenant, conversation)).content.decode()

    for key in READY:
        assert f'name="variables.{key}"' in page
    assert 'data-slot="body.2"' in page
    assert "samedi" in page


def test_template_is_sent_from_the_picker_once(browser, tenant, conversation):
    with context.entered(tenant):
        close_window(conversation)
    typed = {f"variables.{key}": value for key, value in READY.items()}
    typed["reference"] = "7b0c1b7e-2f0a-4a53-9d2b-0d8f3b5a9c12"

    answers = [
        browser.post(address(tenant, conversation), typed, headers=HTMX) for _each in range(2)
    ]

    with context.entered(tenant):
        message = Message.objects.get(direction="out")
        assert (message.origin, message.status) == ("person", "queued")
    assert [answer.status_code for answer in answers] == [204, 204]
    assert json.loads(answers[0]["HX-Trigger"]) == {
        "template-sent": {"conversation": conversation.pk, "message": message.pk}
    }


def test_template_that_is_not_filled_keeps_what_was_typed(browser, tenant, conversation):
    typed = {"variables.body.1": "Awa Diop", "variables.header.1": "A-12"}

    page = browser.post(address(tenant, conversation), typed, headers=HTMX).content.decode()

    assert 'role="alert"' in page and 'value="Awa Diop"' in page
    wrong = page[page.index('name="variables.body.2"') :][:200]
    assert 'aria-invalid="true"' in wrong


def test_template_with_a_file_is_sent_from_the_picker(browser, tenant, conversation):
    from django.core.files.uploadedfile import SimpleUploadedFile

    typed = {"variables.body.day": "3 mars", "variables.body.name": "Awa"}
    without = browser.post(address(tenant, conversation, "invoice"), typed, headers=HTMX)
    typed["header"] = SimpleUploadedFile("facture.pdf", b"%PDF-1.4 x", "application/pdf")

    answer = browser.post(address(tenant, conversation, "invoice"), typed, headers=HTMX)

    assert 'aria-invalid="true"' in without.content.decode()
    assert answer.status_code == 204
    with context.entered(tenant):
        assert Message.objects.get(direction="out").files.get().file_name == "facture.pdf"


def test_template_of_another_account_does_not_exist(browser, tenant, conversation):
    path = address(tenant, conversation)
    with context.entered(tenant):
        MessageTemplate.objects.update(account=OTHER_ACCOUNT)

    assert browser.get(path).status_code == 404


def test_assistant_cannot_send_templates(client_for, tenant, assistant, conversation):
    reader = client_for(tenant, assistant)

    assert reader.get(address(tenant, conversation)).status_code == 403
    assert "reply-window" not in reader.get(f"/inbox/{conversation.pk}/pane/").content.decode()


def test_first_message_leads_to_the_templates_of_the_contact(browser, tenant, cloud):
    typed = {"to": "+33688888888", "text": "Bonjour", "instance": str(cloud.pk)}

    page = browser.post("/new/", typed, headers=HTMX).content.decode()

    with context.entered(tenant):
        conversation = Conversation.objects.get()
    assert f'href="/inbox/{conversation.pk}/"' in page
    assert "Bonjour" in page
    opened = browser.get(f"/inbox/{conversation.pk}/").content.decode()
    assert 'data-window="closed"' in opened


def test_answers_to_tap_are_drawn_below_the_words(browser, tenant, conversation):
    wanted = {"options": [{"title": "Taille M"}]}
    with context.entered(tenant):
        message = outbox.queue(conversation, "Quelle taille ?", origin="api", choices=wanted)

    assert "<li" in browser.get(f"/messages/{message.pk}/").content.decode()
    assert "Taille M" in browser.get(f"/messages/{message.pk}/").content.decode()


# API


@pytest.fixture
def caller(client_for, tenant, agent):
    return client_for(tenant, agent)


def call(caller, path: str, body: dict):
    return caller.post(path, json.dumps(body), content_type="application/json")


def test_api_lists_templates_with_their_places(caller, cloud):
    answer = caller.get(f"/api/templates/?instance={cloud.pk}&limit=4").json()

    by_name = {each["name"]: each for each in answer["results"]}
    assert by_name["order_ready"]["places"] == [
        {"key": "header.1", "example": "A-12"},
        {"key": "body.1", "example": "Awa"},
        {"key": "body.2", "example": "samedi"},
        {"key": "button.1", "example": "A-12"},
    ]
    assert not by_name["summer_sale"]["may_be_sent"]
    more = caller.get(answer["next"]).json()
    assert [each["name"] for each in more["results"]] == ["refused_one", "gallery"]


def test_api_lists_templates_of_ones_own_number_only(caller, cloud, other_tenant):
    theirs = ProviderInstance.objects.of(other_tenant).get()

    assert caller.get(f"/api/templates/?instance={theirs.pk}").status_code == 404
    # Two numbers: one has to be named.
    assert caller.get("/api/templates/").status_code == 409


def test_api_sends_a_template(caller, tenant, conversation):
    with context.entered(tenant):
        close_window(conversation)
    wanted = {"name": "order_ready", "language": "fr", "variables": READY}

    answer = call(caller, f"/api/conversations/{conversation.pk}/messages/", {"template": wanted})

    assert answer.status_code == 201, answer.content
    said = answer.json()
    assert (said["template"], said["taps"]) == ("order_ready", ["Je passe", "Suivre"])
    assert said["text"].startswith("Commande A-12")


def test_api_starts_with_a_template(caller, cloud):
    wanted = {"name": "hello", "language": "fr"}

    answer = call(
        caller,
        "/api/messages/",
        {"to": "+33688888888", "instance": cloud.pk, "template": wanted},
    )

    assert (answer.status_code, answer.json()["text"]) == (201, "Bonjour et bienvenue !")


def test_api_says_which_templates_may_go_instead(caller, tenant, conversation):
    with context.entered(tenant):
        close_window(conversation)

    answer = call(caller, f"/api/conversations/{conversation.pk}/messages/", {"text": "Bonjour"})

    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["field"]) == (400, "window_closed", "text")
    assert {"name": "hello", "language": "fr"} in error["templates"]


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({}, 400, "required", "text"),
        ({"template": {"name": "nope", "language": "fr"}}, 404, "template_unknown", "template"),
        ({"template": {"name": "hello"}}, 400, "required", "template.language"),
        (
            {"template": {"name": "order_ready", "language": "fr", "variables": {"body.1": "x"}}},
            400,
            "template_unfit",
            "template.variables.header.1",
        ),
        ({"text": "x", "choices": {"options": []}}, 400, "choices_unfit", "choices.options"),
    ],
)
def test_api_names_what_is_wrong(caller, conversation, body, status, code, field):
    answer = call(caller, f"/api/conversations/{conversation.pk}/messages/", body)

    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["field"]) == (status, code, field)


def test_api_sends_answers_to_tap(caller, conversation):
    body = {"text": "Quelle taille ?", "choices": {"options": [{"title": "M"}, {"title": "L"}]}}

    answer = call(caller, f"/api/conversations/{conversation.pk}/messages/", body)

    assert (answer.status_code, answer.json()["taps"]) == (201, ["M", "L"])
