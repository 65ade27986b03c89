"""Asking a person for vendors, one after the other."""

from collections.abc import Callable, Iterator
from getpass import getpass

from messaging.migrating.vendor_file import VendorRow

_YES = {"y", "yes", "o", "oui"}


def vendors(say: Callable[[str], object], *, suggest: Callable[[], str]) -> Iterator[VendorRow]:
    """The vendors a person tells of and wants written, until they enter "-" as the next one.

    `suggest` names the vendor that comes next; answers to questions about secrets are not shown
    where a terminal can hide them.
    """
    position = 0
    while True:
        position += 1
        row = _vendor(position, say, suggest())
        if row is None:
            return
        if row.complaint:
            say(row.complaint)
        elif _asked("Write this? [y/N]").lower() in _YES:
            yield row
        else:
            say(f"{row.slug}: not written.")


def _vendor(position: int, say: Callable[[str], object], suggested: str) -> VendorRow | None:
    slug = _asked(f"Vendor id [{suggested}], or - to end") or suggested
    if slug == "-":
        return None
    facts = {
        "name": _asked("Business name"),
        "phone": _asked("Phone number (+221701111111)"),
        "session_id": _asked("Wasender instance id"),
        "webhook_secret": getpass("Wasender webhook secret: ").strip(),
        "api_key": getpass("Wasender API key (empty if unknown): ").strip(),
    }
    say(f"{slug}: {facts['name']}, {facts['phone']}, instance {facts['session_id']}")
    lacking = [name for name, value in facts.items() if not value and name != "api_key"]
    complaint = f"missing: {', '.join(lacking)}; nothing is written." if lacking else ""
    return VendorRow(position, slug=slug, complaint=complaint, **facts)


def _asked(question: str) -> str:
    return input(f"{question}: ").strip()
