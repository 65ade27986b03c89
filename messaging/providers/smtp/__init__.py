"""E-mail through the tenant's own server: it is sent, and nothing comes back here.

A server that took a mail says nothing more about it, so "sent" is as far as one gets.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext_lazy as _

from messaging.events import Event
from messaging.providers.base import (
    BadPayload,
    BadSignature,
    Blame,
    Candidate,
    Feature,
    Field,
    Hook,
    InstanceRef,
    InstanceState,
    Medium,
    Outgoing,
    Provider,
    Sent,
    Via,
)

from . import composing, outcomes, sending, settings

_NO_PATHS: Mapping[str, str] = {}


class Smtp(Provider):
    slug = "smtp"
    label = "SMTP"
    medium = Medium.EMAIL
    paths = _NO_PATHS
    supports = frozenset({Feature.MEDIA, Feature.SUBJECTS})
    # A mail server counts sign-ins.
    minutes_between_looks = 60
    address_field = "from_email"
    # In Base64 a file is a third longer; most servers take mails of ten megabytes at least.
    largest_file = 7 * 1024 * 1024
    longest_text = 20_000
    advice = outcomes.ADVICE
    fields = (
        Field("host", _("Mail server"), required=True, is_host=True),
        Field(
            "port",
            _("Port"),
            help=_("587 with STARTTLS, 465 with TLS, where nothing else is given."),
        ),
        Field(
            "security",
            _("Encryption"),
            default="starttls",
            choices=("starttls", "tls", "none"),
            help=_("Without encryption only a server on this machine is spoken to."),
        ),
        Field("user", _("User name")),
        Field("password", _("Password"), secret=True),
        Field(
            "from_email",
            _("Sender"),
            help=_("An address, or a name and an address: Shop <contact@shop.example>."),
        ),
        Field("reply_to", _("Answers go to")),
        Field("hourly_limit", _("Most mails in an hour")),
    )

    def complaints(self, values: Mapping[str, str]) -> Mapping[str, Any]:
        return settings.complaints(values)

    def external_id_of(self, outgoing: Outgoing, via: Via) -> str:
        """The Message-ID: made of our own reference, so that every attempt has the same."""
        return composing.message_id(outgoing, via)

    def blame_of(self, code: str) -> Blame:
        return outcomes.blame_of(code)

    def hourly_limit(self, via: Via) -> int | None:
        return settings.hourly_limit(via)

    def send(self, outgoing: Outgoing, via: Via) -> Sent:
        return sending.send(outgoing, via)

    def check(self, via: Via) -> InstanceState:
        return sending.check(via)

    def route(self, hook: Hook) -> list[InstanceRef]:
        return []

    def verify(self, hook: Hook, candidates: Sequence[Candidate]) -> list[Candidate]:
        raise BadSignature("nothing comes in")

    def parse(self, hook: Hook, reference: str) -> list[Event]:
        raise BadPayload("nothing comes in")
