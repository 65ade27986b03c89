"""Files in a bucket of a server that speaks S3, as in a folder."""

import asyncio

import boto3
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from moto.server import ThreadedMotoServer

from messaging import media
from messaging.views import ranges
from tenants import context, onboarding
from tests import factories
from tests.messaging.files import body_of, content_of, fetched, kept_at, ordered, picture

BUCKET = "amda-files"
KEYS = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}


@pytest.fixture
def conversation(tenant):
    with context.entered(tenant):
        return factories.make_conversation(tenant)


@pytest.fixture(scope="module")
def s3():
    """A server that speaks S3, with an empty bucket; its address."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    boto3.client("s3", endpoint_url=address, region_name="us-east-1", **KEYS).create_bucket(
        Bucket=BUCKET
    )
    yield address
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def stored_in(request, settings, tmp_path):
    """The file storage: a folder, then a bucket."""
    default = settings.STORAGES["default"]
    options = {**default["OPTIONS"], "location": tmp_path}
    if request.param == "s3":
        default = {"BACKEND": "storages.backends.s3.S3Storage"}
        options = {
            "bucket_name": BUCKET,
            "endpoint_url": request.getfixturevalue("s3"),
            "region_name": "us-east-1",
            "access_key": "key",
            "secret_key": "secret",
            "default_acl": None,
            "file_overwrite": True,
            "querystring_auth": True,
        }
    settings.STORAGES = {**settings.STORAGES, "default": {**default, "OPTIONS": options}}
    return request.param


def test_file_is_kept_shown_in_parts_and_removed(
    stored_in,
    browser,
    tenant,
    conversation,
    source,
):
    with context.entered(tenant):
        file = fetched(conversation, source, picture((2100, 1000), "JPEG"))
        assert file.path == media.place_of(file)
        assert kept_at(file.path) == source.content
        assert kept_at(file.preview_path)[:3] == b"\xff\xd8\xff"

    assert body_of(content_of(browser, file)) == source.content
    part = content_of(browser, file, range="bytes=10-19")
    assert (part.status_code, body_of(part)) == (206, source.content[10:20])
    preview = browser.get(browser.get(f"/files/{file.pk}/?preview")["Location"])
    assert preview["Content-Length"] == str(len(body_of(preview)))

    with context.entered(tenant):
        media.forget([file.message_id])
        for job in ordered("discard_files"):
            media.discard(job["paths"])
    assert not default_storage.exists(file.path)
    assert not default_storage.exists(file.preview_path)


def test_content_that_went_missing_is_a_404(
    stored_in,
    browser,
    tenant,
    conversation,
    source,
):
    with context.entered(tenant):
        file = fetched(conversation, source)
    default_storage.delete(file.path)

    assert content_of(browser, file).status_code == 404


def test_deleting_a_tenant_deletes_its_files_alone(
    stored_in,
    tenant,
    other_tenant,
    conversation,
    source,
):
    with context.entered(tenant):
        file = fetched(conversation, source)
    default_storage.save(
        f"{context.folder_of(other_tenant.number)}/media/x", ContentFile(b"content")
    )

    onboarding._delete_files(context.folder_of(tenant.number))

    assert not default_storage.exists(file.path)
    assert default_storage.exists(f"{context.folder_of(other_tenant.number)}/media/x")
    onboarding._delete_files(context.folder_of(other_tenant.number))


@pytest.mark.parametrize("stored_in", ["s3"], indirect=True)
def test_s3_objects_are_private(s3, settings, stored_in, tenant, conversation, source):
    with context.entered(tenant):
        file = fetched(conversation, source)
    client = boto3.client("s3", endpoint_url=s3, region_name="us-east-1", **KEYS)

    grants = client.get_object_acl(Bucket=BUCKET, Key=file.path)["Grants"]

    assert [grant["Grantee"]["Type"] for grant in grants] == ["CanonicalUser"]


def test_asynchronous_server_reads_block_by_block(stored_in, monkeypatch):
    monkeypatch.setattr(ranges, "BLOCK", 4)
    default_storage.save("block-by-block", ContentFile(b"0123456789"))

    async def read() -> list[bytes]:
        blocks = ranges.BlocksInThreads(ranges.Blocks("block-by-block", 1, 10))
        try:
            return [block async for block in blocks]
        finally:
            blocks.close()

    assert asyncio.run(read()) == [b"1234", b"5678", b"9"]
    default_storage.delete("block-by-block")
