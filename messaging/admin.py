"""The admin of what providers posted: metadata only, and the way to have it read again."""

from django.contrib import admin, messages
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.admin import ModelAdmin
from unfold.paginator import InfinitePaginator

from messaging import inbox
from tenants.models import WebhookDelivery


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ModelAdmin):
    """Deliveries as staff may see them: when, whose, how far; never what was said."""

    list_display = ("id", "tenant", "provider", "route", "state", "attempts", "received_at")
    list_filter = ("state", "provider", "received_at", "tenant")
    list_select_related = ("tenant",)
    search_fields = ("=id", "tenant__slug")
    ordering = ("-id",)
    fields = (
        "id",
        "tenant",
        "instance",
        "provider",
        "route",
        "content_type",
        "size",
        "received_at",
        "state",
        "attempts",
        "not_before",
        "error",
        "processed_at",
        "erased_at",
    )
    actions = ("replay",)
    # Counting the table would take longer than showing a page of it.
    paginator = InfinitePaginator
    show_full_result_count = False

    @admin.action(description=_("Read again"))
    def replay(self, request, deliveries):
        """Put the chosen deliveries back into the inbox; what is known stays as it is."""
        # The list's own queryset is ordered and joined, which an update refuses.
        numbers = list(deliveries.values_list("pk", flat=True))
        chosen = WebhookDelivery.objects.across_tenants().filter(pk__in=numbers)
        count = inbox.replay(chosen)
        text = ngettext(
            "%(count)s delivery will be read again.",
            "%(count)s deliveries will be read again.",
            count,
        )
        messages.success(request, text % {"count": count})

    def has_add_permission(self, request) -> bool:
        return False

    def has_change_permission(self, request, obj=None) -> bool:
        return False

    def has_delete_permission(self, request, obj=None) -> bool:
        return False
