"""Making a vendor in one form: the tenant, its owner, its first number."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from django import forms
from django.conf import settings
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminEmailInputWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from amda.admin import acting
from messaging import connecting, providers, risks, setting_webhooks
from messaging.providers.base import Feature, Field, Medium, Provider, SendError
from tenants import onboarding
from tenants.accounts.models import User
from tenants.limits import LimitReached
from tenants.models import ProviderInstance, Tenant
from tenants.onboarding import OnboardingError


class ConnectForm(forms.Form):
    """A provider and the fields that it needs; what belongs to other providers is not read."""

    NO_PROVIDER = _("Choose a provider")

    provider = forms.ChoiceField(label=_("Provider"), widget=UnfoldAdminSelectWidget())
    label = forms.CharField(
        label=_("What the team calls it"),
        required=False,
        max_length=100,
        widget=UnfoldAdminTextInputWidget(),
    )

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.adapters = list(providers.every())
        known = [(each.slug, each.label) for each in self.adapters]
        self.fields["provider"].choices = [("", self.NO_PROVIDER), *known]
        for adapter in self.adapters:
            self.fields[f"{adapter.slug}-address"] = _address_of(adapter)
            for each in adapter.fields:
                self.fields[f"{adapter.slug}-{each.name}"] = field_of(each)

    @property
    def chosen(self) -> str:
        """The provider that is picked at the moment, "" for none."""
        return self["provider"].value() or ""

    def parts(self) -> list[tuple[str, list, str]]:
        """Each provider's own fields and what a number risks there, to be shown when it is picked
        and once all is judged."""
        for adapter in self.adapters:
            for each in adapter.fields:
                self.fields[f"{adapter.slug}-{each.name}"].required = each.required
        return [
            (
                adapter.slug,
                [self[name] for name in self.fields if name.startswith(f"{adapter.slug}-")],
                risks.words(adapter),
            )
            for adapter in self.adapters
        ]

    def connection(self) -> dict:
        """What `connecting.connect_instance` takes beside the tenant and the provider."""
        slug = self.cleaned_data["provider"]
        given = {
            name.removeprefix(f"{slug}-"): value
            for name, value in self.cleaned_data.items()
            if name.startswith(f"{slug}-") and value
        }
        return {"address": given.pop("address", ""), "values": given}

    def refuse(self, exc: OnboardingError) -> None:
        """Show a refusal at the field it names, also where that is one of the provider's."""
        name = "address" if exc.field in {"phone", "address"} else exc.field
        of_provider = f"{self.cleaned_data.get('provider', '')}-{name}"
        if of_provider in self.fields:
            self.add_error(of_provider, exc.message)
        elif name in self.fields:
            self.add_error(name, exc.message)
        else:
            self.add_error(None, f"{name}: {exc.message}")

    def number_fields(self) -> list:
        return [self["provider"], self["label"]]


class NewVendorForm(ConnectForm):
    """What a new vendor needs; `onboarding` and `connecting` judge it."""

    slug = forms.CharField(
        label=_("Slug"),
        widget=UnfoldAdminTextInputWidget(),
        help_text=_("The vendor id in addresses, such as vendor_001."),
    )
    name = forms.CharField(label=_("Name"), widget=UnfoldAdminTextInputWidget())
    owner_email = forms.EmailField(label=_("Owner's e-mail"), widget=UnfoldAdminEmailInputWidget())
    owner_password = forms.CharField(
        label=_("Owner's first password"),
        strip=False,
        required=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text=_("Leave it empty to invite the owner by e-mail."),
    )
    country = forms.CharField(
        label=_("Country"),
        max_length=2,
        initial=settings.DEFAULT_COUNTRY,
        widget=UnfoldAdminTextInputWidget(),
        help_text=_("Two letters; numbers written without a country code are read as its own."),
    )
    time_zone = forms.CharField(
        label=_("Time zone"),
        initial=settings.DEFAULT_TIME_ZONE,
        widget=UnfoldAdminTextInputWidget(),
    )
    language = forms.ChoiceField(
        label=_("Language"),
        choices=settings.LANGUAGES,
        initial=settings.LANGUAGE_CODE,
        widget=UnfoldAdminSelectWidget(),
    )

    NO_PROVIDER = _("None yet")
    VENDOR = ("slug", "name", "country", "time_zone", "language")
    OWNER = ("owner_email", "owner_password")

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.fields["provider"].required = False

    def vendor_fields(self) -> list:
        return [self[name] for name in self.VENDOR]

    def owner_fields(self) -> list:
        return [self[name] for name in self.OWNER]


def asked_for(query: Mapping[str, str]) -> dict[str, str]:
    """What a link into the form names: a provider, and an address of its."""
    slug = query.get("provider", "")
    return {"provider": slug, f"{slug}-address": query.get("address", "")}


@dataclass
class Made:
    """A new vendor and, step by step, what went well or has to be done again."""

    tenant: Tenant
    told: list[tuple[bool, str]] = field(default_factory=list)


def make(form: NewVendorForm, by: User) -> Made | None:
    """The vendor with its owner and first number; None, and nothing made, where the form is
    refused. Never call it inside `atomic`."""
    given = form.cleaned_data
    try:
        _require_possible(form)
        tenant = _tenant(form, by)
    except OnboardingError as exc:
        form.refuse(exc)
        return None
    instance = None
    if given["provider"]:
        try:
            instance = connected(form, tenant, by)
        except (OnboardingError, LimitReached) as exc:
            # The provider was asked only now. Nobody has seen the vendor yet.
            onboarding.delete_tenant(tenant, by=by)
            if isinstance(exc, LimitReached):
                form.add_error("provider", str(exc.message))
            else:
                form.refuse(exc)
            return None
    made = Made(tenant, [(True, gettext("%(name)s is ready.") % {"name": tenant.name})])
    if not given["owner_password"]:
        made.told.append(_invitation(tenant, given["owner_email"].lower(), by))
    if instance is not None:
        made.told += told_of(instance, by)
    return made


def _require_possible(form: NewVendorForm) -> None:
    given = form.cleaned_data
    facts = {name: given[name] for name in form.VENDOR if name != "slug"}
    onboarding.require_possible(given["slug"], **facts)
    onboarding.check_owner_email(given["owner_email"])
    if given["provider"]:
        connecting.require_possible(given["provider"], **form.connection())


def _tenant(form: NewVendorForm, by: User) -> Tenant:
    given = form.cleaned_data
    facts = {name: given[name] for name in form.VENDOR}
    if given["owner_password"]:
        owner = {name: given[name] for name in form.OWNER}
        return onboarding.create_tenant(**facts, **owner, by=by)
    return onboarding.create_tenant_to_join(**facts, by=by)


def connected(form: ConnectForm, tenant: Tenant, by: User) -> ProviderInstance:
    """The number or address of a form, asked after; `OnboardingError` or `LimitReached`."""
    given = form.cleaned_data
    instance = connecting.connect_instance(
        tenant, given["provider"], label=given["label"], by=by, **form.connection()
    )
    return connecting.probe(instance)


def _invitation(tenant: Tenant, email: str, by: User) -> tuple[bool, str]:
    problem = acting.invited(tenant, email, by)
    if problem:
        return False, problem
    return True, gettext("The invitation to %(email)s is on its way.") % {"email": email}


def _state(instance: ProviderInstance) -> tuple[bool, str]:
    is_well = instance.state == ProviderInstance.State.CONNECTED
    facts = {
        "number": instance.address,
        "state": instance.get_state_display(),
        "reason": instance.state_reason or "–",
    }
    if is_well:
        return True, gettext("%(number)s is connected.") % facts
    return False, gettext("%(number)s is kept, but it is %(state)s (%(reason)s).") % facts


def told_of(instance: ProviderInstance, by: User) -> list[tuple[bool, str]]:
    """How a number is now, and whether its provider posts here."""
    return [_state(instance), *told_webhook(instance, by)]


def told_webhook(instance: ProviderInstance, by: User) -> Iterator[tuple[bool, str]]:
    """What came of telling the provider where to post, where it can be told."""
    if Feature.SETS_WEBHOOK not in providers.get(instance.provider).supports:
        return
    try:
        setting_webhooks.set_up(instance, by=by, by_platform=True)
    except SendError as error:
        yield (
            False,
            gettext("The webhook could not be set (%(error)s): paste its address at the provider.")
            % {"error": error.code},
        )
        return
    told = gettext("%(number)s posts here: the provider keeps this address.")
    yield True, told % {"number": instance.address}


def _address_of(adapter: Provider) -> forms.Field:
    is_mail = adapter.medium == Medium.EMAIL
    return forms.CharField(
        label=_("E-mail address") if is_mail else _("Number"),
        required=False,
        widget=UnfoldAdminTextInputWidget(),
        help_text=_("Empty where the fields below name it.")
        if is_mail
        else _("As +33612345678, country code first."),
    )


def field_of(each: Field) -> forms.Field:
    """A provider's field; whether it is required is judged once the provider is known."""
    label = each.label
    if each.choices:
        return forms.ChoiceField(
            label=label,
            required=False,
            initial=each.default,
            choices=[(choice, choice or "–") for choice in each.choices],
            help_text=each.help,
            widget=UnfoldAdminSelectWidget(),
        )
    attrs = {"autocomplete": "new-password" if each.secret else "off"}
    widget = UnfoldAdminPasswordWidget if each.secret else UnfoldAdminTextInputWidget
    return forms.CharField(
        label=label,
        required=False,
        strip=not each.secret,
        initial=each.default,
        help_text=each.help,
        widget=widget(attrs=attrs),
    )
