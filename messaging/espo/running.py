"""One run for one tenant: read what changed in the CRM, tell it what waits, see to the next run."""

from zoneinfo import ZoneInfo

from django.utils import timezone, translation

from amda import http
from messaging.espo import agreeing, leads, pulling, pushing, queueing, turns
from messaging.espo.client import Client, EspoError
from tenants import directory
from tenants.context import current_number
from tenants.models import CrmLink


def order_due() -> int:
    """Order a run for every tenant whose turn it is; how many. Never inside `atomic`."""
    numbers = turns.due(timezone.now())
    for number in numbers:
        queueing.ring(number)
    return len(numbers)


def run() -> None:
    """Do what is due for the tenant one is in; nothing where another run does it already."""
    link = turns.claim(timezone.now())
    if link is None:
        return
    try:
        has_more = _work(link)
    finally:
        turns.give_back(link)
    if has_more or _came_meanwhile():
        queueing.ring(link.tenant_id)


def _work(link: CrmLink) -> bool:
    # After a pause one looks whether the CRM is back, whatever waits.
    is_time = link.pull_at <= timezone.now() or link.wait_until is not None
    if not is_time and not pushing.is_something_due(timezone.now()):
        return False
    tenant = directory.tenant_numbered(current_number())
    client = Client(link.url, link.key, http.client())
    here = timezone.override(ZoneInfo(tenant.time_zone))
    with client.http, translation.override(tenant.language), here:
        try:
            if is_time:
                turns.change(link, users=leads.users(client) or [])
            terms = agreeing.terms_of(link, tenant.default_country)
            if is_time:
                pulling.pull(link, client, terms)
                queueing.tell_all_changes(now=timezone.now())
            has_more = pushing.drain(link, client, terms)
        except EspoError as error:
            turns.went_wrong(link, error)
            return False
    turns.went_well(link, has_read=is_time)
    return has_more or (is_time and link.is_behind)


def _came_meanwhile() -> bool:
    """What was written down while this run held the claim rang in vain."""
    link = turns.mine()
    if link is None or link.wait_until is not None:
        return False
    return pushing.is_something_due(timezone.now())
