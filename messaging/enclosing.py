"""What a message is in place of words: a point on the map, a contact card, a poll.

Beside what its provider needs it is kept as lines of text, as one that comes in is: lists, search,
exports and deletions need to know nothing of it, and its echo is known by these words.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from messaging import addressing, coordinates
from messaging.events import Kind
from messaging.providers.base import Card, Feature, Place, Poll, Provider
from messaging.templates import Unfit

PLACE, CONTACT, POLL = "place", "contact", "poll"
LONGEST_NAME, LONGEST_ADDRESS = 200, 400
# WhatsApp's own limits, whoever carries the message.
LONGEST_QUESTION, LONGEST_OPTION = 255, 100
FEWEST_OPTIONS, MOST_OPTIONS = 2, 12

FEATURES: dict[str, Feature] = {
    PLACE: Feature.LOCATIONS,
    CONTACT: Feature.CONTACTS,
    POLL: Feature.POLLS,
}


@dataclass(frozen=True)
class Enclosed:
    """One of these, once nothing is wrong with it."""

    kind: Kind
    text: str
    parts: dict[str, Any]


def offered_by(provider: Provider) -> list[str]:
    """What can be sent through a provider."""
    return [what for what, feature in FEATURES.items() if feature in provider.supports]


def is_carried(parts: Mapping[str, Any], provider: Provider) -> bool:
    """Whether a provider takes what a message encloses, if anything."""
    return all(FEATURES[what] in provider.supports for what in FEATURES.keys() & parts.keys())


def checked(what: str, wanted: Mapping[str, Any], country: str) -> Enclosed:
    """What was asked for as a message keeps it, or `Unfit`. `country` is where phone numbers are
    from that do not say it."""
    match what:
        case "place":
            return _place(wanted)
        case "contact":
            return _contact(wanted, country)
        case _:
            return _poll(wanted)


def as_outgoing(parts: Mapping[str, Any]) -> dict[str, Any]:
    """What a message encloses, as an adapter takes it."""
    found: dict[str, Any] = {}
    if place := parts.get(PLACE):
        found["place"] = Place(**place)
    if card := parts.get(CONTACT):
        found["card"] = Card(**card)
    if poll := parts.get(POLL):
        found["poll"] = Poll(poll["question"], tuple(poll["options"]), poll["several"])
    return found


def _place(wanted: Mapping[str, Any]) -> Enclosed:
    place = Place(
        latitude=_degrees(wanted, "latitude", 90),
        longitude=_degrees(wanted, "longitude", 180),
        name=_line(wanted, "place.name", LONGEST_NAME),
        address=_line(wanted, "place.address", LONGEST_ADDRESS),
    )
    text = _lines(place.name, place.address, f"{place.latitude}, {place.longitude}")
    return Enclosed(Kind.LOCATION, text, {PLACE: asdict(place)})


def _contact(wanted: Mapping[str, Any], country: str) -> Enclosed:
    name = _line(wanted, "contact.name", LONGEST_NAME, is_required=True)
    phone = _line(wanted, "contact.phone", LONGEST_NAME, is_required=True)
    try:
        card = Card(name=name, phone=addressing.as_phone(phone, country))
    except addressing.NotAnAddress as exc:
        raise Unfit("contact.phone", _("This is not a phone number.")) from exc
    return Enclosed(Kind.CONTACT, _lines(card.name, card.phone), {CONTACT: asdict(card)})


def _poll(wanted: Mapping[str, Any]) -> Enclosed:
    question = _line(wanted, "poll.question", LONGEST_QUESTION, is_required=True)
    given = enumerate(wanted.get("options") or ())
    options = [
        _line({str(place): each}, f"poll.options.{place}", LONGEST_OPTION, is_required=True)
        for place, each in given
    ]
    if not FEWEST_OPTIONS <= len(options) <= MOST_OPTIONS:
        said = _("Give %(fewest)d to %(most)d answers.")
        raise Unfit("poll.options", said % {"fewest": FEWEST_OPTIONS, "most": MOST_OPTIONS})
    if len(set(options)) < len(options):
        raise Unfit("poll.options", _("Two answers are the same."))
    text = _lines(question, *(f"- {option}" for option in options))
    several = bool(wanted.get("several"))
    poll = {"question": question, "options": options, "several": several}
    return Enclosed(Kind.POLL, text, {POLL: poll})


def _degrees(wanted: Mapping[str, Any], name: str, limit: int) -> float:
    """A latitude or longitude, as a number or as people write one."""
    field, given = f"{PLACE}.{name}", wanted.get(name)
    if given is None or given == "":
        raise Unfit(field, _("This is required."))
    try:
        found = coordinates.degrees(str(given)) if isinstance(given, str) else float(given)
    except ValueError as exc:
        raise Unfit(field, _("This is not a number of degrees.")) from exc
    if not abs(found) <= limit:
        said = _("The value must be between -%(limit)d and %(limit)d degrees.")
        raise Unfit(field, said % {"limit": limit})
    return coordinates.tidy(found)


def _line(wanted: Mapping[str, Any], field: str, longest: int, *, is_required: bool = False) -> str:
    """What stands in one line: no runs of spaces, no characters that cannot be sent."""
    name = field.rpartition(".")[2]
    said = " ".join(str(wanted.get(name) or "").replace("\x00", "").split())
    if is_required and not said:
        raise Unfit(field, _("This is required."))
    if len(said) > longest:
        raise Unfit(field, _("This value is too long."))
    try:
        said.encode()
    except UnicodeEncodeError as exc:
        raise Unfit(field, _("The text has a character that cannot be sent.")) from exc
    return said


def _lines(*lines: str) -> str:
    return "\n".join(line for line in lines if line)
