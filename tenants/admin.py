"""The admin of vendors, their instances and the platform's staff."""

from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.password_validation import validate_password
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.widgets import (
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
)

from tenants import audit
from tenants.accounts.models import Role, User


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
