"""What sign-in takes and gives, and people as the API shows them."""

from django.db import connection
from rest_framework import serializers

from tenants.accounts.models import User
from tenants.api.parsing import Text


class SignIn(serializers.Serializer):
    """An e-mail address, its password and, where one is set up, the second step's code."""

    email = Text(max_length=254)
    password = Text(max_length=1024, trim_whitespace=False)
    code = Text(
        max_length=32,
        required=False,
        allow_blank=True,
        help_text="Of an authenticator app, or a recovery code; each is good once.",
    )


class Refresh(serializers.Serializer):
    """A refresh token."""

    refresh = Text(max_length=4096)


class Person(serializers.ModelSerializer):
    """Somebody of the team, as colleagues see them."""

    role = serializers.CharField()

    class Meta:
        model = User
        fields = ("id", "name", "role", "email")
        read_only_fields = fields


class Me(Person):
    """The person who is signed in. `tenant` is its slug; null for platform staff."""

    tenant = serializers.SerializerMethodField()

    class Meta(Person.Meta):
        fields = ("id", "email", "name", "role", "tenant")
        read_only_fields = fields

    def get_tenant(self, user: User) -> str | None:
        return getattr(connection.tenant, "slug", None)


class Pair(serializers.Serializer):
    """An access token, and the refresh token that the next pair is asked with."""

    access = serializers.CharField()
    refresh = serializers.CharField()


class SignedIn(Pair):
    """A pair of tokens and whose they are."""

    user = Me()
