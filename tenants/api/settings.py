"""A tenant's settings for programs: read by everybody of the team, changed by who may."""

from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.response import Response

from tenants import context, directory, settling
from tenants.api.errors import Refusal
from tenants.api.idempotency import once
from tenants.api.parsing import Text, asked
from tenants.api.schema import refusals
from tenants.api.views import ApiView
from tenants.models import Tenant
from tenants.permissions import Action, may
from tenants.settling import WrongSetting
from tenants.templatetags.settings import logo_address


class Holiday(serializers.Serializer):
    """A day the tenant is closed: 2026-12-25, or 12-25 for every year."""

    day = Text(max_length=10)
    name = Text(required=False, allow_blank=True, max_length=settling.LONGEST_HOLIDAY)


def _day() -> serializers.ListField:
    one = serializers.ListField(child=Text(max_length=5), min_length=2, max_length=2)
    return serializers.ListField(child=one, max_length=settling.MOST_RANGES)


class SettingsOut(serializers.ModelSerializer):
    """What the owners decided. `opening_hours` are seven days from Monday, each with its ranges;
    `retention_days` is null where everything is kept, and changed on its page alone."""

    opening_hours = serializers.ListField(child=_day())
    holidays = Holiday(many=True)
    logo = serializers.SerializerMethodField()

    class Meta:
        model = Tenant
        fields = (
            "name", "language", "time_zone", "default_country", "colour", "logo", "opening_hours",
            "holidays", "retention_days", "agents_see_all", "shows_read", "requires_mfa",
        )  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(OpenApiTypes.URI)
    def get_logo(self, tenant: Tenant) -> str | None:
        if not tenant.logo:
            return None
        return self.context["request"].build_absolute_uri(logo_address(tenant))


class SettingsChange(serializers.Serializer):
    """What to change; what is not named stays. `agents_see_all` is the owners' to change."""

    name = Text(required=False, max_length=settling.LONGEST_NAME)
    language = Text(required=False, max_length=5)
    time_zone = Text(required=False, max_length=60)
    default_country = Text(required=False, max_length=2)
    colour = serializers.ChoiceField(Tenant.Colour.choices, required=False, allow_blank=True)
    opening_hours = serializers.ListField(child=_day(), required=False, min_length=7, max_length=7)
    holidays = Holiday(many=True, required=False)
    agents_see_all = serializers.BooleanField(required=False)
    shows_read = serializers.BooleanField(required=False)


class SettingsView(ApiView):
    """The tenant's settings."""

    actions = {"GET": Action.READ, "PATCH": Action.MANAGE_SETTINGS}

    @extend_schema(responses={200: SettingsOut, **refusals()})
    def get(self, request):
        return Response(_out(request))

    @extend_schema(
        request=SettingsChange, responses={200: SettingsOut, **refusals(400, 403, 409, 422)}
    )
    @once
    def patch(self, request):
        wanted = _as_one_may(request, asked(SettingsChange, request.data))
        if "holidays" in wanted:
            wanted["holidays"] = [dict(each) for each in wanted["holidays"]]
        try:
            settling.change(context.current_number(), wanted, by=request.user)
        except WrongSetting as wrong:
            raise Refusal(
                status.HTTP_400_BAD_REQUEST, f"{wrong.name}_invalid", wrong.message, wrong.name
            ) from wrong
        return Response(_out(request))


def _as_one_may(request, wanted: dict) -> dict:
    """What is to be changed; of others than owners without what owners decide. They may say it as
    it is, but that writes nothing: an owner may just have decided otherwise."""
    name = "agents_see_all"
    if name not in wanted or may(request.user, Action.DECIDE_WHO_SEES):
        return wanted
    tenant = directory.tenant_numbered(context.current_number())
    if wanted[name] != tenant.agents_see_all:
        raise Refusal(
            status.HTTP_403_FORBIDDEN, "owner_only", _("Only an owner can change this."), name
        )
    return {each: value for each, value in wanted.items() if each != name}


def _out(request) -> dict:
    tenant = Tenant.objects.get(number=context.current_number())
    return SettingsOut(tenant, context={"request": request}).data
