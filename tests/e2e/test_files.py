"""Files in the composer: chosen, pasted, dropped; their progress, their preview, their removal."""

import io
import re

import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect

pytestmark = [pytest.mark.browser, pytest.mark.processes]

SOON = 15_000
TEXT = {"name": "devis.txt", "mimeType": "text/plain", "buffer": b"12 chaises"}
# Hands a file to the page as the system's clipboard or a drag would.
HAND_OVER = """
([kind, target, name, type, bytes]) => {
  const data = new DataTransfer();
  data.items.add(new File([new Uint8Array(bytes)], name, { type }));
  const facts = { bubbles: true, cancelable: true };
  const event = kind === "paste"
    ? new ClipboardEvent("paste", { ...facts, clipboardData: data })
    : new DragEvent(kind, { ...facts, dataTransfer: data });
  document.querySelector(target).dispatchEvent(event);
}
"""


def picture() -> bytes:
    """A small red square."""
    held = io.BytesIO()
    Image.new("RGB", (40, 40), "red").save(held, "PNG")
    return held.getvalue()


@pytest.fixture
def opened(product, inbox) -> Page:
    """A conversation with a composer."""
    product.manage(
        "shell", "--no-imports", "-c", "from tests.e2e import scene; scene.plant('demo')"
    )
    inbox.reload()
    expect(inbox.locator("body")).to_have_attribute("data-live", "live", timeout=SOON)
    inbox.locator("[data-conversation]", has_text="Hugo").first.click()
    expect(inbox.locator("#composer")).to_be_visible(timeout=SOON)
    return inbox


def hand_over(page: Page, kind: str, target: str, name: str, mime: str, content: bytes) -> None:
    page.evaluate(HAND_OVER, [kind, target, name, mime, list(content)])


def uploads(page: Page):
    return page.locator("#uploads .upload")


def test_chosen_file_is_uploaded_and_sent_with_the_words(opened):
    opened.set_input_files("#composer-file", TEXT)
    expect(uploads(opened)).to_have_count(1)
    expect(uploads(opened).locator("progress")).to_be_hidden(timeout=SOON)

    opened.fill("#composer-text", "Voici le devis")
    opened.keyboard.press("Enter")

    sent = opened.locator("#messages [data-message]").last
    expect(sent).to_contain_text("Voici le devis", timeout=SOON)
    expect(sent).to_contain_text("devis.txt")
    expect(uploads(opened)).to_have_count(0)


def test_pasted_picture_shows_a_preview_and_can_be_removed(opened):
    hand_over(opened, "paste", "#composer-text", "photo.png", "image/png", picture())

    expect(uploads(opened).locator("img")).to_have_attribute("src", re.compile("^blob:"))
    expect(uploads(opened).locator("progress")).to_be_hidden(timeout=SOON)
    uploads(opened).locator("[data-remove-upload]").click()
    expect(uploads(opened)).to_have_count(0)
    assert opened.complaints == []


def test_dropped_file_shows_where_it_falls_and_its_progress(opened):
    held: list[Route] = []
    opened.route(re.compile(r"/inbox/\d+/files/"), lambda route: held.append(route))

    hand_over(opened, "dragover", "#pane", "plan.txt", "text/plain", b"plan")
    expect(opened.locator("#pane")).to_have_class(re.compile("dropping"))
    hand_over(opened, "drop", "#pane", "plan.txt", "text/plain", b"plan")

    expect(opened.locator("#pane")).not_to_have_class(re.compile("dropping"))
    expect(uploads(opened).locator("progress")).to_be_visible()
    opened.keyboard.press("Enter")
    expect(opened.locator("#composer-problem .problem")).to_be_visible()
    held[0].continue_()
    expect(uploads(opened).locator("progress")).to_be_hidden(timeout=SOON)


def test_upload_that_fails_is_tried_again(opened):
    opened.route(re.compile(r"/inbox/\d+/files/"), lambda route: route.abort())
    opened.set_input_files("#composer-file", TEXT)
    expect(uploads(opened).locator("[role=alert]")).to_be_visible(timeout=SOON)

    opened.unroute_all()
    uploads(opened).locator("[data-retry-upload]").click()

    expect(uploads(opened).locator("[role=alert]")).to_be_hidden(timeout=SOON)
    expect(uploads(opened).locator("progress")).to_be_hidden(timeout=SOON)


def test_file_that_is_too_large_is_refused_before_it_travels(opened):
    opened.evaluate("document.getElementById('composer-file').dataset.most = '5'")

    opened.set_input_files("#composer-file", TEXT)

    expect(uploads(opened).locator("[role=alert]")).to_be_visible()
    expect(uploads(opened).locator("[data-retry-upload]")).to_be_hidden()
