"""Who a message is from or for.

WhatsApp names people by phone number (`…@s.whatsapp.net`) or by LID (`…@lid`), which hides the
number. Wasender adds `cleanedSenderPn`, the digits with or without `+`, and recommends it
(documentation, "how to receive messages").
"""

from typing import Any

from messaging.events import Person
from messaging.providers.reading import first_text, text

_LONGEST_ADDRESS = 64

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
_PHONE_DOMAINS = ("s.whatsapp.net", "c.us")
_MANY_DOMAINS = ("g.us", "newsletter", "broadcast")
_GROUP_DOMAINS = ("g.us", "newsletter")


def chat_of(key: dict[str, Any]) -> str:
    """The chat a message stands in: a person's JID, a group's, a newsletter's."""
    return first_text(key, "remoteJid", "remoteId")[:_LONGEST_ADDRESS]


def group_of(key: dict[str, Any]) -> str:
    """The chat's address where many read it, else ""."""
    chat = chat_of(key)
    return chat if _domain(chat) in _GROUP_DOMAINS else ""


def person_of(key: dict[str, Any], *, from_us: bool, name: str) -> Person:
    """The other side of the chat, or whoever of a group wrote; empty where the key names none."""
    addresses = [text(key.get(field)).strip() for field in _fields(key, from_us)]
    phone = next((phone for address in addresses if (phone := _phone(address))), "")
    lid = next((lid for address in addresses if (lid := _lid(address))), "")
    if not phone and not lid:
        return Person()
    return Person(phone=phone, lid=lid, name=name)


def _fields(key: dict[str, Any], from_us: bool) -> tuple[str, ...]:
    if _domain(chat_of(key)) in _MANY_DOMAINS:
        return () if from_us else _OF_PARTICIPANT
    return _OF_RECIPIENT if from_us else _OF_SENDER


def _domain(address: str) -> str:
    return address.rpartition("@")[2] if "@" in address else ""


def _phone(address: str) -> str:
    if "@" in address and _domain(address) not in _PHONE_DOMAINS:
        return ""
    number = _without_device(address)
    has_digits = any(character.isdigit() for character in number)
    return number if has_digits and len(number) <= _LONGEST_ADDRESS else ""


def _lid(address: str) -> str:
    if _domain(address) != "lid" or len(address) > _LONGEST_ADDRESS:
        return ""
    return f"{_without_device(address)}@lid"


def _without_device(address: str) -> str:
    """`33612345678:12@…` is the same person's second device."""
    return address.partition("@")[0].partition(":")[0]
