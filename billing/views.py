"""The pages of billing: what one has, what one may have, how much of it is used."""

from django.contrib import messages
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from billing import buying, entitling, gateway, plans, usage
from billing.forms import CheckoutForm
from billing.models import Invoice, Subscription
from tenants import limits
from tenants.permissions import Action, may
from tenants.views.access import tenant_page

INVOICES_SHOWN = 60


@require_safe
@tenant_page(Action.SEE_BILLING)
def overview(request):
    """The subscription, who pays it how, and the invoices."""
    context = {
        **_about(request),
        "tab": "overview",
        "invoices": Invoice.objects.of(request.tenant).order_by("-created_at", "-pk")[
            :INVOICES_SHOWN
        ],
    }
    return render(request, "billing/overview.html", context)


@require_safe
@tenant_page(Action.SEE_BILLING)
def pricing(request):
    """The plans one may choose, and the present one."""
    context = {**_about(request), "tab": "plans", "plans": plans.offered()}
    return render(request, "billing/plans.html", context)


@require_safe
@tenant_page(Action.SEE_BILLING)
def usage_page(request):
    """Every limit, how much of it is used, and where the month leads."""
    now = timezone.now()
    meters = usage.meters(request.tenant, now)
    context = {
        **_about(request),
        "tab": "usage",
        "meters": [(meter, usage.forecast(meter, now)) for meter in meters],
        "months": usage.history(request.tenant, now),
        "allowed": limits.allowance_of(request.tenant.number),
    }
    return render(request, "billing/usage.html", context)


@require_safe
def public_pricing(request):
    """The plans, for whoever has none yet; nothing else of anybody."""
    facts = {"is_configured": gateway.is_configured(), "plans": plans.offered()}
    return render(request, "billing/public.html", facts)


@require_POST
@tenant_page(Action.BUY)
def checkout(request):
    """Go and pay at Stripe. Nothing is bought before one did."""
    form = CheckoutForm(request.POST)
    if not form.is_valid():
        return _not_sold(request, _("Choose one of the plans below."))
    chosen = form.cleaned_data
    return _leave(
        request,
        lambda: buying.checkout(
            request.tenant,
            chosen["plan"],
            chosen["interval"],
            by=request.user,
            language=get_language() or "",
        ),
    )


@require_POST
@tenant_page(Action.BUY)
def portal(request):
    """Go to one's own page at Stripe."""
    return _leave(request, lambda: buying.portal(request.tenant, language=get_language() or ""))


@require_safe
@tenant_page(Action.SEE_BILLING)
def done(request):
    """Back from Stripe: what is true there is looked at before it is shown.

    Whoever opens this address without having paid sees that nothing was bought.
    """
    try:
        buying.come_back(request.tenant)
    except (gateway.Away, gateway.Refused):
        messages.warning(
            request,
            _("Stripe is not answering just now. What you see here follows in a few minutes."),
        )
        return redirect("billing:overview")
    subscription = buying.own(request.tenant)
    if "session" in request.GET:
        _say_what_came_of_it(request, subscription)
    return redirect("billing:overview")


@require_safe
@tenant_page(Action.SEE_BILLING)
def invoice(request, pk: int):
    """The PDF of an invoice, at the address that Stripe has for it just now."""
    found = get_object_or_404(Invoice.objects.of(request.tenant), pk=pk)
    try:
        address = gateway.invoice_pdf(found.external_id)
    except (gateway.Away, gateway.Refused, gateway.NotConfigured):
        address = ""
    if not address:
        messages.warning(request, _("This invoice cannot be fetched just now. Please try again."))
        return redirect("billing:overview")
    return redirect(address)


def _about(request) -> dict:
    subscription = buying.own(request.tenant)
    return {
        "section": "billing",
        "subscription": subscription,
        "plan": entitling.plan_of(subscription),
        "grace_ends_at": entitling.grace_ends_at(subscription),
        "is_configured": gateway.is_configured(),
        "may_buy": may(request.user, Action.BUY),
    }


def _leave(request, find):
    """A page that leads on to Stripe; the strict policy lets no form lead there by itself."""
    try:
        address = find()
    except buying.NotSold as exc:
        return _not_sold(request, exc.message)
    except gateway.Away:
        return _not_sold(request, _("Stripe is not answering just now. Please try again soon."))
    except gateway.Refused:
        return _not_sold(
            request, _("Stripe did not accept this. Please tell whoever runs this platform.")
        )
    response = render(request, "billing/leave.html", {"address": address})
    response["Refresh"] = f"0; url={address}"
    return response


def _not_sold(request, message) -> object:
    messages.error(request, message)
    return redirect("billing:plans")


def _say_what_came_of_it(request, subscription: Subscription) -> None:
    states = Subscription.Status
    match subscription.status:
        case states.ACTIVE:
            messages.success(request, _("Thank you: your subscription is active."))
        case states.TRIALING:
            messages.success(request, _("Thank you: your trial has begun."))
        case states.INCOMPLETE:
            messages.info(request, _("Your payment is on its way. Nothing else is needed."))
        case _:
            messages.warning(request, _("Nothing was paid, so nothing has changed."))
