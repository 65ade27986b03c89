"""What a tenant may still do. Messaging asks here; billing fills the answers in."""

from django.utils.translation import gettext_lazy as _

from tenants import directory
from tenants.models import Tenant


class LimitReached(Exception):
    """Refused: which limit, in the reader's language."""

    def __init__(self, code: str, message) -> None:
        super().__init__(code)
        self.code = code
        self.message = message


def require_may_send(number: int) -> None:
    """Raise `LimitReached` when the tenant may not send now."""
    if directory.tenant_numbered(number).state == Tenant.State.SUSPENDED:
        raise LimitReached(
            "tenant_suspended", _("This account is suspended: receiving goes on, sending does not.")
        )
