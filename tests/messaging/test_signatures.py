"""Signatures are made once and compared safely, whatever a caller sends."""

import pytest

from messaging.providers.signatures import hmac_sha256_hex, same


def test_hmac_sha256_hex_matches_the_published_vector():
    # RFC 4231, test case 2.
    digest = hmac_sha256_hex("Jefe", b"what do ya want for nothing?")

    assert digest == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"


@pytest.mark.parametrize("secret", ["s3cret", "clé d'été", "\udcff"])
def test_same_accepts_what_is_expected(secret):
    assert same(secret, secret) is True


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", ""),
        ("anything", ""),
        ("", "s3cret"),
        ("s3cre", "s3cret"),
        ("S3CRET", "s3cret"),
        ("é", "s3cret"),
        ("\udcff\ud800", "s3cret"),
        ("\x00", "s3cret"),
    ],
)
def test_same_refuses_everything_else(given, expected):
    assert same(given, expected) is False
