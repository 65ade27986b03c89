"""What a measurement says, and the little arithmetic behind it."""

from collections.abc import Sequence
from dataclasses import dataclass, field


class Unmeasurable(Exception):
    """The measurement itself went wrong; the message is one sentence for whoever started it."""


@dataclass(frozen=True)
class Pace:
    """How one cell of one round went."""

    per_second: float
    p50_ms: float
    p99_ms: float

    @classmethod
    def of(cls, latencies_ms: Sequence[float], seconds: float) -> "Pace":
        if not latencies_ms:
            raise Unmeasurable("Nothing was answered within a cell: give it more --seconds.")
        ordered = sorted(latencies_ms)
        return cls(len(ordered) / seconds, percentile(ordered, 50), percentile(ordered, 99))


@dataclass(frozen=True)
class Report:
    """What one part prints, and a sentence for each goal it missed."""

    text: str
    missed: list[str] = field(default_factory=list)


def percentile(ordered: Sequence[float], percent: int) -> float:
    """The value that `percent` of the ordered values do not exceed (nearest rank)."""
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(rank, 1) - 1]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they need to be: the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = (head, ["-" * width for width in widths], *rows)
    return "\n".join(_line(row, widths) for row in lines)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(row, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)])
