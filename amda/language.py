"""Changing the language: for this browser, and for the person where one is signed in."""

from django.conf import settings
from django.views.decorators.http import require_POST
from django.views.i18n import set_language


@require_POST
def change(request):
    """Remember the language in a cookie and with the user, then go back."""
    code = request.POST.get("language", "")
    user = getattr(request, "user", None)
    if user is not None and user.is_authenticated and code in dict(settings.LANGUAGES):
        user.language = code
        user.save(update_fields=["language"])
    return set_language(request)
