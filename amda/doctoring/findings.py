"""What an examination finds: one sentence each, and what to do."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any


class Severity(IntEnum):
    """How bad it is."""

    WARNING = 1
    BROKEN = 2


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be. `what` and `todo` are for people; neither holds a
    secret."""

    code: str
    severity: Severity
    what: str
    todo: str
    since: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "code": self.code,
            "severity": self.severity.name.lower(),
            "what": self.what,
            "since": self.since.isoformat() if self.since else None,
            "todo": self.todo,
        }


def broken(code: str, what: str, todo: str, since: datetime | None = None) -> Finding:
    """Something does not work."""
    return Finding(code, Severity.BROKEN, str(what), str(todo), since)


def warning(code: str, what: str, todo: str, since: datetime | None = None) -> Finding:
    """Something works and should be looked at."""
    return Finding(code, Severity.WARNING, str(what), str(todo), since)
