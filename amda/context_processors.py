"""What every template may say about the product and whoever is looking at it."""

from django.conf import settings
from django.utils.functional import SimpleLazyObject
from django.utils.translation import get_language_info

from tenants import limits
from tenants.accounts import second_step
from tenants.permissions import Action, may

LIVE_PATH = "/ws/live/"


def product(request) -> dict:
    """`product.…` in templates; what costs a query is asked only where it is shown."""
    return {
        "product": {
            "name": "AMDA",
            "tenant": getattr(request, "tenant", None),
            "languages": _languages(),
            "live_path": LIVE_PATH,
            "may": SimpleLazyObject(lambda: _rights(getattr(request, "user", None))),
            "closed": SimpleLazyObject(lambda: _closed(request)),
            "lacks_second_step": SimpleLazyObject(lambda: _lacks_second_step(request)),
            "waiting": SimpleLazyObject(lambda: _waiting(request)),
        }
    }


def _languages() -> list[tuple[str, str]]:
    return [
        (code, get_language_info(code)["name_local"].capitalize()) for code, _ in settings.LANGUAGES
    ]


def _rights(user) -> dict[str, bool]:
    """Every action by its name, and whether this person's role allows it."""
    return {str(action): may(user, action) for action in Action}


def _closed(request) -> dict:
    """Why one may only read at the moment, or from when on; nothing while all is well."""
    tenant = getattr(request, "tenant", None)
    if tenant is None:
        return {}
    return {
        "reason": limits.closed_reason(tenant.number),
        "sentence": limits.closed_sentence(tenant.number),
        "closes_at": limits.closes_at(tenant.number),
    }


def _lacks_second_step(request) -> bool:
    return second_step.is_lacking(request.user, request.tenant)


def _waiting(request) -> dict[str, int]:
    """The counts beside the icons."""
    from messaging.views.access import unread_of

    unread, mentions = unread_of(request.user)
    return {"unread": unread, "mentions": mentions}
