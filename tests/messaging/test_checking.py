"""An instance is checked step by step, and what is wrong comes with what to do."""

import io
import json
from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command

from messaging import checking
from messaging.events import Connection
from messaging.models import Message
from messaging.providers import get as provider_of
from messaging.providers.base import Blame, InstanceState, SendError, Sent, WebhookState
from tenants import secrets
from tenants.models import ProviderInstance, WebhookDelivery
from tests import factories

TO = "+33612345678"
GREEN_ID = "1101000001"


@pytest.fixture
def green(inside) -> ProviderInstance:
    return factories.make_instance(
        inside, provider="greenapi", address="+221700000777", reference=GREEN_ID
    )


class Outside:
    """The provider: what it answers, and what it posts once it took a message."""

    def __init__(self, tenant, instance):
        self.tenant, self.instance = tenant, instance
        self.state: InstanceState | SendError = InstanceState(Connection.CONNECTED)
        self.sent: Sent | SendError = Sent(external_id="G30")
        self.webhook: WebhookState | SendError = WebhookState("https://elsewhere.test/", True)
        self.posts: list[bytes] = []

    def check(self, via):
        return self._told(self.state)

    def send(self, outgoing, via):
        answer = self._told(self.sent)
        for body in self.posts:
            post(self.tenant, self.instance, body)
        return answer

    def read_webhook(self, via):
        return self._told(self.webhook)

    def _told(self, answer):
        if isinstance(answer, SendError):
            raise answer
        return answer


def post(tenant, instance, body: bytes, **facts) -> WebhookDelivery:
    delivery = WebhookDelivery(
        tenant=tenant,
        instance=instance,
        provider=instance.provider,
        body=secrets.seal(body),
        size=len(body),
        received_at=datetime.now(UTC),
        **facts,
    )
    delivery.save()
    return delivery


@pytest.fixture
def outside(inside, green, monkeypatch) -> Outside:
    found = Outside(inside, green)
    for name in ("check", "send", "read_webhook"):
        monkeypatch.setattr(provider_of("greenapi"), name, getattr(found, name))
    return found


STATUS = json.dumps(
    {
        "typeWebhook": "outgoingMessageStatus",
        "instanceData": {"idInstance": int(GREEN_ID)},
        "timestamp": 1760000000,
        "idMessage": "G30",
        "status": "sent",
    }
).encode()


def findings(instance, to="") -> list[tuple]:
    return [(each.step, each.passed) for each in checking.check(instance, to=to, patience=0)]


def test_a_working_instance_passes_every_step(green, outside):
    outside.posts = [STATUS]

    assert findings(green, TO) == [
        ("reachable", True),
        ("send", True),
        ("webhook", True),
        ("kept", True),
    ]
    assert Message.objects.get(external_id="G30").status == "sent"


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (InstanceState(Connection.DISCONNECTED, "not_authorized"), "disconnected not_authorized"),
        (InstanceState(Connection.BLOCKED, "yellow_card"), "blocked yellow_card"),
        (InstanceState(Connection.PENDING, "starting"), "pending starting"),
        (InstanceState(Connection.CONFLICT), "conflict"),
        (SendError("unauthorized", "Bad token", blame=Blame.ACCOUNT), "unauthorized Bad token"),
        (SendError("ConnectError", retry=True), "ConnectError"),
    ],
)
def test_nothing_is_sent_from_what_is_not_connected(green, outside, state, said):
    outside.state = state

    [finding] = checking.check(green, to=TO, patience=0)

    assert (finding.step, finding.passed, finding.said) == ("reachable", False, said)
    assert finding.advice
    assert not Message.objects.filter(instance_id=green.pk).exists()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SendError("recipient", blame=Blame.RECIPIENT), "failed recipient"),
        (SendError("quota_exceeded", "3/3", blame=Blame.ACCOUNT), "failed quota_exceeded 3/3"),
        (SendError("bad_request", blame=Blame.MESSAGE), "failed bad_request"),
        (SendError("rate_limited", retry=True), "queued rate_limited"),
        (SendError("ReadTimeout", unknown=True), "unknown ReadTimeout"),
    ],
)
def test_a_message_that_did_not_leave_ends_the_check(green, outside, error, said):
    outside.sent = error

    _reachable, finding = checking.check(green, to=TO, patience=0)

    assert (finding.step, finding.passed, finding.said) == ("send", False, said)
    assert finding.advice


def test_an_address_that_cannot_be_one_is_told(green, outside):
    _reachable, finding = checking.check(green, to="nobody", patience=0)

    assert (finding.step, finding.passed) == ("send", False)


@pytest.mark.parametrize(
    ("webhook", "said"),
    [
        (WebhookState("https://elsewhere.test/", True), "https://elsewhere.test/"),
        (WebhookState("", False), "-"),
        (SendError("rate_limited", retry=True), "rate_limited"),
    ],
)
def test_a_provider_that_posts_elsewhere_is_told_where_to(green, outside, webhook, said):
    outside.webhook = webhook
    post(outside.tenant, green, b"{}", route="journal")

    _reachable, finding = checking.check(green, patience=0)

    assert (finding.step, finding.passed) == ("webhook", False)
    assert finding.said.endswith(said)
    assert "/webhooks/greenapi" in finding.advice


def test_an_old_post_does_not_count_for_a_new_message(green, outside):
    old = post(outside.tenant, green, STATUS)
    WebhookDelivery.objects.of(outside.tenant).filter(pk=old.pk).update(
        received_at=datetime(2026, 1, 1, tzinfo=UTC)
    )

    assert findings(green, TO)[-1] == ("webhook", False)
    assert findings(green) == [("reachable", True), ("webhook", True), ("kept", True)]


def test_a_post_that_cannot_be_read_is_not_kept(green, outside):
    post(outside.tenant, green, b"not json")

    assert findings(green)[-1] == ("kept", False)


def run(*arguments) -> str:
    output = io.StringIO()
    call_command("check_instance", *arguments, "--patience", "0", stdout=output)
    return output.getvalue()


def test_the_command_says_pass_or_what_to_do(green, outside):
    outside.posts = [STATUS]

    printed = run("vendor_001", str(green.pk), "--to", TO)
    assert printed.splitlines()[-1] == "PASS"
    assert printed.count("PASS") == 5

    outside.state = SendError("unauthorized", blame=Blame.ACCOUNT)
    with pytest.raises(CommandError, match="does not work yet"):
        run("vendor_001", str(green.pk))


def test_another_vendors_instance_is_not_checked(other_tenant, green, outside):
    theirs = factories.make_instance(other_tenant, provider="greenapi", reference="7")

    with pytest.raises(CommandError, match="has no instance"):
        run("vendor_001", str(theirs.pk))
    with pytest.raises(CommandError, match="no vendor"):
        run("nobody", str(green.pk))
