"""Who wrote: a phone number, a business-scoped user id (BSUID), or both.

A person may hide the number: then `from` and `wa_id` are absent or hold the BSUID, and
`from_user_id`, `user_id` have it (Meta, page on business-scoped user ids).
"""

import re
from typing import Any

from messaging.events import Person
from messaging.providers.reading import first_text, listing, mapping

_BSUID = re.compile(r"[A-Z]{2}\.[A-Za-z0-9.]{1,120}")
_PHONE = re.compile(r"\+?[0-9]{5,20}")


def is_bsuid(address: str) -> bool:
    """Whether this names a person by the id that hides the number."""
    return bool(_BSUID.fullmatch(address))


def person(value: dict[str, Any], address: str, user_id: str) -> Person:
    """The person of this address and id, with what the post's `contacts` tell besides.

    Only a contact with one of the two names is them: another's name would merge two people. Where
    the message names nobody, they are the post's one contact, if it has just one.
    """
    named = [name for name in (address, user_id) if _PHONE.fullmatch(name) or is_bsuid(name)]
    contacts = _contacts(value)
    if named:
        contact = next((each for each in contacts if _names(each) & set(named)), {})
    else:
        contact = contacts[0] if len(contacts) == 1 else {}
    known = [*named, first_text(contact, "wa_id"), first_text(contact, "user_id")]
    return Person(
        phone=next((name for name in known if _PHONE.fullmatch(name)), ""),
        bsuid=next((name for name in known if is_bsuid(name)), ""),
        name=first_text(mapping(contact.get("profile")), "name", "username")[:200],
    )


def _contacts(value: dict[str, Any]) -> list[dict[str, Any]]:
    return [mapping(each) for each in listing(value.get("contacts"))]


def _names(contact: dict[str, Any]) -> set[str]:
    return {first_text(contact, "wa_id"), first_text(contact, "user_id")} - {""}
