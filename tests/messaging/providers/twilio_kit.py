"""What Twilio's facts say it does."""

from dataclasses import replace

import httpx

from messaging.events import (
    ConsentChanged,
    Ignored,
    Kind,
    Received,
    Status,
    StatusChanged,
    Unlisted,
)
from messaging.providers.base import Blame, File, Hook
from messaging.providers.twilio.form import read_form
from messaging.providers.twilio.signing import signature
from tests.contract import TEXT, Kit, Signer

_LINKED = File("image/png", "a.png", url="https://files.test/a.png", size=3)


def _sha1(hook: Hook, secrets) -> Hook:
    given = signature(secrets["auth_token"], hook.url, read_form(hook.body))
    return replace(hook, headers={"x-twilio-signature": given})


def _sha256(hook: Hook, secrets) -> Hook:
    secret = secrets["shared_key_secret"]
    given = signature(secret, hook.url, read_form(hook.body), "sha256")
    return replace(
        hook,
        headers={
            "x-twilio-signature": given,
            "x-twilio-webhooks-signature-settings": "key=SK1,algorithm=HMAC_SHA256",
        },
    )


def _refused(status: int, code: int) -> httpx.Response:
    return httpx.Response(status, json={"code": code, "message": "No.", "status": status})


TWILIO = Kit(
    signers=(Signer(_sha1), Signer(_sha256, {"shared_key_id": "SK1"})),
    events=frozenset({Received, StatusChanged, ConsentChanged, Ignored, Unlisted}),
    statuses=frozenset({Status.SENT, Status.DELIVERED, Status.READ, Status.FAILED}),
    ignored=frozenset({"not sent yet"}),
    taken=httpx.Response(201, json={"sid": "SM1", "status": "queued", "error_code": None}),
    outgoing=(
        TEXT,
        *(
            replace(TEXT, kind=kind, text=text, file=_LINKED)
            for kind in (
                Kind.IMAGE,
                Kind.VIDEO,
                Kind.AUDIO,
                Kind.VOICE,
                Kind.DOCUMENT,
                Kind.STICKER,
            )
            for text in ("Bonjour", "")
        ),
    ),
    refusals=(
        (_refused(400, 21211), ("21211", False, Blame.RECIPIENT, False)),
        (_refused(400, 21610), ("21610", False, Blame.RECIPIENT, False)),
        (_refused(400, 21614), ("21614", False, Blame.RECIPIENT, False)),
        (_refused(400, 21617), ("21617", False, Blame.MESSAGE, False)),
        (_refused(400, 21606), ("21606", False, Blame.ACCOUNT, False)),
        (_refused(400, 21611), ("21611", True, Blame.PROVIDER, False)),
        (_refused(400, 29999), ("29999", False, Blame.MESSAGE, False)),
        (_refused(401, 20003), ("20003", False, Blame.ACCOUNT, False)),
        (_refused(404, 20404), ("20404", False, Blame.ACCOUNT, False)),
        (_refused(429, 20429), ("20429", True, Blame.PROVIDER, False)),
        (httpx.Response(429), ("http_429", True, Blame.PROVIDER, False)),
        (httpx.Response(500), ("http_500", False, Blame.PROVIDER, True)),
        (httpx.Response(502), ("http_502", False, Blame.PROVIDER, True)),
        (httpx.Response(503), ("http_503", True, Blame.PROVIDER, False)),
        (
            httpx.Response(201, content=b"<html>"),
            ("unreadable_answer", False, Blame.PROVIDER, True),
        ),
        (httpx.Response(201, json={}), ("unreadable_answer", False, Blame.PROVIDER, True)),
        (
            httpx.Response(201, json={"sid": "SM1", "error_code": 30002}),
            ("30002", False, Blame.ACCOUNT, False),
        ),
    ),
    settings={"account_sid": "AC1"},
    media_reference={
        "url": "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages/MM1/Media/ME1"
    },
    media_lies_elsewhere=True,
    reads_types={".form": "application/x-www-form-urlencoded"},
)
