"""How WhatsApp addresses people and groups: `33612345678@c.us`, `1234@lid`, `1203…@g.us`.

Unofficial providers pass these on. A LID hides the number of whoever it stands for.
"""

from messaging.events import Person

LONGEST_ADDRESS = 64

_PHONE_DOMAINS = ("s.whatsapp.net", "c.us")
_MANY_DOMAINS = ("g.us", "newsletter", "broadcast")
_GROUP_DOMAINS = ("g.us", "newsletter")
STORIES = "status@broadcast"


def domain_of(address: str) -> str:
    """What stands behind the `@`, "" where there is none."""
    return address.rpartition("@")[2] if "@" in address else ""


def is_for_many(address: str) -> bool:
    """Whether more people than one read what is written there."""
    return domain_of(address) in _MANY_DOMAINS


def group_of(address: str) -> str:
    """The address where it is a group's, else ""."""
    return address if domain_of(address) in _GROUP_DOMAINS else ""


def phone_of(address: str) -> str:
    """The number in an address, or in a bare number; "" where it hides."""
    if "@" in address and domain_of(address) not in _PHONE_DOMAINS:
        return ""
    number = _without_device(address)
    has_digits = any(character.isdigit() for character in number)
    return number if has_digits and len(number) <= LONGEST_ADDRESS else ""


def lid_of(address: str) -> str:
    """The address where it is a LID, without the device, else ""."""
    if domain_of(address) != "lid" or len(address) > LONGEST_ADDRESS:
        return ""
    return f"{_without_device(address)}@lid"


def person_at(*addresses: str, name: str = "") -> Person:
    """Whoever has these addresses; empty where none of them is a person's."""
    phone = next((phone for address in addresses if (phone := phone_of(address))), "")
    lid = next((lid for address in addresses if (lid := lid_of(address))), "")
    if not phone and not lid:
        return Person()
    return Person(phone=phone, lid=lid, name=name)


def _without_device(address: str) -> str:
    """`33612345678:12@…` is the same person's second device."""
    return address.partition("@")[0].partition(":")[0]
