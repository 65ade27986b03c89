"""Twilio's own list of messages, read after a gap: each becomes the post that would have come.

GET Messages.json lists an account's messages; it is asked for one number at a time, because
several vendors may share an account. A message with files needs a second look, at Media.json.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from messaging.providers.base import Via
from messaging.providers.reading import first_text, listing, mapping, number, text

from .calls import api_url, get, get_at
from .sending import sender_of

PAGE_SIZE = 100
MOST_PAGES = 20


def read_journal(via: Via, *, minutes: int) -> list[bytes]:
    """What was said with this number in the last minutes, both ways, oldest first."""
    since = datetime.now(UTC) - timedelta(minutes=minutes)
    found = [
        *_messages(via, "To", via.address, since),
        *_messages(via, "From", sender_of(via), since),
    ]
    return [_as_post(message, via) for message in reversed(found)]


def _messages(via: Via, side: str, address: str, since: datetime) -> Iterator[dict[str, Any]]:
    """The messages of a number on one side, page by page, newest first as Twilio lists them."""
    page = get(
        via,
        "/Messages.json",
        [
            (side, address),
            ("DateSent>", since.strftime("%Y-%m-%dT%H:%M:%SZ")),
            ("PageSize", str(PAGE_SIZE)),
        ],
    )
    for _page in range(MOST_PAGES):
        yield from (message for message in map(mapping, listing(page.get("messages"))) if message)
        following = first_text(page, "next_page_uri")
        if not following.startswith("/"):
            return
        page = get_at(via, api_url(via) + following)


def _as_post(message: dict[str, Any], via: Via) -> bytes:
    """The form that Twilio posts of such a message, with its time and direction added."""
    is_inbound = first_text(message, "direction") == "inbound"
    fields = {
        "MessageSid": first_text(message, "sid"),
        "AccountSid": first_text(message, "account_sid"),
        "MessagingServiceSid": first_text(message, "messaging_service_sid"),
        "From": first_text(message, "from"),
        "To": first_text(message, "to"),
        "Body": text(message.get("body")),
        "Direction": first_text(message, "direction"),
        "SmsStatus" if is_inbound else "MessageStatus": first_text(message, "status"),
        "ErrorCode": first_text(message, "error_code"),
        "ErrorMessage": first_text(message, "error_message"),
        "DateSent": first_text(message, "date_sent", "date_created"),
        **_files(message, via),
    }
    return urlencode({name: value for name, value in fields.items() if value}).encode()


def _files(message: dict[str, Any], via: Via) -> dict[str, str]:
    count = int(number(message.get("num_media")) or 0)
    if not count:
        return {}
    found = get(via, f"/Messages/{first_text(message, 'sid')}/Media.json")
    fields = {"NumMedia": str(count)}
    for place, media in enumerate(map(mapping, listing(found.get("media_list")))):
        address = first_text(media, "uri").removesuffix(".json")
        fields[f"MediaUrl{place}"] = api_url(via) + address
        fields[f"MediaContentType{place}"] = first_text(media, "content_type")
    return fields
