"""What people type about themselves and their team."""

from allauth.mfa.adapter import get_adapter
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from django import forms
from django.contrib.auth.password_validation import validate_password
from django.utils.translation import gettext_lazy as _

from tenants.accounts import second_step
from tenants.accounts.models import Role, User

# allauth's label. Said here, so that our catalogue, which comes before Django's "Courriel", has it.
EMAIL = _("Email")


class _OnceOnly:
    """Accepts each code once, however long allauth would take it."""

    def clean_code(self) -> str:
        code = self.cleaned_data["code"]
        used = second_step.accept(self.user, code)
        if used is None:
            raise get_adapter().validation_error("incorrect_code")
        used.user = self.user
        self.authenticator = used
        return code


class SecondStepForm(_OnceOnly, AuthenticateForm):
    """The code asked for after the password."""


class SecondStepAgainForm(_OnceOnly, ReauthenticateForm):
    """The code asked for once more before something that matters."""


class NewEmailForm(forms.Form):
    """Another address to sign in with."""

    email = forms.EmailField(
        label=_("New e-mail address"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )

    def __init__(self, *args, user: User, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._user = user

    def clean_email(self) -> str:
        email = self.cleaned_data["email"].strip().lower()
        if email == self._user.email.lower():
            raise forms.ValidationError(_("This is your address already."))
        return email


class NameForm(forms.ModelForm):
    """How a person is called."""

    class Meta:
        model = User
        fields = ("name",)
        widgets = {"name": forms.TextInput(attrs={"autocomplete": "name"})}


class InviteForm(forms.Form):
    """Whom to invite, and as what."""

    email = forms.EmailField(
        label=_("E-mail address"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
    )
    role = forms.ChoiceField(label=_("Role"))

    def __init__(self, *args, roles, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"].choices = roles
        self.fields["role"].initial = Role.AGENT

    def clean_email(self) -> str:
        return self.cleaned_data["email"].strip().lower()


class JoinForm(forms.Form):
    """What an invited person adds: a name and a password."""

    name = forms.CharField(
        label=_("Your name"),
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    password = forms.CharField(
        label=_("Password"),
        strip=False,
        max_length=1024,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("At least 8 characters, and not one that is easy to guess."),
    )

    def __init__(self, *args, email: str, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._email = email

    def clean(self) -> dict:
        given = super().clean()
        if "password" in given:
            person = User(email=self._email, name=given.get("name", ""))
            try:
                validate_password(given["password"], person)
            except forms.ValidationError as exc:
                self.add_error("password", exc)
        return given
