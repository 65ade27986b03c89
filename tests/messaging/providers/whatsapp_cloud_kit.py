"""What Meta's facts say that its adapter does."""

from dataclasses import replace

import httpx

from messaging.events import (
    Deleted,
    Edited,
    Ignored,
    InstanceChanged,
    Kind,
    NumberChanged,
    Problem,
    Reacted,
    Received,
    Status,
    StatusChanged,
    TemplateChanged,
    Unlisted,
)
from messaging.providers.base import (
    Blame,
    Card,
    Choice,
    Choices,
    File,
    Hook,
    Outgoing,
    Place,
)
from messaging.providers.signatures import hmac_sha256_hex
from messaging.providers.templates import ButtonValue, FilledTemplate, Variable
from tests.contract import TEXT, Kit, Signer

_LINKED = File("application/pdf", "a.pdf", url="https://files.test/a.pdf")
_UPLOADED = File("image/png", "a.png", content=b"png")


def _of_kind(kind: Kind, **more) -> Outgoing:
    return replace(TEXT, kind=kind, **more)


def _sha256_of_the_body(hook: Hook, secrets) -> Hook:
    digest = hmac_sha256_hex(secrets["app_secret"], hook.body)
    return replace(hook, headers={"x-hub-signature-256": f"sha256={digest}"})


def _graph_error(status: int, code: int) -> httpx.Response:
    error = {"message": f"(#{code}) Said", "code": code, "error_data": {"details": "Details"}}
    return httpx.Response(status, json={"error": error})


_TEMPLATE = FilledTemplate(
    "order_ready",
    "fr",
    header=(Variable("12"),),
    body=(Variable("Awa", "first_name"),),
    buttons=(ButtonValue(0, "url", "12"), ButtonValue(1, "code", "ETE20")),
)
_LIST = Choices((Choice("m", "Taille M", "En stock"),), label="Tailles")

WHATSAPP_CLOUD = Kit(
    signers=(Signer(_sha256_of_the_body),),
    events=frozenset(
        {
            Received,
            StatusChanged,
            InstanceChanged,
            Deleted,
            Edited,
            Reacted,
            NumberChanged,
            TemplateChanged,
            Problem,
            Ignored,
            Unlisted,
        }
    ),
    statuses=frozenset(Status),
    ignored=frozenset(
        {
            "account settings",
            "address book",
            "call",
            "chat opened",
            "group settings",
            "history",
            "marketing resumed",
            "messaging limit",
            "security code",
        }
    ),
    taken=httpx.Response(200, json={"id": "990009", "messages": [{"id": "wamid.T1"}]}),
    outgoing=(
        TEXT,
        replace(TEXT, to="FR.4400112233445566", reply_to="wamid.A1"),
        replace(TEXT, to="Y2FwaV9ncm91cDox"),
        *(
            _of_kind(kind, file=file)
            for kind in (Kind.IMAGE, Kind.VIDEO, Kind.DOCUMENT)
            for file in (_LINKED, _UPLOADED)
        ),
        *(
            _of_kind(kind, text="", file=_UPLOADED)
            for kind in (Kind.AUDIO, Kind.VOICE, Kind.STICKER)
        ),
        _of_kind(Kind.LOCATION, place=Place(14.69, -17.44)),
        _of_kind(Kind.CONTACT, card=Card("Moussa Fall", "+221770000001")),
        replace(TEXT, choices=Choices((Choice("y", "Oui"), Choice("n", "Non")))),
        replace(TEXT, choices=_LIST),
        replace(TEXT, template=_TEMPLATE),
        _of_kind(Kind.IMAGE, template=_TEMPLATE, file=_UPLOADED),
    ),
    refusals=(
        (httpx.Response(401), ("unauthorized", False, Blame.ACCOUNT, False)),
        (httpx.Response(404), ("not_found", False, Blame.ACCOUNT, False)),
        (httpx.Response(429), ("rate_limited", True, Blame.PROVIDER, False)),
        (httpx.Response(500), ("http_500", False, Blame.PROVIDER, True)),
        (httpx.Response(503), ("unavailable", True, Blame.PROVIDER, False)),
        (_graph_error(400, 100), ("100", False, Blame.MESSAGE, False)),
        (_graph_error(401, 190), ("190", False, Blame.ACCOUNT, False)),
        (_graph_error(403, 200), ("200", False, Blame.ACCOUNT, False)),
        (_graph_error(400, 131047), ("131047", False, Blame.RECIPIENT, False)),
        (_graph_error(400, 131026), ("131026", False, Blame.RECIPIENT, False)),
        (_graph_error(400, 131056), ("131056", True, Blame.PROVIDER, False)),
        (_graph_error(429, 130429), ("130429", True, Blame.PROVIDER, False)),
        (_graph_error(429, 80007), ("80007", True, Blame.PROVIDER, False)),
        (_graph_error(400, 132000), ("132000", False, Blame.MESSAGE, False)),
        (_graph_error(500, 131000), ("131000", True, Blame.PROVIDER, False)),
        (_graph_error(400, 424242), ("424242", False, Blame.PROVIDER, False)),
        (
            httpx.Response(200, content=b"<html>"),
            ("unreadable_answer", False, Blame.PROVIDER, True),
        ),
        (
            httpx.Response(200, json={"messages": []}),
            ("unreadable_answer", False, Blame.PROVIDER, True),
        ),
    ),
    settings={"waba_id": "105500000000001"},
    media_reference={"id": "990001"},
    reference="106600000000001",
    account="105500000000001",
)
