"""What leaves: messages of every kind, and what is done to them afterwards.

Each kind has a method of its own, all of which answer with the id that WhatsApp has for the
message, and all of which only queue it there: messages leave one after the other, and those of an
instance that is not authorised wait for a day.

| kind | method | body besides chatId |
|---|---|---|
| text | sendMessage | message |
| image, video, document, audio, voice, sticker | sendFileByUrl | urlFile, fileName, caption |
| … whose content we have | sendFileByUpload, on the server for files | a form with the file |
| location | sendLocation | nameLocation, address, latitude, longitude |
| contact | sendContact | contact {phoneContact, firstName} |
| poll | sendPoll | message, options [{optionName}], multipleAnswers |

`quotedMessageId` quotes, in all of them.
"""

import mimetypes
from collections.abc import Callable, Mapping
from typing import Any

from messaging.events import Kind
from messaging.providers.base import Blame, File, Known, Outgoing, SendError, Sent, Via
from messaging.providers.jids import phone_of
from messaging.providers.reading import identifier, mapping

from .calls import ask, call

_FILES = (Kind.IMAGE, Kind.VIDEO, Kind.DOCUMENT, Kind.AUDIO, Kind.VOICE, Kind.STICKER)


def send(outgoing: Outgoing, via: Via) -> Sent:
    """Queue one message at Green-API."""
    common = {"chatId": chat_id(outgoing.to), **_quote(outgoing)}
    if outgoing.kind in _FILES:
        return _sent(_send_file(outgoing, via, common))
    method, content = _METHODS.get(outgoing.kind, ("", _nothing))
    body = content(outgoing)
    if not body:
        raise SendError("unsupported_kind", outgoing.kind.value, blame=Blame.MESSAGE)
    return _sent(call(via, "POST", method, {**common, **body}))


def edit(known: Known, said: str, via: Via) -> None:
    _change(via, "editMessage", {**_named(known), "message": said})


def delete(known: Known, via: Via) -> None:
    _change(via, "deleteMessage", _named(known))


def mark_read(known: Known, via: Via) -> None:
    _change(via, "readChat", _named(known))


def react(known: Known, emoji: str, via: Via) -> None:
    _change(via, "sendReaction", {**_named(known), "reaction": emoji})


def chat_id(address: str) -> str:
    """`+33612345678` is `33612345678@c.us` there; a LID and a group are what they are."""
    if "@" in address and not phone_of(address):
        return address
    digits = "".join(each for each in phone_of(address) if each in "0123456789")
    if not digits:
        raise SendError("recipient", blame=Blame.RECIPIENT)
    return f"{digits}@c.us"


def _sent(answer: Any) -> Sent:
    message_id = identifier(mapping(answer), "idMessage")
    if not message_id:
        # It answered "done" without saying what: the message may be on its way.
        raise SendError("unreadable_answer", "no idMessage", unknown=True)
    return Sent(external_id=message_id)


def _change(via: Via, method: str, body: Mapping[str, Any]) -> None:
    """Something done to one message: leads to the same when it is repeated."""
    try:
        ask(via, "POST", method, body)
    except SendError as error:
        if error.code != "recipient":
            raise
        # It named the chat of a message that is there: what it does not know is that message.
        raise SendError(error.code, error.detail, blame=Blame.MESSAGE) from error


def _named(known: Known) -> dict[str, str]:
    return {"chatId": chat_id(known.chat), "idMessage": known.external_id}


def _quote(outgoing: Outgoing) -> dict[str, str]:
    return {"quotedMessageId": outgoing.reply_to} if outgoing.reply_to else {}


def _send_file(outgoing: Outgoing, via: Via, common: dict[str, str]) -> Any:
    file = outgoing.file
    if file is None or not (file.url or file.content):
        raise SendError("file_missing", outgoing.kind.value, blame=Blame.MESSAGE)
    name = file.file_name or _name_for(file)
    form = {**common, "fileName": name, **({"caption": outgoing.text} if outgoing.text else {})}
    if file.url:
        return call(via, "POST", "sendFileByUrl", {**form, "urlFile": file.url})
    content = (name, file.content, file.mime_type or "application/octet-stream")
    return call(via, "POST", "sendFileByUpload", form=form, file=content)


def _name_for(file: File) -> str:
    """A file must have a name there; its ending says what WhatsApp shows it as."""
    return f"file{mimetypes.guess_extension(file.mime_type.partition(';')[0]) or '.bin'}"


def _text(outgoing: Outgoing) -> dict[str, Any]:
    return {"message": outgoing.text}


def _place(outgoing: Outgoing) -> dict[str, Any]:
    place = outgoing.place
    if place is None:
        return {}
    named = {"nameLocation": place.name, "address": place.address}
    position = {"latitude": place.latitude, "longitude": place.longitude}
    return position | {name: said for name, said in named.items() if said}


def _card(outgoing: Outgoing) -> dict[str, Any]:
    card = outgoing.card
    digits = "".join(each for each in (card.phone if card else "") if each in "0123456789")
    if card is None or not digits:
        return {}
    return {"contact": {"phoneContact": int(digits), "firstName": card.name}}


def _poll(outgoing: Outgoing) -> dict[str, Any]:
    poll = outgoing.poll
    if poll is None:
        return {}
    return {
        "message": poll.question,
        "options": [{"optionName": option} for option in poll.options],
        "multipleAnswers": poll.several,
    }


def _nothing(outgoing: Outgoing) -> dict[str, Any]:
    return {}


_METHODS: dict[Kind, tuple[str, Callable[[Outgoing], dict[str, Any]]]] = {
    Kind.TEXT: ("sendMessage", _text),
    Kind.LOCATION: ("sendLocation", _place),
    Kind.CONTACT: ("sendContact", _card),
    Kind.POLL: ("sendPoll", _poll),
}
