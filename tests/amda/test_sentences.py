"""No sentence is left out of the catalogues, and no page speaks two languages."""

import re
from collections.abc import Callable
from html.parser import HTMLParser

import polib
import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from django.conf import settings
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from django.utils.translation import get_language_info

from messaging import canned, merging, noting, pipeline, tagging
from tenants import context
from tenants.accounts.models import Role, User
from tests import factories, walking
from tests.conftest import host_of, user_of

FRENCH = settings.BASE_DIR / "locale" / "fr" / "LC_MESSAGES" / "django.po"
# Texts of our own templates that are the same in every language: names and keys.
EVERYWHERE = {"AMDA", "PDF", "PDF ·", "Esc"}
# A language is offered under its own name.
LANGUAGES = {get_language_info(code)["name_local"].capitalize() for code, _ in settings.LANGUAGES}
# Attributes whose text a person reads or hears.
READ_ALOUD = {"aria-label", "title", "placeholder", "alt"}
TAGS = re.compile(r"{%.*?%}|{{.*?}}|{#.*?#}", re.DOTALL)
BLOCKS = re.compile(r"{% *(blocktrans(?:late)?|comment)\b.*?%}.*?{% *end\1 *%}", re.DOTALL)
# In scripts: a string with a space between two words that is no selector, address or code.
SENTENCE = re.compile(r"""(["'`])([A-ZÀ-Ý][a-zà-ÿ']+(?: [\wà-ÿ’']+){1,}[.…!?]?)\1""")


class Texts(HTMLParser):
    """What a page says: its texts, and the attributes that are read aloud."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag, attrs):
        self._silent += tag in ("script", "style", "kbd")
        facts = dict(attrs)
        self.said += [facts[name] for name in READ_ALOUD & set(facts) if facts[name]]
        # What scripts say; a value without a space is a word between programs.
        told = [value for name, value in attrs if name.startswith("data-") and value]
        self.said += [value for value in told if " " in value]

    def handle_endtag(self, tag):
        self._silent -= tag in ("script", "style", "kbd")

    def handle_data(self, data):
        if not self._silent:
            self.said.append(data)


def texts_of(page: str) -> set[str]:
    """The texts of a page, white space made even."""
    parser = Texts()
    parser.feed(page)
    return {" ".join(text.split()) for text in parser.said} - {""}


def templates():
    return sorted((settings.BASE_DIR / "templates").rglob("*.html"))


@pytest.mark.parametrize("path", templates(), ids=lambda path: path.stem)
def test_template_says_nothing_untranslated(path):
    source = BLOCKS.sub(" ", path.read_text())
    parser = Texts()
    # What stands in a tag of Django's is translated, or no text at all.
    parser.feed(TAGS.sub(" ", source))
    plain = {" ".join(text.split()) for text in parser.said}

    said = {text for text in plain if re.search(r"[^\W\d_]{3,}", text) and " " in text}

    assert {text for text in said if _is_sentence(text)} - EVERYWHERE == set()


def _is_sentence(text: str) -> bool:
    return bool(re.fullmatch(r"[A-ZÀ-Ý][^<>{}=/]*[a-zà-ÿ.…!?]", text)) and "amda" not in text


@pytest.mark.parametrize(
    "path", sorted((settings.BASE_DIR / "static" / "js").glob("*.js")), ids=lambda path: path.stem
)
def test_script_says_nothing_of_its_own(path):
    code = re.sub(r"^\s*(//|\*|/\*\*).*$", "", path.read_text(), flags=re.MULTILINE)

    assert [match[1] for match in SENTENCE.findall(code)] == []


def test_english_sentences_are_english():
    accented = [
        entry.msgid for entry in polib.pofile(str(FRENCH)) if re.search("[éèêàçùœ]", entry.msgid)
    ]

    assert accented == []


# What an address without parameters does not show: what was looked for, and what is nowhere.
ASKED = ["/?q=bonjour", "/?view=closed", "/?unread=1&person={user}", "/leads/?q=zzz", "/nowhere/"]


EVERYBODYS = {"/", "/leads/", "/mentions/", "/preferences/", "/today/", "/dashboard/", "/accounts/"}
SETTINGS = EVERYBODYS | {
    "/accounts/second-step/recovery-codes/",
    "/accounts/second-step/totp/activate/",
    "/alerts/rules/",
    "/billing/",
    "/leads/unknown/",
    "/messages/arrived/",
    "/messages/events/",
    "/numbers/",
    "/settings/",
    "/settings/audit/",
    "/settings/replies/",
    "/settings/roles/",
    "/team/",
}


@pytest.mark.django_db
@pytest.mark.parametrize("role", [Role.OWNER, Role.AGENT])
@pytest.mark.parametrize("language", ["fr", "en"])
def test_page_speaks_one_language(tenant, role, language):
    cache.clear()
    user = user_of(tenant, role)
    with context.entered(tenant):
        User.objects.filter(pk=user.pk).update(language=language)
    ids = _planted(tenant, user)
    signed_in = walking.session_of(tenant, user)
    put_back = walking.kept(signed_in, tenant)
    client = Client(headers={"host": host_of(tenant), "cookie": walking.cookie(signed_in)})
    others = _of_the_other(language)
    shown, mixed = set(), {}

    for address in [*_addresses(ids), *(each.format(**ids) for each in ASKED)]:
        put_back()
        answer = client.get(address)
        if answer.headers.get("Content-Type", "").startswith("text/html"):
            shown.add((address, answer.status_code))
            mixed[address] = others(texts_of(answer.content.decode()))

    assert {address: said for address, said in mixed.items() if said} == {}
    pages = {address for address, status in shown if status == 200}
    wanted = SETTINGS if role == Role.OWNER else EVERYBODYS
    assert wanted <= pages, wanted - pages


def _planted(tenant, user) -> dict[str, int]:
    """A conversation with what stands around one, and their ids; no word of it is a sentence."""
    with context.entered(tenant):
        conversation = factories.make_conversation(tenant, name="Qqq", text="Www zzz")
        message = conversation.messages.get()
        other = factories.make_lead("Ppp", "+221701111119")
        note = noting.write(conversation, "Www", by=user, named=[user], now=timezone.now())
        reply = canned.add("qqq", "Www", by=user)
        tag = tagging.add("Qqq", by=user)
        stage = pipeline.first_stage()
        passkey = factories.make_passkey(user, "Qqq")
        RecoveryCodes.activate(user)
        record = merging.merge(factories.make_lead("Rrr", "+221701111118"), other, by=user)
    return {
        "authenticator": passkey.pk,
        "conversation": conversation.pk,
        "instance": conversation.instance_id,
        "lead": conversation.lead_id,
        "merge": record.pk,
        "message": message.pk,
        "reply": reply.pk,
        "stage": stage.pk,
        "tag": tag.pk,
        "team_note": note.pk,
        "user": user.pk,
    }


def _addresses(ids: dict[str, int]) -> list[str]:
    """Every page of a tenant's host, as far as there is something to show on it."""
    found = [
        route.address(ids)
        for route in walking.routes(walking.TENANT)
        if "GET" in route.methods and not route.is_api
        if {each.kind for each in route.parameters} <= set(ids)
    ]
    return sorted(set(found))


@pytest.mark.django_db
@pytest.mark.parametrize(("spoken", "read"), [("fr", "en"), ("en", "fr")])
def test_page_of_the_other_language_is_noticed(client_for, tenant, spoken, read):
    client = client_for(tenant)
    client.cookies["amda_language"] = spoken

    page = client.get("/accounts/login/").content.decode()

    assert len(_of_the_other(read)(texts_of(page))) > 3


@pytest.mark.django_db
@pytest.mark.parametrize("language", ["fr", "en"])
def test_sign_in_speaks_one_language(client_for, tenant, language):
    client = client_for(tenant)
    client.cookies["amda_language"] = language

    page = client.get("/accounts/login/").content.decode()

    assert _of_the_other(language)(texts_of(page)) == set()


def _of_the_other(language: str) -> Callable[[set[str]], set[str]]:
    """What among texts is a sentence that this language writes otherwise."""
    pairs = [
        pair
        for entry in polib.pofile(str(FRENCH))
        for pair in [
            (entry.msgid, entry.msgstr_plural.get(0, entry.msgstr)),
            (entry.msgid_plural, entry.msgstr_plural.get(1, "")),
        ]
        if pair[0] != pair[1]
    ]
    english, french = ({_pattern(pair[side]) for pair in pairs} for side in (0, 1))
    ours, others = (french, english) if language == "fr" else (english, french)
    asked = re.compile("|".join(sorted(others - ours - {"", *map(re.escape, LANGUAGES)})))
    known = re.compile("|".join(sorted(ours - {""})))
    return lambda said: {
        text for text in said if asked.fullmatch(text) and not known.fullmatch(text)
    }


def _pattern(text: str) -> str:
    """A sentence as it stands on a page, anything in its places; "" where no word is its own."""
    plain = TAGS.sub("", re.sub("<[^>]*>", "", text))
    parts = re.split(r"%\(\w+\)[sd]|%[sd]|\{\w*\}", plain)
    if len(parts) > 1 and not any(re.search(r"[^\W\d_]{4,}", part) for part in parts):
        return ""
    return ".+".join(re.escape(part.replace("%%", "%")) for part in parts)
