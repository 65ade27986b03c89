"""What the views for platform staff have in common: a token of the public host, nothing else."""

from django.utils.translation import gettext_lazy as _
from rest_framework import status
from rest_framework.permissions import BasePermission

from tenants import directory
from tenants.accounts.models import Role
from tenants.api.authentication import BearerAuthentication
from tenants.api.errors import Refusal
from tenants.api.views import ApiView
from tenants.models import Tenant


class IsStaff(BasePermission):
    """Somebody of the platform; a vendor's person is never one, at whichever host."""

    def has_permission(self, request, view) -> bool:
        return request.tenant is None and getattr(request.user, "role", None) == Role.STAFF


class StaffView(ApiView):
    """Base of the API for platform staff. Sessions do not count, so no browser can be misled."""

    authentication_classes = (BearerAuthentication,)
    permission_classes = (IsStaff,)


def vendor(slug: str) -> Tenant:
    """The vendor a slug, or a former one, leads to; a 404 naming `slug` otherwise."""
    found = directory.tenant_of_slug(slug)
    if found is None:
        raise Refusal(
            status.HTTP_404_NOT_FOUND, "vendor_unknown", _("No vendor has this slug."), "slug"
        )
    return found
