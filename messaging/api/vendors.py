"""Vendors and their instances for the programs of platform staff."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers, status
from rest_framework.response import Response

from messaging import checking, connecting, providers, risks, setting_webhooks
from messaging.api.serializers import page_of
from messaging.providers.base import SendError
from tenants import context, onboarding
from tenants.accounts import invitations, mailing
from tenants.api.errors import Refusal
from tenants.api.paging import PageById, page, rows_by_id
from tenants.api.parsing import Id, Text, asked
from tenants.api.schema import refusals
from tenants.api.staff import StaffView, vendor
from tenants.models import ProviderInstance, Tenant
from tenants.onboarding import OnboardingError


class VendorOut(serializers.ModelSerializer):
    """A vendor, without anything of what it keeps here."""

    url = serializers.SerializerMethodField()

    class Meta:
        model = Tenant
        fields = (
            "number",
            "slug",
            "name",
            "state",
            "language",
            "time_zone",
            "default_country",
            "created_at",
            "url",
        )
        read_only_fields = fields

    def get_url(self, tenant: Tenant) -> str:
        return onboarding.home_url(tenant)


class VendorWanted(serializers.Serializer):
    """A vendor to make. Its owner is invited by e-mail where an address is given."""

    slug = Text(max_length=63)
    name = Text(max_length=200)
    owner_email = Text(max_length=254, required=False, allow_blank=True)
    country = Text(max_length=2, required=False, allow_blank=True)
    time_zone = Text(max_length=60, required=False, allow_blank=True)
    language = Text(max_length=5, required=False, allow_blank=True)


class InstanceOut(serializers.ModelSerializer):
    """A vendor's number or address at a provider; secrets are never shown."""

    state = serializers.CharField()
    webhooks = serializers.SerializerMethodField()
    risk = serializers.SerializerMethodField(help_text="What the owner has still to confirm.")

    class Meta:
        model = ProviderInstance
        fields = (
            "id",
            "provider",
            "label",
            "address",
            "state",
            "state_reason",
            "state_changed_at",
            "last_event_at",
            "webhooks",
            "risk",
        )
        read_only_fields = fields

    def get_webhooks(self, instance: ProviderInstance) -> dict[str, str]:
        return connecting.webhook_urls(instance)

    def get_risk(self, instance: ProviderInstance) -> str:
        return risks.to_confirm(instance)


class InstanceWanted(serializers.Serializer):
    """A number or address to connect, or to bring up to date; `values` are the provider's own
    fields, as `connect_instance` takes them."""

    provider = Text(max_length=40)
    address = Text(max_length=254, required=False, allow_blank=True)
    label = Text(max_length=100, required=False, allow_blank=True)
    values = serializers.DictField(child=Text(max_length=2000), required=False)


class InstanceAsked(serializers.Serializer):
    """Which instance, where the vendor has several of the provider."""

    instance = Id(required=False)


class CheckAsked(serializers.Serializer):
    """Where a real message may be sent to, if anywhere."""

    to = Text(max_length=254, required=False, allow_blank=True)


class FindingOut(serializers.Serializer):
    """What one step of a check showed; `passed` is null where the step does not apply."""

    step = serializers.CharField()
    passed = serializers.BooleanField(allow_null=True)
    said = serializers.CharField()
    advice = serializers.CharField()


CHECKED = inline_serializer(
    "Checked", {"success": serializers.BooleanField(), "findings": FindingOut(many=True)}
)
SET_UP = inline_serializer(
    "WebhookSetUp",
    {
        "success": serializers.BooleanField(),
        "message": serializers.CharField(),
        "webhookUrl": serializers.CharField(),
    },
)
STATUS = inline_serializer(
    "InstanceStatus",
    {
        "status": serializers.CharField(),
        "phoneNumber": serializers.CharField(),
        "reason": serializers.CharField(),
        "instance": serializers.IntegerField(),
    },
)
# How long one request may wait for a provider to answer a check.
CHECK_SECONDS = 10


class VendorsView(StaffView):
    """The vendors, and making one."""

    @extend_schema(
        operation_id="vendors_list",
        parameters=[PageById],
        responses={200: page_of(VendorOut), **refusals(400)},
    )
    def get(self, request):
        wanted = asked(PageById, request.query_params)
        found, following = rows_by_id(Tenant.objects.all(), wanted.get("after"), wanted["limit"])
        return page(request, VendorOut(found, many=True).data, "after", following)

    @extend_schema(request=VendorWanted, responses={201: VendorOut, **refusals(400)})
    def post(self, request):
        wanted = asked(VendorWanted, request.data)
        email = wanted.pop("owner_email", "").strip().lower()
        with _fields_named():
            if email:
                onboarding.check_owner_email(email)
            tenant = onboarding.create_tenant_to_join(**wanted, by=request.user)
        if email:
            _invite(tenant, email)
        return Response(VendorOut(tenant).data, status=status.HTTP_201_CREATED)


class VendorView(StaffView):
    """One vendor."""

    @extend_schema(responses={200: VendorOut, **refusals(404)})
    def get(self, request, slug):
        return Response(VendorOut(vendor(slug)).data)


class InstancesView(StaffView):
    """A vendor's instances, and connecting one."""

    @extend_schema(
        operation_id="vendor_instances_list",
        responses={200: InstanceOut(many=True), **refusals(404)},
    )
    def get(self, request, slug):
        mine = ProviderInstance.objects.of(vendor(slug)).select_related("tenant").order_by("pk")
        return Response({"results": InstanceOut(mine, many=True).data, "next": None})

    @extend_schema(request=InstanceWanted, responses={201: InstanceOut, **refusals(400, 404)})
    def post(self, request, slug):
        tenant = vendor(slug)
        wanted = asked(InstanceWanted, request.data)
        with _fields_named():
            instance = connecting.connect_instance(
                tenant,
                wanted["provider"],
                address=wanted.get("address", ""),
                values=wanted.get("values", {}),
                label=wanted.get("label", ""),
                by=request.user,
            )
        return Response(
            InstanceOut(connecting.probe(instance)).data, status=status.HTTP_201_CREATED
        )


class SetUpWebhookView(StaffView):
    """Have a provider post here; believed only once it shows that it will."""

    @extend_schema(request=InstanceAsked, responses={200: SET_UP, **refusals(400, 404, 409, 502)})
    def post(self, request, slug, provider):
        instance = _instance(vendor(slug), provider, asked(InstanceAsked, request.data))
        try:
            setting_webhooks.set_up(instance, by=request.user, by_platform=True)
        except SendError as error:
            raise _not_set(error, connecting.webhook_url(instance)) from error
        return Response(
            {
                "success": True,
                "message": _("The provider posts here now."),
                "webhookUrl": connecting.webhook_url(instance),
            }
        )


class StatusView(StaffView):
    """How an instance is, asked of its provider now."""

    @extend_schema(parameters=[InstanceAsked], responses={200: STATUS, **refusals(400, 404, 409)})
    def get(self, request, slug, provider):
        instance = _instance(vendor(slug), provider, _query(request))
        instance = connecting.probe(instance)
        return Response(
            {
                "status": instance.state,
                "phoneNumber": instance.address,
                "reason": instance.state_reason,
                "instance": instance.pk,
            }
        )


class CheckView(StaffView):
    """Whether an instance works, step by step, and what to do where it does not."""

    @extend_schema(request=CheckAsked, responses={200: CHECKED, **refusals(400, 404)})
    def post(self, request, slug, pk):
        tenant = vendor(slug)
        wanted = asked(CheckAsked, request.data)
        instance = _mine(tenant).filter(pk=pk).first()
        if instance is None:
            raise _unknown_instance()
        with context.entered(tenant):
            findings = list(
                checking.check(instance, to=wanted.get("to", ""), patience=CHECK_SECONDS)
            )
        works = not any(finding.passed is False for finding in findings)
        return Response({"success": works, "findings": FindingOut(findings, many=True).data})


@contextmanager
def _fields_named() -> Iterator[None]:
    """What onboarding refuses becomes a 400 that names the field."""
    try:
        yield
    except OnboardingError as refusal:
        raise Refusal(
            status.HTTP_400_BAD_REQUEST, "invalid", refusal.message, refusal.field
        ) from refusal


def _invite(tenant: Tenant, email: str) -> None:
    with context.entered(tenant):
        mailing.send_owner_invitation(tenant, invitations.invite_owner(email))


def _mine(tenant: Tenant):
    return ProviderInstance.objects.of(tenant).select_related("tenant")


def _query(request) -> dict[str, Any]:
    given = request.query_params.get("instance", "")
    return asked(InstanceAsked, {"instance": int(given)} if given.isdecimal() else {})


def _instance(tenant: Tenant, provider: str, wanted: Mapping[str, Any]) -> ProviderInstance:
    """The vendor's instance of a provider: the one asked for, else the only one."""
    if provider not in providers.REGISTRY:
        raise Refusal(
            status.HTTP_404_NOT_FOUND, "provider_unknown", gettext_lazy("Unknown provider.")
        )
    mine = _mine(tenant).filter(provider=provider).order_by("pk")
    if "instance" in wanted:
        mine = mine.filter(pk=wanted["instance"])
    found = list(mine[:2])
    if not found:
        raise _unknown_instance()
    if len(found) > 1:
        raise Refusal(
            status.HTTP_409_CONFLICT,
            "instance_ambiguous",
            gettext_lazy("Several numbers are connected: choose one."),
            "instance",
        )
    return found[0]


def _unknown_instance() -> Refusal:
    return Refusal(
        status.HTTP_404_NOT_FOUND,
        "instance_unknown",
        gettext_lazy("There is no such number here."),
        "instance",
    )


def _not_set(error: SendError, url: str) -> Refusal:
    if error.code == "not_supported":
        sentence = _("This provider lets nobody set the address by program: paste %(url)s there.")
        return Refusal(status.HTTP_409_CONFLICT, error.code, sentence % {"url": url})
    if error.code == "webhook_not_kept":
        sentence = _("The provider said yes but kept another setting: %(what)s.")
        told = sentence % {"what": error.detail}
    else:
        told = _("The provider refused: %(error)s.") % {"error": error}
    return Refusal(status.HTTP_502_BAD_GATEWAY, error.code, told, facts={"webhookUrl": url})
