"""Amounts as each language writes them; the smallest unit is the currency's own."""

import pytest
from django.utils import translation

from billing import money

# The spaces are the ones that do not break: wide before a sign, narrow between thousands.
CASES = [
    (199050, "EUR", "1\u202f990,50\xa0€", "€1,990.50"),
    (0, "eur", "0,00\xa0€", "€0.00"),
    (-1990, "USD", "-19,90\xa0$US", "-$19.90"),
    (12000, "XOF", "12\u202f000\xa0F\u202fCFA", "F\u202fCFA\xa012,000"),
    (12000, "XAF", "12\u202f000\xa0FCFA", "FCFA\xa012,000"),
    (12345, "TND", "12,345\xa0TND", "TND\xa012.345"),
    (500, "JPY", "500\xa0JPY", "¥500"),
    # No decimals in life, hundredths at Stripe.
    (10000, "UGX", "100,00\xa0UGX", "UGX\xa0100.00"),
]


@pytest.mark.parametrize(("amount", "currency", "french", "english"), CASES)
def test_amounts_are_shown_as_the_language_writes_them(amount, currency, french, english):
    with translation.override("fr"):
        assert money.shown(amount, currency) == french
    with translation.override("en"):
        assert money.shown(amount, currency) == english


@pytest.mark.parametrize(("currency", "digits"), [("xof", 0), ("XAF", 0), ("TND", 3), ("EUR", 2)])
def test_exponents(currency, digits):
    assert money.exponent(currency) == digits
