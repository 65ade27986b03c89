"""Who a message is from or for.

WhatsApp names people by phone number (`…@s.whatsapp.net`) or by LID (`…@lid`), which hides the
number. Wasender adds `cleanedSenderPn`, the digits with or without `+`, and recommends it
(documentation, "how to receive messages").
"""

from typing import Any

from messaging.events import Person
from messaging.providers import jids
from messaging.providers.reading import first_text, text

_OF_SENDER = ("cleanedSenderPn", "senderPn", "remoteJidAlt", "remoteJid", "remoteId", "senderLid")
# What we send carries ourselves as its sender: only the chat says who the other side is.
_OF_RECIPIENT = ("remoteJidAlt", "remoteJid", "remoteId")
_OF_PARTICIPANT = (
    "cleanedParticipantPn",
    "participantPn",
    "participantAlt",
    "participant",
    "participantLid",
    "cleanedSenderPn",
    "senderPn",
    "senderLid",
)


def chat_of(key: dict[str, Any]) -> str:
    """The chat a message stands in: a person's JID, a group's, a newsletter's."""
    return first_text(key, "remoteJid", "remoteId")[: jids.LONGEST_ADDRESS]


def group_of(key: dict[str, Any]) -> str:
    """The chat's address where many read it, else ""."""
    return jids.group_of(chat_of(key))


def person_of(key: dict[str, Any], *, from_us: bool, name: str) -> Person:
    """The other side of the chat, or whoever of a group wrote; empty where the key names none."""
    addresses = [text(key.get(field)).strip() for field in _fields(key, from_us)]
    return jids.person_at(*addresses, name=name)


def _fields(key: dict[str, Any], from_us: bool) -> tuple[str, ...]:
    if jids.is_for_many(chat_of(key)):
        return () if from_us else _OF_PARTICIPANT
    return _OF_RECIPIENT if from_us else _OF_SENDER
