"""Error pages, and the same facts as JSON wherever a program asks."""

from django.http import JsonResponse
from django.utils.translation import gettext as _
from django.views import defaults


def bad_request(request, exception=None):
    """400: a page, or the API's error."""
    if _is_program(request):
        return _json(400, "bad_request", _("This request could not be read"))
    return defaults.bad_request(request, exception)


def forbidden(request, exception=None):
    """403: a page that says who can help, or the API's error."""
    if _is_program(request):
        return _json(403, "forbidden", _("Your role does not allow this."))
    return defaults.permission_denied(request, exception)


def not_found(request, exception=None):
    """404: a page, or the API's error."""
    if _is_program(request):
        return _json(404, "not_found", _("There is nothing at this address."))
    return defaults.page_not_found(request, exception)


def server_error(request):
    """500: a page that needs neither database nor session, or the API's error."""
    if _is_program(request):
        return _json(500, "server_error", _("Something went wrong on our side"))
    return defaults.server_error(request)


def _is_program(request) -> bool:
    return request.path.startswith("/api/")


def _json(status: int, code: str, message: str) -> JsonResponse:
    error = {"message": message, "field": None, "code": code}
    return JsonResponse({"success": False, "error": error}, status=status)
