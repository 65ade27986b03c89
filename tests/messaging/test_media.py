"""Files of messages: fetched once, kept privately, shown safely, sent from the composer."""

import base64
import hashlib
import io
from datetime import timedelta

import pytest
from django.core.files.storage import FileSystemStorage, default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone
from PIL import Image

from messaging import delivering, erasing, inbox, links, media, outbox, pictures, sniffing, tasks
from messaging.events import Kind
from messaging.models import Conversation, Message, MessageFile
from messaging.providers import get as provider_of
from messaging.providers.base import Media, SendError, Sent
from tenants import context
from tests import factories
from tests.conftest import at, host_of
from tests.contract import FIXTURES
from tests.messaging.files import body_of, brought, content_of, fetched, kept_at, ordered, picture
from tests.messaging.test_checking import post
from tests.messaging.test_ingest import deliver, received
from tests.messaging.test_outbox import jobs_waiting

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_folder")]

HTMX = {"HX-Request": "true"}
PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n"
OGG = b"OggS\x00\x02" + b"\x00" * 22 + b"\x01\x13OpusHead" + b"\x00" * 40
HTML = b"<!DOCTYPE html><script>alert(1)</script>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'


@pytest.fixture
def conversation(tenant) -> Conversation:
    with context.entered(tenant):
        return factories.make_conversation(tenant)


def test_file_is_noted_and_ordered_with_its_message(inside, source):
    body = received(text="")
    body["data"]["messages"]["message"] = {
        "imageMessage": {"url": "https://mmg.test/a", "mimetype": "image/jpeg", "mediaKey": "a2V5"}
    }
    deliver(inside, body)

    inbox.drain(inside.number)

    file = MessageFile.objects.get()
    assert (file.state, file.kind, file.message.kind) == ("waiting", "image", "image")
    assert file.reference["message"]["imageMessage"]["mediaKey"] == "a2V5"
    assert file.expires_at == file.message.received_at + timedelta(days=7)
    assert ordered("fetch_media") == [{"tenant": inside.number, "file": file.pk}]
    assert source.calls == []


@pytest.mark.parametrize(
    ("provider", "fixture", "reference"),
    [
        ("greenapi", "incomingMessageReceived__image", "1101000001"),
        ("unipile", "message_received__image", "acc_amda_1"),
        ("whatsapp_cloud", "messages__image", "106600000000001"),
    ],
)
def test_file_of_every_provider_goes_through_the_one_job(
    inside, monkeypatch, provider, fixture, reference
):
    asked, content = [], picture()

    def fetch_media(reference, via, *, limit):
        asked.append(reference)
        return Media(io.BytesIO(content), len(content))

    monkeypatch.setattr(provider_of(provider), "fetch_media", fetch_media)
    instance = factories.make_instance(
        inside, provider=provider, address="+221700000777", reference=reference
    )
    post(inside, instance, (FIXTURES / provider / f"{fixture}.json").read_bytes())

    inbox.drain(inside.number)
    told = MessageFile.objects.get().reference
    [job] = ordered("fetch_media")
    tasks.fetch_media(**job)

    file = MessageFile.objects.get()
    assert told and asked == [told]
    assert (file.state, file.size) == ("stored", len(content))


def test_fetched_file_is_kept_below_its_tenants_number(inside, conversation, source):
    file = fetched(conversation, source, picture((40, 30)))

    assert (file.state, file.mime_type, file.size) == ("stored", "image/png", len(source.content))
    assert (file.width, file.height) == (40, 30)
    assert file.sha256 == hashlib.sha256(source.content).hexdigest()
    assert file.path.startswith(f"tenants/{inside.number}/media/")
    assert kept_at(file.path) == source.content
    assert file.reference == {}


def test_ten_views_are_one_call_to_the_provider(browser, tenant, conversation, source):
    with context.entered(tenant):
        file = fetched(conversation, source)

    answers = [body_of(content_of(browser, file)) for _ in range(10)]

    assert answers == [source.content] * 10
    assert len(source.calls) == 1


def test_same_content_is_stored_once(inside, conversation, source):
    first = fetched(conversation, source)
    second = fetched(conversation, source)

    assert second.path == first.path
    assert not default_storage.exists(media.place_of(second))


def test_content_the_provider_names_is_not_fetched_again(inside, conversation, source):
    first = fetched(conversation, source)

    second = brought(conversation, sha256=first.sha256)

    assert (second.state, second.path, len(source.calls)) == ("stored", first.path, 1)


def test_file_that_two_messages_bring_is_asked_for_once(inside, other_tenant, source):
    for key in ("S1", "S2"):
        deliver(inside, picture_in(key, source.content))
    inbox.drain(inside.number)
    for job in ordered("fetch_media"):
        media.fetch(job["file"])
    deliver(inside, picture_in("S3", source.content))
    inbox.drain(inside.number)

    files = list(MessageFile.objects.all())

    assert len(source.calls) == 1
    assert [file.state for file in files] == ["stored"] * 3
    assert len({file.path for file in files}) == 1
    assert {file.reference.get("key") for file in files} == {None}


def test_file_whose_hash_is_not_what_was_told_is_kept_as_it_is(inside, source):
    deliver(inside, picture_in("S1", b"something else"))
    inbox.drain(inside.number)

    media.fetch(MessageFile.objects.get().pk)

    file = MessageFile.objects.get()
    assert (file.state, file.sha256) == ("stored", hashlib.sha256(source.content).hexdigest())


def picture_in(key: str, content: bytes) -> dict:
    """A body with a picture and the hash of its content, as WhatsApp writes it."""
    told = base64.b64encode(hashlib.sha256(content).digest()).decode()
    picture = {"url": "https://mmg.test/a", "mimetype": "image/png", "mediaKey": "a2V5"}
    body = received(key, "")
    body["data"]["messages"]["message"] = {"imageMessage": {**picture, "fileSha256": told}}
    return body


def test_same_content_of_another_tenant_is_another_file(tenant, other_tenant, source):
    files = []
    for each in (tenant, other_tenant):
        with context.entered(each):
            own = factories.make_conversation(each, name="Nobody", phone="+33199000123")
            files.append(fetched(own, source))

    assert files[0].sha256 == files[1].sha256
    assert [file.path.split("/")[1] for file in files] == [
        str(tenant.number),
        str(other_tenant.number),
    ]
    assert len(source.calls) == 2


def test_type_is_sniffed_and_not_believed(inside, conversation, source):
    source.mime_type = "image/png"

    file = fetched(conversation, source, HTML)

    assert (file.mime_type, file.display) == ("application/octet-stream", "file")


@pytest.mark.parametrize(
    ("content", "told", "kind", "proven", "display"),
    [
        (PDF, "text/html", "document", "application/pdf", "pdf"),
        (OGG, "audio/ogg; codecs=opus", "voice", "audio/ogg", "audio"),
        (picture(form="JPEG"), "", "image", "image/jpeg", "image"),
        (picture(form="WEBP"), "", "sticker", "image/webp", "image"),
        (b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom", "", "video", "video/mp4", "video"),
        (b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\x82\x84webm", "", "video", "video/webm", "video"),
        (SVG, "image/svg+xml", "image", "application/octet-stream", "file"),
        (b"\xef\xbb\xbf \n" + SVG, "text/plain", "document", "application/octet-stream", "file"),
        (HTML, "text/html", "document", "application/octet-stream", "file"),
        (HTML, "text/plain", "document", "application/octet-stream", "file"),
        (b"a;b\n1;2", "text/csv", "document", "text/csv", "file"),
        (b"MZ\x90\x00" + b"\x00" * 60, "image/png", "image", "application/x-msdownload", "file"),
    ],
)
def test_what_a_file_proves_to_be(content, told, kind, proven, display):
    assert sniffing.mime_type_of(content, told, kind) == proven
    assert sniffing.display_of(proven) == display


def test_large_picture_has_an_upright_preview_without_metadata(inside, conversation, source):
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Camera of somebody"
    large = picture((3000, 1000), "JPEG", exif=exif, comment=b"secret")

    file = fetched(conversation, source, large)

    preview = kept_at(file.preview_path)
    shown = Image.open(io.BytesIO(preview))
    assert (shown.format, shown.size) == ("JPEG", (683, 2048))
    assert (file.width, file.height) == (683, 2048)
    assert (dict(shown.getexif()), shown.info.get("comment")) == ({}, None)
    assert b"Camera" not in preview
    assert kept_at(file.path) == large


def test_turned_picture_is_measured_as_it_is_seen():
    exif = Image.Exif()
    exif[0x0112] = 8

    found = pictures.look_at(io.BytesIO(picture((40, 30), "JPEG", exif=exif)))

    assert (found.width, found.height, found.preview) == (30, 40, None)


def test_transparent_picture_lies_on_white():
    written = io.BytesIO()
    Image.new("RGBA", (2100, 10), (0, 0, 0, 0)).save(written, "PNG")

    found = pictures.look_at(written)

    assert Image.open(io.BytesIO(found.preview)).getpixel((5, 5)) == (255, 255, 255)


def test_picture_with_too_many_pixels_is_a_download(inside, conversation, source):
    bomb = io.BytesIO()
    Image.new("1", (9000, 9000)).save(bomb, "PNG")

    file = fetched(conversation, source, bomb.getvalue())

    assert (file.state, file.display, file.width) == ("stored", "file", None)


def test_broken_picture_is_a_download(inside, conversation, source):
    file = fetched(conversation, source, picture((400, 300))[:200])

    assert (file.state, file.display) == ("stored", "file")


def test_file_said_to_be_too_large_is_not_asked_for(inside, conversation, source):
    file = brought(conversation, size=sniffing.cap_of("image") + 1)

    assert (file.state, file.error, file.may_be_retried) == ("failed", "too_large", False)
    assert jobs_waiting() == []


def test_file_that_turns_out_too_large_is_not_kept(inside, conversation, source, monkeypatch):
    monkeypatch.setitem(sniffing._CAPS, Kind.IMAGE, 50)

    file = fetched(conversation, source, b"\x00" * 51)

    assert (file.state, file.error, file.path) == ("failed", "too_large", "")
    assert not default_storage.exists(media.place_of(file))


def test_what_is_to_be_seen_once_is_never_fetched(inside, conversation, source):
    file = brought(conversation, view_once=True)

    assert (file.state, file.error, file.reference) == ("gone", "view_once", {})
    assert jobs_waiting() == []


def test_fetch_is_tried_again_later_and_later_until_the_provider_forgets(
    inside, conversation, source
):
    start = timezone.now()
    file = brought(conversation, now=start)
    source.error = SendError("timeout", unknown=True)
    waits, moment = [], start

    for _ in range(60):
        with at(moment):
            media.fetch(file.pk)
        file.refresh_from_db()
        if file.state != "waiting":
            break
        due = jobs_waiting()[-1][2]
        waits.append((due - moment).total_seconds())
        moment = due

    assert waits[:4] == [5, 20, 80, 320]
    assert max(waits) == media.LONGEST_WAIT_SECONDS
    assert (file.state, file.error) == ("failed", "unavailable")
    assert timedelta(days=6) < moment - start <= timedelta(days=7)


def test_file_that_expired_meanwhile_is_gone(inside, conversation, source):
    file = brought(conversation)

    with at(timezone.now() + timedelta(days=8)):
        media.fetch(file.pk)

    file.refresh_from_db()
    assert (file.state, file.error, source.calls) == ("gone", "expired", [])


def test_refused_file_says_why_and_a_person_may_ask_again(browser, tenant, conversation, source):
    source.error = SendError("not_found")
    with context.entered(tenant):
        file = fetched(conversation, source)
        assert (file.state, file.error) == ("failed", "not_found")

    answer = browser.post(f"/files/{file.pk}/retry/", headers=HTMX)

    assert answer.status_code == 200
    assert 'data-state="waiting"' in answer.content.decode()
    source.error = None
    with context.entered(tenant):
        media.fetch(file.pk)
        file.refresh_from_db()
    assert file.state == "stored"


def test_storage_that_is_away_loses_nothing(inside, conversation, source, monkeypatch):
    file = brought(conversation)
    with monkeypatch.context() as patch:
        patch.setattr(FileSystemStorage, "save", _no_space)
        media.fetch(file.pk)

    media.fetch(file.pk)

    file.refresh_from_db()
    assert (file.state, file.attempts) == ("stored", 2)


def _no_space(*args, **kwargs):
    raise OSError("no space left")


def test_withdrawn_message_takes_its_file_with_it(inside, conversation, source):
    gone, shared = fetched(conversation, source), fetched(conversation, source)
    alone = fetched(conversation, source, picture((50, 50)))

    for file in (gone, alone):
        erasing.bury(file.message, timezone.now())
    for job in ordered("discard_files"):
        media.discard(job["paths"])

    assert list(MessageFile.objects.all()) == [shared]
    assert default_storage.exists(shared.path)
    assert not default_storage.exists(alone.path)


def test_file_withdrawn_while_it_was_fetched_is_not_kept(inside, conversation, source, monkeypatch):
    file = brought(conversation)
    place = media.place_of(file)
    original = media._look_at

    def withdrawn_meanwhile(*args):
        media.forget([file.message_id])
        return original(*args)

    monkeypatch.setattr(media, "_look_at", withdrawn_meanwhile)
    media.fetch(file.pk)

    assert MessageFile.objects.count() == 0
    assert not default_storage.exists(place)


def test_conversation_shows_each_state(browser, tenant, conversation, source):
    with context.entered(tenant):
        fetched(conversation, source, picture((40, 30)))
        fetched(conversation, source, PDF, kind=Kind.DOCUMENT, file_name="Devis.pdf")
        fetched(conversation, source, OGG, kind=Kind.VOICE)
        fetched(conversation, source, HTML, kind=Kind.DOCUMENT, file_name="page.html")
        brought(conversation)
        brought(conversation, size=10**9)

    page = browser.get(f"/inbox/{conversation.pk}/pane/").content.decode()

    assert 'width="40" height="30"' in page
    assert "<audio controls" in page
    assert page.count('data-state="waiting"') == 1
    assert page.count(" download>") == 1
    assert "Ce fichier est trop volumineux pour être conservé ici." in page
    assert "mmg.test" not in page


def test_content_is_private_and_nothing_in_it_runs(browser, tenant, conversation, source):
    with context.entered(tenant):
        shown = fetched(conversation, source)
        page = fetched(conversation, source, HTML, kind=Kind.DOCUMENT, file_name='é"\r\n.html')

    inline, download = content_of(browser, shown), content_of(browser, page)

    for answer in (inline, download):
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["Cache-Control"].startswith("private")
        assert answer["Content-Security-Policy"].startswith("default-src 'none'")
        assert answer["Content-Security-Policy"].endswith("sandbox")
    assert (inline["Content-Type"], inline["Content-Disposition"][:6]) == ("image/png", "inline")
    assert download["Content-Type"] == "application/octet-stream"
    assert download["Content-Disposition"].startswith("attachment")
    assert body_of(download) == HTML
    assert body_of(inline) == picture()


def test_known_content_is_not_sent_again_and_parts_are_parts(browser, tenant, conversation, source):
    with context.entered(tenant):
        file = fetched(conversation, source)
    etag = f'"{file.sha256}"'

    assert content_of(browser, file, if_none_match=etag).status_code == 304
    part = content_of(browser, file, range="bytes=2-5")
    assert (part.status_code, body_of(part)) == (206, source.content[2:6])
    assert part["Content-Range"] == f"bytes 2-5/{file.size}"
    assert body_of(content_of(browser, file, range="bytes=-4")) == source.content[-4:]
    assert body_of(content_of(browser, file, range="bytes=10-")) == source.content[10:]
    assert content_of(browser, file, range=f"bytes={file.size}-").status_code == 416
    changed = content_of(browser, file, range="bytes=2-5", if_range='"old"')
    assert (changed.status_code, body_of(changed)) == (200, source.content)


@pytest.mark.parametrize("path", ["/files/{}/", "/files/{}/retry/", "/files/{}/remove/"])
def test_another_tenants_file_does_not_exist(client_for, tenant, other_tenant, owner, source, path):
    with context.entered(other_tenant):
        file = fetched(Conversation.objects.get(), source)
    method = "get" if path == "/files/{}/" else "post"

    answer = getattr(client_for(tenant, owner), method)(path.format(file.pk))

    assert answer.status_code == 404
    with context.entered(other_tenant):
        assert MessageFile.objects.filter(pk=file.pk).exists()


def test_link_is_bound_to_tenant_person_and_time(
    client_for, tenant, other_tenant, agent, owner, conversation, source, settings
):
    with context.entered(tenant):
        file = fetched(conversation, source)
        link = links.signed(file, agent)
    anybody = client_for(tenant)

    def status(browser) -> int:
        answer = browser.get(link)
        # Read to its end: closing half-read answers would close the test's own connection.
        b"".join(answer)
        return answer.status_code

    assert status(client_for(tenant, agent)) == 200
    assert status(anybody) == 200
    assert status(client_for(None)) == 404
    settings.MEDIA_CDN_URL = "https://cdn.amda.test"
    assert status(client_for(None)) == 200
    assert status(client_for(other_tenant)) == 404
    assert status(client_for(tenant, owner)) == 404
    assert anybody.get(link[:-3] + "xx/").status_code == 404
    with context.entered(tenant):
        agent.token_version += 1
        agent.save(update_fields=["token_version"])
    assert status(anybody) == 404


def test_link_ends_within_ten_minutes(client_for, tenant, agent, conversation, source, monkeypatch):
    with context.entered(tenant):
        link = links.signed(fetched(conversation, source), agent)
    issued = links.time.time()
    monkeypatch.setattr(links.time, "time", lambda: issued + links.VALID_SECONDS + 1)

    assert client_for(tenant).get(link).status_code == 404


def test_links_go_through_the_delivery_network_where_there_is_one(
    browser, tenant, conversation, source, settings
):
    settings.MEDIA_CDN_URL = "https://cdn.amda.test"
    with context.entered(tenant):
        file = fetched(conversation, source)

    answer = browser.get(f"/files/{file.pk}/")

    assert answer["Location"].startswith("https://cdn.amda.test/files/content/")
    policy = browser.get("/")["Content-Security-Policy"]
    assert "img-src 'self' data: blob: https://cdn.amda.test;" in policy


def test_program_gets_a_link_of_its_own(client_for, tenant, agent, conversation, source):
    with context.entered(tenant):
        file = fetched(conversation, source)
    browser = client_for(tenant, agent)

    shown = browser.get(f"/api/messages/{file.message_id}/").json()["attachments"]

    assert [each["id"] for each in shown] == [file.pk]
    assert shown[0]["url"].startswith(f"http://{host_of(tenant)}/files/content/")
    assert body_of(client_for(tenant).get(shown[0]["url"])) == source.content


def upload(browser, conversation, content, name="photo.png", mime_type="image/png"):
    given = SimpleUploadedFile(name, content, mime_type)
    return browser.post(f"/inbox/{conversation.pk}/files/", {"file": given}, headers=HTMX)


def test_upload_is_stored_then_sent_with_a_message(
    browser, tenant, conversation, source, monkeypatch
):
    sent = []
    monkeypatch.setattr(
        provider_of("wasender"),
        "send",
        lambda outgoing, via: sent.append(outgoing) or Sent(provider_number="7"),
        raising=False,
    )
    content = picture()

    assert upload(browser, conversation, content, "../Été.png").status_code == 201
    with context.entered(tenant):
        file = MessageFile.objects.get()
    answer = browser.post(
        f"/inbox/{conversation.pk}/send/", {"text": "", "file": file.pk}, headers=HTMX
    )
    with context.entered(tenant):
        delivering.drain(tenant.number, conversation.instance_id)
        message = Message.objects.get(direction="out")
        names = [file.file_name for file in message.files.all()]

    assert answer.status_code == 201
    assert (message.kind, message.text, message.status) == ("image", "", "sent")
    assert names == ["Été.png"]
    assert [(each.kind, each.file.mime_type, each.file.content) for each in sent] == [
        (Kind.IMAGE, "image/png", content)
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.png", b""),
        ("page.html", HTML),
        ("drawing.svg", SVG),
        ("photo.png", HTML),
        ("photo.png", b"MZ\x90\x00" + b"\x00" * 60),
        ("run.sh", b"echo 1"),
        ("huge.png", picture() + b"\x00" * sniffing.cap_of("image")),
    ],
)
def test_upload_is_refused_at_the_door(browser, tenant, conversation, source, name, content):
    answer = upload(browser, conversation, content, name)

    assert answer.status_code == 422
    with context.entered(tenant):
        assert MessageFile.objects.count() == 0


def test_upload_is_refused_where_the_provider_takes_no_files(
    browser, tenant, conversation, monkeypatch
):
    monkeypatch.setattr(provider_of("wasender"), "supports", frozenset(), raising=False)

    assert upload(browser, conversation, picture()).status_code == 422
    assert "composer-file" not in browser.get(f"/inbox/{conversation.pk}/pane/").content.decode()


def test_upload_needs_the_right_to_answer(client_for, tenant, assistant, conversation, source):
    assert upload(client_for(tenant, assistant), conversation, picture()).status_code == 403


def test_upload_is_its_authors_alone_until_it_is_sent(
    client_for, tenant, agent, owner, conversation, source
):
    upload(client_for(tenant, agent), conversation, picture())
    with context.entered(tenant):
        file = MessageFile.objects.get()
    other = client_for(tenant, owner)

    assert other.get(f"/files/{file.pk}/").status_code == 404
    taken = {"text": "", "file": file.pk}
    assert other.post(f"/inbox/{conversation.pk}/send/", taken, headers=HTMX).status_code == 422


def test_file_is_sent_once(inside, conversation, source, agent):
    file = media.take(SimpleUploadedFile("a.png", picture(), "image/png"), by=agent)
    reference = "7b0c1b7e-2f0a-4a53-9d2b-0d8f3b5a9c11"

    first = outbox.queue(
        conversation, "", origin="person", by=agent, files=[file], reference=reference
    )
    file.refresh_from_db()

    again = outbox.queue(
        conversation, "", origin="person", by=agent, files=[file], reference=reference
    )
    assert again == first
    with pytest.raises(outbox.Refused) as refusal:
        outbox.queue(conversation, "", origin="person", by=agent, files=[file])
    assert refusal.value.code == "file_gone"


def test_upload_taken_back_or_forgotten_is_removed(browser, tenant, conversation, source):
    for _ in range(2):
        upload(browser, conversation, picture())
    with context.entered(tenant):
        back, forgotten = MessageFile.objects.all()

    assert browser.post(f"/files/{back.pk}/remove/", headers=HTMX).status_code == 204
    with context.entered(tenant):
        media.forget_unsent(timezone.now() + timedelta(seconds=1))
        assert MessageFile.objects.count() == 0
        paths = {path for job in ordered("discard_files") for path in job["paths"]}
    assert {back.path, forgotten.path} <= paths
