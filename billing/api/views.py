"""Billing for programs: what one may have, has and uses; the ways to Stripe's pages."""

from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.response import Response

from billing import buying, entitling, gateway, plans, usage
from billing.api import serializers as shapes
from billing.models import Plan
from tenants import limits
from tenants.api.errors import Refusal
from tenants.api.parsing import asked
from tenants.api.schema import refusals
from tenants.api.views import ApiView
from tenants.permissions import Action


class BillingView(ApiView):
    """Base of these views: they answer whatever the plan allows."""

    def require_api(self, request) -> None:
        """Whoever has used everything up must still be able to see and change it."""


class PlansView(BillingView):
    """The plans one may choose."""

    actions = {"GET": Action.SEE_BILLING}

    @extend_schema(operation_id="billing_plans", responses={200: shapes.PlansOut, **refusals()})
    def get(self, request):
        facts = {"payments": gateway.is_configured(), "results": plans.offered()}
        return Response(shapes.PlansOut(facts).data)


class SubscriptionView(BillingView):
    """What one has."""

    actions = {"GET": Action.SEE_BILLING}

    @extend_schema(
        operation_id="billing_subscription", responses={200: shapes.SubscriptionOut, **refusals()}
    )
    def get(self, request):
        found = buying.own(request.tenant)
        reason = limits.closed_reason(request.tenant.number)
        facts = {
            "status": found.status,
            "by_hand": found.plan_by_hand is not None,
            "plan": entitling.plan_of(found),
            "interval": found.interval,
            "currency": found.currency,
            "amount": found.amount,
            "trial_ends_at": found.trial_ends_at,
            "period_ends_at": found.period_ends_at,
            "ends_at": found.ends_at,
            "grace_ends_at": entitling.grace_ends_at(found),
            "access": "read_only" if reason else "full",
            "reason": reason,
        }
        return Response(shapes.SubscriptionOut(facts).data)


class UsageView(BillingView):
    """How much of every limit is used."""

    actions = {"GET": Action.SEE_BILLING}

    @extend_schema(operation_id="billing_usage", responses={200: shapes.UsageOut, **refusals()})
    def get(self, request):
        return Response(shapes.UsageOut({"results": usage.meters(request.tenant)}).data)


class CheckoutView(BillingView):
    """A page at Stripe on which the owner pays; asked for again, it is another page."""

    actions = {"POST": Action.BUY}

    @extend_schema(
        operation_id="billing_checkout",
        request=shapes.Checkout,
        responses={200: shapes.Address, **refusals(400, 404, 409, 503)},
    )
    def post(self, request):
        wanted = asked(shapes.Checkout, request.data)
        plan = Plan.objects.filter(code=wanted["plan"], is_offered=True).first()
        if plan is None:
            raise Refusal(
                status.HTTP_404_NOT_FOUND, "plan_unknown", _("There is no such plan."), "plan"
            )
        return _address(
            lambda: buying.checkout(
                request.tenant,
                plan,
                wanted["interval"],
                by=request.user,
                language=get_language() or "",
            )
        )


class PortalView(BillingView):
    """The owner's own page at Stripe."""

    actions = {"POST": Action.BUY}

    @extend_schema(
        operation_id="billing_portal",
        request=None,
        responses={200: shapes.Address, **refusals(409, 503)},
    )
    def post(self, request):
        return _address(lambda: buying.portal(request.tenant, language=get_language() or ""))


def _address(find) -> Response:
    try:
        return Response({"url": find()})
    except buying.NotSold as exc:
        raise Refusal(status.HTTP_409_CONFLICT, exc.code, exc.message, exc.field) from exc
    except gateway.Away as exc:
        raise Refusal(
            status.HTTP_503_SERVICE_UNAVAILABLE,
            "stripe_away",
            _("Stripe is not answering just now. Please try again soon."),
        ) from exc
    except gateway.Refused as exc:
        raise Refusal(
            status.HTTP_502_BAD_GATEWAY,
            "stripe_refused",
            _("Stripe did not accept this. Please tell whoever runs this platform."),
        ) from exc
