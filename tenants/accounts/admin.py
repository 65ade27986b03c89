"""The admin of what platform staff did: to look at, search and export; never to change."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.paginator import InfinitePaginator

from tenants import audit, audit_csv
from tenants.accounts.models import AuditEntry


@admin.register(AuditEntry)
class AuditEntryAdmin(ModelAdmin):
    """What was done in `public`; what a vendor's own people did is on the vendor's pages."""

    list_display = ("at", "called", "by_name", "subject_name", "tenant_number", "door", "address")
    list_filter = ("at", "door")
    search_fields = ("by_name", "subject_name", "reason", "act", "=tenant_number")
    ordering = ("-id",)
    fields = (
        "at",
        "called",
        "by_name",
        "subject_kind",
        "subject_name",
        "tenant_number",
        "before",
        "after",
        "reason",
        "door",
        "address",
        "user_agent",
    )
    actions = ("export",)
    # Counting the table would take longer than showing a page of it.
    paginator = InfinitePaginator
    show_full_result_count = False

    @admin.display(description=_("What"), ordering="act")
    def called(self, entry):
        return audit.ACTS.get(entry.act, entry.act)

    @admin.action(description=_("Export as CSV"))
    def export(self, request, entries):
        """The chosen entries as a file."""
        return audit_csv.answer(entries.order_by("-id")[: audit_csv.MOST_ROWS + 1], "audit")

    def has_add_permission(self, request) -> bool:
        return False

    def has_change_permission(self, request, obj=None) -> bool:
        return False

    def has_delete_permission(self, request, obj=None) -> bool:
        return False
