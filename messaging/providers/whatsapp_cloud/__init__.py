"""WhatsApp Cloud API: the official way, through Meta's Graph API.

One Meta app signs for all its accounts: the platform's, or one of the vendor's own. Posts name
the number (`phone_number_id`, our reference) or its account (`waba_id`).
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

from django.utils.translation import gettext_lazy as _

from messaging.events import Event, Kind
from messaging.providers.base import (
    Answer,
    BadSignature,
    Blame,
    Candidate,
    Feature,
    Field,
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
)
from messaging.providers.signatures import hmac_sha256_hex, same
from messaging.providers.templates import Template

from . import calls, checking, codes, envelope, files, parsing, sending, templates

_SIGNATURE_HEADER = "x-hub-signature-256"
_SIGNATURE_PREFIX = "sha256="


class WhatsAppCloud(Provider):
    slug = "whatsapp_cloud"
    label = "WhatsApp Cloud API (Meta)"
    medium = Medium.WHATSAPP
    paths = {"/api/webhooks/whatsapp": ""}
    # Eighty a second for each number.
    per_minute = 4800
    too_fast = frozenset({"rate_limited", "4", "80007", "80008", "130429"})
    minutes_between_looks = 30
    # It documents emojis on received messages alone, and would tell of a refusal much later.
    reacts_to_own = False
    supports = frozenset(
        {
            Feature.MEDIA,
            Feature.LOCATIONS,
            Feature.CONTACTS,
            Feature.QUOTES,
            Feature.CHOICES,
            Feature.TEMPLATES,
            Feature.WINDOW_24H,
            Feature.REACTIONS,
            Feature.MARKS_READ,
            Feature.READ_RECEIPTS,
            Feature.ECHO,
            Feature.GROUPS,
        }
    )
    fields = (
        Field("phone_number_id", _("Phone number ID"), required=True),
        Field(
            "waba_id",
            _("WhatsApp Business Account ID"),
            help=_("Needed for templates, without which nobody can be written to first."),
        ),
        Field("access_token", _("Permanent access token"), required=True, secret=True),
        Field(
            "app_secret",
            _("App secret"),
            secret=True,
            or_platforms=True,
            help=_("Of the vendor's own Meta app; left out where the platform's app is used."),
        ),
        Field(
            "verify_token",
            _("Verify token"),
            secret=True,
            help=_("The text given to Meta with the webhook's address; as the app secret."),
        ),
        Field("api_url", _("Address of the API"), default=calls.API_URL),
    )
    reference_field = "phone_number_id"
    account_field = "waba_id"
    must_prove = True
    sends_at_once = 10
    media_days = 7
    advice = codes.ADVICE
    longest_text = 4096
    longest_caption = 1024
    without_caption = frozenset({Kind.AUDIO, Kind.VOICE, Kind.STICKER})

    def answer_handshake(self, hook: Hook, candidates: Sequence[Candidate]) -> str | None:
        asked = _query(hook)
        if asked.get("hub.mode") != "subscribe":
            return None
        given = asked.get("hub.verify_token", "")
        # Every token is compared, so that the time taken does not say which one was near.
        matches = [same(given, token) for token in _secrets(candidates, "verify_token")]
        if not any(matches):
            raise BadSignature("wrong verify token")
        return asked.get("hub.challenge", "")

    def route(self, hook: Hook) -> list[InstanceRef]:
        """Every number and account of a post; any instance for a handshake, which names none."""
        if hook.method != "POST":
            return [InstanceRef()] if "hub.mode" in _query(hook) else []
        return envelope.refs_of(hook.body)

    def verify(self, hook: Hook, candidates: Sequence[Candidate]) -> list[Candidate]:
        given = hook.headers.get(_SIGNATURE_HEADER, "")
        if not given.startswith(_SIGNATURE_PREFIX):
            raise BadSignature("missing")
        signature = given.removeprefix(_SIGNATURE_PREFIX)
        app_secrets = dict.fromkeys(_secrets(candidates, "app_secret"))
        signers = {
            secret for secret in app_secrets if same(signature, hmac_sha256_hex(secret, hook.body))
        }
        meant = [each for each in candidates if signers & set(_secrets([each], "app_secret"))]
        if not meant:
            raise BadSignature("wrong")
        return meant

    def part_for(self, hook: Hook, candidate: Candidate) -> bytes:
        """A post may carry several tenants: what is another's is not kept for this one."""
        account = str(candidate.settings.get(self.account_field, ""))
        return envelope.part_for(hook.body, candidate.reference, account)

    def answer(self, hook: Hook) -> Answer:
        return Answer('{"success":true,"queued":true}')

    def parse(self, hook: Hook, reference: str) -> list[Event]:
        return parsing.parse(hook.body, reference, hook.account)

    def blame_of(self, code: str) -> Blame:
        return codes.blame_of(code)

    def send(self, outgoing: Outgoing, via: Via) -> Sent:
        return sending.send(outgoing, via)

    def check(self, via: Via) -> InstanceState:
        return checking.check(via)

    def templates(self, via: Via) -> list[Template]:
        return templates.templates(via)

    def mark_read(self, known: Known, via: Via) -> None:
        sending.mark_read(known, via)

    def react(self, known: Known, emoji: str, via: Via) -> None:
        sending.react(known, emoji, via)

    def fetch_media(self, reference: Mapping[str, Any], via: Via, *, limit: int) -> Media:
        return files.fetch_media(reference, via, limit)


def _query(hook: Hook) -> dict[str, str]:
    try:
        asked = parse_qs(hook.query, keep_blank_values=True, max_num_fields=20)
    except ValueError:
        return {}
    return {name: values[0] for name, values in asked.items()}


def _secrets(candidates: Sequence[Candidate], name: str) -> list[str]:
    """Every secret of this name that is set."""
    return [
        secret
        for candidate in candidates
        for secrets in candidate.secret_sets
        if (secret := secrets.get(name, ""))
    ]
