"""What Meta tells of a whole account: its standing, its templates, its numbers' quality."""

from dataclasses import replace
from typing import Any

from messaging.events import Connection, Event, InstanceChanged, TemplateChanged
from messaging.providers.reading import digest, first_text, listing, mapping, word

from .envelope import Change, built_id, ignored, problem

# The state of the account's numbers after an `account_update`; "why" is shown to the team.
_STATES = {
    "ACCOUNT_DELETED": Connection.BLOCKED,
    "ACCOUNT_OFFBOARDED": Connection.DISCONNECTED,
    "ACCOUNT_RECONNECTED": Connection.CONNECTED,
    "PARTNER_REMOVED": Connection.DISCONNECTED,
    "PARTNER_APP_UNINSTALLED": Connection.DISCONNECTED,
}
_BANS = {
    "DISABLE": Connection.BLOCKED,
    "REINSTATE": Connection.CONNECTED,
}
# Neither changes what can be sent now, but somebody has to know.
_PROBLEMS = ("ACCOUNT_RESTRICTION", "ACCOUNT_VIOLATION", "DISABLED_UPDATE")


def read_account(change: Change) -> list[Event]:
    """`account_update`: bans, restrictions, partners that come and go."""
    event = first_text(change.value, "event").upper()
    state = _STATES.get(event) or _BANS.get(_ban(change)) if event else None
    if state is not None:
        return [_state_changed(change, state, event)]
    if event in _PROBLEMS:
        return [problem(change, change.value, event.lower(), _why(change))]
    return [ignored(change, change.value, "account settings")]


def read_quality(change: Change) -> list[Event]:
    """`phone_number_quality_update`: a number that people report is flagged, then limited."""
    event = first_text(change.value, "event").upper()
    number = first_text(change.value, "display_phone_number")
    limit = first_text(change.value, "current_limit", "max_daily_conversations_per_business")
    if event in ("FLAGGED", "DOWNGRADE"):
        return [problem(change, change.value, event.lower(), f"{number} {limit}".strip())]
    return [ignored(change, change.value, "messaging limit")]


def read_template_status(change: Change) -> list[Event]:
    """`message_template_status_update`: approved, rejected, paused, …"""
    rejection = mapping(change.value.get("rejection_info"))
    reason = first_text(rejection, "reason") or first_text(change.value, "reason")
    return _template(
        change,
        status=first_text(change.value, "event").lower()[:30],
        category=first_text(change.value, "message_template_category").lower()[:30],
        reason="" if reason == "NONE" else reason[:300],
    )


def read_template_quality(change: Change) -> list[Event]:
    """`message_template_quality_update`: green, yellow, red."""
    return _template(change, quality=first_text(change.value, "new_quality_score").lower()[:20])


def read_template_category(change: Change) -> list[Event]:
    """`template_category_update`: Meta moved it, which changes its price."""
    return _template(change, category=first_text(change.value, "new_category").lower()[:30])


def read_template_content(change: Change) -> list[Event]:
    """`message_template_components_update`: its words are others."""
    return _template(change, content_changed=True)


def language_of(written: str) -> str:
    """A template's language as the API takes it; posts write it with a hyphen at times."""
    return written.replace("-", "_")[:20]


def _template(change: Change, **facts: Any) -> list[Event]:
    name = first_text(change.value, "message_template_name")[:512]
    language = language_of(first_text(change.value, "message_template_language"))
    if not name or not language:
        return []
    changed = TemplateChanged(
        event_id=built_id(change, change.value),
        instance_ref=change.reference,
        at=change.at,
        raw=change.value,
        name=name,
        language=language,
        external_id=first_text(change.value, "message_template_id")[:100],
    )
    return [replace(changed, **facts)]


def _state_changed(change: Change, state: Connection, event: str) -> InstanceChanged:
    why = "" if state is Connection.CONNECTED else _why(change) or event.lower()
    return InstanceChanged(
        event_id=f"account:{digest(change.reference, change.time, change.value)}",
        instance_ref=change.reference,
        at=change.at,
        raw=change.value,
        state=state,
        reason=why,
    )


def _ban(change: Change) -> str:
    return first_text(mapping(change.value.get("ban_info")), "waba_ban_state").upper()


def _why(change: Change) -> str:
    value = change.value
    restrictions = listing(value.get("restriction_info") or [])
    said = [
        first_text(mapping(value.get("violation_info")), "violation_type"),
        first_text(mapping(value.get("disconnection_info")), "reason"),
        *(first_text(mapping(each), "restriction_type") for each in restrictions),
        word(mapping(value.get("ban_info")).get("waba_ban_state")),
    ]
    return ", ".join(each.lower() for each in said if each)[:200]
