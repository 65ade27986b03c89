"""Bars for a drawing: what was posted hour by hour, and how much of it failed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tenants.figures import Hour

HEIGHT = 100
STEP = 12
WIDTH = 9
# One post must be seen beside a thousand.
LEAST = 2


@dataclass(frozen=True)
class Bar:
    """One hour: where it stands, how high it is, how much of that height failed."""

    at: datetime
    arrived: int
    failed: int
    x: int
    y: int
    height: int
    failed_y: int
    failed_height: int


@dataclass(frozen=True)
class Drawing:
    """All bars, the most of one hour, and the sums that are said beside it."""

    bars: list[Bar]
    most: int
    arrived: int
    failed: int
    width: int
    height: int = HEIGHT
    bar_width: int = WIDTH


def drawn(hours: Sequence[Hour]) -> Drawing:
    """The hours as bars of one scale, the highest one filling the height."""
    most = max((hour.arrived for hour in hours), default=0)
    bars = [_bar(hour, place, most) for place, hour in enumerate(hours)]
    return Drawing(
        bars,
        most,
        sum(hour.arrived for hour in hours),
        sum(hour.failed for hour in hours),
        STEP * len(hours),
    )


def _bar(hour: Hour, place: int, most: int) -> Bar:
    height, failed = _height(hour.arrived, most), _height(hour.failed, most)
    return Bar(
        hour.begins_at,
        hour.arrived,
        hour.failed,
        place * STEP,
        HEIGHT - height,
        height,
        HEIGHT - failed,
        failed,
    )


def _height(count: int, most: int) -> int:
    return max(LEAST, count * HEIGHT // most) if count else 0
