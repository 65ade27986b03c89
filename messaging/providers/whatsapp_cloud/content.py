"""What a message says, by its `type`: the member of that name holds it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from messaging.events import Attachment, Kind
from messaging.providers.reading import (
    first_text,
    hash_in_hexadecimal,
    listing,
    mapping,
    number,
    text,
)

_FILES = {
    "image": Kind.IMAGE,
    "video": Kind.VIDEO,
    "audio": Kind.AUDIO,
    "document": Kind.DOCUMENT,
    "sticker": Kind.STICKER,
}
_MOST_LINES = 50


@dataclass(frozen=True)
class Content:
    """What a message says."""

    kind: Kind
    text: str = ""
    attachments: tuple[Attachment, ...] = ()


def read_content(message: dict[str, Any]) -> Content:
    """What the message says; a placeholder where it says it in a way we do not know."""
    name = text(message.get("type"))
    part = mapping(message.get(name))
    if name in _FILES and part:
        return _file(_FILES[name], part)
    if name in _SAYINGS:
        kind, say = _SAYINGS[name]
        if said := say(message.get(name)):
            return Content(kind, said)
    return Content(Kind.PLACEHOLDER, first_text(part, "body"))


def _file(kind: Kind, part: dict[str, Any]) -> Content:
    if kind is Kind.AUDIO and part.get("voice") is True:
        kind = Kind.VOICE
    size = number(part.get("file_size"))
    attachment = Attachment(
        kind=kind,
        mime_type=text(part.get("mime_type")),
        file_name=first_text(part, "filename"),
        size=None if size is None else int(size),
        sha256=hash_in_hexadecimal(part.get("sha256")),
        reference={"id": text(part.get("id"))[:200]},
    )
    return Content(kind, text(part.get("caption")), (attachment,))


def _say_text(part: Any) -> str:
    return text(mapping(part).get("body"))


def _say_location(part: Any) -> str:
    place = mapping(part)
    latitude, longitude = text(place.get("latitude")), text(place.get("longitude"))
    position = f"{latitude}, {longitude}" if latitude and longitude else ""
    return _lines(first_text(place, "name"), first_text(place, "address"), position)


def _say_contacts(part: Any) -> str:
    return _lines(*(line for card in listing(part) for line in _card(mapping(card))))


def _card(card: dict[str, Any]) -> list[str]:
    name = mapping(card.get("name"))
    phones = [mapping(phone) for phone in listing(card.get("phones"))]
    mails = [mapping(mail) for mail in listing(card.get("emails"))]
    return [
        first_text(name, "formatted_name", "first_name"),
        *(first_text(phone, "phone", "wa_id") for phone in phones),
        *(first_text(mail, "email") for mail in mails),
    ]


def _say_button(part: Any) -> str:
    return first_text(mapping(part), "text", "payload")


def _say_interactive(part: Any) -> str:
    found = mapping(part)
    reply = mapping(found.get("button_reply")) or mapping(found.get("list_reply"))
    if reply:
        return _lines(first_text(reply, "title"), first_text(reply, "description"))
    return _say_form(mapping(found.get("nfm_reply")))


def _say_form(form: dict[str, Any]) -> str:
    """The answers of a filled form ("flow"), one line each."""
    try:
        answers = mapping(json.loads(text(form.get("response_json"))))
    except (ValueError, RecursionError):
        answers = {}
    lines = [
        f"{name}: {said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)}"
        for name, said in answers.items()
        if name != "flow_token" and said not in ("", None)
    ]
    return _lines(first_text(form, "body"), *lines)


def _say_order(part: Any) -> str:
    order = mapping(part)
    items = [_item(mapping(item)) for item in listing(order.get("product_items"))]
    return _lines(first_text(order, "text"), *items)


def _item(item: dict[str, Any]) -> str:
    product = first_text(item, "product_retailer_id")
    if not product:
        return ""
    count, price = first_text(item, "quantity"), first_text(item, "item_price")
    priced = f"{price} {first_text(item, 'currency')}".strip() if price else ""
    return " · ".join(each for each in (f"{count or 1} × {product}", priced) if each)


def _lines(*lines: str) -> str:
    return "\n".join([line for line in lines if line][:_MOST_LINES])


_SAYINGS: dict[str, tuple[Kind, Callable[[Any], str]]] = {
    "text": (Kind.TEXT, _say_text),
    "button": (Kind.TEXT, _say_button),
    "interactive": (Kind.TEXT, _say_interactive),
    "order": (Kind.TEXT, _say_order),
    "location": (Kind.LOCATION, _say_location),
    "contacts": (Kind.CONTACT, _say_contacts),
}
