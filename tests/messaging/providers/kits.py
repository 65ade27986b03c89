"""What each provider's facts say it does; a registered provider without a kit fails."""

from dataclasses import replace

import httpx

from messaging.events import (
    Deleted,
    Edited,
    Ignored,
    InstanceChanged,
    Kind,
    Reacted,
    Received,
    Status,
    StatusChanged,
    Unlisted,
)
from messaging.providers.base import Blame, Card, File, Hook, Outgoing, Place, Poll
from messaging.providers.signatures import hmac_sha256_hex
from tests.contract import TEXT, Kit, Signer
from tests.messaging.providers.smtp_kit import SMTP
from tests.messaging.providers.twilio_kit import TWILIO
from tests.messaging.providers.whatsapp_cloud_kit import WHATSAPP_CLOUD


def _secret_itself(hook: Hook, secrets) -> Hook:
    return replace(hook, headers={"x-webhook-signature": secrets["webhook_secret"]})


def _hmac(hook: Hook, secrets) -> Hook:
    digest = hmac_sha256_hex(secrets["webhook_secret"], hook.body)
    return replace(hook, headers={"x-webhook-signature": digest})


def _of_kind(kind: Kind, **more) -> Outgoing:
    return replace(TEXT, kind=kind, **more)


_LINKED = File("application/pdf", "a.pdf", url="https://files.test/a.pdf")
_UPLOADED = File("image/png", "a.png", content=b"png")
_INVALID = {"success": False, "message": "Validation failed", "errors": {"to": ["Required."]}}

WASENDER = Kit(
    signers=(Signer(_secret_itself), Signer(_hmac, {"signature": "hmac"})),
    events=frozenset(
        {
            Received,
            StatusChanged,
            InstanceChanged,
            Deleted,
            Edited,
            Reacted,
            Ignored,
            Unlisted,
        }
    ),
    statuses=frozenset(Status),
    ignored=frozenset(
        {
            "story",
            "newsletter post",
            "group keys",
            "group receipt",
            "group settings",
            "group members",
            "call",
            "chat list",
            "address book",
            "disappearing messages setting",
            "history synchronisation",
            "phone synchronisation",
            "not sent yet",
            "status of a received message",
        }
    ),
    taken=httpx.Response(
        200,
        json={"success": True, "data": {"msgId": 1}, "publicUrl": "https://wasender.test/u"},
    ),
    outgoing=(
        TEXT,
        replace(TEXT, reply_to="AMDA1", reply_to_number="1"),
        *(
            _of_kind(kind, file=file)
            for kind in (
                Kind.IMAGE,
                Kind.VIDEO,
                Kind.AUDIO,
                Kind.VOICE,
                Kind.DOCUMENT,
                Kind.STICKER,
            )
            for file in (_LINKED, _UPLOADED)
        ),
        _of_kind(Kind.LOCATION, place=Place(14.69, -17.44)),
        _of_kind(Kind.CONTACT, card=Card("Moussa", "+221770000001")),
    ),
    refusals=(
        (httpx.Response(400), ("bad_request", False, Blame.MESSAGE, False)),
        (httpx.Response(401), ("unauthorized", False, Blame.ACCOUNT, False)),
        (httpx.Response(402), ("payment_required", False, Blame.ACCOUNT, False)),
        (httpx.Response(403), ("forbidden", False, Blame.ACCOUNT, False)),
        (httpx.Response(404), ("not_found", False, Blame.ACCOUNT, False)),
        (httpx.Response(408), ("timeout", True, Blame.PROVIDER, False)),
        (httpx.Response(413), ("too_large", False, Blame.MESSAGE, False)),
        (httpx.Response(422, json=_INVALID), ("to", False, Blame.RECIPIENT, False)),
        (httpx.Response(429), ("rate_limited", True, Blame.PROVIDER, False)),
        (httpx.Response(500), ("http_500", False, Blame.PROVIDER, True)),
        (httpx.Response(502), ("http_502", False, Blame.PROVIDER, True)),
        (httpx.Response(503), ("unavailable", True, Blame.PROVIDER, False)),
        (
            httpx.Response(200, content=b"<html>"),
            ("unreadable_answer", False, Blame.PROVIDER, True),
        ),
    ),
    settings={"session_id": "7"},
    media_reference={"key": {"id": "AMDA7"}, "message": {"imageMessage": {"fileLength": "3"}}},
)


def _bearer(hook: Hook, secrets) -> Hook:
    return replace(hook, headers={"authorization": f"Bearer {secrets['webhook_token']}"})


def _bare_token(hook: Hook, secrets) -> Hook:
    return replace(hook, headers={"authorization": secrets["webhook_token"]})


_QUOTA = {"correspondentsStatus": {"status": "CORRESPONDENTS_QUOTE_EXCEEDED", "used": 3}}

GREENAPI = Kit(
    signers=(Signer(_bearer), Signer(_bare_token)),
    events=frozenset(
        {
            Received,
            StatusChanged,
            InstanceChanged,
            Deleted,
            Edited,
            Reacted,
            Ignored,
            Unlisted,
        }
    ),
    statuses=frozenset(Status),
    ignored=frozenset(
        {
            "story",
            "newsletter post",
            "call",
            "block",
            "device",
            "socket state",
            "not sent yet",
        }
    ),
    taken=httpx.Response(200, json={"idMessage": "G30"}),
    outgoing=(
        TEXT,
        replace(TEXT, reply_to="G1"),
        replace(TEXT, to="77001122334455@lid"),
        replace(TEXT, to="120363000000000001@g.us"),
        *(
            _of_kind(kind, file=file)
            for kind in (
                Kind.IMAGE,
                Kind.VIDEO,
                Kind.AUDIO,
                Kind.VOICE,
                Kind.DOCUMENT,
                Kind.STICKER,
            )
            for file in (_LINKED, _UPLOADED)
        ),
        _of_kind(Kind.LOCATION, place=Place(14.69, -17.44)),
        _of_kind(Kind.CONTACT, card=Card("Moussa", "+221770000001")),
        _of_kind(Kind.POLL, poll=Poll("Quelle taille ?", ("M", "L"))),
    ),
    refusals=(
        (httpx.Response(400), ("bad_request", False, Blame.MESSAGE, False)),
        (
            httpx.Response(400, json={"message": "Validation failed. Details: 'chatId' …"}),
            ("recipient", False, Blame.RECIPIENT, False),
        ),
        (
            httpx.Response(400, content=b"instance account not authorized"),
            ("not_connected", True, Blame.ACCOUNT, False),
        ),
        (httpx.Response(401), ("unauthorized", False, Blame.ACCOUNT, False)),
        (httpx.Response(403), ("forbidden", False, Blame.ACCOUNT, False)),
        (httpx.Response(404), ("not_found", False, Blame.ACCOUNT, False)),
        (httpx.Response(429), ("rate_limited", True, Blame.PROVIDER, False)),
        (httpx.Response(466, json=_QUOTA), ("quota_exceeded", False, Blame.ACCOUNT, False)),
        (httpx.Response(499), ("http_499", False, Blame.PROVIDER, True)),
        (httpx.Response(500), ("http_500", False, Blame.PROVIDER, True)),
        (httpx.Response(502), ("http_502", False, Blame.PROVIDER, True)),
        (
            httpx.Response(200, content=b"<html>"),
            ("unreadable_answer", False, Blame.PROVIDER, True),
        ),
    ),
    settings={"id_instance": "1101000001"},
    media_reference={"chatId": "33600000002@c.us", "idMessage": "G4"},
)


def _unipile_v1(hook: Hook, secrets) -> Hook:
    return replace(hook, headers={"unipile-auth": secrets["webhook_secret"]})


def _unipile_v2(hook: Hook, secrets) -> Hook:
    digest = hmac_sha256_hex(secrets["webhook_secret"], b"1760000000." + hook.body)
    return replace(hook, headers={"unipile-signature": f"t=1760000000,v0={digest}"})


UNIPILE = Kit(
    signers=(Signer(_unipile_v1, {"version": "v1"}), Signer(_unipile_v2, {"version": "v2"})),
    events=GREENAPI.events,
    # It has no event for a failure: the send itself is refused.
    statuses=frozenset({Status.SENT, Status.DELIVERED, Status.READ}),
    ignored=frozenset(
        {
            "story",
            "chat event",
            "same text",
            "mail",
            "relation",
            "synchronisation",
            "calendar",
            "call",
            "chat list",
            "tracking",
        }
    ),
    taken=httpx.Response(201, json={"object": "ChatStarted", "message_id": "U30"}),
    outgoing=(
        TEXT,
        replace(TEXT, to="77001122334455@lid"),
        replace(TEXT, to="chat1@chats.unipile", reply_to="U1"),
        *(
            _of_kind(kind, file=_UPLOADED)
            for kind in (
                Kind.IMAGE,
                Kind.VIDEO,
                Kind.AUDIO,
                Kind.VOICE,
                Kind.DOCUMENT,
                Kind.STICKER,
            )
        ),
    ),
    refusals=(
        (httpx.Response(400), ("bad_request", False, Blame.MESSAGE, False)),
        (
            httpx.Response(401, json={"type": "errors/disconnected_account"}),
            ("not_connected", True, Blame.ACCOUNT, False),
        ),
        (httpx.Response(401), ("unauthorized", False, Blame.ACCOUNT, False)),
        (httpx.Response(403), ("forbidden", False, Blame.ACCOUNT, False)),
        (httpx.Response(404), ("not_found", False, Blame.ACCOUNT, False)),
        (httpx.Response(413), ("too_large", False, Blame.MESSAGE, False)),
        (
            httpx.Response(422, json={"type": "errors/invalid_recipient"}),
            ("recipient", False, Blame.RECIPIENT, False),
        ),
        (httpx.Response(429), ("rate_limited", True, Blame.PROVIDER, False)),
        (httpx.Response(500), ("http_500", False, Blame.PROVIDER, True)),
        (httpx.Response(504), ("http_504", False, Blame.PROVIDER, True)),
        (
            httpx.Response(201, content=b"<html>"),
            ("unreadable_answer", False, Blame.PROVIDER, True),
        ),
    ),
    reference="acc_amda_1",
    settings={"dsn": "api8.unipile.com:13443", "account_id": "acc_amda_1"},
    media_reference={"message_id": "U3", "attachment_id": "f1"},
)

KITS = {
    "wasender": WASENDER,
    "whatsapp_cloud": WHATSAPP_CLOUD,
    "greenapi": GREENAPI,
    "unipile": UNIPILE,
    "twilio": TWILIO,
    "smtp": SMTP,
}
