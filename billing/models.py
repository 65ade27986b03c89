"""What can be bought, what each tenant has bought, and what Stripe told us."""

from django.db import models
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from tenants.limits import Feature
from tenants.managers import SharedRows


class Interval(models.TextChoices):
    """How often a plan is paid."""

    MONTH = "month", _("monthly")
    YEAR = "year", _("yearly")


def every_feature() -> list[str]:
    return list(Feature.values)


class Plan(models.Model):
    """What can be bought or given: limits and features. A limit that is not set is none.

    Amounts are Stripe's, read from its prices; here nobody can change them.
    """

    code = models.SlugField(_("code"), max_length=40, unique=True)
    name_fr = models.CharField(_("name in French"), max_length=80)
    name_en = models.CharField(_("name in English"), max_length=80)
    description_fr = models.CharField(_("description in French"), max_length=300, blank=True)
    description_en = models.CharField(_("description in English"), max_length=300, blank=True)
    position = models.PositiveSmallIntegerField(_("position"), default=100)
    is_offered = models.BooleanField(
        _("offered"), default=True, help_text=_("Shown on the pricing page.")
    )
    is_free = models.BooleanField(
        _("free plan"),
        default=False,
        help_text=_("What vendors have who bought nothing; one plan at most."),
    )
    price_monthly = models.CharField(
        _("monthly price at Stripe"), max_length=100, blank=True, help_text="price_…"
    )
    price_yearly = models.CharField(
        _("yearly price at Stripe"), max_length=100, blank=True, help_text="price_…"
    )
    currency = models.CharField(_("currency"), max_length=3, blank=True)
    amount_monthly = models.BigIntegerField(_("monthly amount"), null=True, blank=True)
    amount_yearly = models.BigIntegerField(_("yearly amount"), null=True, blank=True)
    product = models.CharField(max_length=100, blank=True)
    trial_days = models.PositiveSmallIntegerField(_("trial days"), default=0)
    max_users = models.PositiveIntegerField(_("people"), null=True, blank=True)
    max_instances = models.PositiveIntegerField(_("numbers"), null=True, blank=True)
    max_messages = models.PositiveBigIntegerField(_("messages a month"), null=True, blank=True)
    max_storage_mb = models.PositiveIntegerField(_("files, in MB"), null=True, blank=True)
    max_scheduled = models.PositiveIntegerField(_("planned messages"), null=True, blank=True)
    max_api_rate = models.PositiveIntegerField(_("API requests a minute"), null=True, blank=True)
    features = models.JSONField(_("features"), default=every_feature, blank=True)

    class Meta:
        verbose_name = _("plan")
        verbose_name_plural = _("plans")
        ordering = ("position", "pk")
        constraints = [
            models.UniqueConstraint(
                fields=["is_free"], condition=models.Q(is_free=True), name="plan_free_once"
            ),
            models.UniqueConstraint(
                fields=["price_monthly"],
                condition=~models.Q(price_monthly=""),
                name="plan_price_monthly_once",
            ),
            models.UniqueConstraint(
                fields=["price_yearly"],
                condition=~models.Q(price_yearly=""),
                name="plan_price_yearly_once",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        return self.name_en if get_language() == "en" else self.name_fr

    @property
    def description(self) -> str:
        return self.description_en if get_language() == "en" else self.description_fr

    def price(self, interval: str) -> str:
        """The id of the price at Stripe; "" where the plan is not sold so."""
        return self.price_yearly if interval == Interval.YEAR else self.price_monthly

    def amount(self, interval: str) -> int | None:
        """What it costs in the currency's smallest unit; None before Stripe told."""
        return self.amount_yearly if interval == Interval.YEAR else self.amount_monthly


class Subscription(models.Model):
    """A tenant's present state, as Stripe had it at `as_of` or as staff gave it by hand."""

    class Status(models.TextChoices):
        NONE = "none", _("nothing bought")
        INCOMPLETE = "incomplete", _("first payment under way")
        TRIALING = "trialing", _("on trial")
        ACTIVE = "active", _("active")
        PAST_DUE = "past_due", _("payment failed")
        UNPAID = "unpaid", _("unpaid")
        CANCELED = "canceled", _("ended")
        PAUSED = "paused", _("paused")

    tenant = models.OneToOneField("tenants.Tenant", on_delete=models.CASCADE, related_name="+")
    plan = models.ForeignKey(
        Plan, on_delete=models.PROTECT, null=True, blank=True, verbose_name=_("plan")
    )
    status = models.CharField(
        _("state"), max_length=12, choices=Status.choices, default=Status.NONE
    )
    plan_by_hand = models.ForeignKey(
        Plan,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("plan given by hand"),
        help_text=_("Counts before whatever was bought. Take it away to let Stripe decide again."),
    )
    customer = models.CharField(_("customer at Stripe"), max_length=100, blank=True)
    external_id = models.CharField(_("subscription at Stripe"), max_length=100, blank=True)
    checkout = models.CharField(max_length=200, blank=True)
    interval = models.CharField(_("interval"), max_length=5, choices=Interval.choices, blank=True)
    price = models.CharField(max_length=100, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    amount = models.BigIntegerField(null=True)
    period_ends_at = models.DateTimeField(_("paid until"), null=True, blank=True)
    trial_ends_at = models.DateTimeField(_("trial until"), null=True, blank=True)
    ends_at = models.DateTimeField(_("ends"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    past_due_since = models.DateTimeField(_("unpaid since"), null=True, blank=True)
    had_trial = models.BooleanField(default=False)
    collection_paused = models.BooleanField(default=False)
    billing_name = models.CharField(max_length=200, blank=True)
    billing_email = models.CharField(max_length=254, blank=True)
    billing_address = models.CharField(max_length=500, blank=True)
    tax_number = models.CharField(max_length=60, blank=True)
    tax_number_state = models.CharField(max_length=20, blank=True)
    paid_with = models.CharField(max_length=60, blank=True)
    problem = models.CharField(_("problem"), max_length=300, blank=True)
    as_of = models.DateTimeField(_("as of"), null=True, blank=True)

    objects = SharedRows()

    class Meta:
        verbose_name = _("subscription")
        verbose_name_plural = _("subscriptions")
        constraints = [
            models.UniqueConstraint(
                fields=["customer"], condition=~models.Q(customer=""), name="customer_once"
            )
        ]
        indexes = [
            models.Index(
                fields=["past_due_since"],
                name="subscription_past_due",
                condition=models.Q(status="past_due"),
            )
        ]

    def __str__(self) -> str:
        return f"{self.tenant_id} {self.status}"

    def validate_unique(self, exclude=None) -> None:
        """Left to the database and the forms: these checks would look across tenants."""

    def validate_constraints(self, exclude=None) -> None:
        """Left to the database and the forms: these checks would look across tenants."""

    @property
    def is_live(self) -> bool:
        """Whether Stripe still charges, or will, unless somebody changes it there."""
        return self.status in LIVE


LIVE = frozenset(
    {
        Subscription.Status.TRIALING,
        Subscription.Status.ACTIVE,
        Subscription.Status.PAST_DUE,
        Subscription.Status.UNPAID,
        Subscription.Status.PAUSED,
    }
)


class Invoice(models.Model):
    """An invoice as Stripe had it when we last looked; its PDF is fetched when it is asked for."""

    class Status(models.TextChoices):
        OPEN = "open", _("to be paid")
        PAID = "paid", _("paid")
        VOID = "void", _("void")
        UNCOLLECTIBLE = "uncollectible", _("not collected")

    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, related_name="+")
    external_id = models.CharField(max_length=100, unique=True)
    number = models.CharField(max_length=100, blank=True)
    status = models.CharField(max_length=14, choices=Status.choices)
    currency = models.CharField(max_length=3)
    total = models.BigIntegerField()
    amount_due = models.BigIntegerField()
    amount_paid = models.BigIntegerField()
    created_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True)
    period_start = models.DateTimeField(null=True)
    period_end = models.DateTimeField(null=True)

    objects = SharedRows()

    class Meta:
        verbose_name = _("invoice")
        verbose_name_plural = _("invoices")
        indexes = [models.Index(fields=["tenant", "-created_at"], name="invoice_by_tenant")]

    def __str__(self) -> str:
        return self.number or self.external_id


class BillingEvent(models.Model):
    """What Stripe told us: one signed event, kept encrypted, and what became of it."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        APPLIED = "applied", _("applied")
        IGNORED = "ignored", _("kept without effect")
        REFUSED = "refused", _("refused")
        FAILED = "failed", _("failed")
        UNREADABLE = "unreadable", _("unreadable")

    stripe_id = models.CharField(_("event at Stripe"), max_length=100, unique=True)
    type = models.CharField(_("type"), max_length=100, blank=True)
    customer = models.CharField(_("customer at Stripe"), max_length=100, blank=True)
    tenant = models.ForeignKey(
        "tenants.Tenant",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("vendor"),
    )
    body = models.BinaryField()
    created_at = models.DateTimeField(_("happened"), null=True, blank=True)
    received_at = models.DateTimeField(_("received"))
    state = models.CharField(
        _("state"), max_length=12, choices=State.choices, default=State.WAITING
    )
    reason = models.CharField(_("reason"), max_length=300, blank=True)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    not_before = models.DateTimeField(_("not before"), null=True, blank=True)
    processed_at = models.DateTimeField(_("processed"), null=True, blank=True)

    objects = SharedRows()

    class Meta:
        verbose_name = _("event of Stripe")
        verbose_name_plural = _("events of Stripe")
        indexes = [
            models.Index(
                fields=["id"], name="billing_event_waiting", condition=models.Q(state="waiting")
            ),
            models.Index(fields=["received_at"], name="billing_event_received"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.stripe_id}"


class Notice(models.Model):
    """A mail to a tenant's owners that is sent once."""

    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, related_name="+")
    about = models.CharField(max_length=100)
    made_at = models.DateTimeField(auto_now_add=True)

    objects = SharedRows()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "about"], name="notice_once")]

    def __str__(self) -> str:
        return self.about
