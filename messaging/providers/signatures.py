"""Signatures of webhooks: made and compared the same way by every provider.

Kept free of Django, so that programs that only speak a provider's protocol can use it too.
"""

import hashlib
import hmac


def hmac_sha256_hex(secret: str, body: bytes) -> str:
    """The HMAC-SHA256 of the raw body under the secret, as lower-case hexadecimal."""
    return hmac.new(_to_bytes(secret), body, hashlib.sha256).hexdigest()


def same(given: str, expected: str) -> bool:
    """Whether what a caller presented is what we expected, in time that tells nothing.

    False whenever nothing is expected: an installation without a secret must refuse, not accept
    everybody. Never raises, whatever characters the caller sent.
    """
    if not expected:
        return False
    return hmac.compare_digest(_to_bytes(given), _to_bytes(expected))


def _to_bytes(text: str) -> bytes:
    # Header values may decode to lone surrogates, which plain UTF-8 refuses to encode.
    return text.encode("utf-8", "surrogatepass")
