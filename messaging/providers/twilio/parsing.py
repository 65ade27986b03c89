"""Twilio's posts as events.

What is read is decided by the parameters, not by the path they were posted to.

| what arrives | event | what a person sees |
|---|---|---|
| MessageSid with SmsStatus received or receiving | Received | the message |
| … NumMedia 0 | Received TEXT | the words |
| … MediaUrl0, MediaUrl1 … by MediaContentType | Received IMAGE, VIDEO, AUDIO, DOCUMENT with attachments | the files, once Twilio handed them over, and the words |
| … a Body that Twilio left in Base64 (parts put together) | Received | the words themselves |
| … a Body that is STOP, ARRÊT … or OptOutType STOP | and ConsentChanged | the words; nothing more is sent to the number |
| … a Body that is START, YES, UNSTOP or OptOutType START | and ConsentChanged | the words; the number may be written to again |
| … HELP, INFO | Received | the words |
| … From a name instead of a number | Unlisted | staff see it in the instance's events: nobody could be answered |
| MessageStatus sent, delivered, read | StatusChanged | how far our message got |
| MessageStatus partially_delivered | StatusChanged SENT | our message left; not all of it is known to have arrived |
| MessageStatus failed, undelivered, canceled | StatusChanged FAILED with the ErrorCode | not sent, why, and what to do |
| … with ErrorCode 21610 | and ConsentChanged by the provider | nothing more is sent to the number |
| MessageStatus accepted, scheduled, queued, sending | Ignored | nothing: our message shows as sent already, and a failure comes by itself |
| from the journal: Direction outbound… | Received with `from_us`, StatusChanged | what was sent from elsewhere, or what became of our message |
| any other MessageStatus | Unlisted | staff see it in the instance's events |

A webhook tells no time: what it tells happened when it came. Sources: Twilio's documentation of
the incoming message webhook and of status callbacks.
"""  # noqa: E501

import base64
import binascii
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qs

from messaging.events import (
    Attachment,
    ConsentChanged,
    Event,
    Ignored,
    Kind,
    Person,
    Received,
    Status,
    StatusChanged,
    Unlisted,
)
from messaging.providers.base import BadPayload, Hook
from messaging.providers.reading import LONGEST_ID, event_id

from .consent import opts_out
from .errors import OPTED_OUT
from .form import Form, read_form

_STATUSES = {
    "sent": Status.SENT,
    "partially_delivered": Status.SENT,
    "delivered": Status.DELIVERED,
    "read": Status.READ,
    "failed": Status.FAILED,
    "undelivered": Status.FAILED,
    "canceled": Status.FAILED,
}
_NOT_SENT_YET = frozenset({"accepted", "scheduled", "queued", "sending"})
_RECEIVED = frozenset({"received", "receiving"})
_KINDS = {"image": Kind.IMAGE, "video": Kind.VIDEO, "audio": Kind.AUDIO}
_MEDIA_URL = re.compile(r"MediaUrl([0-9]{1,2})", re.ASCII)
_ADDRESS = re.compile(r"(?:[a-z]+:)?(\+?[0-9]{3,20})", re.ASCII)
# Shorter texts may be words that only look so.
_SHORTEST_BASE64 = 60


def parse(hook: Hook, reference: str) -> list[Event]:
    """The facts in a post, or `BadPayload`."""
    form = read_form(hook.body)
    sid = form.get("MessageSid", "SmsMessageSid", "SmsSid")
    if not sid or len(sid) > LONGEST_ID:
        raise BadPayload("no MessageSid")
    status = form.get("MessageStatus", "SmsStatus").lower()
    if form.get("Direction").startswith("outbound"):
        return _sent_from_elsewhere(form, sid, status, reference)
    if status in _RECEIVED or not status:
        return _received(form, sid, reference)
    return _told_status(hook, form, sid, status, reference)


def is_about_our_message(form: Form) -> bool:
    """Whether a post tells what became of a message of ours: then it was sent From our number."""
    status = form.get("MessageStatus", "SmsStatus").lower()
    return bool(status) and status not in _RECEIVED


def _received(form: Form, sid: str, reference: str) -> list[Event]:
    phone = _number(form.get("From"))
    if not phone:
        return [_unlisted(form, sid, "sender without a number", reference)]
    message = _message(form, sid, phone, reference)
    opted_out = opts_out(message.text, form.get("OptOutType"))
    if opted_out is None:
        return [message]
    return [message, _consent(form, sid, phone, reference, opted_out=opted_out)]


def _sent_from_elsewhere(form: Form, sid: str, status: str, reference: str) -> list[Event]:
    """A message of ours in Twilio's list, with what became of it."""
    phone = _number(form.get("To"))
    if not phone:
        return [_unlisted(form, sid, "recipient without a number", reference)]
    message = _message(form, sid, phone, reference, from_us=True)
    return [message, *_status_events(form, sid, status, reference, "")]


def _told_status(hook: Hook, form: Form, sid: str, status: str, reference: str) -> list[Event]:
    echo = parse_qs(hook.query).get("message", [""])[0]
    told = _status_events(form, sid, status, reference, echo)
    if told:
        return told
    if status in _NOT_SENT_YET:
        return [
            Ignored(
                event_id=event_id(sid, "status", status),
                instance_ref=reference,
                raw=form.values(),
                reason="not sent yet",
            )
        ]
    return [_unlisted(form, sid, f"status {status}", reference)]


def _message(
    form: Form, sid: str, phone: str, reference: str, *, from_us: bool = False
) -> Received:
    attachments = _attachments(form)
    return Received(
        event_id=sid,
        instance_ref=reference,
        at=_date(form.get("DateSent")),
        raw=form.values(),
        external_id=sid,
        person=Person(phone=phone, name="" if from_us else form.get("ProfileName")),
        kind=attachments[0].kind if attachments else Kind.TEXT,
        text=_words(form.text("Body")),
        from_us=from_us,
        attachments=attachments,
    )


def _status_events(form: Form, sid: str, status: str, reference: str, echo: str) -> list[Event]:
    known = _STATUSES.get(status)
    if known is None:
        return []
    code = form.get("ErrorCode")
    has_code = known is Status.FAILED and code not in ("", "0")
    changed = StatusChanged(
        event_id=event_id(sid, "status", status),
        instance_ref=reference,
        at=_date(form.get("DateSent")),
        raw=form.values(),
        status=known,
        external_id=sid,
        echo=echo,
        error_code=code if has_code else status if known is Status.FAILED else "",
        error_detail=form.get("ErrorMessage") if has_code else "",
    )
    phone = _number(form.get("To"))
    if changed.error_code != OPTED_OUT or not phone:
        return [changed]
    return [
        changed,
        _consent(form, sid, phone, reference, opted_out=True, by_provider=True),
    ]


def _consent(
    form: Form, sid: str, phone: str, reference: str, *, opted_out: bool, by_provider: bool = False
) -> ConsentChanged:
    return ConsentChanged(
        event_id=event_id(sid, "consent"),
        instance_ref=reference,
        at=_date(form.get("DateSent")),
        raw=form.values(),
        person=Person(phone=phone),
        opted_out=opted_out,
        by_provider=by_provider,
    )


def _unlisted(form: Form, sid: str, name: str, reference: str) -> Unlisted:
    return Unlisted(
        event_id=event_id(sid, name[:60]),
        instance_ref=reference,
        raw=form.values(),
        name=name[:100],
    )


def _attachments(form: Form) -> tuple[Attachment, ...]:
    """The files by their number; NumMedia only repeats how many there are."""
    places = {
        int(found[1]): url
        for name, url in form.values().items()
        if (found := _MEDIA_URL.fullmatch(name)) and url.strip()
    }
    return tuple(
        _attachment(url.strip(), form.get(f"MediaContentType{place}"))
        for place, url in sorted(places.items())
    )


def _attachment(url: str, mime_type: str) -> Attachment:
    kind = _KINDS.get(mime_type.partition("/")[0].lower(), Kind.DOCUMENT)
    return Attachment(kind=kind, mime_type=mime_type, reference={"url": url})


def _words(body: str) -> str:
    """The text; where Twilio put parts together and left them in Base64, what they say."""
    packed = body.replace("\n", "").replace("\r", "")
    if len(packed) < _SHORTEST_BASE64 or len(packed) % 4:
        return body
    try:
        said = base64.b64decode(packed, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return body
    # Words have spaces; what is readable by accident hardly has.
    is_text = " " in said and all(each.isprintable() or each in "\r\n\t" for each in said)
    return said if is_text else body


def _number(address: str) -> str:
    """The number in an address, "" where a name stands for it."""
    found = _ADDRESS.fullmatch(address)
    return found[1] if found else ""


def _date(said: str) -> datetime | None:
    """When, as the list of messages tells it; webhooks tell nothing."""
    try:
        found = parsedate_to_datetime(said)
    except ValueError:
        return None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    return found.astimezone(UTC) if 1970 < found.year < 2500 else None
