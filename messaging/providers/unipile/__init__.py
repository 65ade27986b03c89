"""Unipile: an unofficial WhatsApp among other networks, one account per number.

v1 proves a post by a header that we choose, v2 (beta) signs it. Which of the two an instance speaks
is its own setting: a post in the other form is refused.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils.translation import gettext_lazy as _

from messaging.events import Event, Kind
from messaging.providers.advice import SHARED
from messaging.providers.base import (
    BadSignature,
    Candidate,
    Feature,
    Field,
    Hook,
    InstanceRef,
    InstanceState,
    Media,
    Medium,
    Outgoing,
    Provider,
    Sent,
    Via,
    WebhookState,
)
from messaging.providers.signatures import hmac_sha256_hex, same

from . import calls, files, instance, parsing, sending
from .posts import account_in

_SIGNATURE = re.compile(r"t=([0-9]{1,12}),\s*v0=([0-9a-fA-F]{64})", re.ASCII)


class Unipile(Provider):
    slug = "unipile"
    label = "Unipile"
    medium = Medium.WHATSAPP
    is_official = False
    paths = {"/api/webhooks/unipile/{vendor}": ""}
    supports = frozenset(
        {
            Feature.MEDIA,
            Feature.QUOTES,
            Feature.GROUPS,
            Feature.READ_RECEIPTS,
            Feature.HOSTED_LOGIN,
            Feature.SETS_WEBHOOK,
        }
    )
    fields = (
        Field("account_id", _("Account id"), required=True),
        Field("api_key", _("API key"), required=True, secret=True),
        Field("dsn", _("DSN"), help=_("The server of your Unipile, as api8.unipile.com:13443.")),
        Field(
            "webhook_secret",
            _("Webhook secret"),
            required=True,
            secret=True,
            help=_("v1: the value of the header Unipile-Auth. v2: the secret of the endpoint."),
        ),
        Field(
            "version",
            _("Version of the API"),
            default=calls.V1,
            choices=(calls.V1, calls.V2),
        ),
    )
    reference_field = "account_id"
    # What WhatsApp itself sends with words of their own; the others would lose them.
    without_caption = frozenset({Kind.AUDIO, Kind.VOICE, Kind.STICKER})

    advice = SHARED
    per_minute, per_day = 60, 1000
    waits_for_person = frozenset(
        {"credentials", "deleted", "remove", "creation_fail", "permissions", "paused"}
    )

    def complaints(self, values: Mapping[str, str]) -> Mapping[str, Any]:
        dsn = values.get("dsn", "")
        if dsn and not calls.is_dsn(dsn):
            return {"dsn": _("Give the server and its port, as api8.unipile.com:13443.")}
        if not dsn and values.get("version") != calls.V2:
            return {"dsn": _("This is required.")}
        return {}

    def route(self, hook: Hook) -> list[InstanceRef]:
        """The vendor of the URL; which of its accounts is meant, the body says."""
        return [InstanceRef(vendor=hook.vendor)] if hook.vendor else []

    def verify(self, hook: Hook, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Whoever signed, and of those the one whose account it is about.

        A webhook without a filter posts what concerns every account of a Unipile customer, and
        that may be several vendors' host: what is about an account that is not here is nobody's.
        """
        signed = [candidate for candidate in candidates if _signed_by(candidate, hook)]
        if not signed:
            raise BadSignature("wrong")
        named = account_in(hook.body)
        return [each for each in signed if each.reference == named] if named else signed[:1]

    def parse(self, hook: Hook, reference: str) -> list[Event]:
        return parsing.parse(hook.body, reference)

    def send(self, outgoing: Outgoing, via: Via) -> Sent:
        return sending.send(outgoing, via)

    def check(self, via: Via) -> InstanceState:
        return instance.check(via)

    def fetch_media(self, reference: Mapping[str, Any], via: Via, *, limit: int) -> Media:
        return files.fetch_media(reference, via, limit)

    def login_link(self, via: Via, *, back_url: str, until: datetime) -> str:
        return instance.login_link(via, back_url, until)

    def read_webhook(self, via: Via) -> WebhookState:
        return instance.read_webhook(via)

    def configure_webhook(self, via: Via, url: str) -> WebhookState:
        return instance.configure_webhook(via, url)


def _signed_by(candidate: Candidate, hook: Hook) -> bool:
    """Whether any secret of the candidate proves this post, in the candidate's own version."""
    is_v2 = candidate.settings.get("version") == calls.V2
    matches = _matches_v2 if is_v2 else _matches_v1
    # Every secret is compared, so that the time taken does not say which one was near.
    results = [
        matches(hook, secrets.get("webhook_secret", "")) for secrets in candidate.secret_sets
    ]
    return any(results)


def _matches_v1(hook: Hook, secret: str) -> bool:
    return same(hook.headers.get(instance.HEADER.lower(), ""), secret)


def _matches_v2(hook: Hook, secret: str) -> bool:
    """The time is signed with the body. Its age is not looked at: a post that comes again has the
    same id, and is told once whenever it comes."""
    found = _SIGNATURE.fullmatch(hook.headers.get("unipile-signature", "").strip())
    if not found or not secret:
        return False
    signed = found[1].encode() + b"." + hook.body
    return same(found[2].lower(), hmac_sha256_hex(secret, signed))
