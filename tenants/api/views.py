"""Signing in for programs, the team, and what every view of the API has in common."""

from allauth.account.adapter import get_adapter
from allauth.account.app_settings import RATE_LIMITS
from allauth.core.internal.ratelimit import parse_rates
from django.contrib.auth.models import update_last_login
from django.core.exceptions import ValidationError
from django.utils import translation
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema, inline_serializer
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework import serializers, status
from rest_framework.exceptions import MethodNotAllowed, NotFound, Throttled
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from tenants import limits
from tenants.accounts import second_step
from tenants.accounts.models import Role, User
from tenants.api import tokens
from tenants.api.authentication import (
    BearerAuthentication,
    refuse_suspended,
    refuse_without_second_step,
)
from tenants.api.errors import Refusal
from tenants.api.paging import PageById, page, rows_by_id
from tenants.api.parsing import JSONBody, asked
from tenants.api.schema import refusals
from tenants.api.serializers import Me, Pair, Person, Refresh, SignedIn, SignIn
from tenants.permissions import Action


class ApiView(APIView):
    """Base of the API's views: JSON only, in the caller's language.

    A method that is not there is a 405 for anybody.
    """

    parser_classes = (JSONBody,)
    http_method_names = ("get", "head", "post", "put", "patch", "delete")

    def dispatch(self, request, *args, **kwargs):
        # A program's wish comes before its tenant's language; a person's setting stays.
        if not request.user.is_authenticated and "Accept-Language" in request.headers:
            translation.activate(translation.get_language_from_request(request))
        return super().dispatch(request, *args, **kwargs)

    def initial(self, request, *args, **kwargs):
        if request.method not in self.allowed_methods:
            raise MethodNotAllowed(request.method)
        super().initial(request, *args, **kwargs)
        if isinstance(request.successful_authenticator, BearerAuthentication):
            self.require_api(request)

    def require_api(self, request) -> None:
        """Refuse a program whose tenant's plan has no API, or no more requests this minute."""
        if request.tenant is not None:
            limits.require_feature(request.tenant.number, limits.Feature.API)
            if limits.allowance_of(request.tenant.number).api_rate is not None:
                limits.take(request.tenant.number, limits.Kind.API_RATE)


class SignInView(ApiView):
    """Exchange an e-mail address and a password for tokens."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(request=SignIn, responses={200: SignedIn, **refusals(400, 429)}, auth=[])
    def post(self, request):
        given = asked(SignIn, request.data)
        user = _person_with(request, given["email"], given["password"])
        if user is None:
            raise Refusal(
                status.HTTP_401_UNAUTHORIZED,
                "credentials_invalid",
                _("The e-mail address or the password is wrong."),
            )
        refuse_suspended(request.tenant)
        if second_step.is_set_up(user):
            _require_code(user, given.get("code", ""))
        refuse_without_second_step(request.tenant, user)
        update_last_login(User, user)
        return Response({**tokens.pair_for(user), "user": Me(user).data})


class RefreshView(ApiView):
    """Exchange a refresh token for a new pair."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(request=Refresh, responses={200: Pair, **refusals(400)}, auth=[])
    def post(self, request):
        given = asked(Refresh, request.data)["refresh"]
        user = tokens.holder_of(given, tokens.RefreshToken)
        if user is None:
            raise Refusal(
                status.HTTP_401_UNAUTHORIZED, "token_invalid", _("This token is not valid here.")
            )
        refuse_suspended(request.tenant)
        refuse_without_second_step(request.tenant, user)
        return Response(tokens.pair_for(user))


class MeView(ApiView):
    """Who is signed in."""

    permission_classes = (IsAuthenticated,)

    @extend_schema(responses={200: Me, **refusals()})
    def get(self, request):
        return Response(Me(request.user).data)


class TeamView(ApiView):
    """The people of the team."""

    actions = {"GET": Action.SEE_TEAM}

    @extend_schema(
        operation_id="users_list",
        parameters=[PageById],
        responses={
            200: inline_serializer(
                "TeamPage",
                {
                    "results": Person(many=True),
                    "next": serializers.URLField(allow_null=True),
                },
            ),
            **refusals(400),
        },
    )
    def get(self, request):
        wanted = asked(PageById, request.query_params)
        active = User.objects.filter(is_active=True)
        people, following = rows_by_id(active, wanted.get("after"), wanted["limit"])
        return page(request, Person(people, many=True).data, "after", following)


@extend_schema(exclude=True)
class UnknownAddress(ApiView):
    """Whatever no other view answers."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def initial(self, request, *args, **kwargs):
        raise NotFound(_("There is nothing at this address."), "address_unknown")


class SchemaView(SpectacularAPIView):
    """The API's description, for whoever has the address."""

    authentication_classes = ()


class DocsView(SpectacularSwaggerSplitView):
    """The description as a page; everything it needs comes from this host."""

    authentication_classes = ()
    url_name = "api-schema"


def _require_code(user: User, code: str) -> None:
    """Refuse unless the code is this person's and was not used before."""
    if not code:
        raise Refusal(
            status.HTTP_401_UNAUTHORIZED,
            "mfa_required",
            _("This person signs in with a second step."),
        )
    try:
        accepted = second_step.accept(user, code)
    except ValidationError as exc:
        raise _too_many(exc) from exc
    if accepted is None:
        raise Refusal(
            status.HTTP_401_UNAUTHORIZED,
            "code_invalid",
            _("This code is not right, or was used before."),
            "code",
        )
    accepted.record_usage()


def _person_with(request, email: str, password: str) -> User | None:
    """The active person with this password, unless too many wrong ones were tried lately."""
    try:
        user = get_adapter().authenticate(request._request, email=email, password=password)
    except ValidationError as exc:
        raise _too_many(exc) from exc
    if user is None or not user.is_active:
        return None
    if request.tenant is None and user.role != Role.STAFF:
        return None
    return user


def _too_many(exc: ValidationError) -> Throttled:
    return Throttled(wait=_longest_wait(), detail=exc.messages[0], code="too_many_attempts")


def _longest_wait() -> float:
    """Seconds after which trying is certainly allowed again, whichever limit was met."""
    return max(rate.duration for rate in parse_rates(RATE_LIMITS["login_failed"]))
