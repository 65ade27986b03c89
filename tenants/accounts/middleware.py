"""Whose session this is, and in which language to answer."""

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import AnonymousUser
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext

from tenants import limits
from tenants.accounts import second_step, sessions
from tenants.accounts.adapter import is_suspended
from tenants.accounts.models import Role

ALWAYS_OPEN = ("/accounts/", "/language/", "/static/", "/mail/")
OPEN_WHILE_SUSPENDED = (*ALWAYS_OPEN, "/billing/", "/settings/audit/", "/favicon.ico")


def bind_session(get_response):
    """Drop a session of another tenant, of an ended sign-in, of a deactivated person.

    A request that may carry a bearer token only has no session user at all.
    """

    def middleware(request):
        if request.bearer_only:
            request.user = AnonymousUser()
        elif SESSION_KEY in request.session:
            request.user = _user_of_session(request)
        return get_response(request)

    return middleware


def lead_to_second_step(get_response):
    """Lead who needs a second step and has none to set one up, before anything else."""

    def middleware(request):
        if _must_set_up_first(request):
            return _set_up_first(request)
        return get_response(request)

    return middleware


def show_suspension(get_response):
    """Show a suspended tenant's owners why, and nothing but what concerns it."""

    def middleware(request):
        if (
            is_suspended(request)
            and request.user.is_authenticated
            and not request.path.startswith(OPEN_WHILE_SUSPENDED)
        ):
            return _suspended(request)
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


def _user_of_session(request):
    known = sessions.signed_in(request.session)
    shut_out = is_suspended(request) and known is not None and known.user.role != Role.OWNER
    if known is None or shut_out:
        request.session.flush()
        return AnonymousUser()
    sessions.note_use(request, known)
    return known.user


def _must_set_up_first(request) -> bool:
    return (
        request.user.is_authenticated
        and not request.path.startswith(ALWAYS_OPEN)
        and second_step.is_lacking(request.user, request.tenant)
    )


def _set_up_first(request):
    if request.path.startswith("/api/"):
        return JsonResponse(
            {
                "success": False,
                "error": {
                    "message": gettext(second_step.SET_UP_FIRST),
                    "field": None,
                    "code": "mfa_setup_required",
                },
            },
            status=403,
        )
    if request.headers.get("HX-Request"):
        return HttpResponse(status=403, headers={"HX-Redirect": reverse("mfa_index")})
    return redirect("mfa_index")


def _suspended(request):
    if request.path.startswith("/api/"):
        message = limits.closed_sentence(request.tenant.number)
        error = {"message": message, "field": None, "code": "tenant_suspended"}
        return JsonResponse({"success": False, "error": error}, status=403)
    if request.headers.get("HX-Request"):
        return HttpResponse(status=403, headers={"HX-Redirect": "/"})
    return render(request, "account/suspended.html", status=403)


def _language_of(request) -> str | None:
    known = dict(settings.LANGUAGES)
    preferred = (
        request.user.language if request.user.is_authenticated else "",
        request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME),
        request.tenant.language if request.tenant else "",
    )
    return next((language for language in preferred if language in known), None)
