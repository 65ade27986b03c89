"""The registry: which adapters there are. Adding a provider adds one line here."""

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from messaging.providers.base import Provider

REGISTRY = {
    "wasender": "messaging.providers.wasender:Wasender",
    "whatsapp_cloud": "messaging.providers.whatsapp_cloud:WhatsAppCloud",
    "greenapi": "messaging.providers.greenapi:GreenApi",
    "unipile": "messaging.providers.unipile:Unipile",
    "twilio": "messaging.providers.twilio:Twilio",
    "smtp": "messaging.providers.smtp:Smtp",
}


class UnknownProvider(LookupError):
    """No adapter has this slug."""


@cache
def get(slug: str) -> "Provider":
    """The adapter of a provider, by its slug."""
    if slug not in REGISTRY:
        raise UnknownProvider(slug)
    module, name = REGISTRY[slug].split(":")
    return getattr(import_module(module), name)()


def every() -> "list[Provider]":
    """All adapters, in the order of the registry."""
    return [get(slug) for slug in REGISTRY]
