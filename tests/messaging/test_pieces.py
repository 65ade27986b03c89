"""Small things that stand in many places of a page."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone, translation

from messaging.models import Conversation, Lead
from messaging.templatetags import pieces

LONG_AGO = datetime(2020, 11, 3, 23, 30, tzinfo=UTC)


@pytest.mark.parametrize(("language", "words"), [("fr", "3 nov. 2020"), ("en", "Nov 3, 2020")])
def test_when_is_said_in_the_readers_language_whoever_asked_before(language, words):
    with translation.override("en" if language == "fr" else "fr"):
        pieces.when(LONG_AGO)

    with translation.override(language), timezone.override("Africa/Dakar"):
        drawn = pieces.when(LONG_AGO)

    assert f">{words}</time>" in drawn
    assert 'datetime="2020-11-03T23:30:00+00:00"' in drawn


def test_when_is_said_in_the_tenants_time_zone_whoever_asked_before():
    with timezone.override("Africa/Dakar"):
        at_home = pieces.when(LONG_AGO), pieces.at_time(LONG_AGO)
    with timezone.override("Europe/Paris"):
        abroad = pieces.when(LONG_AGO), pieces.at_time(LONG_AGO)

    assert ("3 nov." in at_home[0], "4 nov." in abroad[0]) == (True, True)
    assert (">23:30<" in at_home[1], ">00:30<" in abroad[1]) == (True, True)


def test_when_counts_on_within_a_day():
    assert ">il y a 5 min<" in pieces.when(timezone.now() - timedelta(minutes=5, seconds=1))
    assert ">il y a 6 min<" in pieces.when(timezone.now() - timedelta(minutes=6, seconds=1))


def test_avatar_escapes_what_stands_in_a_name():
    assert ">&lt;" not in pieces.avatar("<b> &")
    assert ">AN</span>" in pieces.avatar("Aïssatou Ndiaye")
    assert "#person" in pieces.avatar("")
    assert "#group" in pieces.avatar("", "group")


def test_last_message_escapes_text_and_says_what_has_none():
    def drawn(kind: str, snippet: str) -> str:
        return pieces.last_message(
            Conversation(last_message_kind=kind, last_message_snippet=snippet)
        )

    assert "&lt;b&gt;" in drawn("text", "<b>")
    assert "Message sans texte" in drawn("text", "")
    assert "Message vocal" in drawn("voice", "")
    assert "Ma photo" in drawn("image", "Ma photo")
    assert "secret" not in drawn("deleted", "secret")


def test_tick_and_vip_mark_speak_each_readers_language():
    lead = Lead(is_vip=True)
    with translation.override("en"):
        english = pieces.tick("read"), pieces.vip_mark(lead)
    french = pieces.tick("read"), pieces.vip_mark(lead)

    assert 'title="Read"' in english[0] and 'title="Lu"' in french[0]
    assert english[1] != french[1]
    assert pieces.vip_mark(Lead()) == ""
