"""System checks of billing: what an operator should know before anybody buys."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register
from django.utils.translation import gettext as _


@register(Tags.compatibility)
def stripe_can_be_heard(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Without the endpoint's secret every post of Stripe is refused."""
    if not settings.STRIPE_SECRET_KEY or settings.STRIPE_WEBHOOK_SECRETS:
        return []
    return [
        Warning(
            _("STRIPE_WEBHOOK_SECRET is not set: what Stripe posts is refused."),
            hint=_("Make an endpoint at Stripe for %(url)s.")
            % {"url": f"{settings.PUBLIC_URL}/api/webhooks/stripe"},
            id="billing.W001",
        )
    ]
