"""Screens as everybody sees and hears them: axe finds nothing, and the documentation's pictures.

`AMDA_SCREENSHOTS=docs/screenshots` puts the pictures where the documentation shows them.
"""

import os
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.processes import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.processes]

SOON = 30_000
AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text()
# What the guidelines of the European directive ask for, and good practice beside them.
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
WIDTHS = {"desktop": (1280, 800), "phone": (390, 844)}
SCREENS = ("sign-in", "inbox", "conversation", "search", "leads", "lead", "mentions", "preferences",
           "today", "dashboard", "fold", "act", "team", "figures", "rules")  # fmt: skip
LANGUAGES = ("fr", "en")
DOCS = ROOT / "docs" / "screenshots"
PLANT = """
from tests.e2e import scene
scene.plant('demo')
scene.watch('demo')
"""
# Addresses that only a link has, as the mails have them.
LINKS = """
from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from django.urls import reverse
from tenants import context, directory
from tenants.accounts import invitations, new_email
from tenants.accounts.models import Role, User
with context.entered(directory.tenant_of_slug('demo')):
    owner = User.objects.filter(role=Role.OWNER).first()
    invited = invitations.invite('nouvelle@demo.example', Role.AGENT, by=owner)
    reset = (user_pk_to_url_str(owner), default_token_generator.make_token(owner))
    urls = 'amda.urls_tenant'
    print(reverse('join', urls, [invitations.key_of(invited)]))
    new = new_email.key_for(owner, 'autre@demo.example')
    print(reverse('account_email_confirm', urls, [new]))
    print(reverse('account_reset_password_from_key', urls, reset))
"""
# Screens that an address alone brings up.
ADDRESSES = {
    "leads": "leads/",
    "mentions": "mentions/",
    "preferences": "preferences/",
    "today": "today/",
    "dashboard": "dashboard/",
    "act": "dashboard/",
    "fold": "alerts/folds/?type=NoContact7d&fold=never",
    "team": "alerts/team/",
    "figures": "alerts/figures/",
    "rules": "alerts/rules/",
}
# Pages of settings and of one's own account, which the documentation shows no picture of.
PLAINER = (
    "accounts/password/reset/", "accounts/password/reset/done/", "messages/events/",
    "messages/arrived/",
    "leads/unknown/", "numbers/", "settings/", "settings/hours/", "settings/retention/",
    "settings/roles/", "settings/audit/", "settings/stages/", "settings/tags/",
    "settings/replies/", "settings/crm/", "team/", "billing/", "billing/plans/", "billing/usage/",
    "accounts/", "accounts/sessions/", "accounts/second-step/",
    "accounts/password/change/",
)  # fmt: skip


# Pages of one's own account that ask once more who one is.
GUARDED = (
    "accounts/email/",
    "accounts/second-step/totp/activate/",
    "accounts/second-step/webauthn/add/",
    "accounts/second-step/recovery-codes/generate/",
)


@pytest.fixture(scope="module")
def shop(product):
    """The product with a morning's conversations in it."""
    product.manage("shell", "--no-imports", "-c", PLANT)
    return product


@pytest.fixture(scope="module", params=LANGUAGES)
def language(request, shop) -> str:
    """The language its owner has chosen."""
    chosen = f"User.objects.filter(email='{shop.email}').update(language='{request.param}')"
    code = f"""
from tenants import context, directory
from tenants.accounts.models import User
with context.entered(directory.tenant_of_slug('demo')):
    {chosen}
"""
    shop.manage("shell", "--no-imports", "-c", code)
    return request.param


@pytest.fixture(scope="module", params=WIDTHS)
def screen(request, shop, language, chromium) -> Page:
    """A signed-in page of this width, in this language; `.shape` says which width."""
    context = _context(chromium, shop, language, request.param)
    page = context.new_page()
    page.goto(shop.inbox)
    page.fill("input[name=login]", shop.email)
    page.fill("input[name=password]", shop.password)
    page.keyboard.press("Enter")
    expect(page.locator("body")).to_have_attribute("data-live", "live", timeout=SOON)
    page.shape = request.param
    yield page
    context.close()


def _context(chromium: Browser, shop, language: str, shape: str):
    width, height = WIDTHS[shape]
    context = chromium.new_context(
        locale=f"{language}-FR",
        viewport={"width": width, "height": height},
        reduced_motion="reduce",
    )
    context.set_default_timeout(SOON)
    context.add_cookies([{"name": "amda_language", "value": language, "url": shop.inbox}])
    return context


def go(page: Page, shop, name: str) -> None:
    """Bring a screen up, as clicks would."""
    if name in ADDRESSES:
        page.goto(shop.inbox + ADDRESSES[name])
    elif name == "lead":
        page.goto(f"{shop.inbox}leads/")
        page.locator("#lead-list a.row", has_text="Aïssatou").first.click()
    elif name == "search":
        page.goto(f"{shop.inbox}?q=livraison")
        expect(page.locator("[data-found]").first).to_be_visible()
    else:
        page.goto(shop.inbox)
        expect(page.locator("[data-conversation]").first).to_be_visible()
    if name == "conversation":
        page.locator("[data-conversation]", has_text="Aïssatou").first.click()
        expect(page.locator("#messages [data-message]").first).to_be_visible()
    expect(page.locator("body")).to_have_attribute("data-live", "live")
    if name == "act":
        page.locator(".alert-card", has_text="Demande une remise").locator("[data-dialog]").click()
        expect(page.locator("#dialog form.dialog-body")).to_be_visible()
    if name == "lead":
        expect(page.locator("#lead-history")).to_be_visible()


def lit(page: Page, language: str) -> Page:
    """The page in the light it is looked at in: French by day, English in the dark."""
    page.emulate_media(color_scheme="dark" if language == "en" else "light")
    return page


def violations(page: Page) -> list[str]:
    """What axe finds wrong, a line each: the rule, and where."""
    page.evaluate(AXE)
    found = page.evaluate("tags => axe.run(document, {runOnly: tags})", TAGS)["violations"]
    return [f"{each['id']}: {node['html'][:160]}" for each in found for node in each["nodes"]]


def picture(page: Page, tmp_path: Path, name: str) -> Path:
    """Take a screen's picture, for the documentation where it is wanted there."""
    folder = Path(os.environ.get("AMDA_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.png"
    page.screenshot(path=path, animations="disabled")
    return path


@pytest.mark.parametrize("name", SCREENS[1:])
def test_screen_has_no_fault_and_a_picture(screen, shop, language, tmp_path, name):
    go(screen, shop, name)
    expect(screen.locator(".skeleton:visible")).to_have_count(0)

    taken = picture(screen, tmp_path, f"{name}-{screen.shape}-{language}")

    assert violations(lit(screen, language)) == []
    assert screen.locator("html").get_attribute("lang") == language
    assert taken.stat().st_size > 5_000
    lit(screen, "fr")


@pytest.mark.parametrize(
    ("language", "screen"), [("fr", "desktop"), ("en", "phone")], indirect=True
)
@pytest.mark.parametrize("address", PLAINER)
def test_plainer_page_has_no_fault_and_fits_its_screen(screen, shop, language, tmp_path, address):
    answered = lit(screen, language).goto(shop.inbox + address)

    screen.screenshot(path=tmp_path / "page.png", animations="disabled")

    assert answered.ok
    assert screen.url == shop.inbox + address
    assert violations(screen) == []
    assert screen.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(
    ("language", "screen"), [("fr", "desktop"), ("en", "phone")], indirect=True
)
def test_guarded_pages_and_what_guards_them_have_no_fault(screen, shop, language):
    found = {}
    lit(screen, language).goto(shop.inbox + GUARDED[0])
    assert "/accounts/reauthenticate/" in screen.url
    found["the guard"] = violations(screen)
    screen.fill("input[name=password]", shop.password)
    screen.keyboard.press("Enter")
    screen.wait_for_url(shop.inbox + GUARDED[0])

    for address in GUARDED:
        screen.goto(shop.inbox + address)
        found[address] = violations(screen)
        assert screen.url == shop.inbox + address
        assert screen.evaluate("document.documentElement.scrollWidth <= innerWidth")

    assert {address: wrong for address, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize("shape", WIDTHS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_sign_in_has_no_fault_and_a_picture(shop, chromium, tmp_path, language, shape):
    context = _context(chromium, shop, language, shape)
    page = context.new_page()
    page.goto(shop.inbox)

    picture(page, tmp_path, f"sign-in-{shape}-{language}")

    assert violations(lit(page, language)) == []
    assert page.locator("html").get_attribute("lang") == language
    context.close()


@pytest.mark.parametrize("screen", ["desktop"], indirect=True)
@pytest.mark.parametrize("dialog", ["?", "f", "w", "a", "x", "n"])
def test_what_opens_by_a_key_has_no_fault(screen, shop, language, dialog):
    go(lit(screen, language), shop, "conversation")

    screen.keyboard.press(dialog)

    opened = {"?": "#help[open]", "x": "#picked", "n": "#note-form"}
    expect(screen.locator(opened.get(dialog, "#dialog[open]"))).to_be_visible()
    assert violations(screen) == []


@pytest.mark.parametrize(
    ("language", "screen"), [("fr", "phone"), ("en", "desktop")], indirect=True
)
def test_merging_is_looked_for_and_previewed_without_fault(screen, shop, language):
    go(lit(screen, language), shop, "lead")
    merging = f"{screen.url.split('?')[0]}merge/"
    found = []

    screen.goto(f"{merging}?q=Camille")
    found += violations(screen)
    screen.locator("main a[href*='other=']").first.click()
    expect(screen.locator("main form[method=post]").first).to_be_visible()
    found += violations(screen)

    assert found == []


def test_pages_behind_a_link_have_no_fault(shop, chromium):
    links = shop.manage("shell", "--no-imports", "-c", LINKS).split()
    found = {}

    for language, shape in zip(LANGUAGES, WIDTHS, strict=True):
        context = _context(chromium, shop, language, shape)
        page = context.new_page()
        for link in [*links, "/accounts/join/over/"]:
            lit(page, language).goto(shop.inbox.rstrip("/") + link)
            found[language, link] = violations(page)
        context.close()

    assert len(links) == 3
    assert {link: wrong for link, wrong in found.items() if wrong} == {}


def test_documentation_has_every_picture():
    wanted = {
        f"{name}-{shape}-{each}.png" for name in SCREENS for shape in WIDTHS for each in LANGUAGES
    }

    assert wanted - {path.name for path in DOCS.glob("*.png")} == set()
