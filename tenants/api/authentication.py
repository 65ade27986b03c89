"""Who is calling: a bearer token of this tenant, or a session of this tenant."""

from django.utils.translation import gettext_lazy as _
from rest_framework import status
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed

from tenants import limits
from tenants.accounts import second_step
from tenants.accounts.models import User
from tenants.api import tokens
from tenants.api.errors import Refusal
from tenants.models import Tenant


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer …` with an access token of the request's tenant."""

    def authenticate(self, request):
        scheme, _space, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        user = tokens.holder_of(text.strip(), tokens.AccessToken)
        if user is None:
            raise AuthenticationFailed(_("This token is not valid here."), "token_invalid")
        refuse_suspended(request.tenant)
        refuse_without_second_step(request.tenant, user)
        return user, None

    def authenticate_header(self, request) -> str:
        return 'Bearer realm="api"'


class TenantSessionAuthentication(SessionAuthentication):
    """The session of the request's own host, with its CSRF token on every write.

    A request that chose its tenant by X-Tenant has no session: its cookies are another host's.
    """

    def authenticate(self, request):
        if request.bearer_only:
            return None
        return super().authenticate(request)


def refuse_suspended(tenant: Tenant | None) -> None:
    """Tell a suspended tenant's people, once they proved who they are, why they cannot come in."""
    if tenant is not None and tenant.state == Tenant.State.SUSPENDED:
        raise Refusal(
            status.HTTP_403_FORBIDDEN,
            "tenant_suspended",
            limits.closed_sentence(tenant.number),
        )


def refuse_without_second_step(tenant: Tenant | None, user: User) -> None:
    """Tell who needs a second step and has none where to set one up."""
    if second_step.is_lacking(user, tenant):
        raise Refusal(status.HTTP_403_FORBIDDEN, "mfa_setup_required", second_step.SET_UP_FIRST)
