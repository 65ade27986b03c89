"""Vendors' connections in the admin: their secrets are nowhere on these pages."""

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404
from django.shortcuts import redirect, render
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display

from amda.admin import creating, renewing
from messaging import checking, connecting, linking, renewing_keys, risks, states
from messaging.providers import get as provider_of
from messaging.providers.base import Feature
from messaging.refusing import Refused
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
# How long one step of a check may keep a page waiting.
CHECK_SECONDS = 10


@admin.register(ProviderInstance)
class ProviderInstanceAdmin(ModelAdmin):
    """Connections: to look at, to link, to check, to have post here, to give a failover."""

    change_form_outer_before_template = "admin/instances/acts.html"

    list_display = ("address", "at_provider", "vendor", "live_state", "last_event_at")
    list_filter = ("provider", "state", "last_event_at")
    list_select_related = ("tenant",)
    search_fields = ("address", "reference", "tenant__slug", "tenant__name")
    ordering = ("-pk",)
    fields = (
        "vendor",
        "at_provider",
        "label",
        "address",
        "reference",
        "last_event_at",
        "stands_in",
        "moved_to",
        "moved_at",
        "created_at",
    )
    readonly_fields = ("vendor", "at_provider", "stands_in")

    @display(description=_("state"), ordering="state", label=LABELS)
    def live_state(self, instance):
        return instance.state, instance.get_state_display()

    @display(description=_("vendor"), ordering="tenant__name")
    def vendor(self, instance):
        return instance.tenant

    @display(description=_("provider"), ordering="provider")
    def at_provider(self, instance):
        return provider_of(instance.provider).label

    @display(description=_("failover"))
    def stands_in(self, instance):
        if instance.failover is None:
            return "–"
        page = reverse("admin:tenants_providerinstance_change", args=[instance.failover_id])
        return format_html('<a class="staff-link" href="{}">{}</a>', page, instance.failover)

    def get_urls(self):
        pages = {
            "check": self.check_now,
            "failover": self.set_failover,
            "key": self.renew_key,
            "key/back": self.read_key_back,
            "link": self.link,
            "live": self.live,
            "webhook": self.set_webhook,
        }
        return [
            *(
                path(
                    f"<path:object_id>/{name}/",
                    self._guarded(view),
                    name=f"instance_{name.replace('/', '_')}",
                )
                for name, view in pages.items()
            ),
            *super().get_urls(),
        ]

    def change_view(self, request, object_id, form_url="", extra_context=None):
        instance = self.get_object(request, object_id)
        facts = _facts_of(instance) if instance else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **facts})

    def live(self, request, object_id):
        """How it is now, with the code to scan where there is one; asked for again and again."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        instance = self.get_object(request, object_id)
        if instance is None:
            raise Http404("no such instance")
        return render(request, "admin/instances/live.html", _live(instance))

    def link(self, request, object_id):
        """Start the connection, so that a phone can be linked."""
        instance = self._asked_for(request, object_id)
        if instance is not None:
            try:
                with context.entered(instance.tenant):
                    linking.connect(instance, by=None, by_platform=True)
            except Refused as refusal:
                messages.error(request, str(refusal.message))
            else:
                audit.record(
                    "instance.linked", by=request.user, subject=instance, tenant=instance.tenant_id
                )
        return self._back(object_id)

    def check_now(self, request, object_id):
        """Ask the provider, look at what came, and say in words what is wrong.

        With an address a real message leaves, which the vendor's owner reads in the audit.
        """
        instance = self._asked_for(request, object_id)
        if instance is not None:
            to = request.POST.get("to", "").strip()[:254]
            if to:
                audit.record(
                    "instance.tested", by=request.user, subject=instance, tenant=instance.tenant_id
                )
            connecting.probe(instance)
            with context.entered(instance.tenant):
                findings = list(
                    checking.check(instance, to=to, patience=CHECK_SECONDS if to else 0)
                )
            _tell_verdict(request, instance, findings)
        return self._back(object_id)

    def set_webhook(self, request, object_id):
        """Have the provider post here, and read back that it does."""
        instance = self._asked_for(request, object_id)
        if instance is not None:
            for is_well, sentence in creating.told_webhook(instance, request.user):
                (messages.success if is_well else messages.warning)(request, sentence)
        return self._back(object_id)

    def renew_key(self, request, object_id):
        """A page that says what becomes of the former key; and replacing it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        instance = self.get_object(request, object_id)
        if instance is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        if request.method == "POST":
            renewing.tell(request, instance, renewing_keys.renew)
            return self._back(object_id)
        facts = {
            **self.admin_site.each_context(request),
            "title": gettext("Replace the key"),
            "opts": self.opts,
            "original": instance,
        }
        return TemplateResponse(request, "admin/instances/key.html", facts)

    def read_key_back(self, request, object_id):
        """Take the key over that the provider's account shows."""
        instance = self._asked_for(request, object_id)
        if instance is not None:
            renewing.tell(request, instance, renewing_keys.read_back)
        return self._back(object_id)

    def set_failover(self, request, object_id):
        """Name the vendor's own instance that sends while this one is down, or none."""
        instance = self._asked_for(request, object_id)
        if instance is not None:
            wanted = request.POST.get("failover", "")
            others = linking.may_stand_in(instance)
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
    is_connected = instance.state == State.CONNECTED
    until = instance.previous_secrets_until
    return {
        **_state_of(instance),
        "links": Feature.CONNECTS in adapter.supports and not is_connected,
        "webhooks": list(connecting.webhook_urls(instance).values()),
        "sets_webhook": Feature.SETS_WEBHOOK in adapter.supports,
        "renews_key": Feature.NEW_KEYS in adapter.supports,
        "has_account": Feature.MAKES_INSTANCES in adapter.supports,
        "others": linking.may_stand_in(instance),
        "old_until": until if until and until > timezone.now() else None,
        "risk": risks.to_confirm(instance),
        "is_risk_confirmed": not adapter.is_official,
    }


def _state_of(instance: ProviderInstance) -> dict:
    """How the instance is, and what is to be done where it is not connected."""
    return {
        "instance": instance,
        "state_label": LABELS[State(instance.state)],
        "is_left_alone": states.waits_for_person(instance),
        "is_looked_at": instance.state != State.CONNECTED,
    }


def _live(instance: ProviderInstance) -> dict:
    """The same, asked for while the page is open, with the code to scan."""
    picture, refused = "", ""
    if linking.shows_code(instance):
        try:
            with context.entered(instance.tenant):
                picture = linking.picture(linking.qr(instance, by_platform=True))
        except Refused as refusal:
            refused = refusal.message
    return {**_state_of(instance), "picture": picture, "refused": refused}


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
        instance.failover = chosen
        states.order_drains(instance)
    directory.forget()


def _tell_verdict(request, instance: ProviderInstance, findings: list[checking.Finding]) -> None:
    works = not any(finding.passed is False for finding in findings)
    facts = {"number": instance.address}
    if works:
        messages.success(request, gettext("%(number)s works, as far as was looked.") % facts)
    else:
        messages.error(request, gettext("%(number)s does not work yet: see below.") % facts)
    for finding in findings:
        _tell(request, finding)


def _tell(request, finding: checking.Finding) -> None:
    names = {
        "reachable": gettext("The provider answers"),
        "send": gettext("It takes a message"),
        "webhook": gettext("It posts here"),
        "kept": gettext("What it posted is taken in"),
    }
    verdict = {True: gettext("yes"), False: gettext("no"), None: gettext("not asked")}
    first = f"{names.get(finding.step, finding.step)}: {verdict[finding.passed]}"
    said = f" ({finding.said})" if finding.said else ""
    text = ". ".join(each for each in (first + said, finding.advice) if each)
    tell = {True: messages.success, False: messages.error, None: messages.info}[finding.passed]
    tell(request, text)
