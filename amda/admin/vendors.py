"""Vendors in the admin: the list, a vendor's page, and what may be done with one."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.views import ChangeList

from amda.admin import acting, adopting, creating, drawing, told
from amda.admin.instances import LABELS
from billing import entitling
from billing.models import Plan, Subscription
from messaging import connecting
from messaging.providers import get as provider_of
from tenants import audit, directory, figures, limits, onboarding
from tenants.limits import Kind, Meter
from tenants.models import ProviderInstance, Tenant, Undertaking

STATES = {Tenant.State.ACTIVE: "success", Tenant.State.SUSPENDED: "danger"}


class VendorList(ChangeList):
    """A page of vendors, each with what is shown beside it."""

    def get_results(self, request) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        numbers = [tenant.number for tenant in self.result_list]
        seen, plans = figures.glances(numbers, timezone.now()), _plans_of(numbers)
        for tenant in self.result_list:
            tenant.glance = seen[tenant.number]
            tenant.plan = plans.get(tenant.number)


@admin.register(Tenant)
class VendorAdmin(ModelAdmin):
    """Vendors: made, suspended, renamed by the verbs of `tenants`."""

    list_display = (
        "named", "live_state", "plan_name", "instances", "people", "last_event", "posted",
    )  # fmt: skip
    list_filter = ("state",)
    list_per_page = 50
    search_fields = ("name", "slug", "host_label", "aliases__slug", "domains__domain")
    ordering = ("-number",)
    fields = (
        ("name", "language"), ("time_zone", "default_country"), "requires_mfa",
    )  # fmt: skip
    change_form_outer_before_template = "admin/vendors/overview.html"
    add_form_template = "admin/vendors/new.html"

    @display(description=_("Vendor"), ordering="name", header=True)
    def named(self, tenant):
        return tenant.name, tenant.slug

    @display(description=_("state"), ordering="state", label=STATES)
    def live_state(self, tenant):
        return tenant.state, tenant.get_state_display()

    @display(description=_("plan"))
    def plan_name(self, tenant):
        return tenant.plan or "–"

    @display(description=_("instances"))
    def instances(self, tenant):
        return _told_states(tenant.glance.instances)

    @display(description=_("people"))
    def people(self, tenant):
        return tenant.glance.users

    @display(description=_("last event"))
    def last_event(self, tenant):
        return tenant.glance.last_event_at

    @display(description=_("24 hours"))
    def posted(self, tenant):
        seen = tenant.glance
        if not seen.failed:
            return seen.arrived
        failed = ngettext("%(count)s failed", "%(count)s failed", seen.failed)
        return format_html(
            '{} <span class="staff-bad">{}</span>', seen.arrived, failed % {"count": seen.failed}
        )

    def get_changelist(self, request, **kwargs):
        return VendorList

    def get_urls(self):
        return [*self._act_urls(), *super().get_urls()]

    def has_delete_permission(self, request, obj=None) -> bool:
        return False

    def add_view(self, request, form_url="", extra_context=None):
        """Make a vendor.

        Not the admin's own view: that one runs in a transaction, where no schema may be entered.
        """
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = creating.NewVendorForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            made = creating.make(form, request.user)
            if made:
                self.log_addition(request, made.tenant, [{"added": {}}])
                for is_well, sentence in made.told:
                    (messages.success if is_well else messages.warning)(request, sentence)
                return redirect(reverse("admin:tenants_tenant_change", args=[made.tenant.pk]))
        facts = self._page_facts(request, gettext("New vendor"))
        facts.update(form=form, parts=form.parts(), chosen=form.chosen)
        return TemplateResponse(request, self.add_form_template, facts)

    def change_view(self, request, object_id, form_url="", extra_context=None):
        tenant = self.get_object(request, object_id)
        facts = {"vendor": overview(tenant)} if tenant else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **facts})

    def save_model(self, request, obj, form, change):
        before = {name: form.initial.get(name) for name in form.changed_data}
        after = {name: form.cleaned_data[name] for name in form.changed_data}
        obj.save(update_fields=form.changed_data or None)
        audit.record(
            "tenant.changed", by=request.user, subject=obj, tenant=obj, before=before, after=after
        )
        directory.changed()

    def _act_urls(self) -> list:
        """One page for each act, below the vendor's own."""

        def page(act):
            def view(request, object_id):
                return self._act(request, object_id, act)

            def guarded(*args, **kwargs):
                return self.admin_site.admin_view(view)(*args, **kwargs)

            guarded.model_admin = self
            return guarded

        def connect(*args, **kwargs):
            return self.admin_site.admin_view(self._connect)(*args, **kwargs)

        def facts(*args, **kwargs):
            return self.admin_site.admin_view(self._facts)(*args, **kwargs)

        def facts_csv(*args, **kwargs):
            return self.admin_site.admin_view(self._facts_csv)(*args, **kwargs)

        def at_provider(view, title):
            def guarded(*args, **kwargs):
                return self.admin_site.admin_view(self._at_provider)(
                    *args, view=view, title=title, **kwargs
                )

            guarded.model_admin = self
            return guarded

        for each in (connect, facts, facts_csv):
            each.model_admin = self
        return [
            *(
                path(f"<path:object_id>/{address}", at_provider(view, title), name=name)
                for address, name, view, title in adopting.PAGES
            ),
            path("<path:object_id>/events/", facts, name="vendor_told"),
            path("<path:object_id>/events.csv", facts_csv, name="vendor_told_csv"),
            path("<path:object_id>/connect/", connect, name="vendor_connect"),
            *(
                path(f"<path:object_id>/{name}/", page(act), name=f"vendor_{name}")
                for name, act in acting.ACTS.items()
            ),
        ]

    def _connect(self, request, object_id):
        """Connect one more number or address, or give one that is connected new values."""
        tenant = self.get_object(request, object_id)
        if tenant is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        if not self.has_change_permission(request, tenant):
            raise PermissionDenied
        given = request.POST if request.method == "POST" else None
        form = creating.ConnectForm(given, initial=creating.asked_for(request.GET))
        if request.method == "POST" and form.is_valid():
            try:
                instance = creating.connected(form, tenant, request.user)
            except onboarding.OnboardingError as exc:
                form.refuse(exc)
            except limits.LimitReached as exc:
                form.add_error("provider", str(exc.message))
            else:
                for is_well, sentence in creating.told_of(instance, request.user):
                    (messages.success if is_well else messages.warning)(request, sentence)
                return redirect(_page_of(instance))
        facts = self._page_facts(request, gettext("Connect a number or an address"))
        facts.update(form=form, parts=form.parts(), chosen=form.chosen, original=tenant)
        return TemplateResponse(request, "admin/vendors/connect.html", facts)

    def _at_provider(self, request, object_id, view, title):
        """A page about what an account at a provider has for the vendor."""
        tenant = self.get_object(request, object_id)
        if tenant is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        if not self.has_change_permission(request, tenant):
            raise PermissionDenied
        return view(request, tenant, self._page_facts(request, title))

    def _facts(self, request, object_id):
        """What became of the vendor's messages, without their content."""
        tenant = self._seen(request, object_id)
        if tenant is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        return told.show(request, tenant, self._page_facts(request, told.title()))

    def _facts_csv(self, request, object_id):
        tenant = self._seen(request, object_id)
        if tenant is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        return told.export(request, tenant)

    def _seen(self, request, object_id) -> Tenant | None:
        tenant = self.get_object(request, object_id)
        if tenant is not None and not self.has_view_permission(request, tenant):
            raise PermissionDenied
        return tenant

    def _act(self, request, object_id, act):
        tenant = self.get_object(request, object_id)
        if tenant is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        if not self.has_change_permission(request, tenant):
            raise PermissionDenied
        given = request.POST if request.method == "POST" else None
        form = act.form(given, tenant=tenant)
        if request.method == "POST" and form.is_valid():
            told = act.done(form, tenant, request.user)
            if isinstance(told, Undertaking):
                return redirect(reverse("admin:tenants_undertaking_change", args=[told.pk]))
            if told:
                messages.success(request, told)
                return redirect(reverse("admin:tenants_tenant_change", args=[tenant.pk]))
        facts = self._page_facts(request, act.title)
        facts.update(form=form, act=act, original=tenant, said=act.said % {"name": tenant.name})
        return TemplateResponse(request, "admin/vendors/act.html", facts)

    def _page_facts(self, request, title) -> dict:
        return {**self.admin_site.each_context(request), "title": title, "opts": self.opts}


def _page_of(instance: ProviderInstance) -> str:
    return reverse("admin:tenants_providerinstance_change", args=[instance.pk])


@dataclass(frozen=True)
class Connection:
    """An instance on its vendor's page."""

    instance: ProviderInstance
    provider: str
    label: str
    webhooks: list[str]


def overview(tenant: Tenant) -> dict:
    """What the vendor's page says above the form."""
    now = timezone.now()
    seen = figures.glances([tenant.number], now)[tenant.number]
    subscription = Subscription.objects.of(tenant).select_related("plan", "plan_by_hand").first()
    return {
        "tenant": tenant,
        "home": onboarding.home_url(tenant),
        "domains": [domain.domain for domain in tenant.domains.all()],
        "aliases": [alias.slug for alias in tenant.aliases.order_by("slug")],
        "plan": _plans_of([tenant.number]).get(tenant.number),
        "subscription": subscription,
        "meters": _meters(tenant, seen, now),
        "glance": seen,
        "connections": [_connection(tenant, each) for each in seen.instances],
        "drawing": drawing.drawn(figures.hours(tenant.number, now)),
        "zone": ZoneInfo(tenant.time_zone),
        "acts": [
            (name, act) for name, act in acting.ACTS.items() if act.fits is None or act.fits(tenant)
        ],
    }


def _connection(tenant: Tenant, instance: ProviderInstance) -> Connection:
    instance.tenant = tenant
    return Connection(
        instance,
        provider_of(instance.provider).label,
        LABELS[ProviderInstance.State(instance.state)],
        list(connecting.webhook_urls(instance).values()),
    )


def _meters(tenant: Tenant, seen: figures.Glance, now) -> list[tuple[Meter, str, str]]:
    allowed = limits.allowance_of(tenant.number)
    meters = [
        limits.meter(tenant.number, Kind.MESSAGES, now=now),
        Meter(Kind.USERS, seen.users, allowed.users),
        Meter(Kind.INSTANCES, len(seen.instances), allowed.instances),
        limits.meter(tenant.number, Kind.STORAGE, now=now),
    ]
    return [
        (
            each,
            limits.shown(each.kind, each.used),
            "" if each.limit is None else limits.shown(each.kind, each.limit),
        )
        for each in meters
    ]


def _plans_of(numbers) -> dict[int, Plan]:
    """The plan in force of each tenant that has one."""
    rows = Subscription.objects.across_tenants().filter(tenant_id__in=numbers)
    known = {
        row.tenant_id: entitling.plan_of(row) for row in rows.select_related("plan", "plan_by_hand")
    }
    return {number: plan for number, plan in known.items() if plan is not None}


def _told_states(instances: list[ProviderInstance]) -> str:
    """How many are in each state: "2 connected, 1 blocked"."""
    told = []
    for state in ProviderInstance.State:
        count = sum(each.state == state for each in instances)
        if count:
            told.append(f"{count} {state.label}")
    return ", ".join(told) or "–"
