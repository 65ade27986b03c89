"""The HTTP boundary of providers: what is answered, and what is kept."""

import asyncio
import json

import pytest
from asgiref.testing import ApplicationCommunicator
from django.conf import settings

from messaging.webhooks import Webhooks
from tenants import context, directory, onboarding, secrets
from tenants.models import Tenant, WebhookDelivery
from tests import factories
from tests.messaging.test_ingest import received


class WriterOnThisConnection:
    """Stores what the route hands over on the test's own connection."""

    def __init__(self) -> None:
        self.kept = []
        self.fails = False

    async def store(self, arrivals) -> None:
        from tenants.intake import StorageAway

        if self.fails:
            raise StorageAway
        self.kept += arrivals


@pytest.fixture
def writer():
    return WriterOnThisConnection()


@pytest.fixture
def post(writer, django_db_setup):
    """Send one request to the route: (status, headers, body)."""

    def send(path, body=b"{}", headers=None, method="POST"):
        return asyncio.run(_exchange(Webhooks(writer), path, body, headers or {}, method))

    return send


async def _exchange(application, path, body, headers, method, query=""):
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }
    communicator = ApplicationCommunicator(application, scope)
    for start in range(0, max(len(body), 1), 65536):
        chunk = body[start : start + 65536]
        more = start + 65536 < len(body)
        await communicator.send_input({"type": "http.request", "body": chunk, "more_body": more})
    start = await communicator.receive_output(10)
    answer = await communicator.receive_output(10)
    return start["status"], dict(start["headers"]), answer["body"]


def signed(tenant) -> dict[str, str]:
    return {"X-Webhook-Signature": factories.secrets_of(tenant)["webhook_secret"]}


@pytest.mark.parametrize("path", ["", "/status", "/connection", "/"])
def test_authentic_post_is_stored_and_answered_as_promised(tenant, post, writer, path):
    body = json.dumps(received()).encode()

    status, _headers, answer = post(
        f"/api/webhooks/wasender/vendor_001{path}", body, signed(tenant)
    )

    assert (status, json.loads(answer)) == (200, {"success": True, "status": "received"})
    (arrival,) = writer.kept
    assert (arrival.tenant_number, arrival.body) == (tenant.number, body)


def test_slug_is_compared_without_case(tenant, post, writer):
    status, _headers, _answer = post("/api/webhooks/wasender/VENDOR_001", b"{}", signed(tenant))

    assert status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Webhook-Signature": ""},
        {"X-Webhook-Signature": "wrong"},
        {"X-Webhook-Signature": "é"},
    ],
)
def test_unsigned_post_is_refused_and_leaves_nothing(tenant, post, writer, caplog, headers):
    body = json.dumps(received(text="private words")).encode()

    status, _headers, answer = post("/api/webhooks/wasender/vendor_001", body, headers)

    assert (status, answer) == (403, b"")
    assert writer.kept == []
    assert "private words" not in caplog.text
    assert factories.SECRET not in caplog.text


def test_secret_of_another_tenant_is_refused(tenant, other_tenant, post, writer):
    status, _headers, _answer = post(
        "/api/webhooks/wasender/vendor_001", b"{}", signed(other_tenant)
    )

    assert status == 403
    assert writer.kept == []


@pytest.mark.parametrize(
    "path",
    [
        "/api/webhooks/wasender/nobody",
        "/api/webhooks/nothing/vendor_001",
        "/api/webhooks/wasender",
        "/webhooks/",
        "/api/webhooks/wasender/vendor_001/other",
        "/api/webhooks/wasender/%00",
    ],
)
def test_unknown_path_is_not_found(tenant, post, writer, path):
    status, _headers, answer = post(path, b"{}", signed(tenant))

    assert (status, answer) == (404, b"")
    assert writer.kept == []


def test_other_method_is_refused(tenant, post):
    assert post("/api/webhooks/wasender/vendor_001", method="DELETE")[0] == 405
    assert post("/api/webhooks/wasender/vendor_001", method="GET")[0] == 405


@pytest.mark.parametrize("announced", [True, False])
def test_body_over_the_cap_is_refused(tenant, post, writer, announced):
    body = b"x" * (settings.WEBHOOK_MAX_BYTES + 1)
    headers = signed(tenant) | ({"Content-Length": str(len(body))} if announced else {})

    status, _headers, _answer = post("/api/webhooks/wasender/vendor_001", body, headers)

    assert status == 413
    assert writer.kept == []


def test_storage_away_asks_to_come_again(tenant, post, writer):
    writer.fails = True

    status, headers, _answer = post("/api/webhooks/wasender/vendor_001", b"{}", signed(tenant))

    assert (status, headers[b"retry-after"]) == (503, b"5")


def test_suspended_tenant_still_receives(committed, post, writer):
    tenant = committed("suspended-shop")
    Tenant.objects.filter(pk=tenant.pk).update(state=Tenant.State.SUSPENDED)

    status, _headers, _answer = post("/api/webhooks/wasender/suspended-shop", b"{}", signed(tenant))

    assert status == 200
    assert len(writer.kept) == 1


def test_renamed_vendor_still_receives_at_its_former_address(committed, post, writer):
    tenant = committed("former-shop")
    post("/api/webhooks/wasender/former-shop", b"{}", signed(tenant))
    onboarding.rename_tenant(tenant, "later_shop")

    answers = [
        post(f"/api/webhooks/wasender/{slug}", b"{}", signed(tenant))
        for slug in ("former-shop", "later_shop", "Former-Shop")
    ]

    assert [status for status, _headers, _body in answers] == [200, 200, 200]
    assert [arrival.tenant_number for arrival in writer.kept] == [tenant.number] * 4


def test_delivery_body_is_encrypted_at_rest(tenant, instance):
    plain = b'{"text": "readable words"}'

    sealed = secrets.seal(plain)

    assert b"readable" not in sealed
    assert secrets.unseal(sealed) == plain


def test_deliveries_have_no_manager_that_crosses_tenants():
    with pytest.raises(TypeError):
        WebhookDelivery.objects.all()
    with pytest.raises(AttributeError):
        WebhookDelivery.objects.filter(state="waiting")


def test_deleted_tenants_url_is_not_found(committed, post, writer, django_db_blocker):
    tenant = onboarding.create_tenant(
        "gone-shop", name="Gone", owner_email="o@gone.test", owner_password="correct horse battery"
    )
    factories.make_instance(tenant)
    assert post("/api/webhooks/wasender/gone-shop", b"{}", signed(tenant))[0] == 200

    onboarding.delete_tenant(tenant)

    from tenants import directory

    directory.forget()
    assert post("/api/webhooks/wasender/gone-shop", b"{}", signed(tenant))[0] == 404
    assert context.in_public()


GREEN_ID = "1101000001"


@pytest.fixture
def green(tenant):
    """The tenant's instance at Green-API."""
    instance = factories.make_instance(
        tenant, provider="greenapi", address="+221700000777", reference=GREEN_ID
    )
    instance.secrets = {"api_token": "tok", "webhook_token": "green-s3cret"}
    instance.save()
    # The route looks in a thread, whose connection does not see what a test has not committed.
    directory.instances_referred("greenapi", frozenset({GREEN_ID}))
    directory.instances_at("greenapi")
    return instance


GREEN_BODY = json.dumps(
    {"typeWebhook": "stateInstanceChanged", "instanceData": {"idInstance": int(GREEN_ID)}}
).encode()
AUTHENTIC = {"Authorization": "Bearer green-s3cret"}


def test_green_api_is_answered_with_the_type_of_its_notification(tenant, green, post, writer):
    status, headers, answer = post("/webhooks/greenapi", GREEN_BODY, AUTHENTIC)

    assert (status, headers[b"content-type"]) == (200, b"application/json")
    assert json.loads(answer) == {"ok": True, "received": "stateInstanceChanged"}
    (arrival,) = writer.kept
    assert (arrival.tenant_number, arrival.instance_id) == (tenant.number, green.pk)


@pytest.mark.parametrize("body", [b"not json", b"{}", b"", b'{"idInstance":1101000001,"te'])
def test_green_api_never_waits_behind_a_body_that_cannot_be_read(green, post, writer, body):
    status, _headers, answer = post("/webhooks/greenapi", body, AUTHENTIC)

    assert (status, json.loads(answer)) == (200, {"ok": True, "received": ""})
    (arrival,) = writer.kept
    assert (arrival.instance_id, arrival.body) == (green.pk, body)


@pytest.mark.parametrize("body", [GREEN_BODY, b"not json"])
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}])
def test_green_api_without_its_token_is_refused(green, post, writer, body, headers):
    assert post("/webhooks/greenapi", body, headers)[0] == 403
    assert writer.kept == []


def test_the_token_of_one_instance_does_not_open_another(other_tenant, green, post, writer):
    theirs = factories.make_instance(other_tenant, provider="greenapi", reference="7")
    theirs.secrets = {"webhook_token": "their-s3cret"}
    theirs.save()

    assert post("/webhooks/greenapi", GREEN_BODY, {"Authorization": "their-s3cret"})[0] == 403
    assert writer.kept == []


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_webhook_says_that_it_is_up(post, writer, method):
    status, _headers, answer = post("/webhooks/greenapi/status", b"", method=method)

    assert status == 200
    if method == "GET":
        told = json.loads(answer)
        assert (told["ok"], told["service"]) == (True, "greenapi-webhook")
        assert set(told) == {"ok", "service", "timestamp"}
    assert post("/webhooks/greenapi/status", b"{}")[0] == 405
    assert writer.kept == []


def test_what_is_about_an_account_nobody_has_is_answered_and_not_kept(tenant, post, writer):
    instance = factories.make_instance(tenant, provider="unipile", reference="acc_1")
    instance.secrets = {"webhook_secret": "uni-s3cret"}
    instance.save()
    directory.instances_of_vendor("unipile", "vendor_001")
    path, header = "/api/webhooks/unipile/vendor_001", {"Unipile-Auth": "uni-s3cret"}

    theirs = post(path, b'{"event":"message_received","account_id":"acc_2"}', header)
    ours = post(path, b'{"event":"message_received","account_id":"acc_1"}', header)

    assert theirs[0] == ours[0] == 200
    assert json.loads(theirs[2]) == {"success": True, "status": "received"}
    (arrival,) = writer.kept
    assert arrival.instance_id == instance.pk
