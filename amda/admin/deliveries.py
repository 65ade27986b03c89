"""Deliveries in the admin: metadata, why one failed, reading again; content with a reason only."""

from datetime import datetime, timedelta

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.paginator import InfinitePaginator
from unfold.widgets import UnfoldAdminTextareaWidget

from messaging import inbox, providers
from tenants import audit, secrets
from tenants.models import WebhookDelivery

State = WebhookDelivery.State
LABELS = {
    State.WAITING: "info",
    State.DONE: "success",
    State.FAILED: "danger",
    State.UNREADABLE: "danger",
}
OPEN_MINUTES = 10
# In the session of whoever gave a reason: which deliveries are open to them, and until when.
OPENED = "opened_deliveries"
LONGEST_SHOWN = 200_000


class ReasonForm(forms.Form):
    """Why somebody of the platform reads what was said to a vendor."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=300,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text=_("The vendor's owner reads it in the audit, with your name."),
    )


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ModelAdmin):
    """Deliveries as staff may see them: when, whose, how far; what was said only when opened."""

    list_display = ("id", "vendor", "at_provider", "route", "live_state", "why", "received_at")
    list_filter = ("state", "provider", "received_at", "tenant")
    list_select_related = ("tenant",)
    search_fields = ("=id", "tenant__slug")
    ordering = ("-id",)
    fields = (
        "id", "vendor", "instance", "at_provider", "route", "content_type", "size", "received_at",
        "state", "attempts", "next_try", "error", "why", "processed_at", "erased_at",
    )  # fmt: skip
    readonly_fields = ("at_provider", "next_try", "vendor", "why")
    actions = ("replay",)
    change_form_outer_before_template = "admin/deliveries/acts.html"
    # Counting the table would take longer than showing a page of it.
    paginator = InfinitePaginator
    show_full_result_count = False

    @display(description=_("state"), ordering="state", label=LABELS)
    def live_state(self, delivery):
        return delivery.state, delivery.get_state_display()

    @display(description=_("vendor"), ordering="tenant__name")
    def vendor(self, delivery):
        return delivery.tenant

    @display(description=_("provider"), ordering="provider")
    def at_provider(self, delivery):
        known = delivery.provider in providers.REGISTRY
        return providers.get(delivery.provider).label if known else delivery.provider

    @display(description=_("next try"))
    def next_try(self, delivery):
        return delivery.not_before if delivery.state == State.WAITING else None

    @display(description=_("why"))
    def why(self, delivery):
        return why(delivery) or "–"

    @admin.action(description=_("Read again"))
    def replay(self, request, deliveries):
        """Put the chosen deliveries back into the inbox; what is known stays as it is."""
        # The list's own queryset is ordered and joined, which an update refuses.
        numbers = list(deliveries.values_list("pk", flat=True))
        count = replay(numbers, request.user)
        text = ngettext(
            "%(count)s delivery will be read again.",
            "%(count)s deliveries will be read again.",
            count,
        )
        messages.success(request, text % {"count": count})

    def get_urls(self):
        pages = {"replay": self.replay_one, "content": self.content}
        return [
            *(
                path(f"<path:object_id>/{name}/", self._guarded(view), name=f"delivery_{name}")
                for name, view in pages.items()
            ),
            *super().get_urls(),
        ]

    def replay_one(self, request, object_id):
        """Read one delivery again."""
        delivery = self._found(request, object_id)
        if delivery is not None and request.method == "POST":
            if replay([delivery.pk], request.user):
                messages.success(request, gettext("The delivery will be read again."))
            else:
                messages.error(request, gettext("Its content was removed: nothing can be read."))
        return redirect(reverse("admin:tenants_webhookdelivery_change", args=[object_id]))

    def content(self, request, object_id):
        """What was said: after a reason, for some minutes, in the audit of its vendor's owner."""
        delivery = self._found(request, object_id)
        if delivery is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            _open(request, delivery, form.cleaned_data["reason"])
            return redirect(request.path)
        until = _open_until(request, delivery)
        facts = {
            **self.admin_site.each_context(request),
            "title": gettext("Content of delivery %(number)s") % {"number": delivery.pk},
            "opts": self.opts,
            "original": delivery,
            "form": form,
            "until": until,
            "minutes": OPEN_MINUTES,
            "content": _plain(delivery) if until else "",
        }
        return TemplateResponse(request, "admin/deliveries/content.html", facts)

    def has_add_permission(self, request) -> bool:
        return False

    def has_change_permission(self, request, obj=None) -> bool:
        return False

    def has_delete_permission(self, request, obj=None) -> bool:
        return False

    def _guarded(self, view):
        def guarded(*args, **kwargs):
            return self.admin_site.admin_view(view)(*args, **kwargs)

        guarded.model_admin = self
        return guarded

    def _found(self, request, object_id) -> WebhookDelivery | None:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return self.get_object(request, object_id)


def why(delivery: WebhookDelivery) -> str:
    """Why a delivery is where it is, in words; "" where all is well."""
    facts = {"error": delivery.error, "attempts": delivery.attempts}
    if delivery.erased_at:
        return gettext("Its content was removed: what it said was withdrawn.")
    match delivery.state:
        case State.UNREADABLE:
            return gettext("The provider's post cannot be understood: %(error)s") % facts
        case State.FAILED:
            return gettext("Taking it in failed %(attempts)s times: %(error)s") % facts
        case State.WAITING if delivery.error:
            return gettext("It failed (%(error)s) and is tried again.") % facts
    return ""


def replay(numbers: list[int], by) -> int:
    """Put deliveries back into the inbox, with an entry for each vendor; how many there are."""
    chosen = WebhookDelivery.objects.across_tenants().filter(pk__in=numbers)
    whose = list(chosen.filter(erased_at=None).values_list("tenant_id", flat=True))
    for tenant in sorted(set(whose)):
        after = {"deliveries": whose.count(tenant)}
        audit.record("deliveries.replayed", by=by, tenant=tenant, after=after)
    return inbox.replay(chosen)


def _open(request, delivery: WebhookDelivery, reason: str) -> None:
    audit.record(
        "delivery.opened",
        by=request.user,
        subject=delivery,
        tenant=delivery.tenant_id,
        reason=reason,
    )
    until = timezone.now() + timedelta(minutes=OPEN_MINUTES)
    kept = {
        number: moment
        for number, moment in request.session.get(OPENED, {}).items()
        if datetime.fromisoformat(moment) > timezone.now()
    }
    request.session[OPENED] = {**kept, str(delivery.pk): until.isoformat()}


def _open_until(request, delivery: WebhookDelivery) -> datetime | None:
    moment = request.session.get(OPENED, {}).get(str(delivery.pk))
    until = datetime.fromisoformat(moment) if moment else None
    return until if until and until > timezone.now() else None


def _plain(delivery: WebhookDelivery) -> str:
    if not delivery.body:
        return ""
    return secrets.unseal(delivery.body)[:LONGEST_SHOWN].decode("utf-8", "replace")
