"""Meta's webhooks as events.

| what arrives | event | what a person sees |
|---|---|---|
| messages: text, button, interactive answer, filled form, order | Received TEXT | the words; an order's items line by line |
| … image, video, audio, voice, document, sticker | Received of that kind with an attachment | the file, once its id was looked up and its address fetched |
| … location | Received LOCATION | name, address, position |
| … contacts | Received CONTACT | names, numbers, e-mail addresses |
| … system message that we cannot name, unsupported (131051), interactive without content, any newer type | Received PLACEHOLDER | a placeholder |
| … context.id | `reply_to` | what is quoted |
| … referral | `subject` | the advertisement it answers, above the words |
| … group_id | Received with `group` | the message, under who wrote it |
| … from or from_user_id is a BSUID | Received, Person with bsuid | the message; answers go to the BSUID |
| … reaction, with or without emoji | Reacted | the emoji on the message, or its removal |
| … edit | Edited | the new text |
| … revoke; status deleted | Deleted | a tombstone |
| … system, user_changed_number | NumberChanged | both numbers at the lead; answers go to the new one |
| … system, …identity_changed | Ignored | nothing: the contact has a new phone |
| … interactive, call_permission_reply | Ignored | nothing: we do not call |
| … request_welcome | Ignored | nothing: the chat was opened, nothing was said |
| smb_message_echoes: written in the app on the phone | Received with `from_us`, Edited, Deleted, Reacted | our message, marked as written on the phone |
| statuses: sent, delivered, read, played, failed | StatusChanged | how far the message got; with failed, Meta's words and what to do |
| errors without a message | Problem | staff see it in the instance's events |
| message_template_status_update, …_quality_update, template_category_update, …_components_update | TemplateChanged | the template picker shows what may be sent now |
| account_update: disabled, deleted, partner removed, reinstated, reconnected | InstanceChanged | the state of the number |
| account_update: restriction, violation, scheduled ban; a number flagged | Problem | staff see it in the instance's events |
| account_update: anything else; account_review_update, account_alerts, business_capability_update, … | Ignored | nothing: settings of the account |
| phone_number_quality_update, upgraded or unflagged | Ignored | nothing |
| user_preferences | Problem when marketing is stopped, else Ignored | staff see it; Meta refuses marketing templates from then on (131050) |
| calls | Ignored | nothing: no calls here |
| history | Ignored | nothing: what was said before the number came here |
| smb_app_state_sync | Ignored | nothing: the phone's address book |
| group_lifecycle_update, group_participants_update, … | Ignored | nothing |
| a status we do not know, anything unreadable, any other field | Unlisted | staff see it in the instance's events |

Sources: developers.facebook.com's reference of webhooks; the test data of the pywa library; the
WhatsApp handler of nyaruka/courier, for facts.
"""  # noqa: E501

from collections.abc import Callable, Iterator
from typing import Any

from messaging.events import Event
from messaging.providers.reading import first_text, listing, mapping, word

from . import accounts
from .envelope import Change, changes_for, ignored, problem, unlisted
from .messages import read_echo, read_message
from .statuses import detail_of, read_status

_IGNORED = {
    "calls": "call",
    "history": "history",
    "smb_app_state_sync": "address book",
    "account_review_update": "account settings",
    "account_alerts": "account settings",
    "account_settings_update": "account settings",
    "business_capability_update": "account settings",
    "business_status_update": "account settings",
    "phone_number_name_update": "account settings",
    "payment_configuration_update": "account settings",
    "partner_solutions": "account settings",
    "security": "account settings",
    "flows": "account settings",
    "automatic_events": "account settings",
    "template_correct_category_detection": "account settings",
    "group_lifecycle_update": "group settings",
    "group_participants_update": "group settings",
    "group_settings_update": "group settings",
    "group_status_update": "group settings",
}


def parse(body: bytes, reference: str, account: str) -> list[Event]:
    """What a body tells of one number and its account, or `BadPayload`.

    Empty where all of it is about other numbers: the same body was handed to theirs.
    """
    return [
        event
        for change in changes_for(body, reference, account)
        for event in _read(change) or [unlisted(change, change.value)]
    ]


def _read(change: Change) -> list[Event]:
    if change.field in _IGNORED:
        return [ignored(change, change.value, _IGNORED[change.field])]
    reader = _READERS.get(change.field)
    return reader(change) if reader else []


def _read_messages(change: Change) -> list[Event]:
    return [
        *_each(change, "messages", read_message),
        *_each(change, "message_echoes", read_echo),
        *_each(change, "statuses", read_status),
        *_errors(change),
    ]


_ItemReader = Callable[[Change, Any], Event | None]


def _each(change: Change, name: str, read: _ItemReader) -> Iterator[Event]:
    """One unreadable item never hides the others: it stays visible as what it is."""
    for item in _items(change, name):
        yield read(change, item) or unlisted(change, item, f"{change.field}.{name}")


def _errors(change: Change) -> Iterator[Event]:
    # An error that accompanies a message is that message's.
    if "messages" in change.value or "message_echoes" in change.value:
        return
    for item in _items(change, "errors"):
        error = mapping(item)
        yield problem(change, item, first_text(error, "code") or "error", detail_of(error))


def _read_preferences(change: Change) -> list[Event]:
    return [_preference(change, mapping(item)) for item in _items(change, "user_preferences")]


def _preference(change: Change, item: dict[str, Any]) -> Event:
    if word(item.get("value")) == "stop":
        return problem(change, item, "marketing_stopped", first_text(item, "wa_id", "user_id"))
    return ignored(change, item, "marketing resumed")


def _items(change: Change, name: str) -> list[Any]:
    return listing(change.value[name]) if name in change.value else []


_READERS: dict[str, Callable[[Change], list[Event]]] = {
    "messages": _read_messages,
    "smb_message_echoes": _read_messages,
    "user_preferences": _read_preferences,
    "account_update": accounts.read_account,
    "phone_number_quality_update": accounts.read_quality,
    "message_template_status_update": accounts.read_template_status,
    "message_template_quality_update": accounts.read_template_quality,
    "message_template_components_update": accounts.read_template_content,
    "template_category_update": accounts.read_template_category,
}
