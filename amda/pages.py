"""Pages of the public host."""

from django.conf import settings
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.views.decorators.http import require_safe


@require_safe
def landing(request):
    """What this is, and where vendors and staff sign in."""
    example = f"{settings.PUBLIC_SCHEME}://…{settings.TENANT_HOST_SUFFIX}{settings.PUBLIC_PORT}"
    return render(request, "landing.html", {"example": example})


@require_safe
def favicon(request):
    """Where browsers look for the icon of what is no page of ours: files, API, documentation."""
    return redirect(static("favicon.svg"), permanent=True)
