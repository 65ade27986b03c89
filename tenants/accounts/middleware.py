"""Whose session this is, and in which language to answer."""

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.utils import translation

from tenants.accounts.adapter import is_suspended
from tenants.accounts.sessions import is_bound_here


def bind_session(get_response):
    """Drop a session of another tenant, of an ended sign-in, of a deactivated person.

    A request that may carry a bearer token only has no session user at all.
    """

    def middleware(request):
        if request.bearer_only:
            request.user = AnonymousUser()
        elif request.user.is_authenticated and not _is_valid(request):
            request.session.flush()
            request.user = AnonymousUser()
        return get_response(request)

    return middleware


def speak_users_language(get_response):
    """Answer in the user's language, else the browser's chosen one, else the tenant's.

    Without any of them it stays what the browser accepts, or French.
    """

    def middleware(request):
        language = _language_of(request)
        if language:
            translation.activate(language)
            request.LANGUAGE_CODE = translation.get_language()
        return get_response(request)

    return middleware


def _is_valid(request) -> bool:
    return is_bound_here(request.session, request.user) and not is_suspended(request)


def _language_of(request) -> str | None:
    known = dict(settings.LANGUAGES)
    preferred = (
        request.user.language if request.user.is_authenticated else "",
        request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME),
        request.tenant.language if request.tenant else "",
    )
    return next((language for language in preferred if language in known), None)
