"""The account at Unipile: its state, the page where a phone is linked, where it posts."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from messaging.events import Connection
from messaging.providers.base import Blame, InstanceState, SendError, Via, WebhookState
from messaging.providers.exchange import header_secret, safe
from messaging.providers.reading import first_text, listing, mapping, text

from .account import STATES, reason_of
from .calls import V2, account, ask, root, version

HEADER = "Unipile-Auth"

# What the adapter's table reads. v1 has a webhook for each source of events.
EVENTS_V1 = {
    "messaging": (
        "message_received",
        "message_edited",
        "message_deleted",
        "message_reaction",
        "message_delivered",
        "message_read",
    ),
    "account_status": (),
}
EVENTS_V2 = (
    "message.new",
    "message.update",
    "message.delete",
    "message.reaction.new",
    "message.receipt.delivery",
    "message.receipt.read",
    "account.status.running",
    "account.status.disconnected",
    "account.status.errored",
    "account.status.paused",
    "account.reconnect",
    "account.remove",
)
_PATH = {"v1": "/webhooks", V2: "/webhooks/endpoints/"}
_WORST = (Connection.DISCONNECTED, Connection.PENDING, Connection.CONNECTED)


def check(via: Via) -> InstanceState:
    """GET /accounts/{id}: v1 has a status for each source, v2 one for all."""
    told = ask(via, "GET", f"/accounts/{account(via)}")
    sources = [mapping(each) for each in listing(told.get("sources") or [])]
    words = [text(each.get("status")) for each in sources] or [text(told.get("status"))]
    states = {word: STATES[word] for word in words if word in STATES}
    if len(states) < len(set(words)):
        raise SendError("unknown_state", safe(", ".join(words), via))
    word = min(states, key=lambda each: _WORST.index(states[each]))
    return InstanceState(states[word], reason_of(word))


def login_link(via: Via, back_url: str, until: datetime) -> str:
    """A page of Unipile's where the phone of this account is linked again."""
    expires = until.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    if version(via) == V2:
        body = {"expires_on": expires, "redirect_uri": back_url, "account_id": via.reference}
        answer = ask(via, "POST", "/auth/link", body)
    else:
        answer = ask(via, "POST", "/hosted/accounts/link", _hosted(via, back_url, expires))
    link = first_text(answer, "url", "link")
    if not link.startswith("https://"):
        raise SendError("unreadable_answer", "no link", retry=True)
    return link


def read_webhook(via: Via) -> WebhookState:
    """Where this account's events go: our own address first, where it is among several."""
    found = sorted(_mine(via), key=lambda each: each.url not in via.webhooks.values())
    return found[0] if found else WebhookState(url="", enabled=False)


def configure_webhook(via: Via, url: str) -> WebhookState:
    """Make new webhooks, let go of those that posted here before, then look."""
    old = [each for each in _listed(via) if _url(each) == url and _covers(each, via)]
    shown = _make_v2(via, url) if version(via) == V2 else _make_v1(via, url)
    for each in old:
        ask(via, "DELETE", f"{_PATH[version(via)].rstrip('/')}/{first_text(each, 'id')}")
    kept = [each for each in _mine(via) if each.url == url and each.enabled]
    told = {event for each in kept for event in each.events}
    wanted = set(EVENTS_V2) if version(via) == V2 else {*EVENTS_V1["messaging"], "account_status"}
    if wanted - told:
        raise SendError("webhook_not_kept", ", ".join(sorted(wanted - told)))
    return WebhookState(url, True, tuple(sorted(told)), values=shown)


def _make_v1(via: Via, url: str) -> Mapping[str, str]:
    headers = [
        {"key": HEADER, "value": header_secret(via, "webhook_secret")},
        # Without it posts come without a type, which some proxies refuse.
        {"key": "Content-Type", "value": "application/json"},
    ]
    for source, events in EVENTS_V1.items():
        body: dict[str, Any] = {
            "request_url": url,
            "source": source,
            "name": f"AMDA {source}",
            "format": "json",
            "account_ids": [via.reference],
            "enabled": True,
            "headers": headers,
        }
        ask(via, "POST", "/webhooks", body | ({"events": list(events)} if events else {}))
    return {}


def _make_v2(via: Via, url: str) -> Mapping[str, str]:
    """The secret it signs with is shown now; from then on the instance has it."""
    body = {
        "url": url,
        "trigger_events": list(EVENTS_V2),
        "account_ids": [via.reference],
        "description": "AMDA",
    }
    secret = first_text(ask(via, "POST", _PATH[V2], body), "secret")
    if not secret:
        raise SendError("unreadable_answer", "no secret", retry=True)
    return {"webhook_secret": secret}


def _listed(via: Via) -> list[dict[str, Any]]:
    told = ask(via, "GET", _PATH[version(via)])
    return [mapping(each) for each in listing(told.get("items") or told.get("data") or [])]


def _mine(via: Via) -> list[WebhookState]:
    return [_state(each) for each in _listed(via) if _covers(each, via)]


def _covers(webhook: dict[str, Any], via: Via) -> bool:
    """Whether it is about this account: one that names none is about all."""
    accounts = [text(each) for each in listing(webhook.get("account_ids") or [])]
    return not accounts or via.reference in accounts


def _state(webhook: dict[str, Any]) -> WebhookState:
    events = listing(webhook.get("events") or webhook.get("trigger_events") or [])
    source = first_text(webhook, "source")
    return WebhookState(
        url=_url(webhook),
        enabled=webhook.get("enabled") is not False,
        events=tuple(text(each) for each in events) or ((source,) if source else ()),
    )


def _url(webhook: dict[str, Any]) -> str:
    return first_text(webhook, "request_url", "url")


def _hosted(via: Via, back_url: str, expires: str) -> dict[str, Any]:
    if not via.reference:
        raise SendError("bad_account_id", blame=Blame.ACCOUNT)
    return {
        "type": "reconnect",
        "reconnect_account": via.reference,
        "providers": ["WHATSAPP"],
        "api_url": root(via),
        "expiresOn": expires,
        "success_redirect_url": back_url,
        "failure_redirect_url": back_url,
    }
