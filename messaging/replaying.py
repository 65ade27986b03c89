"""Having a vendor's failed deliveries read again, however many there are."""

from typing import Any

from messaging import inbox
from tenants.figures import FAILED
from tenants.models import Undertaking, WebhookDelivery
from tenants.undertaking import Progress

BATCH = 500


def replay_all(undertaking: Undertaking, tell: Progress) -> dict[str, Any]:
    """Put every delivery that had failed when this was ordered back into the inbox."""
    deliveries = WebhookDelivery.objects.of(undertaking.tenant_number).filter(
        state__in=FAILED, erased_at=None, pk__lte=undertaking.facts["newest"]
    )
    total, done = deliveries.count(), 0
    tell(0, total)
    # What fails once more is behind us and not met again.
    last = 0
    while numbers := list(
        deliveries.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:BATCH]
    ):
        last = numbers[-1]
        chosen = WebhookDelivery.objects.of(undertaking.tenant_number).filter(pk__in=numbers)
        done += inbox.replay(chosen)
        tell(done, total)
    return {"replayed": done}
