"""A failure says what to do about it, in the reader's language, whichever provider told it."""

import pytest
from django.utils import translation

from messaging.models import Message
from messaging.providers import get as provider_of
from messaging.providers.base import Blame
from messaging.templatetags import connections, saying
from tenants.models import ProviderInstance

UNOFFICIAL = ("wasender", "greenapi", "unipile")


def advised(language: str, provider: str, code: str, blame: Blame = Blame.PROVIDER) -> str:
    with translation.override(language):
        return str(
            saying.why_failed(Message(provider=provider, error_code=code, error_blame=blame))
        )


@pytest.mark.parametrize("provider", UNOFFICIAL)
@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("unauthorized", "key"),
        ("payment_required", "plan"),
        ("not_connected", "Link it again"),
        ("recipient", "no such number"),
        ("too_large", "smaller"),
        ("rate_limited", "few minutes"),
        ("unsupported_kind", "kind"),
    ],
)
def test_codes_that_adapters_share_say_what_to_do(provider, code, said):
    english, french = advised("en", provider, code), advised("fr", provider, code)

    assert said in english
    assert french not in ("", english)


@pytest.mark.parametrize(
    ("provider", "code", "said"),
    [
        ("greenapi", "noAccount", "no such number"),
        ("greenapi", "notInGroup", "group"),
        ("greenapi", "yellowCard", "warned"),
        ("wasender", "to", "no such number"),
        ("wasender", "imageUrl", "file"),
    ],
)
def test_codes_of_one_provider_say_what_to_do(provider, code, said):
    assert said in advised("en", provider, code)


def test_a_code_that_nobody_knows_says_whose_fault_it_is():
    said = advised("en", "wasender", "463", Blame.RECIPIENT)

    assert said == "This recipient cannot be reached at this address."
    assert "463" not in provider_of("wasender").advice


@pytest.mark.parametrize(
    ("state", "reason", "said"),
    [
        ("pending", "need_scan", "waits to be scanned"),
        ("disconnected", "logged_out", "unlinked"),
        ("disconnected", "unauthorized", "refuses its key"),
        ("pending", "ConnectError", "cannot be reached (ConnectError)"),
        ("connected", "ReadTimeout", "cannot be reached (ReadTimeout)"),
        ("blocked", "banned", "says: banned"),
    ],
)
def test_a_number_that_is_away_says_why(state, reason, said):
    number = ProviderInstance(provider="wasender", state=state, state_reason=reason)

    with translation.override("en"):
        assert said in connections.why_away(number)


@pytest.mark.parametrize(
    ("provider", "said"),
    [
        ("greenapi", "read from Green-API"),
        ("twilio", "read from Twilio"),
        ("wasender", "WasenderAPI keeps no list"),
        ("unipile", "Unipile keeps no list"),
        ("smtp", "Only sends"),
    ],
)
def test_each_provider_says_what_becomes_of_missed_messages(provider, said):
    with translation.override("en"):
        assert said in connections.after_a_gap(ProviderInstance(provider=provider))
