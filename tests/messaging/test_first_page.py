"""PDFs show their first page in the conversation."""

import io
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pypdfium2
import pytest
from django.core.files.storage import default_storage
from django.utils import timezone
from PIL import Image

from messaging import erasing, first_page, media
from messaging.events import Kind
from messaging.models import Conversation
from tenants import context
from tests import factories
from tests.messaging.files import body_of, content_of, fetched, ordered

pytestmark = pytest.mark.usefixtures("own_folder")

BROKEN = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n"


@pytest.fixture
def conversation(tenant, db) -> Conversation:
    with context.entered(tenant):
        return factories.make_conversation(tenant)


def a_pdf(width: int = 595, height: int = 842) -> bytes:
    document, written = pypdfium2.PdfDocument.new(), io.BytesIO()
    document.new_page(width, height)
    document.save(written)
    return written.getvalue()


def drawn(content: bytes) -> bytes:
    return first_page.of(io.BytesIO(content), len(content))


@pytest.mark.parametrize(
    ("page", "picture"), [((595, 842), (724, 1024)), ((14_400, 7_200), (1024, 512))]
)
def test_first_page_is_a_bounded_picture(page, picture):
    with Image.open(io.BytesIO(drawn(a_pdf(*page)))) as image:
        assert (image.format, image.size) == ("JPEG", picture)


def test_first_page_of_what_is_broken_or_too_large_is_not_drawn(monkeypatch):
    with pytest.raises(first_page.NotDrawn, match="ended with"):
        drawn(BROKEN)
    monkeypatch.setattr(first_page, "MOST_BYTES", 10)
    with pytest.raises(first_page.NotDrawn, match="too large"):
        drawn(a_pdf())


def test_first_pages_that_come_together_are_drawn_one_after_the_other(monkeypatch):
    run, under_way, together = subprocess.run, [], []

    def watched(*args, **facts):
        under_way.append(args)
        together.append(len(under_way))
        try:
            return run(*args, **facts)
        finally:
            under_way.pop()

    monkeypatch.setattr(subprocess, "run", watched)
    with ThreadPoolExecutor(4) as pool:
        pictures = list(pool.map(drawn, [a_pdf()] * 4))

    assert all(pictures)
    assert together == [1, 1, 1, 1]


def test_first_page_gives_up_its_turn_where_others_take_too_long(monkeypatch):
    monkeypatch.setattr(first_page, "_SECONDS", 0.001)

    with first_page._turn, pytest.raises(first_page.NotDrawn, match="too many"):
        drawn(a_pdf())


def test_first_page_that_takes_too_long_is_given_up(monkeypatch):
    monkeypatch.setattr(first_page, "_SECONDS", 0.001)

    with pytest.raises(first_page.NotDrawn, match="took too long"):
        drawn(a_pdf())


def test_conversation_shows_a_pdfs_first_page(browser, tenant, conversation, source):
    with context.entered(tenant):
        file = fetched(conversation, source, a_pdf(), kind=Kind.DOCUMENT, file_name="Devis.pdf")

    page = browser.get(f"/inbox/{conversation.pk}/pane/").content.decode()
    link = browser.get(f"/files/{file.pk}/?preview")["Location"]
    picture, whole = browser.get(link), content_of(browser, file)

    assert f'class="leaf" src="/files/{file.pk}/?preview" alt="Première page"' in page
    assert picture["Content-Type"] == "image/jpeg"
    assert body_of(picture).startswith(b"\xff\xd8\xff")
    assert body_of(whole).startswith(b"%PDF")
    assert whole["Content-Type"] == "application/pdf"


def test_pdf_that_cannot_be_drawn_opens_by_its_name(browser, tenant, conversation, source):
    with context.entered(tenant):
        file = fetched(conversation, source, BROKEN, kind=Kind.DOCUMENT, file_name="Devis.pdf")

    page = browser.get(f"/inbox/{conversation.pk}/pane/").content.decode()

    assert (file.display, file.preview_path) == ("pdf", "")
    assert "leaf" not in page and "Devis.pdf" in page


def test_first_page_leaves_with_its_message(tenant, conversation, source):
    with context.entered(tenant):
        file = fetched(conversation, source, a_pdf(), kind=Kind.DOCUMENT)
        erasing.bury(file.message, timezone.now())
        [job] = ordered("discard_files")
        media.discard(job["paths"])

    assert not default_storage.exists(file.path)
    assert not default_storage.exists(file.preview_path)
