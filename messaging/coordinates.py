"""Where a place is, from what people paste: coordinates, or the link of a map.

Nobody is asked: a short link, which names its place only to whoever follows it, is not read.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, unquote_plus, urlsplit

LONGEST = 4_000
# A centimetre: what stands behind it is the noise of somebody's arithmetic.
DIGITS = 7

_LINK = re.compile(r"(?:https?://|geo:)\S+", re.IGNORECASE)
_DEGREES = r"[+-]?[0-9]{1,3}(?:\.[0-9]+)?"
_PAIR = re.compile(rf"(?:loc:)?\s*({_DEGREES})\s*[,~ ]\s*({_DEGREES})\s*(?:\((.*)\)|[,;].*)?")
# Google's own pin of a place; from where the map was looked at stands elsewhere in the link.
_PIN = re.compile(rf"!3d({_DEGREES})!4d({_DEGREES})")
_SLASHED = re.compile(rf"map=[0-9.]+/({_DEGREES})/({_DEGREES})")
_POINTS = ("q", "query", "destination", "daddr", "to", "coordinate", "ll", "map", "cp", "center")

_MINUTES = re.compile(
    r"([+-]?[0-9]{1,3})\s*°\s*([0-9]{1,2}(?:[.,][0-9]+)?)\s*['′’]"
    r"(?:\s*([0-9]{1,2}(?:[.,][0-9]+)?)\s*(?:[\"″”]|''))?"
)
_SIDES = re.compile(r"[NSEWO]")
_BETWEEN = re.compile(r"[\s,;:/|°()]*")
_LABELS = re.compile(r"\b(?:latitude|longitude|lat|lng|lon|long)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Found:
    """A point in degrees, and what the link calls it."""

    latitude: float
    longitude: float
    name: str = ""


def read(text: str) -> Found | None:
    """The point that a text or link names; None where it names none."""
    text = text.strip()[:LONGEST].replace("−", "-")
    link = _LINK.search(text)
    pairs = _in_link(link[0]) if link else _in_words(text)
    point = next((each for each in pairs if is_on_earth(*each)), None)
    if point is None:
        return None
    return Found(tidy(point[0]), tidy(point[1]), _name_in(link[0]) if link else "")


def is_on_earth(latitude: float, longitude: float) -> bool:
    """Whether there is such a point."""
    return abs(latitude) <= 90 and abs(longitude) <= 180


def tidy(degrees: float) -> float:
    """Degrees with as many digits as mean anything, whole ones without any: as they come back."""
    rounded = round(degrees, DIGITS)
    return int(rounded) if rounded == int(rounded) else rounded


def degrees(text: str) -> float:
    """A number of degrees as people write it, with a point or a comma; else `ValueError`."""
    plain = text.strip().replace("−", "-").replace(",", ".").rstrip("° ")
    if not re.fullmatch(_DEGREES, plain):
        raise ValueError(text)
    return float(plain)


def _in_link(link: str) -> Iterator[tuple[float, float]]:
    """What a link may mean, the surest first."""
    parts = _split(link)
    if parts is None:
        return
    yield from (_both(pin) for pin in reversed(_PIN.findall(unquote_plus(link))))
    asked = dict(parse_qsl(parts.query))
    said = [f"{asked.get('mlat', '')},{asked.get('mlon', '')}"]
    said += [asked[name] for name in _POINTS if name in asked]
    steps = unquote_plus(parts.path).split("/")
    said += [step for step in reversed(steps) if not step.startswith("@")]
    said += [step[1:] for step in steps if step.startswith("@")]
    for each in said:
        if pair := _PAIR.fullmatch(each):
            yield _both(pair.groups())
    if slashed := _SLASHED.search(parts.fragment):
        yield _both(slashed.groups())


def _in_words(text: str) -> Iterator[tuple[float, float]]:
    """Two numbers and nothing else, but for the sides of the world they are on."""
    plain = _LABELS.sub(" ", _MINUTES.sub(_as_decimal, text)).upper()
    number = r"[+-]?[0-9]{1,3}"
    if re.search(r"[0-9]\.[0-9]", plain):
        number = _DEGREES
    elif re.search(r"[0-9],[0-9]", plain):
        number = rf"{number},[0-9]+"
    numbers, sides = re.findall(number, plain), _SIDES.findall(plain)
    rest = _SIDES.sub("", re.sub(number, "", plain))
    if len(numbers) != 2 or len(sides) not in (0, 2) or not _BETWEEN.fullmatch(rest):
        return
    first, second = (degrees(each) for each in numbers)
    if not sides:
        yield first, second
        return
    first, second = (
        -abs(value) if side in "SWO" else value
        for value, side in zip((first, second), sides, strict=True)
    )
    is_north_first = sides[0] in "NS"
    if is_north_first != (sides[1] in "NS"):
        yield (first, second) if is_north_first else (second, first)


def _as_decimal(found: re.Match[str]) -> str:
    whole, minutes, seconds = (float((part or "0").replace(",", ".")) for part in found.groups())
    part = minutes / 60 + seconds / 3600
    sign = "-" if found[1].startswith("-") else ""
    return f"{sign}{abs(whole) + part:.{DIGITS}f}"


def _name_in(link: str) -> str:
    parts = _split(link)
    if parts is None:
        return ""
    asked = dict(parse_qsl(parts.query))
    _before, is_named, after = unquote_plus(parts.path).partition("/place/")
    said = [after.partition("/")[0]] if is_named else []
    said += [asked[name] for name in ("q", "query", "name") if name in asked]
    for each in said:
        pair = _PAIR.fullmatch(each)
        name = (pair[3] or "") if pair else each
        if name and not any(_in_words(name)):
            return name.strip()
    return ""


def _split(link: str) -> SplitResult | None:
    try:
        return urlsplit(link)
    except ValueError:
        return None


def _both(pair: tuple[str, ...]) -> tuple[float, float]:
    return float(pair[0]), float(pair[1])
