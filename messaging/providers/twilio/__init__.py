"""Twilio: text messages with files, one instance per number.

Several vendors' numbers may lie in one account: a post counts for the instance whose number it
was for, never for another one that the same account signed for.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

from django.utils.translation import gettext_lazy as _

from messaging.events import Event
from messaging.providers.base import (
    Answer,
    BadPayload,
    BadSignature,
    Blame,
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
)

from . import calls, errors, files, journal, parsing, sending, signing
from .form import Form, read_form

_SID = re.compile(r"[A-Za-z0-9]{2,64}", re.ASCII)
_SENDER = re.compile(r"\+[1-9][0-9]{6,14}|[0-9]{3,8}|[A-Za-z0-9 _&-]{1,11}", re.ASCII)
_TWIML = '<?xml version="1.0" encoding="UTF-8"?><Response></Response>'


class Twilio(Provider):
    slug = "twilio"
    label = "Twilio"
    medium = Medium.SMS
    paths = {
        "/webhooks/twilio-sms/incoming": "",
        "/webhooks/twilio-sms/status": "status",
    }
    status_paths = {"/webhooks/twilio-sms/status-check": "twilio-sms-webhook"}
    routes_to_set = ("", "status")
    # Three more attempts, whatever went wrong: without it Twilio comes back only where it could
    # not connect.
    webhook_fragment = "#rc=3&rp=all"
    # One a second for an ordinary number.
    per_minute = 60
    too_fast = frozenset({"rate_limited", "429", "20429", "14107"})
    minutes_between_looks = 30
    supports = frozenset({Feature.MEDIA, Feature.ECHO, Feature.JOURNAL})
    account_field = "messaging_service_sid"
    longest_text = sending.LONGEST_TEXT
    longest_caption = sending.LONGEST_TEXT
    largest_file = sending.LARGEST_FILE
    fetches_files = True
    advice = errors.ADVICE
    # Twilio keeps files until somebody deletes them.
    media_days = 30
    fields = (
        Field("account_sid", _("Account SID"), required=True),
        Field("auth_token", _("Auth token"), required=True, secret=True),
        Field(
            "from_number",
            _("Sender"),
            help=_("A number or a name of up to 11 characters, where it is not the number itself."),
        ),
        Field("messaging_service_sid", _("SID of the messaging service")),
        Field("shared_key_id", _("Id of the shared key for signatures")),
        Field(
            "shared_key_secret",
            _("Shared key for signatures"),
            secret=True,
            help=_("With a shared key only webhooks signed with it in SHA-256 are taken in."),
        ),
        Field("api_url", _("Address of the API"), default=calls.API_URL),
    )

    def reference_of(self, address: str, values: Mapping[str, str]) -> str:
        """The account and the number in it: two vendors may not both have one."""
        return _reference(values.get("account_sid", ""), address)

    def complaints(self, values: Mapping[str, str]) -> Mapping[str, Any]:
        found: dict[str, Any] = {}
        for name in ("account_sid", "messaging_service_sid"):
            if values.get(name) and not _SID.fullmatch(values[name]):
                found[name] = _("This is no SID: it has letters and digits only.")
        if values.get("from_number") and not _SENDER.fullmatch(values["from_number"]):
            found["from_number"] = _("This is neither a number nor a name Twilio can send from.")
        if values.get("shared_key_secret") and not values.get("shared_key_id"):
            found["shared_key_id"] = _("Give the id of the shared key, too.")
        if values.get("shared_key_id") and not values.get("shared_key_secret"):
            found["shared_key_secret"] = _("Give the shared key itself, too.")
        return found

    def route(self, hook: Hook) -> list[InstanceRef]:
        form = _form(hook)
        refs = [InstanceRef(reference=name) for name in _names(hook, form)]
        service = form.get("MessagingServiceSid")
        return [*refs, InstanceRef(account=service)] if service else refs

    def verify(self, hook: Hook, candidates: Sequence[Candidate]) -> list[Candidate]:
        signed = signing.signed_by(hook, candidates)
        if not signed:
            raise BadSignature("wrong")
        # Vendors who share an account share its token: the number says who is meant.
        names = _names(hook, _form(hook))
        named = [each for each in signed if each.reference in names]
        if named:
            return named[:1]
        if len(signed) > 1:
            raise BadSignature("ambiguous")
        return signed

    def answer(self, hook: Hook) -> Answer:
        if hook.route == "status":
            return Answer("OK", "text/plain; charset=utf-8")
        return Answer(_TWIML, "text/xml; charset=utf-8")

    def parse(self, hook: Hook, reference: str) -> list[Event]:
        return parsing.parse(hook, reference)

    def blame_of(self, code: str) -> Blame:
        return errors.verdict_on(code).blame

    def send(self, outgoing: Outgoing, via: Via) -> Sent:
        return sending.send(outgoing, via)

    def check(self, via: Via) -> InstanceState:
        return sending.check(via)

    def fetch_media(self, reference: Mapping[str, Any], via: Via, *, limit: int) -> Media:
        return files.fetch_media(reference, via, limit)

    def read_journal(self, via: Via, *, minutes: int) -> list[bytes]:
        return journal.read_journal(via, minutes=minutes)


def _form(hook: Hook) -> Form:
    """The form of a post, whoever it is from; an unreadable one is empty."""
    try:
        return read_form(hook.body)
    except BadPayload:
        return Form(())


def _names(hook: Hook, form: Form) -> list[str]:
    """What a post calls the instance it is for: in the address that we gave, else by number."""
    given = parse_qs(hook.query).get("instance", [])
    if given:
        return given[:1]
    number = form.get("From" if parsing.is_about_our_message(form) else "To")
    account = form.get("AccountSid")
    return [_reference(account, number)] if account and number else []


def _reference(account: str, number: str) -> str:
    return f"{account}:{number}"
