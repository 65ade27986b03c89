"""What the API's description says of signing in and of refusals, for every app's views."""

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import serializers


class LimitFacts(serializers.Serializer):
    """Beside a refusal for a limit that was reached: which one, and when it starts again."""

    kind = serializers.CharField(required=False)
    limit = serializers.IntegerField(required=False)
    used = serializers.IntegerField(required=False)
    left = serializers.IntegerField(required=False)
    reset_at = serializers.DateTimeField(required=False, allow_null=True)
    feature = serializers.CharField(required=False)


class ErrorFacts(serializers.Serializer):
    """What went wrong: a sentence for people, the field to blame, a code for programs."""

    message = serializers.CharField()
    field = serializers.CharField(allow_null=True)
    code = serializers.CharField()
    limits = LimitFacts(required=False)


class Error(serializers.Serializer):
    """The body of every refusal."""

    success = serializers.BooleanField(default=False)
    error = ErrorFacts()


def refusals(*statuses: int) -> dict[int, type[Error]]:
    """The refusals of one operation, beside the 401 and 403 that any may give."""
    return dict.fromkeys((*statuses, 401, 403), Error)


class BearerScheme(OpenApiAuthenticationExtension):
    target_class = "tenants.api.authentication.BearerAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema):
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


class SessionScheme(OpenApiAuthenticationExtension):
    target_class = "tenants.api.authentication.TenantSessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema):
        from django.conf import settings

        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME}
