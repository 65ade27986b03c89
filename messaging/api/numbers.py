"""The connection of a tenant's WhatsApp numbers, for programs."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.response import Response

from messaging import linking, pacing, risks
from messaging.providers import get as provider_of
from messaging.providers.base import InstanceState, Medium
from messaging.refusing import Refused
from tenants.api.errors import Refusal
from tenants.api.idempotency import once
from tenants.api.parsing import LARGEST_ID, Id, asked
from tenants.api.schema import refusals
from tenants.api.views import ApiView
from tenants.models import ProviderInstance
from tenants.permissions import Action

STATUS_OF = {
    "instance_unknown": status.HTTP_404_NOT_FOUND,
    "owner_only": status.HTTP_403_FORBIDDEN,
}


class NumberAsked(serializers.Serializer):
    """Which number; the only one where none is named."""

    instance = serializers.IntegerField(required=False, min_value=1, max_value=LARGEST_ID)


class NumberNamed(serializers.Serializer):
    """Which number, in a body."""

    instance = Id(required=False)


class ConnectWanted(NumberNamed):
    """Which number, and an owner's word on its risk."""

    risk_accepted = serializers.BooleanField(
        required=False, help_text="An owner's word that they know the `risk`; kept in the audit."
    )


class ConnectionOut(serializers.ModelSerializer):
    """How a number is connected."""

    instance = serializers.IntegerField(source="pk")
    status = serializers.CharField(source="state")
    connected = serializers.SerializerMethodField()
    reason = serializers.CharField(source="state_reason")
    phoneNumber = serializers.CharField(source="address")
    since = serializers.DateTimeField(source="state_changed_at", allow_null=True)
    risk = serializers.SerializerMethodField(
        help_text="What an owner has still to confirm of this number; empty for nothing."
    )

    class Meta:
        model = ProviderInstance
        fields = (
            "instance",
            "provider",
            "status",
            "connected",
            "reason",
            "phoneNumber",
            "since",
            "known_at",
            "look_again_at",
            "last_event_at",
            "risk",
        )
        read_only_fields = fields

    def get_connected(self, instance: ProviderInstance) -> bool:
        return instance.state == ProviderInstance.State.CONNECTED

    def get_risk(self, instance: ProviderInstance) -> str:
        return risks.to_confirm(instance)


class CodeOut(serializers.Serializer):
    """A code to scan: what it says, and a picture of it."""

    instance = serializers.IntegerField()
    qr = serializers.CharField()
    image = serializers.CharField(help_text="A `data:` address.")


class ConnectedOut(ConnectionOut):
    """A connection that was started; `qr` is empty where there is nothing to scan."""

    qr = serializers.CharField()
    image = serializers.CharField()

    class Meta(ConnectionOut.Meta):
        fields = (*ConnectionOut.Meta.fields, "qr", "image")


class AllowedOut(serializers.Serializer):
    """What may still be done; null where nothing is counted."""

    remaining = serializers.IntegerField(allow_null=True)
    limit = serializers.IntegerField(allow_null=True)
    reset_at = serializers.DateTimeField(allow_null=True)


class NumberAllowedOut(AllowedOut):
    """The same for one number, with its pace."""

    instance = serializers.IntegerField()
    medium = serializers.CharField()
    per_minute = serializers.IntegerField(allow_null=True)


class RateLimitsOut(serializers.Serializer):
    """The day's limits by medium, and number by number."""

    whatsapp_send = AllowedOut()
    whatsapp_download = AllowedOut()
    sms_send = AllowedOut()
    email_send = AllowedOut()
    instances = NumberAllowedOut(many=True)


class RateLimitsView(ApiView):
    """How much may still be sent today."""

    actions = {"GET": Action.READ}

    @extend_schema(
        operation_id="rate_limits",
        description="The sum over the tenant's numbers of each medium. What is queued counts as "
        "sent. Null where nothing limits it, as is always so of downloads.",
        responses={200: RateLimitsOut, **refusals()},
    )
    def get(self, request):
        now = timezone.now()
        told = [_of_number(each, now) for each in ProviderInstance.objects.serving(request.tenant)]
        by_medium = {f"{medium}_send": _summed(told, medium) for medium in Medium}
        nothing = {"remaining": None, "limit": None, "reset_at": None}
        return Response({**by_medium, "whatsapp_download": nothing, "instances": told})


def _of_number(instance: ProviderInstance, now: datetime) -> dict[str, Any]:
    left = pacing.allowed(instance, now)
    return {
        "instance": instance.pk,
        "medium": provider_of(instance.provider).medium.value,
        "per_minute": pacing.speed_of(instance).per_minute,
        "remaining": left.remaining,
        "limit": left.limit,
        "reset_at": left.reset_at,
    }


def _summed(told: list[dict[str, Any]], medium: str) -> dict[str, Any]:
    mine = [each for each in told if each["medium"] == medium]
    if not mine:
        return {"remaining": 0, "limit": 0, "reset_at": None}
    is_counted = all(each["limit"] is not None for each in mine)
    return {
        "remaining": sum(each["remaining"] for each in mine) if is_counted else None,
        "limit": sum(each["limit"] for each in mine) if is_counted else None,
        "reset_at": mine[0]["reset_at"],
    }


class WhatsAppStatusView(ApiView):
    """How a WhatsApp number is connected."""

    actions = {"GET": Action.READ}

    @extend_schema(
        operation_id="whatsapp_status",
        parameters=[NumberAsked],
        description="The provider is asked where nothing newer than a minute is known; a number "
        "that told something in the last five minutes is connected.",
        responses={200: ConnectionOut, **refusals(400, 404, 409)},
    )
    def get(self, request):
        with _refusals_answered():
            number = linking.choose(asked(NumberAsked, request.query_params).get("instance"))
            return Response(ConnectionOut(linking.status(number)).data)


class WhatsAppQrView(ApiView):
    """The code that links a phone to a WhatsApp number. It changes every few seconds."""

    actions = {"GET": Action.MANAGE_SETTINGS}

    @extend_schema(
        operation_id="whatsapp_qr",
        parameters=[NumberAsked],
        responses={200: CodeOut, **refusals(400, 404, 409)},
    )
    def get(self, request):
        with _refusals_answered():
            number = linking.choose(asked(NumberAsked, request.query_params).get("instance"))
            code = linking.qr(number)
        return Response({"instance": number.pk, "qr": code, "image": linking.picture(code)})


class WhatsAppConnectView(ApiView):
    """Start the connection of a WhatsApp number."""

    actions = {"POST": Action.MANAGE_SETTINGS}

    @extend_schema(
        operation_id="whatsapp_connect",
        description="At a provider that WhatsApp does not authorise, `risk` says what the number "
        "risks until an owner sent `risk_accepted` or confirmed it on the page of the numbers.",
        request=ConnectWanted,
        responses={200: ConnectedOut, **refusals(400, 403, 404, 409)},
    )
    @once
    def post(self, request):
        with _refusals_answered():
            number = _meant(request)
            if asked(ConnectWanted, request.data).get("risk_accepted"):
                risks.confirm(number, by=request.user)
            found = linking.connect(number, by=request.user)
        return Response(ConnectionOut(number).data | _code(found))


class WhatsAppDisconnectView(ApiView):
    """End the connection of a WhatsApp number, until somebody connects it again."""

    actions = {"POST": Action.MANAGE_SETTINGS}

    @extend_schema(
        operation_id="whatsapp_disconnect",
        request=NumberNamed,
        responses={200: ConnectionOut, **refusals(400, 404, 409)},
    )
    @once
    def post(self, request):
        with _refusals_answered():
            number = _meant(request)
            linking.disconnect(number, by=request.user)
        return Response(ConnectionOut(number).data)


def _meant(request) -> ProviderInstance:
    """The number that the body names, else the query, as the GETs do."""
    named = asked(NumberNamed, request.data) or asked(NumberAsked, request.query_params)
    return linking.choose(named.get("instance"))


def _code(found: InstanceState) -> dict[str, str]:
    return {"qr": found.qr, "image": linking.picture(found.qr) if found.qr else ""}


@contextmanager
def _refusals_answered() -> Iterator[None]:
    try:
        yield
    except Refused as refused:
        code = STATUS_OF.get(refused.code, status.HTTP_409_CONFLICT)
        raise Refusal(code, refused.code, refused.message, refused.field) from refused
