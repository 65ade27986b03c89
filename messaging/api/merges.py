"""Two leads that are one person, for programs."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.response import Response

from messaging import merging
from messaging.api.serializers import Colleague, page_of
from messaging.models import Lead, LeadMerge
from tenants.api.errors import NotHere, Refusal
from tenants.api.idempotency import once
from tenants.api.paging import PageById, page, rows_by_id
from tenants.api.parsing import Id, asked
from tenants.api.schema import refusals
from tenants.api.views import ApiView
from tenants.permissions import Action


class Merge(serializers.Serializer):
    """The lead that becomes a part of another one."""

    other = Id()


class MergeOut(serializers.ModelSerializer):
    """Two leads became one; `by` is null where a provider's news showed that they are."""

    kept = serializers.IntegerField(source="kept_id")
    merged = serializers.IntegerField(source="merged_id")
    by = Colleague(allow_null=True)

    class Meta:
        model = LeadMerge
        fields = ("id", "kept", "merged", "by", "created_at", "undone_at")
        read_only_fields = fields


class LeadMergeView(ApiView):
    """Make two leads one."""

    actions = {"POST": Action.EDIT_LEADS}

    @extend_schema(
        request=Merge,
        description="Everything of the lead `other` becomes this lead's; `other` then points here. "
        "What became of which row is kept, so that it can be undone.",
        responses={201: MergeOut, **refusals(400, 404, 409, 422)},
    )
    @once
    def post(self, request, pk):
        kept = _lead(pk, None)
        other = _lead(asked(Merge, request.data)["other"], "other")
        with _refusals_answered("other"):
            record = merging.merge(kept, other, by=request.user)
        return Response(MergeOut(record).data, status=status.HTTP_201_CREATED)


class LeadMergesView(ApiView):
    """The merges that made a lead what it is, those undone among them."""

    actions = {"GET": Action.READ}

    @extend_schema(
        operation_id="leads_merges_list",
        parameters=[PageById],
        responses={200: page_of(MergeOut), **refusals(400, 404)},
    )
    def get(self, request, pk):
        wanted = asked(PageById, request.query_params)
        merges = LeadMerge.objects.filter(kept=_lead(pk, None)).select_related("by")
        rows, following = rows_by_id(merges, wanted.get("after"), wanted["limit"])
        return page(request, MergeOut(rows, many=True).data, "after", following)


class MergeUndoView(ApiView):
    """Make two leads of one again; twice is once."""

    actions = {"POST": Action.EDIT_LEADS}

    @extend_schema(
        request=None,
        description="Each lead gets back what was its own, and what came since by its own "
        "addresses. No news of a provider puts the two together again.",
        responses={200: MergeOut, **refusals(404, 409, 422)},
    )
    @once
    def post(self, request, pk):
        record = LeadMerge.objects.select_related("kept", "merged", "by").filter(pk=pk).first()
        if record is None:
            raise NotHere("merge_unknown")
        with _refusals_answered(None):
            record = merging.undo(record, by=request.user, now=timezone.now())
        return Response(MergeOut(record).data)


@contextmanager
def _refusals_answered(field: str | None) -> Iterator[None]:
    try:
        yield
    except merging.NotMerged as refusal:
        raise Refusal(status.HTTP_409_CONFLICT, refusal.code, refusal.message, field) from refusal


def _lead(pk: int, field: str | None) -> Lead:
    found = Lead.objects.filter(pk=pk).first()
    if found is None:
        raise NotHere("lead_unknown", field)
    return found
