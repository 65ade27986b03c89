"""`python -m tests.bench.pages SLUG SAMPLES`: how long pages take here, whole and in SQL alone.

Prints one line of JSON: by kind of page, the milliseconds of every sample.
"""

import json
import os
import random
import sys
import time
from collections.abc import Callable

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "amda.settings")
django.setup()

from django.db import connection
from django.test import Client

from messaging.models import Conversation
from messaging.seeding import FIRST_NAMES, WORDS
from tenants import context, directory
from tenants.accounts.models import Role
from tests import walking
from tests.conftest import host_of, user_of

# What a page reads is asked again as it was; what it writes is a part of the whole page alone.
READS = ("SELECT", "(SELECT")


def main(slug: str, samples: int) -> dict[str, dict[str, list[float]]]:
    """Every kind of page, sample by sample: asked for once, and its queries again right after."""
    tenant = directory.tenant_of_slug(slug)
    session = walking.session_of(tenant, user_of(tenant, Role.OWNER))
    client = Client(headers={"host": host_of(tenant), "cookie": walking.cookie(session)})
    chance = random.Random(7)
    kinds: dict[str, Callable[[], str]] = {
        "list": lambda: chance.choice(["/", "/?view=unassigned", "/?view=closed", "/?unread=1"]),
        "open": lambda: f"/inbox/{chance.choice(conversations)}/",
        "search": lambda: f"/inbox/rows/?q={_question(chance)}",
    }
    with context.entered(tenant):
        conversations = list(Conversation.objects.order_by("?").values_list("pk", flat=True)[:500])
    told = {}
    for kind, address in kinds.items():
        client.get(address())
        pairs = [_sample(tenant, client, address()) for _each in range(samples)]
        told[kind] = {"whole_ms": [a for a, _b in pairs], "sql_ms": [b for _a, b in pairs]}
    return told


def _question(chance: random.Random) -> str:
    """A frequent word, a rare one, the beginning of one, two words, a name, in turns."""
    common, rare = WORDS[chance.randint(0, 9)], WORDS[chance.randint(40, len(WORDS) - 1)]
    return chance.choice(
        [common, rare, rare[:3], f"{common}+{rare}", f"{rare}+zzz", chance.choice(FIRST_NAMES)]
    )


def _sample(tenant, client: Client, address: str) -> tuple[float, float]:
    asked: list[tuple[str, object]] = []

    # Django's own log of queries puts each together a second time, which would be timed, too.
    def note(execute, sql, params, many, facts):
        asked.append((sql, params))
        return execute(sql, params, many, facts)

    with connection.execute_wrapper(note):
        whole = _timed(lambda: _opened(client, address))
    with context.entered(tenant), connection.cursor() as cursor:
        statements = [cursor.cursor.mogrify(*each) for each in asked if _is_read(each[0])]
        return whole, sum(_timed(lambda s=each: _run(cursor, s)) for each in statements)


def _is_read(statement: str) -> bool:
    return statement.lstrip().startswith(READS)


def _opened(client: Client, address: str) -> None:
    answer = client.get(address)
    if answer.status_code != 200:
        raise SystemExit(f"{address} answered {answer.status_code}")


def _run(cursor, statement: str) -> None:
    # Without parameters psycopg takes the statement as it is, `%` and all.
    cursor.cursor.execute(statement)
    cursor.cursor.fetchall()


def _timed(what: Callable[[], object]) -> float:
    began = time.perf_counter()
    what()
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]))))
