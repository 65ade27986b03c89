"""How fast a session may send, in the terms the real service documents."""

import math
import time
from collections import defaultdict, deque
from dataclasses import dataclass

from .store import Session

WINDOW_SECONDS = 60
PROTECTED_WINDOW_SECONDS = 5


@dataclass(frozen=True)
class Allowance:
    limit: int
    remaining: int
    resets_at: int
    retry_after: int

    @property
    def refused(self) -> bool:
        return self.retry_after > 0

    @property
    def headers(self) -> dict[str, str]:
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.resets_at),
        }


class Meter:
    """Counts what each session sent lately; in memory, so a restart forgives."""

    def __init__(self):
        self._sent: defaultdict[int, deque[float]] = defaultdict(deque)

    def take(self, session: Session) -> Allowance:
        """Use one message of the session's allowance, or learn when the next one is free."""
        limit, window = _rule(session)
        now = time.time()
        sent = self._sent[session.id]
        while sent and sent[0] <= now - window:
            sent.popleft()
        retry_after = 0
        if len(sent) >= limit:
            retry_after = max(1, math.ceil(sent[0] + window - now))
        else:
            sent.append(now)
        return Allowance(
            limit=limit,
            remaining=max(0, limit - len(sent)),
            resets_at=math.ceil(sent[0] + window),
            retry_after=retry_after,
        )


def _rule(session: Session) -> tuple[int, int]:
    # Account protection wins over what the plan allows.
    if session.account_protection:
        return 1, PROTECTED_WINDOW_SECONDS
    return session.rate_limit, WINDOW_SECONDS
