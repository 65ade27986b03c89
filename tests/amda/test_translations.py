"""The French of what the code says, and that the command notices where there is none."""

import re
from copy import deepcopy

import polib
import pytest
from django.conf import settings
from django.utils import translation

from amda.management.commands import translations

FRENCH = settings.BASE_DIR / "locale" / "fr" / "LC_MESSAGES" / "django.po"


@pytest.fixture(scope="module")
def said():
    """What the code says: looking through all of it takes seconds."""
    return translations.found_in_code(settings.BASE_DIR)


def test_placeholders_survive_translation():
    for entry in polib.pofile(str(FRENCH)):
        wanted = set(placeholders_of(entry.msgid))
        texts = list(entry.msgstr_plural.values()) or [entry.msgstr]

        assert all(set(placeholders_of(text)) == wanted for text in texts), entry.msgid


def test_french_apostrophes_are_those_of_print():
    entries = polib.pofile(str(FRENCH))
    texts = [text for each in entries for text in (each.msgstr, *each.msgstr_plural.values())]

    assert [text for text in texts if re.search(r"[^\W\d_]'[^\W\d_]", text)] == []


def placeholders_of(text: str) -> list[str]:
    """The `%(name)s` and `{name}` parts of a sentence."""
    return re.findall(r"%\(\w+\)[sd]|\{\w+\}|<\w+>", text)


@pytest.fixture
def catalogue(tmp_path, settings):
    settings.LOCALE_PATHS = [tmp_path]
    folder = tmp_path / "fr" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    path = folder / "django.po"
    path.write_bytes(FRENCH.read_bytes())
    path.with_suffix(".mo").write_bytes(FRENCH.with_suffix(".mo").read_bytes())
    return path


def damage(path, change) -> None:
    """Change the catalogue and compile it, as somebody careless would."""
    po = polib.pofile(str(path), wrapwidth=96)
    change(po)
    po.save(str(path))
    path.with_suffix(".mo").write_bytes(po.to_binary())


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda po: po.remove(po.find("Retry")), "not extracted: 'Retry'"),
        (
            lambda po: po.append(polib.POEntry(msgid="Gone", msgstr="Parti")),
            "no longer used: 'Gone'",
        ),
        (lambda po: setattr(po.find("Retry"), "msgstr", ""), "not translated: 'Retry'"),
        (lambda po: po.find("Retry").flags.append("fuzzy"), "fuzzy: 'Retry'"),
    ],
)
def test_check_names_what_is_wrong(catalogue, said, change, complaint):
    damage(catalogue, change)

    assert complaint in translations.problems_of(catalogue, said)


def test_updating_keeps_what_was_translated(catalogue, said):
    damage(catalogue, lambda po: setattr(po.find("Retry"), "msgstr", "Encore"))

    assert translations.updated(catalogue, deepcopy(said)).find("Retry").msgstr == "Encore"


def test_french_is_what_people_read_first():
    with translation.override(settings.LANGUAGE_CODE):
        assert translation.gettext("Retry") == "Réessayer"
