"""The admin of vendors, their instances and the platform's staff."""

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import PermissionDenied
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.widgets import (
    UnfoldAdminEmailInputWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from tenants import audit, directory, onboarding
from tenants.accounts.models import Role, User
from tenants.models import ProviderInstance, Tenant


class NewTenantForm(forms.Form):
    """What a new vendor needs; `onboarding` judges it."""

    slug = forms.CharField(
        label=_("Slug"),
        widget=UnfoldAdminTextInputWidget(),
        help_text=_("The vendor id in addresses, such as vendor_001. It cannot be changed here."),
    )
    name = forms.CharField(label=_("Name"), widget=UnfoldAdminTextInputWidget())
    owner_email = forms.EmailField(label=_("Owner's e-mail"), widget=UnfoldAdminEmailInputWidget())
    owner_password = forms.CharField(
        label=_("Owner's first password"),
        strip=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
    )
    country = forms.CharField(
        label=_("Country"),
        max_length=2,
        widget=UnfoldAdminTextInputWidget(),
        help_text=_("Two letters; numbers written without a country code are read as its own."),
    )
    time_zone = forms.CharField(label=_("Time zone"), widget=UnfoldAdminTextInputWidget())
    language = forms.ChoiceField(
        label=_("Language"), choices=settings.LANGUAGES, widget=UnfoldAdminSelectWidget()
    )

    @staticmethod
    def defaults() -> dict[str, str]:
        return {
            "country": settings.DEFAULT_COUNTRY,
            "time_zone": settings.DEFAULT_TIME_ZONE,
            "language": settings.LANGUAGE_CODE,
        }


@admin.register(Tenant)
class TenantAdmin(ModelAdmin):
    """Vendors: made through onboarding, never deleted here (`manage.py delete_tenant`)."""

    list_display = ("name", "slug", "state", "address", "created_at")
    list_filter = ("state",)
    search_fields = ("name", "slug", "host_label")
    ordering = ("-number",)
    fields = (
        "name",
        "state",
        "language",
        "time_zone",
        "default_country",
        "requires_mfa",
        "slug",
        "address",
        "number",
        "created_at",
    )
    readonly_fields = ("slug", "address", "number", "created_at")

    @admin.display(description=_("Address"))
    def address(self, tenant):
        return format_html('<a href="{0}/" rel="noopener">{0}</a>', onboarding.home_url(tenant))

    def has_delete_permission(self, request, obj=None) -> bool:
        return False

    def add_view(self, request, form_url="", extra_context=None):
        """Make a vendor.

        Not the admin's own view: that one runs in a transaction, where no schema may be entered.
        """
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = NewTenantForm(request.POST or None, initial=NewTenantForm.defaults())
        if request.method == "POST" and form.is_valid():
            tenant = _onboard(form, request.user)
            if tenant:
                self.log_addition(request, tenant, [{"added": {}}])
                messages.success(request, gettext("%(name)s is ready.") % {"name": tenant.name})
                return redirect(reverse("admin:tenants_tenant_change", args=[tenant.pk]))
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("New vendor"),
            "form": form,
            "opts": self.opts,
        }
        return TemplateResponse(request, "admin/tenants/tenant/new.html", context)

    def save_model(self, request, obj, form, change):
        before = {name: form.initial.get(name) for name in form.changed_data}
        after = {name: form.cleaned_data[name] for name in form.changed_data}
        obj.save(update_fields=form.changed_data or None)
        audit.record(
            "tenant.changed", by=request.user, subject=obj, tenant=obj, before=before, after=after
        )
        directory.changed()


@admin.register(ProviderInstance)
class ProviderInstanceAdmin(ModelAdmin):
    """Vendors' connections, to look at: their secrets are nowhere on these pages."""

    list_display = ("address", "provider", "tenant", "state", "last_event_at")
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

    def has_add_permission(self, request) -> bool:
        return False

    def has_change_permission(self, request, obj=None) -> bool:
        return False

    def has_delete_permission(self, request, obj=None) -> bool:
        return False


class StaffForm(forms.ModelForm):
    """A member of staff; a password is given when it is to be a new one."""

    language = forms.ChoiceField(
        label=_("Language"),
        required=False,
        choices=[("", "—"), *settings.LANGUAGES],
        widget=UnfoldAdminSelectWidget(),
    )
    new_password = forms.CharField(
        label=_("New password"),
        required=False,
        strip=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text=_("Leave it empty to keep the present one. A new one ends every sign-in."),
    )

    class Meta:
        model = User
        fields = ("email", "name", "language", "is_active")

    def clean_email(self):
        email = self.cleaned_data["email"].lower()
        others = User.objects.filter(email__iexact=email).exclude(pk=self.instance.pk)
        if others.exists():
            raise forms.ValidationError(gettext("Somebody here has this address already."))
        return email

    def clean_new_password(self):
        password = self.cleaned_data["new_password"]
        if password:
            validate_password(password, self.instance)
        elif self.instance.pk is None:
            raise forms.ValidationError(gettext("Give a first password."))
        return password


@admin.register(User)
class StaffAdmin(ModelAdmin):
    """The platform's staff. A vendor's team lives in the vendor's schema and is not here."""

    form = StaffForm
    list_display = ("email", "name", "is_active", "last_login")
    search_fields = ("email", "name")
    ordering = ("email",)
    fields = ("email", "name", "language", "is_active", "new_password")

    def save_model(self, request, obj, form, change):
        obj.role = Role.STAFF
        password = form.cleaned_data["new_password"]
        if password:
            obj.set_password(password)
        obj.save()
        self._record(request.user, obj, form, change)
        if change and (password or "is_active" in form.changed_data):
            obj.end_all_sign_ins()

    def delete_model(self, request, obj):
        audit.record("person.removed", by=request.user, subject=obj)
        super().delete_model(request, obj)

    def _record(self, by, person, form, is_change):
        names = form.changed_data
        audit.record(
            "person.changed" if is_change else "person.created",
            by=by,
            subject=person,
            before={name: form.initial.get(name) for name in names} if is_change else {},
            after={name: form.cleaned_data[name] for name in names},
        )

    def has_delete_permission(self, request, obj=None) -> bool:
        """Nobody deletes themselves: the last member of staff would be gone."""
        return super().has_delete_permission(request, obj) and obj != request.user

    def get_actions(self, request):
        # Deleting many at once would not ask who they are.
        return {
            name: action
            for name, action in super().get_actions(request).items()
            if name != "delete_selected"
        }


def _onboard(form: NewTenantForm, by: User) -> Tenant | None:
    try:
        return onboarding.create_tenant(**form.cleaned_data, by=by)
    except onboarding.OnboardingError as exc:
        form.add_error(exc.field, exc.message)
        return None
