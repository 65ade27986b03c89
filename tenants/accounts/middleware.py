"""Whose session this is, and in which language to answer."""

from allauth.account.signals import password_changed, password_reset, password_set
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.signals import user_logged_in
from django.utils import translation

from tenants import context
from tenants.accounts.adapter import is_suspended

TENANT_KEY = "tenant_number"
VERSION_KEY = "token_version"
PUBLIC_NUMBER = 0


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


def bind(session, user) -> None:
    """Tie a session to the tenant it was made in and to the user's present token version."""
    session[TENANT_KEY] = context.current_number() or PUBLIC_NUMBER
    session[VERSION_KEY] = user.token_version


def _is_valid(request) -> bool:
    session, user = request.session, request.user
    return (
        session.get(TENANT_KEY) == (context.current_number() or PUBLIC_NUMBER)
        and session.get(VERSION_KEY) == user.token_version
        and user.is_active
        and not is_suspended(request)
    )


def _language_of(request) -> str | None:
    chosen = request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME)
    known = dict(settings.LANGUAGES)
    if request.user.is_authenticated and request.user.language in known:
        return request.user.language
    if chosen in known:
        return chosen
    if request.tenant and request.tenant.language in known:
        return request.tenant.language
    return None


def _bind_new_session(sender, request, user, **kwargs) -> None:
    if request is not None:
        bind(request.session, user)


def _end_other_sign_ins(sender, request, user, **kwargs) -> None:
    """A new password makes every token and session worthless but the one it was set in."""
    user.end_all_sign_ins()
    if request.user.is_authenticated and request.user.pk == user.pk:
        bind(request.session, user)


user_logged_in.connect(_bind_new_session, dispatch_uid="bind_new_session")
for _signal in (password_changed, password_reset, password_set):
    _signal.connect(_end_other_sign_ins, dispatch_uid="end_other_sign_ins")
