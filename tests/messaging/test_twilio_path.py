"""Text messages from end to end: our way out, a strict Twilio over HTTP, and the way back in."""

import json
from asyncio import run
from urllib.parse import urlencode, urlsplit

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile

from messaging import connecting, delivering, media, outbox
from messaging.calling import open_via
from messaging.models import Conversation, LeadIdentity, Message, MessageFile
from messaging.providers import get as provider_of
from messaging.providers.base import SendError
from messaging.webhooks import Webhooks
from tenants import context, secrets
from tenants.accounts.models import Role
from tenants.models import Pace, ProviderInstance, WebhookDelivery
from tests import factories, processes
from tests.conftest import user_of
from tests.fakes import twilio as fake
from tests.messaging.files import picture
from tests.messaging.test_ingest import drain as drain_inbox
from tests.messaging.test_webhooks import WriterOnThisConnection, _exchange
from tests.ports import free_port

pytestmark = pytest.mark.processes
THEIRS = "+33644600002"
INCOMING, STATUS = "/webhooks/twilio-sms/incoming", "/webhooks/twilio-sms/status"


class Server:
    """The fake's process as tests talk to it."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def asked(self) -> list[dict]:
        """The forms of the messages it took."""
        return processes.CLIENT.get(f"{self.url}/control").json()["fields"]

    def set(self, **wanted) -> None:
        processes.CLIENT.post(f"{self.url}/control", json=wanted).raise_for_status()


@pytest.fixture(scope="module")
def server():
    port = free_port()
    with processes.Processes() as started:
        started.start("-m", "tests.fakes.twilio", str(port))
        running = Server(port)
        processes.until(lambda: _answers(running), processes.START_SECONDS, "the fake answers")
        yield running


def _answers(running: Server) -> bool:
    try:
        running.asked()
    except processes.httpx.TransportError:
        return False
    return True


@pytest.fixture
def tenant(committed):
    """Really committed: the webhook route looks instances up on a connection of its own."""
    return committed("text_shop")


@pytest.fixture
def neighbour(committed):
    return committed("neighbour_shop")


@pytest.fixture
def instance(tenant, server) -> ProviderInstance:
    return connecting.connect_instance(
        tenant,
        "twilio",
        address=fake.NUMBER,
        values={"account_sid": fake.SID, "auth_token": fake.TOKEN, "api_url": server.url},
    )


def post(path: str, fields: dict[str, str], *, query: str = "", url: str = "") -> int:
    """Post as Twilio does, over the public URL; what was kept waits in the inbox."""
    public = url or f"{settings.PUBLIC_URL}{path}{'?' if query else ''}{query}"
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Twilio-Signature": fake.signature(public, fields),
    }
    writer = WriterOnThisConnection()
    body = urlencode(fields).encode()
    status, _headers, _body = run(_exchange(Webhooks(writer), path, body, headers, "POST", query))
    for arrival in writer.kept:
        WebhookDelivery(
            tenant_id=arrival.tenant_number,
            instance_id=arrival.instance_id,
            provider=arrival.provider,
            route=arrival.route,
            query=arrival.query,
            content_type=arrival.content_type,
            body=secrets.seal(arrival.body),
            size=len(arrival.body),
            received_at=arrival.received_at,
        ).save()
    return status


def incoming(number: int, body: str, **more) -> dict[str, str]:
    return {
        "MessageSid": f"SM{number:032x}",
        "AccountSid": fake.SID,
        "SmsStatus": "received",
        "From": THEIRS,
        "To": fake.NUMBER,
        "Body": body,
        "MessagingServiceSid": "",
        **more,
    }


def written(tenant, instance, text="Bonjour", to=THEIRS, **facts) -> Message:
    with context.entered(tenant):
        return outbox.start(to, text, origin="person", instance_id=instance.pk, **facts)


def sent(tenant, instance, message) -> Message:
    with context.entered(tenant):
        delivering.drain(tenant.number, instance.pk)
        message.refresh_from_db()
    return message


def test_connecting_asks_twilio_and_prints_addresses_with_their_fragment(tenant, instance):
    assert connecting.probe(instance).state == "connected"
    assert connecting.webhook_urls(instance) == {
        "": f"{settings.PUBLIC_URL}{INCOMING}#rc=3&rp=all",
        "status": f"{settings.PUBLIC_URL}{STATUS}#rc=3&rp=all",
    }


@pytest.mark.parametrize(
    ("values", "address", "state", "reason"),
    [
        ({"auth_token": "wrong"}, fake.NUMBER, "disconnected", "20003"),
        ({}, "+33644600099", "pending", "the account does not have this number"),
    ],
)
def test_connecting_says_what_is_wrong(tenant, instance, server, values, address, state, reason):
    given = {"account_sid": fake.SID, "auth_token": fake.TOKEN, "api_url": server.url, **values}
    other = connecting.connect_instance(tenant, "twilio", address=address, values=given)

    probed = connecting.probe(other)

    assert (probed.state, probed.state_reason) == (state, reason)


def test_two_vendors_never_have_the_same_number_of_one_account(instance, neighbour, server):
    given = {"account_sid": fake.SID, "auth_token": fake.TOKEN, "api_url": server.url}

    with pytest.raises(connecting.OnboardingError):
        connecting.connect_instance(neighbour, "twilio", address=fake.NUMBER, values=given)


def test_a_message_leaves_and_its_status_comes_back(tenant, instance, server):
    message = sent(tenant, instance, written(tenant, instance))

    form = server.asked()[-1]
    callback = urlsplit(form.pop("StatusCallback")[0])
    assert form == {"To": [THEIRS], "From": [fake.NUMBER], "Body": ["Bonjour"]}
    assert (message.status, message.external_id[:2]) == ("sent", "SM")
    fields = {
        "MessageSid": message.external_id,
        "MessageStatus": "delivered",
        "AccountSid": fake.SID,
        "From": fake.NUMBER,
        "To": THEIRS,
    }
    assert post(callback.path, fields, query=callback.query) == 200
    drain_inbox(tenant)
    with context.entered(tenant):
        message.refresh_from_db()
        assert message.status == "delivered"


@pytest.mark.parametrize("to", [fake.CUT, fake.BROKEN])
def test_an_answer_that_was_lost_is_found_again_by_our_reference(tenant, instance, server, to):
    message = sent(tenant, instance, written(tenant, instance, to=to))
    assert (message.status, message.external_id) == ("unknown", "")
    taken = len(server.asked())
    callback = urlsplit(server.asked()[-1]["StatusCallback"][0])

    fields = {"MessageSid": f"SM{taken + 9000:032x}", "MessageStatus": "sent", "To": to}
    assert post(callback.path, fields, query=callback.query) == 200
    drain_inbox(tenant)

    sent(tenant, instance, message)
    assert (message.status, len(server.asked())) == ("sent", taken)


@pytest.mark.parametrize("to", sorted(fake.FATES))
def test_each_refusal_is_told_with_twilios_code(tenant, instance, to):
    message = sent(tenant, instance, written(tenant, instance, to=to))

    _status, code, words = fake.FATES[to]
    waits = provider_of("twilio").blame_of(str(code)) == "provider"
    assert (message.status, message.error_code) == ("queued" if waits else "failed", str(code))
    assert message.error_detail == words


def test_a_recipient_who_opted_out_at_twilio_is_opted_out_here(tenant, instance):
    sent(tenant, instance, written(tenant, instance, to="+33644609610"))

    with pytest.raises(outbox.Refused) as refused:
        written(tenant, instance, to="+33644609610")

    assert refused.value.code == "opted_out"


def test_too_many_requests_wait_as_long_as_twilio_says_and_lose_nothing(tenant, instance, server):
    server.set(refuse_next=1)
    message = sent(tenant, instance, written(tenant, instance))

    assert (message.status, message.error_code) == ("queued", "20429")
    with context.entered(tenant):
        Message.objects.filter(pk=message.pk).update(not_before=None)
    assert sent(tenant, instance, message).status == "queued"
    Pace.objects.of(tenant).update(paused_until=None, tokens=1)
    assert sent(tenant, instance, message).status == "sent"


def test_longer_text_than_twilio_takes_is_refused_at_the_door(tenant, instance):
    with pytest.raises(outbox.Refused) as refused:
        written(tenant, instance, "x" * 1601)

    assert (refused.value.code, refused.value.field) == ("text_too_long", "text")


def test_stop_and_start_by_text_message(tenant, instance):
    assert post(INCOMING, incoming(1, "Arrêt")) == 200
    drain_inbox(tenant)

    with context.entered(tenant):
        conversation = Conversation.objects.get()
        assert list(Message.objects.values_list("text", flat=True)) == ["Arrêt"]
        with pytest.raises(outbox.Refused):
            outbox.queue(conversation, "Promo", origin="campaign")
    assert post(INCOMING, incoming(2, "START")) == 200
    drain_inbox(tenant)
    with context.entered(tenant):
        assert outbox.queue(conversation, "Promo", origin="campaign").status == "queued"


@pytest.mark.parametrize(
    ("url", "status"),
    [("", 200), ("https://elsewhere.example" + INCOMING, 403), ("http://localhost/other", 403)],
)
def test_only_what_is_signed_for_our_public_address_gets_in(
    tenant, instance, settings, url, status
):
    settings.PUBLIC_URL = "https://amda.example"

    assert post(INCOMING, incoming(3, "Bonjour"), url=url) == status
    assert WebhookDelivery.objects.of(tenant).count() == (1 if status == 200 else 0)


def test_answers_are_the_promised_ones(tenant, instance):
    fields = incoming(4, "")

    def ask(path, method="POST"):
        headers = {
            "X-Twilio-Signature": fake.signature(f"{settings.PUBLIC_URL}{path}", fields),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        body = urlencode(fields).encode() if method == "POST" else b""
        return run(_exchange(Webhooks(WriterOnThisConnection()), path, body, headers, method))

    status, headers, body = ask(INCOMING)
    assert (status, headers[b"content-type"]) == (200, b"text/xml; charset=utf-8")
    assert body == b'<?xml version="1.0" encoding="UTF-8"?><Response></Response>'
    status, _headers, body = ask(STATUS)
    assert (status, body) == (200, b"OK")
    status, _headers, body = ask("/webhooks/twilio-sms/status-check", "GET")
    told = json.loads(body)
    assert (status, told["ok"], told["service"]) == (200, True, "twilio-sms-webhook")


def test_a_picture_comes_in_through_the_media_job(tenant, instance, server):
    url = f"{server.url}/2010-04-01/Accounts/{fake.SID}/Messages/MM1/Media/ME1"
    fields = incoming(5, "Voici", NumMedia="1", MediaUrl0=url, MediaContentType0="image/png")
    assert post(INCOMING, fields) == 200
    drain_inbox(tenant)

    with context.entered(tenant):
        media.fetch(MessageFile.objects.get().pk)
        file = MessageFile.objects.get()
        assert (file.state, file.size, media.content_of(file)) == (
            "stored",
            len(fake.PICTURE),
            fake.PICTURE,
        )


def test_a_picture_leaves_by_an_address_that_only_twilio_gets(
    tenant, neighbour, instance, server, client_for
):
    content, agent = picture(), user_of(tenant, Role.OWNER)
    with context.entered(tenant):
        conversation = written(tenant, instance).conversation
        file = media.take(SimpleUploadedFile("a.png", content, "image/png"), by=agent)
        message = outbox.queue(conversation, "Voici", origin="person", by=agent, files=[file])
    sent(tenant, instance, message)

    form = server.asked()[-1]
    link = urlsplit(form["MediaUrl"][0]).path
    fetched = client_for(None).get(link)
    elsewhere = client_for(neighbour).get(link)

    assert (message.status, form["Body"]) == ("sent", ["Voici"])
    assert (fetched.status_code, b"".join(fetched.streaming_content)) == (200, content)
    assert elsewhere.status_code == 404
    with context.entered(tenant):
        Message.objects.filter(pk=message.pk).update(deleted_at=message.sent_at)
    assert client_for(None).get(link).status_code == 404


def test_a_file_that_twilio_would_not_take_is_refused_at_the_door(tenant, instance):
    agent = user_of(tenant, Role.OWNER)
    with context.entered(tenant):
        conversation = written(tenant, instance).conversation
        file = MessageFile.objects.create(
            kind="image", state="stored", size=5 * 1024 * 1024 + 1, uploaded_by=agent
        )

        with pytest.raises(outbox.Refused) as refused:
            outbox.queue(conversation, "Voici", origin="person", by=agent, files=[file])

    assert refused.value.code == "file_too_large"


def test_the_journal_tells_what_was_missed_and_nothing_twice(tenant, instance, server):
    missed = {
        "account_sid": fake.SID,
        "from": THEIRS,
        "to": fake.NUMBER,
        "direction": "inbound",
        "status": "received",
        "num_media": "0",
        "date_sent": "Mon, 02 Mar 2026 09:30:00 +0000",
    }
    server.set(messages=[{**missed, "sid": f"SM{7000 + n:032x}", "body": f"{n}"} for n in range(5)])
    known = incoming(7000, "0")
    assert post(INCOMING, known) == 200
    drain_inbox(tenant)

    for body in read_journal(instance):
        WebhookDelivery(
            tenant=tenant,
            instance=instance,
            provider="twilio",
            route="journal",
            body=secrets.seal(body),
            size=len(body),
            received_at=factories.NOW,
        ).save()
    drain_inbox(tenant)

    with context.entered(tenant):
        told = Message.objects.filter(external_id__startswith="SM00000000000000000000000000001b5")
        assert sorted(told.values_list("text", flat=True)) == ["0", "1", "2", "3", "4"]
        assert LeadIdentity.objects.filter(value=THEIRS).count() == 1


def test_a_list_that_cannot_be_read_says_so(tenant, instance):
    instance.secrets = {"auth_token": "wrong"}

    with pytest.raises(SendError) as failed:
        read_journal(instance)

    assert failed.value.code == "20003"


def read_journal(instance) -> list[bytes]:
    via = open_via(instance)
    with via.http:
        return provider_of("twilio").read_journal(via, minutes=60)
