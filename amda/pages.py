"""Pages of the public host."""

from django.conf import settings
from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
def landing(request):
    """What this is, and where vendors and staff sign in."""
    example = f"{settings.PUBLIC_SCHEME}://…{settings.TENANT_HOST_SUFFIX}{settings.PUBLIC_PORT}"
    return render(request, "landing.html", {"example": example})
