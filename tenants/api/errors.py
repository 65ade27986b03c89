"""Every refusal of the API in one shape: what happened, which field, a code for programs."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from rest_framework import exceptions, status
from rest_framework.response import Response

from tenants.limits import LimitReached


class Refusal(exceptions.APIException):
    """A refusal with its own status, code, sentence and, where one is to blame, field.

    `facts` stand in the answer beside them: what a program needs to do better.
    """

    def __init__(
        self,
        status_code: int,
        code: str,
        message: Any,
        field: str | None = None,
        facts: Mapping[str, Any] | None = None,
    ):
        super().__init__(message, code)
        self.status_code = status_code
        self.field = field
        self.facts = facts or {}
        self.wait: float | None = None


class NotHere(Refusal):
    """An id in the request names nothing of this tenant."""

    def __init__(self, code: str, field: str | None = None):
        super().__init__(status.HTTP_404_NOT_FOUND, code, _("There is no such thing here."), field)


def answer(exc: Exception, context: Mapping[str, Any]) -> Response | None:
    """The response to an exception of a view; None for a fault of our own."""
    refused = _as_refusal(exc)
    if refused is None:
        return None
    field, detail = _first(refused.detail)
    told = body(detail, getattr(refused, "field", None) or field, detail.code)
    told["error"] |= getattr(refused, "facts", {})
    return Response(
        told,
        status=refused.status_code,
        headers=_headers(refused),
    )


def body(message: Any, field: str | None, code: str) -> dict[str, Any]:
    """The body of every refusal."""
    # A caller's own lone surrogates, quoted in a message, could not be sent back.
    sendable = str(message).encode("utf-8", "replace").decode()
    return {"success": False, "error": {"message": sendable, "field": field, "code": code}}


def _as_refusal(exc: Exception) -> exceptions.APIException | None:
    match exc:
        case exceptions.APIException():
            return exc
        case Http404():
            return exceptions.NotFound()
        case PermissionDenied():
            return exceptions.PermissionDenied()
        case LimitReached():
            return _of_limit(exc)
        case RequestDataTooBig():
            return Refusal(
                status.HTTP_413_REQUEST_ENTITY_TOO_LARGE,
                "too_large",
                _("The request is too large."),
            )
    return None


def _of_limit(reached: LimitReached) -> Refusal:
    """Too much of something is a 403, too fast a 429; the limit stands beside the sentence."""
    too_fast = reached.code == "limit_api_rate"
    refusal = Refusal(
        status.HTTP_429_TOO_MANY_REQUESTS if too_fast else status.HTTP_403_FORBIDDEN,
        reached.code,
        reached.message,
        facts={"limits": reached.facts} if reached.facts else {},
    )
    at = reached.facts.get("reset_at")
    if too_fast and at is not None:
        refusal.wait = max((at - timezone.now()).total_seconds(), 1)
    return refusal


def _first(detail: Any, path: tuple[str, ...] = ()) -> tuple[str | None, exceptions.ErrorDetail]:
    """The first error of a tree of errors and the field it is about, as the caller wrote it."""
    if isinstance(detail, Mapping):
        name, inner = next(iter(detail.items()))
        return _first(inner, path if name == "non_field_errors" else (*path, str(name)))
    if isinstance(detail, Sequence) and not isinstance(detail, str):
        return _first(detail[0], path)
    return ".".join(path) or None, detail


def _headers(refused: exceptions.APIException) -> dict[str, str]:
    headers = {}
    if getattr(refused, "auth_header", None):
        headers["WWW-Authenticate"] = refused.auth_header
    if getattr(refused, "wait", None):
        headers["Retry-After"] = f"{refused.wait:.0f}"
    return headers
