"""From a request's host, or its X-Tenant header, to the tenant it is for."""

import logging
import sys
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.signals import got_request_exception
from django.db import InterfaceError, OperationalError, connection
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import gettext as _
from psycopg_pool import PoolTimeout

from tenants import directory
from tenants.limits import LimitReached

logger = logging.getLogger(__name__)


def database_away(get_response):
    """Answer 503, not 500, whenever the database cannot be reached."""

    def middleware(request):
        response = get_response(request)
        if getattr(request, "database_is_away", False):
            return _unavailable(request)
        return response

    return middleware


def enter_tenant(get_response):
    """Put the request into the schema and time zone of the tenant its host or X-Tenant names.

    X-Tenant counts on the public host only, for the API only, and with a bearer token only:
    such a request sees no session, neither the tenant's nor a staff member's.
    """

    def middleware(request):
        connection.set_schema_to_public()
        host = request.get_host().split(":")[0].lower()
        request.tenant = None
        request.urlconf = settings.PUBLIC_SCHEMA_URLCONF
        request.bearer_only = False
        if host not in _public_hosts():
            tenant = directory.tenant_of_host(host)
        elif "X-Tenant" in request.headers and request.path.startswith("/api/"):
            request.bearer_only = True
            request.COOKIES.clear()
            tenant = directory.tenant_of_slug(request.headers["X-Tenant"])
        else:
            return get_response(request)
        return _inside(tenant, request, get_response) if tenant else _nobody_here(request)

    return middleware


def tell_limits(get_response):
    """Answer a page's request that met a limit with the sentence that says which one.

    A piece of a page gets the sentence alone, to be shown where it was asked for.
    """

    def middleware(request):
        return get_response(request)

    def process_exception(request, exception):
        if not isinstance(exception, LimitReached):
            return None
        template = "inbox/refused.html" if request.htmx else "error.html"
        facts = {"title": _("This is not possible now"), "message": exception.message}
        return render(request, template, facts, status=422 if request.htmx else 403)

    vars(middleware)["process_exception"] = process_exception
    return middleware


def _inside(tenant, request, get_response) -> HttpResponse:
    request.tenant = tenant
    request.urlconf = settings.ROOT_URLCONF
    connection.set_tenant(tenant)
    try:
        with timezone.override(ZoneInfo(tenant.time_zone)):
            return get_response(request)
    finally:
        connection.set_schema_to_public()


def _public_hosts() -> set[str]:
    return {settings.PUBLIC_HOST, "127.0.0.1", "[", "testserver"}


def _note_database_away(sender, request=None, **kwargs) -> None:
    error = sys.exc_info()[1]
    if request is not None and _means_away(error):
        request.database_is_away = True


def _means_away(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, PoolTimeout | InterfaceError):
            return True
        if isinstance(error, OperationalError):
            return True
        error = error.__cause__
    return False


def _unavailable(request) -> HttpResponse:
    message = _("The database is not answering. Please try again in a moment.")
    response = _error(request, 503, "database_away", _("One moment"), message)
    response["Retry-After"] = "5"
    return response


def _nobody_here(request) -> HttpResponse:
    message = _("There is nothing at this address.")
    return _error(request, 404, "tenant_unknown", _("Not found"), message)


def _error(request, status: int, code: str, title: str, message: str) -> HttpResponse:
    """In the API's shape below /api/, as a page elsewhere."""
    if request.path.startswith("/api/"):
        error = {"message": message, "field": None, "code": code}
        return JsonResponse({"success": False, "error": error}, status=status)
    page = render_to_string("error.html", {"title": title, "message": message})
    return HttpResponse(page, status=status)


got_request_exception.connect(_note_database_away, dispatch_uid="database_away")
