"""What leaves: messages of every kind, and the mark that one was read.

POST /{phone_number_id}/messages takes them all; `type` says which member holds the content
(Meta's reference of messages, courier, pywa):

| kind | type | and |
|---|---|---|
| text | text {body} | up to 4,096 characters |
| image, video, document | the same {id or link, caption, filename} | caption up to 1,024 |
| audio, voice, sticker | audio, sticker {id or link} | no caption |
| location | location {latitude, longitude, name, address} | |
| contact | contacts [{name, phones}] | |
| text with choices | interactive button or list | up to 3 buttons, up to 10 rows |
| template | template {name, language, components} | see `filling` |

A file is handed to POST /{phone_number_id}/media first. `biz_opaque_callback_data` carries our
own id and comes back with every status. There is no key that makes a repetition harmless.
"""

from collections.abc import Callable, Mapping
from typing import Any

from messaging.events import Kind
from messaging.providers.base import Blame, Choices, Known, Outgoing, SendError, Sent, Via
from messaging.providers.reading import first_text, listing, mapping

from .calls import ask, call
from .files import member_of
from .filling import template_member
from .people import is_bsuid


def send(outgoing: Outgoing, via: Via) -> Sent:
    """Hand one message over; the answer means accepted, and gives its id."""
    body = {
        "messaging_product": "whatsapp",
        **_recipient(outgoing.to),
        **_content(outgoing, via),
        **_quote(outgoing),
        "biz_opaque_callback_data": outgoing.reference,
    }
    answer = call(via, "POST", f"{via.reference}/messages", body)
    taken = next(iter(listing(answer.get("messages") or [])), None)
    external_id = first_text(mapping(taken), "id")
    if not external_id:
        # It answered "done" without saying what: the message may be on its way.
        raise SendError("unreadable_answer", "no id", unknown=True)
    return Sent(external_id=external_id)


def mark_read(known: Known, via: Via) -> None:
    """Blue ticks for the contact, on this message and those before it."""
    body = {
        "messaging_product": "whatsapp",
        "status": "read",
        "message_id": known.external_id,
    }
    ask(via, "POST", f"{via.reference}/messages", body=body)


def react(known: Known, emoji: str, via: Via) -> None:
    """An emoji of ours on a message; an empty one takes it back."""
    body = {
        "messaging_product": "whatsapp",
        **_recipient(known.chat),
        "type": "reaction",
        "reaction": {"message_id": known.external_id, "emoji": emoji},
    }
    ask(via, "POST", f"{via.reference}/messages", body=body)


def _recipient(to: str) -> dict[str, str]:
    if to.startswith("+"):
        return {"recipient_type": "individual", "to": to[1:]}
    if is_bsuid(to):
        return {"recipient_type": "individual", "recipient": to}
    return {"recipient_type": "group", "to": to}


def _quote(outgoing: Outgoing) -> dict[str, Any]:
    return {"context": {"message_id": outgoing.reply_to}} if outgoing.reply_to else {}


def _content(outgoing: Outgoing, via: Via) -> dict[str, Any]:
    if outgoing.template:
        return template_member(outgoing, via)
    if outgoing.choices:
        return {"type": "interactive", "interactive": _interactive(outgoing.choices, outgoing.text)}
    if outgoing.file:
        return member_of(outgoing, via)
    member = _MEMBERS[outgoing.kind](outgoing) if outgoing.kind in _MEMBERS else None
    if not member:
        raise SendError("unsupported_kind", outgoing.kind.value, blame=Blame.MESSAGE)
    return dict(member)


def _interactive(choices: Choices, text: str) -> dict[str, Any]:
    if choices.label:
        rows = [
            {"id": each.id, "title": each.title}
            | ({"description": each.description} if each.description else {})
            for each in choices.options
        ]
        action: dict[str, Any] = {"button": choices.label, "sections": [{"rows": rows}]}
        return {"type": "list", "body": {"text": text}, "action": action}
    buttons = [
        {"type": "reply", "reply": {"id": each.id, "title": each.title}} for each in choices.options
    ]
    return {"type": "button", "body": {"text": text}, "action": {"buttons": buttons}}


def _text(outgoing: Outgoing) -> Mapping[str, Any]:
    return {"type": "text", "text": {"body": outgoing.text, "preview_url": True}}


def _place(outgoing: Outgoing) -> Mapping[str, Any] | None:
    place = outgoing.place
    if place is None:
        return None
    named = {"name": place.name, "address": place.address}
    position = {"latitude": place.latitude, "longitude": place.longitude}
    location = position | {name: said for name, said in named.items() if said}
    return {"type": "location", "location": location}


def _card(outgoing: Outgoing) -> Mapping[str, Any] | None:
    card = outgoing.card
    if card is None:
        return None
    first, _, last = card.name.partition(" ")
    name = {"formatted_name": card.name, "first_name": first} | (
        {"last_name": last} if last else {}
    )
    phone = {"phone": card.phone, "type": "CELL", "wa_id": card.phone.lstrip("+")}
    return {"type": "contacts", "contacts": [{"name": name, "phones": [phone]}]}


_MEMBERS: dict[Kind, Callable[[Outgoing], Mapping[str, Any] | None]] = {
    Kind.TEXT: _text,
    Kind.LOCATION: _place,
    Kind.CONTACT: _card,
}
