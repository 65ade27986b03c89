"""Vendors' connections in the admin: their secrets are nowhere on these pages."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display

from tenants.models import ProviderInstance

State = ProviderInstance.State
LABELS = {
    State.CONNECTED: "success",
    State.PENDING: "warning",
    State.DISCONNECTED: "danger",
    State.CONFLICT: "danger",
    State.BLOCKED: "danger",
}


@admin.register(ProviderInstance)
class ProviderInstanceAdmin(ModelAdmin):
    """Connections, to look at."""

    list_display = ("address", "provider", "tenant", "live_state", "last_event_at")
    list_filter = ("provider", "state", "last_event_at")
    list_select_related = ("tenant",)
    search_fields = ("address", "reference", "tenant__slug", "tenant__name")
    ordering = ("-pk",)
    fields = (
        "tenant",
        "provider",
        "label",
        "address",
        "reference",
        "state",
        "state_reason",
        "state_changed_at",
        "last_event_at",
        "failover",
        "created_at",
    )

    @display(description=_("state"), ordering="state", label=LABELS)
    def live_state(self, instance):
        return instance.state, instance.get_state_display()

    def has_add_permission(self, request) -> bool:
        return False

    def has_change_permission(self, request, obj=None) -> bool:
        return False

    def has_delete_permission(self, request, obj=None) -> bool:
        return False
