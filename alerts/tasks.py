"""Jobs: load, enter the tenant, call the verb."""

from collections.abc import Callable

from django.db import connection
from django.utils import timezone

from alerts import evaluate, notify
from tenants import context, directory
from tenants.models import Tenant


def evaluate_leads(tenant: int, leads: list[int]) -> None:
    """Make the alerts of some leads say what is true."""
    _inside(tenant, lambda found: evaluate.leads(found, leads, now=timezone.now()))


def evaluate_instances(tenant: int) -> None:
    """Make the alerts of a tenant's numbers say what is true."""
    _inside(tenant, lambda found: evaluate.instances(found, now=timezone.now()))


def sweep_alerts(tenant: int) -> None:
    """Make all alerts of a tenant say what is true, then send the mails that are due."""
    _inside(tenant, _sweep)


def refresh_every_tenant(timestamp: int) -> None:
    """Draw every lead's standing again, once a day: what no event told of is told by then."""
    for tenant in list(Tenant.objects.order_by("number")):
        _inside(tenant.number, lambda found: evaluate.draw_again(found, now=timezone.now()))


def sweep_every_tenant(timestamp: int) -> None:
    """Order a sweep of every tenant, one order each, in one statement."""
    with connection.cursor() as cursor:
        cursor.execute(ORDER_SWEEPS)


def _sweep(tenant: Tenant) -> None:
    now = timezone.now()
    evaluate.sweep(tenant, now=now)
    notify.everything_due(tenant, now=now)


def _inside(number: int, act: Callable[[Tenant], object]) -> None:
    try:
        found = directory.tenant_numbered(number)
    except Tenant.DoesNotExist:
        return
    with context.entered(found):
        act(found)


ORDER_SWEEPS = """
INSERT INTO public.procrastinate_jobs (queue_name, task_name, queueing_lock, args)
SELECT 'default', 'amda.sweep_alerts', 'sweep:' || number, jsonb_build_object('tenant', number)
FROM public.tenants_tenant
ON CONFLICT (queueing_lock) WHERE status = 'todo' DO NOTHING
"""
