"""A day's facts about messages in the daily form of the replaced systems: one JSON array."""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, date
from zoneinfo import ZoneInfo

from messaging import told
from messaging.providers.base import Medium
from tenants.models import Tenant


def file_name(day: date) -> str:
    """What the replaced systems called a day's file."""
    return f"message_events_{day:%Y-%m-%d}.json"


def lines(tenant: Tenant, day: date) -> Iterator[str]:
    """The file's lines, one event each, oldest first; the tenant's time zone says what a day is.

    Read piece by piece: inside the tenant, and only while one is there.
    """
    facts = told.from_the_oldest(told.of_one_day(day, ZoneInfo(tenant.time_zone)))
    yield "[\n"
    yield from _separated(json.dumps(_event(tenant, each), ensure_ascii=False) for each in facts)
    yield "]\n"


def _separated(objects: Iterable[str]) -> Iterator[str]:
    """Each on a line of its own, a comma between two."""
    before = ""
    for each in objects:
        yield f"{before}{each}"
        before = ",\n"
    yield "\n" if before else ""


def _event(tenant: Tenant, fact: told.Fact) -> dict[str, object]:
    is_mail = fact.medium == Medium.EMAIL
    moment = fact.at.astimezone(UTC).isoformat(timespec="milliseconds")
    return {
        "id": f"evt_{fact.id}",
        "timestamp": moment.replace("+00:00", "Z"),
        "tenantId": tenant.slug,
        "channel": fact.medium,
        "provider": fact.provider,
        "direction": fact.direction,
        "status": fact.status,
        "leadId": fact.lead,
        "phoneNumber": None if is_mail else fact.address or None,
        "email": fact.address or None if is_mail else None,
        "providerMessageId": fact.external_id or None,
        "messageSnippet": fact.snippet,
    }
