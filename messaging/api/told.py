"""What was told about messages, for programs: newest first, or as a file."""

from zoneinfo import ZoneInfo

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.utils.urls import replace_query_param

from messaging import providers, told, told_csv
from messaging.api.serializers import CursorField, page_of
from messaging.models import Lead
from tenants import directory
from tenants.api.errors import NotHere, Refusal
from tenants.api.paging import PageAsked, page
from tenants.api.parsing import LARGEST_ID, asked
from tenants.api.schema import refusals
from tenants.api.views import ApiView
from tenants.context import current_number
from tenants.permissions import Action


class FactsAsked(PageAsked):
    """Which facts: of these days in the vendor's time zone (the last seven unless it is said, 92
    at most), of one medium, provider, direction, status or lead, older than the place `before`."""

    since = serializers.DateField(required=False)
    until = serializers.DateField(required=False)
    medium = serializers.ChoiceField(list(told.MEDIA), required=False)
    provider = serializers.ChoiceField([each.slug for each in providers.every()], required=False)
    direction = serializers.ChoiceField(told.Direction.values, required=False)
    status = serializers.ChoiceField(list(told.STATUSES), required=False)
    lead = serializers.IntegerField(required=False, min_value=1, max_value=LARGEST_ID)
    before = CursorField(required=False)


class MessageEventOut(serializers.Serializer):
    """One fact about a message. `at` is when it happened; `told_by` says whether the provider told
    it or AMDA saw it while sending. `message`, `conversation` and `lead` are null while the message
    itself has not come. `snippet` is the beginning of the message as it now stands."""

    id = serializers.IntegerField()
    at = serializers.DateTimeField()
    medium = serializers.CharField()
    provider = serializers.CharField()
    instance = serializers.IntegerField()
    direction = serializers.CharField()
    status = serializers.CharField()
    told_by = serializers.CharField()
    message = serializers.IntegerField(allow_null=True)
    conversation = serializers.IntegerField(allow_null=True)
    lead = serializers.IntegerField(allow_null=True)
    lead_name = serializers.CharField()
    address = serializers.CharField()
    external_id = serializers.CharField()
    snippet = serializers.CharField()


class MessageEventsView(ApiView):
    """Facts about messages: received, sent, delivered, read, failed, edited, withdrawn."""

    actions = {"GET": Action.SEE_FIGURES}

    @extend_schema(
        operation_id="message_events_list",
        parameters=[FactsAsked],
        responses={200: page_of(MessageEventOut), **refusals(400)},
    )
    def get(self, request):
        wanted = asked(FactsAsked, request.query_params)
        found = told.page(_narrowed(wanted), wanted.get("before"), wanted["limit"])
        return page(request, MessageEventOut(found.rows, many=True).data, "before", found.next)


class MessageEventsCsvView(ApiView):
    """The same as a CSV file of 50,000 rows at most; `Link` has the address of the rest."""

    actions = {"GET": Action.SEE_FIGURES}

    @extend_schema(
        operation_id="message_events_csv",
        parameters=[FactsAsked],
        responses={(200, "text/csv"): OpenApiTypes.STR, **refusals(400)},
    )
    def get(self, request):
        wanted = asked(FactsAsked, request.query_params)
        facts, rest = told_csv.read(_narrowed(wanted), wanted.get("before"))
        response = told_csv.for_programs(facts, "message-events")
        if rest is not None:
            address = replace_query_param(request.build_absolute_uri(), "before", str(rest))
            response["Link"] = f'<{address}>; rel="next"'
        return response


def _narrowed(wanted: dict) -> told.Narrowed:
    zone = ZoneInfo(directory.tenant_numbered(current_number()).time_zone)
    today = timezone.localdate(timezone=zone)
    try:
        days = told.Days.asked(wanted.get("since"), wanted.get("until"), today, zone)
    except told.WrongDays as wrong:
        code = status.HTTP_400_BAD_REQUEST
        raise Refusal(code, "days_invalid", wrong.message, wrong.field) from wrong
    named = ("medium", "provider", "direction", "status")
    lead = wanted.get("lead")
    if lead is not None and not Lead.objects.filter(pk=lead).exists():
        raise NotHere("lead_unknown", "lead")
    return told.Narrowed(
        days,
        **{name: wanted.get(name, "") for name in named},
        leads=None if lead is None else [lead],
    )
