"""Green-API: an unofficial WhatsApp, one instance per number.

One URL takes in the notifications of all instances, one token per instance proves them; the token
of the API is a part of the address of every call.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext_lazy as _

from messaging.events import Event, Kind
from messaging.providers.advice import SHARED
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
    WebhookState,
)
from messaging.providers.signatures import same

from . import calls, files, instance, journal, messages, parsing, sending
from .posts import instance_in, type_in

_WITH_SCHEME = re.compile(r"(?:bearer|basic)(|\s.*)", re.IGNORECASE | re.DOTALL)


class GreenApi(Provider):
    slug = "greenapi"
    label = "Green-API"
    medium = Medium.WHATSAPP
    is_official = False
    paths = {"/webhooks/greenapi": ""}
    status_paths = {"/webhooks/greenapi/status": "greenapi-webhook"}
    supports = frozenset(
        {
            Feature.MEDIA,
            Feature.LOCATIONS,
            Feature.CONTACTS,
            Feature.POLLS,
            Feature.QUOTES,
            Feature.EDITS,
            Feature.DELETES,
            Feature.REACTIONS,
            Feature.GROUPS,
            Feature.READ_RECEIPTS,
            Feature.MARKS_READ,
            Feature.CONNECTS,
            Feature.QR_LOGIN,
            Feature.SETS_WEBHOOK,
            Feature.JOURNAL,
        }
    )
    fields = (
        Field("id_instance", _("Instance id (idInstance)"), required=True),
        Field("api_token", _("Token of the API (apiTokenInstance)"), required=True, secret=True),
        Field(
            "webhook_token",
            _("Token of the webhook (webhookUrlToken)"),
            required=True,
            secret=True,
            help=_("Any long random word; with or without “Bearer” in front."),
        ),
        Field("api_url", _("Address of the API"), default=calls.API_URL),
        Field("media_url", _("Address for files")),
    )
    reference_field = "id_instance"
    # What WhatsApp itself sends with words of their own; the others would lose them.
    without_caption = frozenset({Kind.AUDIO, Kind.VOICE, Kind.STICKER})

    advice = {**SHARED, **messages.ADVICE}
    # Fifty a second are let through; what looks like a person is far less.
    per_minute, per_day = 240, 1000
    waits_for_person = frozenset({"not_authorized", "need_scan", "logged_out"})

    def route(self, hook: Hook) -> list[InstanceRef]:
        """The instance a body names; where it names none, whichever one's token it carries."""
        return [InstanceRef(reference=instance_in(hook.body))]

    def verify(self, hook: Hook, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The token as it is or behind a scheme: which one the service adds is not documented."""
        given = _bare(hook.headers.get("authorization", ""))
        if not given:
            raise BadSignature("missing")
        signed = [candidate for candidate in candidates if _signed_by(candidate, given)]
        if not signed:
            raise BadSignature("wrong")
        if len({candidate.tenant_number for candidate in signed}) > 1:
            # Several vendors chose the same token, and the body does not say who is meant.
            raise BadSignature("ambiguous")
        return signed[:1]

    def answer(self, hook: Hook) -> Answer:
        return Answer(json.dumps({"ok": True, "received": type_in(hook.body)}))

    def parse(self, hook: Hook, reference: str) -> list[Event]:
        return parsing.parse(hook.body, reference, hook.route)

    def blame_of(self, code: str) -> Blame:
        return messages.BLAMES.get(code, Blame.PROVIDER)

    def send(self, outgoing: Outgoing, via: Via) -> Sent:
        return sending.send(outgoing, via)

    def check(self, via: Via) -> InstanceState:
        return instance.check(via)

    def mark_read(self, known: Known, via: Via) -> None:
        sending.mark_read(known, via)

    def edit(self, known: Known, text: str, via: Via) -> None:
        sending.edit(known, text, via)

    def delete(self, known: Known, via: Via) -> None:
        sending.delete(known, via)

    def react(self, known: Known, emoji: str, via: Via) -> None:
        sending.react(known, emoji, via)

    def fetch_media(self, reference: Mapping[str, Any], via: Via, *, limit: int) -> Media:
        return files.fetch_media(reference, via, limit)

    def read_journal(self, via: Via, *, minutes: int) -> list[bytes]:
        return journal.read_journal(via, minutes)

    def connect(self, via: Via) -> InstanceState:
        return instance.connect(via)

    def disconnect(self, via: Via) -> InstanceState:
        return instance.disconnect(via)

    def restart(self, via: Via) -> InstanceState:
        return instance.restart(via)

    def qr(self, via: Via) -> str:
        return instance.qr(via)

    def read_webhook(self, via: Via) -> WebhookState:
        return instance.read_webhook(via)

    def configure_webhook(self, via: Via, url: str) -> WebhookState:
        return instance.configure_webhook(via, url)


def _signed_by(candidate: Candidate, given: str) -> bool:
    # Every secret is compared, so that the time taken does not say which one was near.
    results = [
        same(given, _bare(secrets.get("webhook_token", ""))) for secrets in candidate.secret_sets
    ]
    return any(results)


def _bare(token: str) -> str:
    """The token without the scheme that a person or the service wrote before it."""
    found = _WITH_SCHEME.fullmatch(token.strip())
    return found[1].strip() if found else token.strip()
