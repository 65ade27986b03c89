"""What people say of their mail server, read once and checked before it is kept."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parseaddr
from typing import Any

from django.utils.translation import gettext_lazy as _

from messaging.providers.base import Blame, SendError, Via
from messaging.providers.reading import text

PORTS = {"starttls": 587, "tls": 465, "none": 25}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ADDRESS = re.compile(r"[^@\s<>,;:\"()]+@[^@\s<>,;:\"()]+\.[^@\s<>,;:\"()]+")


@dataclass(frozen=True)
class Server:
    """A mail server and how it is spoken to."""

    host: str
    port: int
    security: str
    user: str


def server_of(via: Via) -> Server:
    """The server of an instance."""
    security = text(via.settings.get("security")) or "starttls"
    port = text(via.settings.get("port"))
    return Server(
        host=text(via.settings.get("host")),
        port=int(port) if _is_port(port) else PORTS.get(security, 587),
        security=security,
        user=text(via.settings.get("user")),
    )


def sender_of(via: Via) -> tuple[str, str]:
    """The name and the address that recipients see."""
    name, address = parseaddr(text(via.settings.get("from_email")))
    return name, address or via.address


def hourly_limit(via: Via) -> int | None:
    """How many mails the server takes in an hour; None where nobody said."""
    said = text(via.settings.get("hourly_limit"))
    return int(said) if said.isdecimal() and len(said) < 9 else None


def complaints(values: Mapping[str, str]) -> dict[str, Any]:
    """What is wrong with these values: field → sentence."""
    found: dict[str, Any] = {
        name: _("A line break or another control character is not allowed here.")
        for name, value in values.items()
        if _CONTROL.search(value)
    }
    if values.get("port") and not _is_port(values["port"]):
        found.setdefault("port", _("Give a number from 1 to 65535."))
    if values.get("hourly_limit") and not _is_count(values["hourly_limit"]):
        found.setdefault("hourly_limit", _("Give a number from 1 on."))
    for name in ("from_email", "reply_to"):
        if values.get(name) and not _ADDRESS.fullmatch(parseaddr(values[name])[1]):
            found.setdefault(name, _("This is not an e-mail address."))
    for one, other in (("user", "password"), ("password", "user")):
        if values.get(one) and not values.get(other):
            found.setdefault(other, _("Give the user name and the password, or neither."))
    return found


def checked(field: str, value: str) -> str:
    """A value that goes into a header; refused, naming the field, where it would end it."""
    if _CONTROL.search(value):
        raise SendError(f"bad_{field}", blame=Blame.MESSAGE)
    return value


def _is_port(value: str) -> bool:
    return value.isdecimal() and len(value) <= 5 and 0 < int(value) < 65536


def _is_count(value: str) -> bool:
    return value.isdecimal() and len(value) < 9 and int(value) > 0
