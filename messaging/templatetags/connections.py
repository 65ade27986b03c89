"""How a number's connection is put into words, and what somebody has to do."""

import re

from django import template
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from messaging.providers import get as provider_of
from messaging.providers.base import Feature
from tenants.models import ProviderInstance

register = template.Library()

AWAY_FOR_GOOD = {
    ProviderInstance.State.CONFLICT: gettext_lazy(
        "Another device or program took its place. End that session first, then connect it: by "
        "itself it is not connected again, or the two would throw each other out."
    ),
    ProviderInstance.State.BLOCKED: gettext_lazy(
        "It is blocked or limited. Ask the provider why; sending on makes it worse."
    ),
}

# Reasons for which a number is away, where they are known; others are shown as the provider says.
REASONS = {
    **dict.fromkeys(
        ("need_scan", "qr"), gettext_lazy("Its code waits to be scanned with the phone.")
    ),
    **dict.fromkeys(
        ("logged_out", "loggedout", "not_authorized", "credentials"),
        gettext_lazy("The phone was unlinked."),
    ),
    **dict.fromkeys(
        ("unauthorized", "forbidden", "not_found"),
        gettext_lazy("The provider refuses its key. An administrator can give it the right one."),
    ),
    "payment_required": gettext_lazy("The plan at the provider has ended."),
}
# What the libraries underneath call a server that cannot be reached.
_UNREACHABLE = re.compile(r"\w*(Error|Timeout|error)\Z")


@register.filter
def what_to_do(number, is_left_alone: bool) -> str:
    """What becomes of a number that is not connected, and what somebody has to do."""
    if number.is_held:
        return _("Somebody disconnected it here. It stays so until you connect it.")
    if is_left_alone:
        return AWAY_FOR_GOOD.get(number.state) or _("It waits for a person: link its phone again.")
    if number.state == ProviderInstance.State.PENDING:
        return _("It is being connected.")
    return _("It is being connected again by itself.")


@register.filter
def why_away(number) -> str:
    """The reason for a number's state, in words where it is a known one."""
    reason = number.state_reason
    if _UNREACHABLE.match(reason):
        return _("The provider cannot be reached (%(reason)s).") % {"reason": reason}
    said = REASONS.get(reason.lower()) if number.state != ProviderInstance.State.CONNECTED else None
    return said or _("The provider says: %(reason)s") % {"reason": reason}


@register.filter
def after_a_gap(number) -> str:
    """What becomes of messages that came while a number was away."""
    provider = provider_of(number.provider)
    if not provider.paths:
        return _("Only sends: nothing comes in by it.")
    if Feature.JOURNAL in provider.supports:
        return _("What comes while it is away is read from %(provider)s once it is back.") % {
            "provider": provider.label
        }
    return _(
        "%(provider)s keeps no list of messages: what it does not post again after an interruption "
        "is missing here."
    ) % {"provider": provider.label}
