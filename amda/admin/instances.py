"""Vendors' connections in the admin: their secrets are nowhere on these pages."""

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display

from amda.admin import creating
from messaging import checking, connecting
from messaging.providers import get as provider_of
from messaging.providers.base import Feature
from tenants import audit, context, directory
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
    """Connections: to look at, to check, to have post here, to give a failover."""

    change_form_outer_before_template = "admin/instances/acts.html"

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
        "moved_to",
        "moved_at",
        "created_at",
    )

    @display(description=_("state"), ordering="state", label=LABELS)
    def live_state(self, instance):
        return instance.state, instance.get_state_display()

    def get_urls(self):
        pages = {
            "check": self.check_now,
            "webhook": self.set_webhook,
            "failover": self.set_failover,
        }
        return [
            *(
                path(f"<path:object_id>/{name}/", self._guarded(view), name=f"instance_{name}")
                for name, view in pages.items()
            ),
            *super().get_urls(),
        ]

    def change_view(self, request, object_id, form_url="", extra_context=None):
        instance = self.get_object(request, object_id)
        facts = _facts_of(instance) if instance else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **facts})

    def check_now(self, request, object_id):
        """Ask the provider, look at what came, and say in words what is wrong."""
        instance = self._asked_for(request, object_id)
        if instance is not None:
            connecting.probe(instance)
            with context.entered(instance.tenant):
                for finding in checking.check(instance):
                    _tell(request, finding)
        return self._back(object_id)

    def set_webhook(self, request, object_id):
        """Have the provider post here, and read back that it does."""
        instance = self._asked_for(request, object_id)
        if instance is not None:
            for is_well, sentence in creating.told_webhook(instance, request.user):
                (messages.success if is_well else messages.warning)(request, sentence)
        return self._back(object_id)

    def set_failover(self, request, object_id):
        """Name the vendor's own instance that sends while this one is down, or none."""
        instance = self._asked_for(request, object_id)
        if instance is not None:
            wanted = request.POST.get("failover", "")
            others = _others(instance)
            chosen = next((each for each in others if str(each.pk) == wanted), None)
            if wanted and chosen is None:
                messages.error(request, gettext("This is no other number of the vendor."))
            else:
                _give_failover(instance, chosen, request.user)
                messages.success(request, gettext("The failover is kept."))
        return self._back(object_id)

    def _guarded(self, view):
        def guarded(*args, **kwargs):
            return self.admin_site.admin_view(view)(*args, **kwargs)

        guarded.model_admin = self
        return guarded

    def _asked_for(self, request, object_id) -> ProviderInstance | None:
        """The instance something is to be done with; None for who only looks."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return self.get_object(request, object_id) if request.method == "POST" else None

    def _back(self, object_id):
        return redirect(reverse("admin:tenants_providerinstance_change", args=[object_id]))

    def has_add_permission(self, request) -> bool:
        return False

    def has_change_permission(self, request, obj=None) -> bool:
        return False

    def has_delete_permission(self, request, obj=None) -> bool:
        return False


def _facts_of(instance: ProviderInstance) -> dict:
    """What an instance's page says above its fields."""
    adapter = provider_of(instance.provider)
    return {
        "webhooks": list(connecting.webhook_urls(instance).values()),
        "sets_webhook": Feature.SETS_WEBHOOK in adapter.supports,
        "others": _others(instance),
        "old_until": instance.previous_secrets_until,
    }


def _others(instance: ProviderInstance) -> list[ProviderInstance]:
    """The vendor's other instances of the same medium: those that can stand in."""
    medium = provider_of(instance.provider).medium
    mine = ProviderInstance.objects.serving(instance.tenant_id).exclude(pk=instance.pk)
    return [each for each in mine.order_by("pk") if provider_of(each.provider).medium == medium]


def _give_failover(instance: ProviderInstance, chosen: ProviderInstance | None, by) -> None:
    with transaction.atomic():
        ProviderInstance.objects.of(instance.tenant_id).filter(pk=instance.pk).update(
            failover=chosen
        )
        audit.record(
            "instance.changed",
            by=by,
            subject=instance,
            tenant=instance.tenant_id,
            before={"failover": str(instance.failover or "")},
            after={"failover": str(chosen or "")},
        )
        directory.changed()
    directory.forget()


def _tell(request, finding: checking.Finding) -> None:
    names = {
        "reachable": gettext("The provider answers"),
        "webhook": gettext("It posts here"),
        "kept": gettext("What it posted is taken in"),
    }
    parts = (names.get(finding.step, finding.step), finding.said, finding.advice)
    text = ". ".join(each for each in parts if each)
    tell = {True: messages.success, False: messages.error, None: messages.info}[finding.passed]
    tell(request, text)
