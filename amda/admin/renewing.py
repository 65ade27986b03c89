"""Replacing a number's key in the admin: what came of it, in words."""

from collections.abc import Callable

from django.contrib import messages
from django.utils.translation import gettext as _

from messaging.refusing import Refused
from messaging.renewing_keys import Outcome
from tenants.models import ProviderInstance


def tell(request, instance: ProviderInstance, act: Callable[..., Outcome]) -> None:
    """Do it for staff, and say what became of the key and what is left to do."""
    try:
        outcome = act(instance, by=request.user, by_platform=True)
    except Refused as refused:
        messages.error(request, str(refused.message))
        return
    is_sure = instance.key_in_doubt_since is None
    (messages.success if is_sure else messages.warning)(request, _said(outcome, is_sure))


def _said(outcome: Outcome, is_sure: bool) -> str:
    match outcome:
        case Outcome.RENEWED:
            return _("The key is replaced and kept here. The former one is dead.")
        case Outcome.READ_BACK:
            return _("The account shows a new key: it is kept here. The former one is dead.")
        case Outcome.UNCHANGED if is_sure:
            return _("The account shows the key that is kept here.")
        case Outcome.UNCHANGED:
            return _(
                "The provider gave no answer, and its account still shows the former key. Messages "
                "wait for a few minutes, in case it is replaced after all; then the key is tried "
                "by itself."
            )
        case Outcome.IN_DOUBT:
            return _(
                "The provider gave no answer, and the key could not be read back: nobody knows "
                "which one is good. Messages wait and none is lost. Read the key back in a moment, "
                "or copy it from the provider’s site and give it here as a new key."
            )
