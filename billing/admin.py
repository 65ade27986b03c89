"""The admin of plans, of who has which, and of what Stripe told us."""

from functools import partial

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.paginator import InfinitePaginator
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from billing import applying, entitling, gateway, money, plans, syncing
from billing.models import BillingEvent, Plan, Subscription
from tenants import audit
from tenants.limits import Feature


class PlanForm(forms.ModelForm):
    """A plan with its features to tick."""

    features = forms.MultipleChoiceField(
        label=_("Features"),
        choices=Feature.choices,
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget(),
    )

    class Meta:
        model = Plan
        fields = (
            "code", "name_fr", "name_en", "description_fr", "description_en", "position",
            "is_offered", "is_free", "price_monthly", "price_yearly", "trial_days",
            "max_messages", "max_users", "max_instances", "max_storage_mb", "max_scheduled",
            "max_api_rate", "features",
        )  # fmt: skip


@admin.register(Plan)
class PlanAdmin(ModelAdmin):
    """Plans. What they cost is Stripe's to say: here stands which of its prices they have."""

    form = PlanForm
    list_display = ("name", "code", "monthly", "yearly", "is_offered", "is_free", "position")
    ordering = ("position", "pk")
    search_fields = ("code", "name_fr", "name_en")
    readonly_fields = ("monthly", "yearly")
    actions = ("read_prices",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "code", ("name_fr", "name_en"), ("description_fr", "description_en"),
                    ("position", "is_offered", "is_free"),
                )
            },
        ),
        (
            _("Price"),
            {
                "fields": (
                    ("price_monthly", "monthly"), ("price_yearly", "yearly"), "trial_days",
                )
            },
        ),
        (
            _("Limits: empty means none"),
            {
                "fields": (
                    ("max_messages", "max_users"), ("max_instances", "max_storage_mb"),
                    ("max_scheduled", "max_api_rate"), "features",
                )
            },
        ),
    )  # fmt: skip

    @admin.display(description=_("a month"))
    def monthly(self, plan):
        return _shown(plan.amount_monthly, plan.currency)

    @admin.display(description=_("a year"))
    def yearly(self, plan):
        return _shown(plan.amount_yearly, plan.currency)

    @admin.action(description=_("Read prices from Stripe"))
    def read_prices(self, request, chosen):
        """Take over what the chosen plans cost at Stripe."""
        for plan in chosen:
            _read_prices(request, plan)

    def save_model(self, request, obj, form, change):
        super().save_model(request, obj, form, change)
        entitling.write_all_of(obj)
        audit.record(
            "billing.plan_changed",
            by=request.user,
            subject=obj,
            before={name: form.initial.get(name) for name in form.changed_data},
            after={name: form.cleaned_data.get(name) for name in form.changed_data},
        )
        transaction.on_commit(partial(_read_prices, request, obj))


class SubscriptionForm(forms.ModelForm):
    """Which plan a vendor is given by hand."""

    class Meta:
        model = Subscription
        fields = ("tenant", "plan_by_hand")

    def clean_tenant(self):
        tenant = self.cleaned_data["tenant"]
        if Subscription.objects.of(tenant).exclude(pk=self.instance.pk).exists():
            raise forms.ValidationError(gettext("This vendor is in the list already."))
        return tenant


@admin.register(Subscription)
class SubscriptionAdmin(ModelAdmin):
    """Who has which plan. Staff give one by hand; everything else is as Stripe says."""

    form = SubscriptionForm
    list_display = ("tenant", "plan", "plan_by_hand", "status", "period_ends_at", "problem")
    list_filter = ("status", "plan", "plan_by_hand")
    list_select_related = ("tenant", "plan", "plan_by_hand")
    search_fields = ("tenant__slug", "tenant__name", "customer", "external_id")
    ordering = ("-pk",)
    autocomplete_fields = ("tenant",)
    actions = ("look_again",)
    fields = (
        "tenant", "plan_by_hand", "status", "plan", "interval", "period_ends_at", "trial_ends_at",
        "ends_at", "ended_at", "past_due_since", "customer", "external_id", "problem", "as_of",
    )  # fmt: skip

    def get_readonly_fields(self, request, obj=None):
        changeable = {"plan_by_hand"} if obj else {"plan_by_hand", "tenant"}
        return [name for name in self.fields if name not in changeable]

    def has_delete_permission(self, request, obj=None) -> bool:
        return False

    @admin.action(description=_("Look at Stripe again"))
    def look_again(self, request, chosen):
        """Take over what Stripe has of the chosen ones."""
        for tenant in list(chosen.values_list("tenant_id", flat=True)):
            try:
                differences = syncing.refresh(tenant)
            except (gateway.Away, gateway.Refused, gateway.NotConfigured) as exc:
                messages.error(request, f"{tenant}: {type(exc).__name__} {exc}")
                continue
            text = "; ".join(map(str, differences)) or gettext("nothing was different")
            messages.success(request, f"{tenant}: {text}")

    def save_model(self, request, obj, form, change):
        if change:
            obj.save(update_fields=["plan_by_hand"])
        else:
            obj.save()
        entitling.write(obj)
        given = obj.plan_by_hand.code if obj.plan_by_hand else ""
        audit.record(
            "billing.plan_given",
            by=request.user,
            subject=obj,
            tenant=obj.tenant,
            after={"plan": given},
        )


@admin.register(BillingEvent)
class BillingEventAdmin(ModelAdmin):
    """What Stripe told us and what became of it; a failed or refused one can be tried again."""

    list_display = ("stripe_id", "type", "tenant", "state", "reason", "created_at", "received_at")
    list_filter = ("state", "received_at", "type")
    list_select_related = ("tenant",)
    search_fields = ("=stripe_id", "=customer", "tenant__slug")
    ordering = ("-id",)
    actions = ("replay",)
    paginator = InfinitePaginator
    show_full_result_count = False
    fields = (
        "stripe_id", "type", "customer", "tenant", "created_at", "received_at", "state", "reason",
        "attempts", "not_before", "processed_at",
    )  # fmt: skip

    @admin.action(description=_("Apply again"))
    def replay(self, request, events):
        """Have the chosen events dealt with again."""
        numbers = list(events.values_list("pk", flat=True))
        chosen = BillingEvent.objects.across_tenants().filter(pk__in=numbers)
        count = applying.replay(chosen)
        text = ngettext(
            "%(count)s event will be applied again.",
            "%(count)s events will be applied again.",
            count,
        )
        messages.success(request, text % {"count": count})

    def has_add_permission(self, request) -> bool:
        return False

    def has_change_permission(self, request, obj=None) -> bool:
        return False

    def has_delete_permission(self, request, obj=None) -> bool:
        return False


def _shown(amount: int | None, currency: str) -> str:
    return "–" if amount is None or not currency else money.shown(amount, currency)


def _read_prices(request, plan: Plan) -> None:
    """Outside the transaction that saved the plan; what is wrong is said, the plan is kept."""
    if not gateway.is_configured():
        return
    try:
        wrong = plans.read_prices(plan)
    except (gateway.Away, gateway.Refused) as exc:
        wrong = [f"{type(exc).__name__}: {exc}"]
    for each in wrong:
        messages.error(request, each)
