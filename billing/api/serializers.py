"""What the API shows of plans, the subscription and its use."""

from rest_framework import serializers

from billing.models import Interval, Plan
from tenants import limits
from tenants.api.parsing import Text


class PlanOut(serializers.ModelSerializer):
    """A plan one may choose. Amounts count the currency's smallest unit; null is no limit."""

    name = serializers.CharField()
    description = serializers.CharField()
    limits = serializers.SerializerMethodField()

    class Meta:
        model = Plan
        fields = (
            "code",
            "name",
            "description",
            "is_free",
            "currency",
            "amount_monthly",
            "amount_yearly",
            "trial_days",
            "limits",
            "features",
        )
        read_only_fields = fields

    def get_limits(self, plan: Plan) -> dict[str, int | None]:
        return {
            "messages": plan.max_messages,
            "users": plan.max_users,
            "instances": plan.max_instances,
            "storage_mb": plan.max_storage_mb,
            "scheduled": plan.max_scheduled,
            "api_rate": plan.max_api_rate,
        }


class PlansOut(serializers.Serializer):
    """The plans, and whether any can be bought here."""

    payments = serializers.BooleanField()
    results = PlanOut(many=True)


class SubscriptionOut(serializers.Serializer):
    """What one has. `access` is "full", or "read_only" with the reason beside it."""

    status = serializers.CharField()
    by_hand = serializers.BooleanField()
    plan = PlanOut(allow_null=True)
    interval = serializers.CharField()
    currency = serializers.CharField()
    amount = serializers.IntegerField(allow_null=True)
    trial_ends_at = serializers.DateTimeField(allow_null=True)
    period_ends_at = serializers.DateTimeField(allow_null=True)
    ends_at = serializers.DateTimeField(allow_null=True)
    grace_ends_at = serializers.DateTimeField(allow_null=True)
    access = serializers.ChoiceField(["full", "read_only"])
    reason = serializers.CharField()


class MeterOut(serializers.Serializer):
    """How much of a limit is used; bytes for storage, null where there is no limit."""

    kind = serializers.ChoiceField(limits.Kind.values)
    used = serializers.IntegerField()
    limit = serializers.IntegerField(allow_null=True)
    left = serializers.IntegerField(allow_null=True)
    reset_at = serializers.DateTimeField(allow_null=True)


class UsageOut(serializers.Serializer):
    """Every limit."""

    results = MeterOut(many=True)


class Checkout(serializers.Serializer):
    """Which plan to buy, by its code, and how often to pay it."""

    plan = Text(max_length=40)
    interval = serializers.ChoiceField(Interval.choices)


class Address(serializers.Serializer):
    """A page at Stripe to send the owner's browser to."""

    url = serializers.URLField()
