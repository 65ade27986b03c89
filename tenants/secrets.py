"""Encryption at rest: MultiFernet over the keys in FIELD_KEYS, the first one writes."""

import base64
import json
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class Unsealable(Exception):
    """The bytes were sealed with a key that FIELD_KEYS no longer lists, or are damaged."""


@lru_cache(maxsize=1)
def _ring(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def _fernet() -> MultiFernet:
    return _ring(tuple(settings.FIELD_KEYS))


def seal(plain: bytes) -> bytes:
    """Encrypt and authenticate bytes; the result is raw bytes, not base64."""
    return base64.urlsafe_b64decode(_fernet().encrypt(plain))


def unseal(sealed: bytes | memoryview) -> bytes:
    """The bytes that were sealed, or `Unsealable`."""
    try:
        return _fernet().decrypt(base64.urlsafe_b64encode(bytes(sealed)))
    except InvalidToken as exc:
        raise Unsealable("sealed with a key that FIELD_KEYS does not list") from exc


def reseal(sealed: bytes | memoryview) -> bytes:
    """The same content under the first key."""
    return base64.urlsafe_b64decode(_fernet().rotate(base64.urlsafe_b64encode(bytes(sealed))))


def seal_dict(values: dict[str, str]) -> bytes:
    """Seal a small mapping, such as an instance's secrets."""
    return seal(json.dumps(values, sort_keys=True).encode()) if values else b""


def unseal_dict(sealed: bytes | memoryview) -> dict[str, str]:
    """The mapping that was sealed; empty for no bytes."""
    return json.loads(unseal(sealed)) if sealed else {}
