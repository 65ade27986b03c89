"""Bearer tokens: each is good for one person of one tenant, until that person's sign-ins end."""

from datetime import timedelta

from django.conf import settings
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import Token

from tenants.accounts.models import User
from tenants.context import bound_to

STAFF = 0
"""The tenant number in the tokens of platform staff, who live in `public`."""


class AccessToken(Token):
    """Opens the API."""

    token_type = "access"  # noqa: S105  the word in the token, not a secret
    lifetime = timedelta(days=settings.ACCESS_TOKEN_DAYS)


class RefreshToken(Token):
    """Is exchanged for a new pair; opens nothing by itself."""

    token_type = "refresh"  # noqa: S105  the word in the token, not a secret
    lifetime = timedelta(days=settings.REFRESH_TOKEN_DAYS)


def pair_for(user: User) -> dict[str, str]:
    """A new access and refresh token for a person of the tenant one is in."""
    return {
        "access": str(_for_user(AccessToken, user)),
        "refresh": str(_for_user(RefreshToken, user)),
    }


def holder_of(text: str, kind: type[Token]) -> User | None:
    """The person a token was given to, here and now; None for any token that is not good here.

    Good means: signed by us, of this kind, not expired, of the tenant one is in, and its
    person active with no sign-ins ended since.
    """
    try:
        claims = kind(text).payload
    except TokenError:
        return None
    if claims.get("tenant") != _here():
        return None
    return User.objects.filter(
        pk=claims.get("user"), token_version=claims.get("version"), is_active=True
    ).first()


def _for_user(kind: type[Token], user: User) -> Token:
    token = kind()
    token["tenant"] = _here()
    token["user"] = user.pk
    token["version"] = user.token_version
    return token


def _here() -> int:
    return bound_to()
