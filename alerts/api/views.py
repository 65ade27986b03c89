"""Alerts for programs; each view calls the verb its page calls."""

from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from alerts import queries, resolving
from alerts.api import serializers as shapes
from alerts.models import Alert
from messaging.models import Lead
from messaging.views.showing import numbers
from tenants.api.errors import NotHere, Refusal
from tenants.api.idempotency import once
from tenants.api.parsing import asked
from tenants.api.schema import refusals
from tenants.api.views import ApiView
from tenants.permissions import Action


class ActiveAlertsView(ApiView):
    """What is open now."""

    actions = {"GET": Action.READ}

    @extend_schema(
        operation_id="alerts_active",
        parameters=[shapes.ActiveAsked],
        responses={200: shapes.ActiveOut, **refusals(400)},
    )
    def get(self, request):
        wanted = asked(shapes.ActiveAsked, request.query_params)
        rows = queries.active(request.user, _wanted(request.user, wanted), timezone.now())
        alerts, following = queries.page(rows, wanted.get("after"), wanted["limit"])
        return Response(
            {
                "success": True,
                "stats": queries.stats(rows),
                "alerts": shapes.AlertOut(alerts, many=True, context=_context(request)).data,
                "next": _next(request, following),
            }
        )


class AlertsView(ApiView):
    """Making an alert by hand."""

    actions = {"POST": Action.HANDLE_ALERTS}

    @extend_schema(
        request=shapes.NewAlert, responses={201: shapes.OneAlert, **refusals(400, 404, 409, 422)}
    )
    @once
    def post(self, request):
        wanted = asked(shapes.NewAlert, request.data)
        alert = resolving.make(
            type=wanted["type"],
            severity=wanted["severity"],
            message=wanted["message"],
            action=wanted.get("suggested_action", {}),
            lead=_lead(wanted.get("lead")),
            by=request.user,
            now=timezone.now(),
        )
        return _answer(request, alert, status.HTTP_201_CREATED)


class AlertView(ApiView):
    """One alert, open or closed."""

    actions = {"GET": Action.READ}

    @extend_schema(responses={200: shapes.OneAlert, **refusals(404)})
    def get(self, request, pk):
        return _answer(request, _alert(request, pk))


class AlertResolveView(ApiView):
    """Close an alert by hand; one that is closed stays as it is."""

    actions = {"POST": Action.HANDLE_ALERTS}

    @extend_schema(request=None, responses={200: shapes.OneAlert, **refusals(404, 409, 422)})
    @once
    def post(self, request, pk):
        alert = resolving.resolve(_alert(request, pk), by=request.user, now=timezone.now())
        return _answer(request, alert)


class AlertSnoozeView(ApiView):
    """Let an alert sleep until a time or until the lead writes."""

    actions = {"POST": Action.HANDLE_ALERTS}

    @extend_schema(
        request=shapes.Sleep, responses={200: shapes.OneAlert, **refusals(400, 404, 409, 422)}
    )
    @once
    def post(self, request, pk):
        alert = _alert(request, pk)
        wanted = asked(shapes.Sleep, request.data)
        now, until = timezone.now(), wanted.get("until")
        if until is None and not wanted["until_reply"]:
            raise Refusal(400, "until_missing", _("Say until when."), "until")
        if until is not None and until <= now:
            raise Refusal(400, "until_past", _("This time has passed."), "until")
        alert = resolving.snooze(
            alert, until=until, until_reply=wanted["until_reply"], by=request.user, now=now
        )
        return _answer(request, alert)


def _wanted(user, asked_for: dict[str, Any]) -> queries.Wanted:
    owner = asked_for.get("owner", "")
    whose = {"me": user.pk, "none": None, "": None}
    return queries.Wanted(
        severity=asked_for.get("severity", ""),
        type=asked_for.get("type", ""),
        owner=whose[owner] if owner in whose else int(owner),
        unowned=owner == "none",
    )


def _next(request, place: queries.Place | None) -> str | None:
    if place is None:
        return None
    return replace_query_param(request.build_absolute_uri(), "after", str(place))


def _alert(request, pk: int) -> Alert:
    found = queries.visible(request.user).filter(pk=pk).first()
    if found is None:
        raise NotHere("alert_unknown")
    return found


def _lead(pk: int | None) -> Lead | None:
    if pk is None:
        return None
    found = Lead.objects.filter(pk=pk).first()
    if found is None:
        raise NotHere("lead_unknown", "lead")
    return found


def _answer(request, alert: Alert, code: int = status.HTTP_200_OK) -> Response:
    shown = shapes.AlertOut(alert, context=_context(request)).data
    return Response({"success": True, "alert": shown}, status=code)


def _context(request) -> dict[str, Any]:
    return {"request": request, "numbers": numbers(request)}
