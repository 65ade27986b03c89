"""No sentence is left out of the catalogues, and no page speaks two languages."""

import re
from html.parser import HTMLParser

import polib
import pytest
from django.conf import settings
from django.utils.translation import get_language_info

from tenants import context
from tests import factories

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


PAGES = [
    "/",
    "/?q=bonjour",
    "/?view=closed",
    "/?unread=1&person={user}",
    "/inbox/{conversation}/",
    "/inbox/{conversation}/panel/",
    "/inbox/{conversation}/assignment/",
    "/inbox/filter/",
    "/inbox/several/assignment/",
    "/new/",
    "/leads/",
    "/leads/?q=zzz",
    "/leads/{lead}/",
    "/mentions/",
    "/preferences/",
    "/accounts/",
    "/nowhere/",
]


@pytest.mark.django_db
@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("language", ["fr", "en"])
def test_page_speaks_one_language(client_for, tenant, agent, path, language):
    with context.entered(tenant):
        type(agent).objects.filter(pk=agent.pk).update(language=language)
        conversation = factories.make_conversation(tenant, name="Qqq", text="Www zzz")
    ids = {"conversation": conversation.pk, "lead": conversation.lead_id, "user": agent.pk}

    page = client_for(tenant, agent).get(path.format(**ids)).content.decode()

    assert texts_of(page) & _said_only_in_the_other(language) == set()


@pytest.mark.django_db
@pytest.mark.parametrize("language", ["fr", "en"])
def test_sign_in_speaks_one_language(client_for, tenant, language):
    client = client_for(tenant)
    client.cookies["amda_language"] = language

    page = client.get("/accounts/login/").content.decode()

    assert texts_of(page) & _said_only_in_the_other(language) == set()


def _said_only_in_the_other(language: str) -> set[str]:
    """Whole sentences that this language writes otherwise."""
    pairs = [
        (entry.msgid, entry.msgstr)
        for entry in polib.pofile(str(FRENCH))
        if not entry.msgid_plural and entry.msgid != entry.msgstr
    ]
    english, french = ({pair[side] for pair in pairs} for side in (0, 1))
    ours, others = (french, english) if language == "fr" else (english, french)
    return others - ours - LANGUAGES
