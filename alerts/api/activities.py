"""A lead's history for programs: what happened elsewhere, and what was promised."""

from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.response import Response

from alerts import evaluate, queries
from alerts.api import serializers as shapes
from messaging import activities, addressing, followups
from messaging.api.serializers import CursorField, page_of
from messaging.api.views import addresses_of
from messaging.models import FollowUp, Lead
from messaging.queries import timeline
from tenants.accounts.models import User
from tenants.api.errors import NotHere, Refusal
from tenants.api.idempotency import once
from tenants.api.paging import PageAsked, PageById, page, rows_by_id
from tenants.api.parsing import LARGEST_ID, asked
from tenants.api.schema import refusals
from tenants.api.views import ApiView
from tenants.permissions import Action

EXTERNAL = "external:"


class ActivityLogView(ApiView):
    """Write down a contact that happened elsewhere, and hear what it did to the lead's alerts."""

    actions = {"POST": Action.HANDLE_ALERTS}

    @extend_schema(
        request=shapes.NewActivity, responses={200: shapes.Logged, **refusals(400, 404, 409, 422)}
    )
    @once
    def post(self, request):
        wanted = asked(shapes.NewActivity, request.data)
        now = timezone.now()
        lead = _lead_meant(wanted, by=request.user)
        activity = activities.record(
            lead,
            channel=wanted["channel"],
            direction=wanted["direction"],
            status=wanted["status"],
            snippet=wanted.get("messageSnippet") or "",
            meta=wanted.get("meta") or {},
            by=request.user,
            now=now,
        )
        outcome = evaluate.leads(request.tenant, [lead.pk], now=now)
        active = queries.active(request.user, queries.Wanted(lead=lead.pk), now)
        return Response(
            {
                "success": True,
                "activity": shapes.ActivityOut(activity).data,
                "alerts": {
                    "created": outcome.created,
                    "resolved": outcome.resolved,
                    "unchanged": outcome.unchanged,
                    "active": active.count(),
                },
            }
        )


class TimelineAsked(PageAsked):
    """How far back in a lead's history."""

    before = CursorField(required=False)


class TimelineView(ApiView):
    """A lead's history, newest first: messages, calls, notes, stages, follow-ups."""

    actions = {"GET": Action.READ}

    @extend_schema(
        operation_id="leads_activities_list",
        parameters=[TimelineAsked],
        responses={200: page_of(shapes.ActivityOut), **refusals(400, 404)},
    )
    def get(self, request, pk):
        lead = _lead(pk)
        wanted = asked(TimelineAsked, request.query_params)
        found = timeline(request.user, lead, wanted.get("before"), wanted["limit"])
        return page(request, shapes.ActivityOut(found.rows, many=True).data, "before", found.next)


class FollowUpsView(ApiView):
    """What was promised to a lead; and promising more."""

    actions = {"GET": Action.READ, "POST": Action.EDIT_LEADS}

    @extend_schema(
        operation_id="leads_follow_ups_list",
        parameters=[PageById],
        responses={200: page_of(shapes.FollowUpOut), **refusals(400, 404)},
    )
    def get(self, request, pk):
        lead = _lead(pk)
        wanted = asked(PageById, request.query_params)
        mine = lead.follow_ups.select_related("who", "lead")
        rows, following = rows_by_id(mine, wanted.get("after"), wanted["limit"])
        return page(request, shapes.FollowUpOut(rows, many=True).data, "after", following)

    @extend_schema(
        request=shapes.NewFollowUp,
        responses={201: shapes.FollowUpOut, **refusals(400, 404, 409, 422)},
    )
    @once
    def post(self, request, pk):
        lead = _lead(pk)
        wanted = asked(shapes.NewFollowUp, request.data)
        follow_up = followups.plan(
            lead,
            what=wanted["what"],
            due_at=wanted["due_at"],
            who=_colleague(wanted["who"]) if "who" in wanted else request.user,
            by=request.user,
            now=timezone.now(),
        )
        return Response(shapes.FollowUpOut(follow_up).data, status=status.HTTP_201_CREATED)


class FollowUpView(ApiView):
    """One follow-up: look at it, put it off, be done with it."""

    actions = {"GET": Action.READ, "PATCH": Action.EDIT_LEADS}

    @extend_schema(responses={200: shapes.FollowUpOut, **refusals(404)})
    def get(self, request, pk):
        return Response(shapes.FollowUpOut(_follow_up(pk)).data)

    @extend_schema(
        request=shapes.FollowUpChange,
        responses={200: shapes.FollowUpOut, **refusals(400, 404, 409, 422)},
    )
    @once
    def patch(self, request, pk):
        follow_up = _follow_up(pk)
        wanted = asked(shapes.FollowUpChange, request.data)
        acts = {"by": request.user, "now": timezone.now()}
        if "due_at" in wanted:
            follow_up = followups.move(follow_up, due_at=wanted["due_at"], **acts)
        if "outcome" in wanted:
            follow_up = followups.close(follow_up, outcome=wanted["outcome"], **acts)
        return Response(shapes.FollowUpOut(follow_up).data)


def _lead_meant(wanted: dict[str, Any], *, by: User) -> Lead:
    """The lead an activity names, made where that was asked for; it may have been merged."""
    field = "leadId" if "leadId" in wanted else "externalId"
    written = wanted.get("leadId") or EXTERNAL + wanted.get("externalId", "")
    if not wanted.get("leadId") and not wanted.get("externalId") and not wanted["createLead"]:
        raise Refusal(400, "required", _("Say which lead."), "leadId")
    lead = _known(written)
    if lead is None and wanted["createLead"]:
        lead = _made(wanted, written.removeprefix(EXTERNAL), by=by)
    if lead is None:
        raise NotHere("lead_unknown", field)
    while lead.merged_into is not None:
        lead = lead.merged_into
    return lead


def _known(written: str) -> Lead | None:
    if written.startswith(EXTERNAL):
        external = written.removeprefix(EXTERNAL)
        return Lead.objects.filter(external_id=external).first() if external else None
    if written.isdecimal() and int(written) <= LARGEST_ID:
        found = Lead.objects.filter(pk=int(written)).first()
        if found is not None:
            return found
    # The replaced system took the CRM's ids as they are.
    return Lead.objects.filter(external_id=written).first()


def _made(wanted: dict[str, Any], external: str, *, by: User) -> Lead:
    addresses = addresses_of(wanted)
    if not addresses:
        raise Refusal(
            400, "required", _("A new lead needs a phone number or an e-mail address."), "phone"
        )
    lead, is_new = addressing.lead_for(addresses, name=wanted.get("name", ""))
    # A lead of the CRM keeps its id there, so that the next call finds it; our own ids are ours.
    if (is_new or not lead.external_id) and external and not external.isdecimal():
        lead.external_id = external[:100]
        lead.save(update_fields=["external_id", "updated_at"])
    return lead


def _lead(pk: int) -> Lead:
    found = Lead.objects.filter(pk=pk).first()
    if found is None:
        raise NotHere("lead_unknown")
    return found


def _follow_up(pk: int) -> FollowUp:
    found = FollowUp.objects.select_related("who", "lead").filter(pk=pk).first()
    if found is None:
        raise NotHere("follow_up_unknown")
    return found


def _colleague(pk: int | None) -> User | None:
    if pk is None:
        return None
    found = User.objects.filter(pk=pk, is_active=True).first()
    if found is None:
        raise NotHere("who_unknown", "who")
    return found
