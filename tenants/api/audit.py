"""The audit for programs: who changed what, newest first."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field, inline_serializer
from rest_framework import serializers

from tenants import audit
from tenants.accounts.models import AuditEntry
from tenants.api.paging import PageAsked, page
from tenants.api.parsing import LARGEST_ID, asked
from tenants.api.schema import refusals
from tenants.api.views import ApiView
from tenants.permissions import Action


class AuditAsked(PageAsked):
    """Which entries: with this text, act or person, in this time, older than the id `before`."""

    text = serializers.CharField(required=False, max_length=100)
    act = serializers.ChoiceField(sorted(audit.ACTS), required=False)
    person = serializers.IntegerField(required=False, min_value=1, max_value=LARGEST_ID)
    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)
    before = serializers.IntegerField(required=False, min_value=1, max_value=LARGEST_ID)


class AuditOut(serializers.ModelSerializer):
    """Somebody changed something. `by_id` is null for commands and jobs, which `door` names."""

    called = serializers.SerializerMethodField()

    class Meta:
        model = AuditEntry
        fields = (
            "id", "at", "act", "called", "by_id", "by_name", "by_role", "subject_kind",
            "subject_id", "subject_name", "before", "after", "reason", "door", "address",
        )  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(OpenApiTypes.STR)
    def get_called(self, entry: AuditEntry) -> str:
        return str(audit.ACTS.get(entry.act, entry.act))


class AuditView(ApiView):
    """What was changed here, and by whom."""

    actions = {"GET": Action.SEE_AUDIT}

    @extend_schema(
        operation_id="audit_list",
        parameters=[AuditAsked],
        responses={
            200: inline_serializer(
                "AuditPage",
                {
                    "results": AuditOut(many=True),
                    "next": serializers.URLField(allow_null=True),
                },
            ),
            **refusals(400),
        },
    )
    def get(self, request):
        wanted = asked(AuditAsked, request.query_params)
        narrowed = audit.Asked(
            text=wanted.get("text", ""),
            act=wanted.get("act", ""),
            by_id=wanted.get("person"),
            since=wanted.get("since"),
            until=wanted.get("until"),
            before=wanted.get("before"),
        )
        found = audit.entries(narrowed, wanted["limit"] + 1)
        shown = found[: wanted["limit"]]
        following = shown[-1].pk if len(found) > len(shown) else None
        return page(request, AuditOut(shown, many=True).data, "before", following)
