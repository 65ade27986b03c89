"""Answers that the recipient may tap below a text: buttons, or the rows of a list."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from messaging.providers.base import Choice, Choices
from messaging.templates import Unfit

# WhatsApp's own limits, whoever carries the message.
MOST_BUTTONS, MOST_ROWS = 3, 10
LONGEST_BUTTON, LONGEST_ROW, LONGEST_DESCRIPTION = 20, 24, 72
LONGEST_ID = 200
LONGEST_TEXT = 1024


def checked(text: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a message with these answers, or `Unfit`."""
    label = str(wanted.get("label", "")).strip()
    options = [_option(place, each) for place, each in enumerate(wanted["options"], start=1)]
    most = MOST_ROWS if label else MOST_BUTTONS
    if not 1 <= len(options) <= most:
        few = _("Give 1 to %(most)d answers; more than three need a label.")
        raise Unfit("choices.options", few % {"most": most})
    for place, option in enumerate(options):
        _check(place, option, is_row=bool(label))
    for name in ("id", "title"):
        if len({option[name] for option in options}) < len(options):
            raise Unfit("choices.options", _("Two answers are the same."))
    if len(label) > LONGEST_BUTTON:
        raise Unfit("choices.label", _("This value is too long."))
    if len(text) > LONGEST_TEXT:
        long = _("The text has %(length)d characters; %(limit)d are allowed.")
        raise Unfit("text", long % {"length": len(text), "limit": LONGEST_TEXT})
    taps = [option["title"] for option in options]
    return {"choices": {"label": label, "options": options}, "taps": taps}


def as_outgoing(parts: Mapping[str, Any]) -> Choices | None:
    """The answers of a message's parts as an adapter takes them."""
    kept = parts.get("choices")
    if not kept:
        return None
    return Choices(tuple(Choice(**each) for each in kept["options"]), label=kept["label"])


def _option(place: int, wanted: Mapping[str, Any]) -> dict[str, str]:
    return {
        "id": str(wanted.get("id") or place),
        "title": str(wanted.get("title", "")).strip(),
        "description": str(wanted.get("description", "")).strip(),
    }


def _check(place: int, option: Mapping[str, str], *, is_row: bool) -> None:
    field = f"choices.options.{place}"
    if not option["title"]:
        raise Unfit(f"{field}.title", _("This is required."))
    longest = {
        "id": LONGEST_ID,
        "title": LONGEST_ROW if is_row else LONGEST_BUTTON,
        "description": LONGEST_DESCRIPTION,
    }
    for name, limit in longest.items():
        if len(option[name]) > limit:
            raise Unfit(f"{field}.{name}", _("This value is too long."))
    if option["description"] and not is_row:
        raise Unfit(f"{field}.description", _("Buttons have no description; give a label."))
