"""Settings of the team's work, for programs: stages, tags, canned replies."""

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from messaging.api import serializers as shapes
from messaging.models import CannedReply, Stage, Tag
from tenants.api.schema import refusals
from tenants.api.views import ApiView
from tenants.permissions import Action


class StagesView(ApiView):
    """The steps of the pipeline, in order. Leads without a stage stand at the first."""

    actions = {"GET": Action.READ}

    @extend_schema(
        operation_id="stages_list", responses={200: shapes.StageOut(many=True), **refusals()}
    )
    def get(self, request):
        return Response(shapes.StageOut(Stage.objects.all(), many=True).data)


class TagsView(ApiView):
    """The tags that leads can carry."""

    actions = {"GET": Action.READ}

    @extend_schema(
        operation_id="tags_list", responses={200: shapes.TagOut(many=True), **refusals()}
    )
    def get(self, request):
        return Response(shapes.TagOut(Tag.objects.all(), many=True).data)


class RepliesView(ApiView):
    """The team's canned replies."""

    actions = {"GET": Action.READ}

    @extend_schema(
        operation_id="replies_list", responses={200: shapes.CannedReplyOut(many=True), **refusals()}
    )
    def get(self, request):
        return Response(shapes.CannedReplyOut(CannedReply.objects.all(), many=True).data)
