"""WasenderAPI: an unofficial WhatsApp, one session per number.

Two tokens there: the session's API key for everything about messages, a personal access token
for the sessions themselves.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from messaging.events import Event
from messaging.providers.advice import FILE, NO_WHATSAPP, SHARED
from messaging.providers.base import (
    BadSignature,
    Candidate,
    Feature,
    Field,
    Found,
    Hook,
    InstanceRef,
    InstanceState,
    Known,
    Media,
    Medium,
    Outgoing,
    Provider,
    Sent,
    Via,
    WebhookState,
)
from messaging.providers.signatures import hmac_sha256_hex, same

from . import calls, files, parsing, sending, sessions

# The first is documented; the second is what the systems this one replaces were given.
_SIGNATURE_HEADERS = ("x-webhook-signature", "x-wasender-signature")


class Wasender(Provider):
    slug = "wasender"
    label = "WasenderAPI"
    medium = Medium.WHATSAPP
    is_official = False
    paths = {
        "/api/webhooks/wasender/{vendor}": "",
        "/api/webhooks/wasender/{vendor}/status": "status",
        "/api/webhooks/wasender/{vendor}/connection": "connection",
    }
    supports = frozenset(
        {
            Feature.MEDIA,
            Feature.LOCATIONS,
            Feature.CONTACTS,
            Feature.POLLS,
            Feature.QUOTES,
            Feature.EDITS,
            Feature.DELETES,
            Feature.GROUPS,
            Feature.READ_RECEIPTS,
            Feature.MARKS_READ,
            Feature.FINDS_PHONES,
            Feature.MAKES_INSTANCES,
            Feature.CONNECTS,
            Feature.QR_LOGIN,
            Feature.SETS_WEBHOOK,
            Feature.NEW_KEYS,
        }
    )
    quotes_whole = True
    opens_account = ("personal_token", "api_url")
    renewed_fields = ("api_key",)
    fields = (
        Field("api_key", _("API key of the session"), required=True, secret=True),
        Field("webhook_secret", _("Webhook secret of the session"), required=True, secret=True),
        Field("session_id", _("Session id")),
        Field("personal_token", _("Personal access token"), secret=True),
        Field("api_url", _("Address of the API"), default=settings.WASENDER_API_URL),
        Field(
            "signature",
            _("How webhooks are signed"),
            default="secret",
            choices=("secret", "hmac"),
            help=_("Wasender sends the secret itself; choose HMAC only behind a proxy that signs."),
        ),
    )

    # A refusal names the field it is about.
    advice = {
        **SHARED,
        "to": NO_WHATSAPP,
        **dict.fromkeys(("imageUrl", "videoUrl", "documentUrl", "audioUrl", "stickerUrl"), FILE),
    }
    # A paid plan; the documentation says 256.
    per_minute, per_day = 240, 1000
    waits_for_person = frozenset({"need_scan", "qr", "logged_out", "loggedout"})

    def platform_secrets(self, via: Via) -> Mapping[str, str]:
        """The account's token, for its own server only: tenants choose other ones."""
        at_home = calls.address(via) == settings.WASENDER_API_URL.rstrip("/")
        token = settings.WASENDER_API_KEY
        return {"personal_token": token} if token and at_home else {}

    def route(self, hook: Hook) -> list[InstanceRef]:
        """The vendor of the URL alone: the `sessionId` in a body is the session's API key."""
        return [InstanceRef(vendor=hook.vendor)] if hook.vendor else []

    def verify(self, hook: Hook, candidates: Sequence[Candidate]) -> list[Candidate]:
        given = _given_signature(hook.headers)
        if not given:
            raise BadSignature("missing")
        signed = [candidate for candidate in candidates if _signed_by(candidate, given, hook.body)]
        if not signed:
            raise BadSignature("wrong")
        return signed

    def parse(self, hook: Hook, reference: str) -> list[Event]:
        return parsing.parse(hook.body, reference)

    def send(self, outgoing: Outgoing, via: Via) -> Sent:
        return sending.send(outgoing, via)

    def find_sent(self, via: Via, provider_number: str) -> Sent | None:
        return sending.find_sent(via, provider_number)

    def check(self, via: Via) -> InstanceState:
        return sending.check(via)

    def mark_read(self, known: Known, via: Via) -> None:
        sending.mark_read(known, via)

    def can_change(self, known: Known) -> bool:
        return sending.has_number(known)

    def edit(self, known: Known, text: str, via: Via) -> None:
        sending.edit(known, text, via)

    def delete(self, known: Known, via: Via) -> None:
        sending.delete(known, via)

    def find_phone(self, lid: str, via: Via) -> str:
        return sending.find_phone(lid, via)

    def fetch_media(self, reference: Mapping[str, Any], via: Via, *, limit: int) -> Media:
        return files.fetch_media(reference, via, limit)

    def instances(self, via: Via) -> list[Found]:
        return sessions.instances(via)

    def make_instance(self, via: Via, *, name: str, address: str, webhook_url: str) -> Found:
        return sessions.make_instance(via, name, address, webhook_url)

    def connect(self, via: Via) -> InstanceState:
        return sessions.connect(via)

    def disconnect(self, via: Via) -> InstanceState:
        return sessions.disconnect(via)

    def restart(self, via: Via) -> InstanceState:
        return sessions.restart(via)

    def qr(self, via: Via) -> str:
        return sessions.qr(via)

    def read_webhook(self, via: Via) -> WebhookState:
        return sessions.read_webhook(via)

    def configure_webhook(self, via: Via, url: str) -> WebhookState:
        return sessions.configure_webhook(via, url)

    def regenerate_key(self, via: Via) -> Mapping[str, str]:
        return sessions.regenerate_key(via)


def _given_signature(headers: Mapping[str, str]) -> str:
    return next((given for name in _SIGNATURE_HEADERS if (given := headers.get(name, ""))), "")


def _signed_by(candidate: Candidate, given: str, body: bytes) -> bool:
    """Whether any secret of the candidate made this signature, in the candidate's own form."""
    matches = _FORMS.get(candidate.settings.get("signature") or "secret", _never)
    # Every secret is compared, so that the time taken does not say which one was near.
    results = [
        matches(given, secrets.get("webhook_secret", ""), body) for secrets in candidate.secret_sets
    ]
    return any(results)


def _is_the_secret(given: str, secret: str, body: bytes) -> bool:
    return same(given, secret)


def _is_the_hmac(given: str, secret: str, body: bytes) -> bool:
    expected = hmac_sha256_hex(secret, body) if secret else ""
    return same(given.lower().removeprefix("sha256="), expected)


def _never(given: str, secret: str, body: bytes) -> bool:
    return False


_FORMS: dict[Any, Any] = {"secret": _is_the_secret, "hmac": _is_the_hmac}
