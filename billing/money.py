"""Money: whole numbers in a currency's smallest unit, shown as a language writes them."""

import re
from decimal import Decimal

from babel import Locale
from babel.numbers import format_currency
from django.utils.translation import get_language

# How many digits of an amount at Stripe stand behind the decimal sign; all others have two.
# ISK and UGX have no decimals in life, but Stripe counts them in hundredths.
EXPONENTS = {
    **dict.fromkeys(
        (
            "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV",
            "XAF", "XOF", "XPF",
        ),
        0,
    ),
    **dict.fromkeys(("BHD", "JOD", "KWD", "OMR", "TND"), 3),
}  # fmt: skip

_LETTER_BEFORE_DIGIT = re.compile(r"(?<=[^\W\d_])(?=\d)")


def exponent(currency: str) -> int:
    """How many digits of an amount in this currency stand behind the decimal sign."""
    return EXPONENTS.get(currency.upper(), 2)


def as_decimal(amount: int, currency: str) -> Decimal:
    """The amount in the currency's own unit: 1990 in EUR is 19.90."""
    return Decimal(amount).scaleb(-exponent(currency))


def shown(amount: int, currency: str) -> str:
    """An amount in the reader's language: `19,90 €`, `€19.90`, `12 000 F CFA`."""
    locale = Locale.parse(get_language() or "fr", sep="-")
    digits = exponent(currency)
    fraction = f".{'0' * digits}" if digits else ""
    text = format_currency(
        as_decimal(amount, currency),
        currency.upper(),
        format=locale.currency_formats["standard"].pattern.replace(".00", fraction),
        locale=locale,
        currency_digits=False,
    )
    # The library leaves out the space that a symbol of letters needs before a digit.
    return _LETTER_BEFORE_DIGIT.sub("\xa0", text)
