"""Takes sends from an instance's bucket, in a process of its own.

`python -m tests.taking TENANT INSTANCE` says "ready", begins once its input ends, and prints how
many of its tries were given: ten in each second of twenty and a half, as its own clock counts them.
"""

import sys
from datetime import UTC, datetime, timedelta

import django

from tenants import paces

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
STEP, STEPS = timedelta(milliseconds=100), 206
SPEED = paces.Speed(per_minute=60, at_once=10, per_day=None)


def given(tenant: int, instance: int) -> int:
    """How many sends this process was allowed."""
    turns = [
        paces.take(
            tenant,
            instance,
            SPEED,
            now=NOW + step * STEP,
            today=NOW.date(),
            tomorrow=NOW + timedelta(days=1),
        )
        for step in range(STEPS)
    ]
    return sum(turn.is_given for turn in turns)


if __name__ == "__main__":
    django.setup()
    print("ready", flush=True)
    sys.stdin.read()
    print(given(int(sys.argv[1]), int(sys.argv[2])))
