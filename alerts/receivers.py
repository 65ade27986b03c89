"""What messaging tells us after commit: each fact becomes an order to evaluate."""

from django.dispatch import receiver

from messaging import signals
from tenants import orders
from tenants.context import current_number


@receiver(signals.leads_changed)
def evaluate_leads(sender, lead_ids: list[int], **facts) -> None:
    """Something about these leads changed."""
    orders.order("evaluate_leads", "history", tenant=current_number(), leads=lead_ids)


@receiver(signals.instance_changed)
def evaluate_instances(sender, instance_id: int, **facts) -> None:
    """A number was connected or cut off; the sweep looks again when five minutes have passed."""
    orders.order("evaluate_instances", "history", tenant=current_number())
