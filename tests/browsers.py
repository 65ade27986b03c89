"""A real Chromium for what a person clicks, and what it complained about."""

import os
import shutil
from contextlib import contextmanager

from playwright.sync_api import Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
HOW_TO_GET = "install Chromium (Debian: apt-get install chromium)"
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def executable() -> str | None:
    """Where this machine's Chromium is; None where it has none."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


def are_required() -> bool:
    """Whether a run without a browser counts as failed."""
    return os.environ.get("AMDA_BROWSER_TESTS") == "required"


@contextmanager
def chromium():
    """A browser that is closed at the end."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


def listen(page: Page) -> list[str]:
    """Everything the page complains about from now on: console errors, exceptions, CSP."""
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(f"exception: {error}"))
    page.on(
        "console",
        lambda message: (
            complaints.append(f"{message.type}: {message.text}")
            if message.type in ("error", "warning")
            else None
        ),
    )
    return complaints
