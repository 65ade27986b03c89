"""What an account at a provider has: staff see it, take it over for a vendor, or make more."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from django import forms
from django.contrib import messages
from django.core.paginator import Page, Paginator
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextInputWidget

from amda.admin import creating
from amda.admin.instances import LABELS
from messaging import adopting, connecting, making_instances, risks
from messaging.adopting import Account, Adopted, Listed
from messaging.providers.base import Provider
from messaging.refusing import Refused
from tenants import secrets
from tenants.limits import LimitReached
from tenants.models import ProviderInstance, Tenant
from tenants.onboarding import OnboardingError

ON_A_PAGE = 50
# How long what somebody typed opens an account to them, and to nobody else.
TYPED_SECONDS = 3600
_TYPED = "accounts_typed"
HELD = {
    "": _("all"),
    "nobody": _("nobody here has them"),
    "mine": _("this vendor has them"),
    "others": _("another vendor has them"),
}


class AccountForm(forms.Form):
    """What opens an account of this provider."""

    def __init__(self, *args, adapter: Provider, **kwargs) -> None:
        super().__init__(*args, prefix=adapter.slug, **kwargs)
        self.adapter = adapter
        for each in adapter.fields:
            if each.name in adapter.opens_account:
                self.fields[each.name] = creating.field_of(each)
                self.fields[each.name].required = each.secret

    def clean(self) -> dict:
        given = super().clean()
        for name, value in list(given.items()):
            try:
                given[name] = connecting.checked_value(self.adapter, name, value)
            except OnboardingError as exc:
                self.add_error(name, exc.message)
        return given


class AdoptForm(forms.Form):
    """What the team calls a number that is taken over; the number too, where the account shows
    none."""

    label = forms.CharField(
        label=_("What the team calls it"),
        required=False,
        max_length=making_instances.LONGEST_NAME,
        widget=UnfoldAdminTextInputWidget(),
    )
    address = forms.CharField(
        label=_("Number"),
        help_text=_("As +33612345678, country code first."),
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )

    def __init__(self, *args, seen: Listed, **kwargs) -> None:
        label = seen.holder.label if seen.holder else ""
        super().__init__(*args, initial={"label": label or seen.found.name[:100]}, **kwargs)
        if seen.address or seen.holder:
            del self.fields["address"]

    def refuse(self, exc: OnboardingError) -> None:
        """Show a refusal at the field it names, where the form has it."""
        _refuse(self, exc)


class MakeForm(forms.Form):
    """A new number at the provider: what it is called there and here, and the number itself."""

    name = forms.CharField(
        label=_("Name"),
        required=False,
        widget=UnfoldAdminTextInputWidget(),
        help_text=_("The provider shows it in its list, and the team reads it here."),
    )
    address = forms.CharField(
        label=_("Number"),
        required=False,
        help_text=_("As +33612345678, country code first."),
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )

    def refuse(self, exc: OnboardingError) -> None:
        """Show a refusal at the field it names, where the form has it."""
        _refuse(self, exc)


@dataclass(frozen=True)
class Row:
    """An instance of an account as the list shows it; the words for states read it like one of
    our own."""

    seen: Listed
    state: str
    state_reason: str
    is_mine: bool

    @property
    def get_state_display(self) -> str:
        return str(ProviderInstance.State(self.state).label) if self.state else ""

    @property
    def label(self) -> str:
        return LABELS[ProviderInstance.State(self.state)] if self.state else "default"


def show(request, tenant: Tenant, facts: dict) -> HttpResponse:
    """The list of an account; opens another account with what was typed."""
    forms_ = [_account_form(request, each) for each in adopting.adapters()]
    if request.method == "POST":
        for form in forms_:
            if form.is_bound and form.is_valid():
                _remember(request, tenant, form)
                return redirect(_list_of(tenant, f"{form.adapter.slug}:{adopting.TYPED}"))
    found = adopting.accounts(tenant, _remembered(request, tenant))
    facts |= {"forms": forms_, "accounts": found, "original": tenant, "held": HELD}
    facts |= {"asked": _asked(request), "is_typing": any(form.is_bound for form in forms_)}
    if found:
        facts |= _list(request, tenant, found)
    return TemplateResponse(request, "admin/vendors/account.html", facts)


def forget(request, tenant: Tenant, facts: dict) -> HttpResponse:
    """What was typed opens the account no more."""
    if request.method == "POST":
        kept = request.session.get(_TYPED, {})
        request.session[_TYPED] = {
            key: each for key, each in kept.items() if not key.startswith(f"{tenant.pk}:")
        }
        messages.success(request, gettext("What was typed is forgotten."))
    return redirect(_list_of(tenant))


def adopt(request, tenant: Tenant, facts: dict) -> HttpResponse:
    """What an account shows of one number, and taking it over."""
    try:
        account = _chosen(request, tenant)
        seen, webhook = adopting.look(account, request.GET.get("reference", ""))
    except Refused as refused:
        messages.error(request, str(refused.message))
        return redirect(_list_of(tenant))
    form = AdoptForm(request.POST if request.method == "POST" else None, seen=seen)
    if request.method == "POST" and form.is_valid():
        adopted = _adopted(form, tenant, account, seen, request.user)
        if adopted:
            return _taken(request, adopted)
    facts |= {
        "form": form,
        "original": tenant,
        "account": account,
        "row": _row(seen, tenant),
        "is_free": seen.is_free_for(tenant),
        "posts_to": _elsewhere(tenant, account, webhook),
        "risk": risks.words(account.adapter),
        "back": _list_of(tenant, account.key),
    }
    return TemplateResponse(request, "admin/vendors/adopt.html", facts)


def make(request, tenant: Tenant, facts: dict) -> HttpResponse:
    """A form for one more number at the provider."""
    try:
        account = _chosen(request, tenant)
    except Refused as refused:
        messages.error(request, str(refused.message))
        return redirect(_list_of(tenant))
    given = request.POST if request.method == "POST" else None
    form = MakeForm(given, initial={"name": tenant.name[: making_instances.LONGEST_NAME]})
    if request.method == "POST" and form.is_valid():
        try:
            adopted = _made(form, tenant, account, request.user)
        except making_instances.Exists as exists:
            return _found_instead(request, tenant, account, exists)
        if adopted:
            return _taken(request, adopted)
    facts |= {
        "form": form,
        "original": tenant,
        "account": account,
        "risk": risks.words(account.adapter),
        "back": _list_of(tenant, account.key),
    }
    return TemplateResponse(request, "admin/vendors/make.html", facts)


def _list(request, tenant: Tenant, found: list[Account]) -> dict:
    """One page of what the chosen account has; the reason where it cannot be told."""
    asked = _asked(request)
    try:
        account = adopting.choose(found, asked["account"])
    except Refused as refused:
        return {"account": None, "problem": refused.message}
    try:
        listed = adopting.listed(account)
    except Refused as refused:
        return {"account": account, "problem": refused.message}
    rows = [_row(each, tenant) for each in listed]
    rows.sort(key=lambda row: (row.seen.holder is not None, row.seen.found.name.casefold()))
    fitting = [row for row in rows if _fits(row, asked["q"], asked["held"])]
    page = Paginator(fitting, ON_A_PAGE).get_page(request.GET.get("page"))
    kept = {name: value for name, value in asked.items() if value}
    return {
        "account": account,
        "total": len(rows),
        "page": page,
        "earlier": _page_link(kept, page, -1),
        "later": _page_link(kept, page, 1),
    }


def _page_link(kept: dict[str, str], page: Page, step: int) -> str:
    there = page.has_previous() if step < 0 else page.has_next()
    return urlencode({**kept, "page": page.number + step}) if there else ""


def _asked(request) -> dict[str, str]:
    asked = {name: request.GET.get(name, "").strip()[:100] for name in ("account", "q", "held")}
    return {**asked, "held": asked["held"] if asked["held"] in HELD else ""}


def _row(seen: Listed, tenant: Tenant) -> Row:
    state = seen.found.state
    is_mine = seen.holder is not None and seen.is_free_for(tenant)
    return Row(seen, state.state.value if state else "", state.reason if state else "", is_mine)


def _fits(row: Row, words: str, held: str) -> bool:
    holder = row.seen.holder
    of_whom = "mine" if row.is_mine else "others" if holder else "nobody"
    if held not in ("", of_whom):
        return False
    said = [row.seen.found.name, row.seen.found.reference, row.seen.address]
    said += [holder.tenant.name, holder.tenant.slug, holder.label] if holder else []
    # A number is found however it is spaced, and with the zero that people write for its country.
    digits = "".join(each for each in words if each.isdigit()).lstrip("0")
    is_number = digits and not any(each.isalpha() for each in words)
    return any(words.casefold() in each.casefold() for each in said) or bool(
        is_number and digits in row.seen.address
    )


def _adopted(form, tenant, account, seen, by) -> Adopted | None:
    given = form.cleaned_data
    facts = {"address": given.get("address", ""), "label": given["label"], "by": by}
    try:
        return adopting.adopt(tenant, account, seen.found.reference, **facts)
    except OnboardingError as exc:
        form.refuse(exc)
    except (LimitReached, Refused) as exc:
        form.add_error(None, str(exc.message))
    return None


def _made(form, tenant, account, by) -> Adopted | None:
    try:
        return making_instances.make(tenant, account, **form.cleaned_data, by=by)
    except OnboardingError as exc:
        form.refuse(exc)
    except (LimitReached, Refused) as exc:
        form.add_error(None, str(exc.message))
    return None


def _found_instead(
    request, tenant: Tenant, account: Account, exists: making_instances.Exists
) -> HttpResponse:
    facts = {"provider": account.adapter.label, "number": exists.seen.address}
    if exists.is_new:
        said = gettext(
            "%(provider)s gave no answer, but its list has %(number)s now: it was made. Take it "
            "over here; nothing was made twice."
        )
    else:
        said = gettext(
            "%(provider)s has %(number)s already: nothing was made. Take it over here instead."
        )
    messages.warning(request, said % facts)
    query = {"account": account.key, "reference": exists.seen.found.reference}
    return redirect(f"{reverse('admin:vendor_adopt', args=[tenant.pk])}?{urlencode(query)}")


def _taken(request, adopted: Adopted) -> HttpResponse:
    """On to the number's own page, where its phone is linked."""
    instance = connecting.probe(adopted.instance)
    for is_well, sentence in creating.told_of(instance, request.user):
        (messages.success if is_well else messages.warning)(request, sentence)
    if adopted.lacking:
        said = gettext("The account does not show everything; give it here as new keys: %(names)s.")
        names = ", ".join(str(each) for each in adopted.lacking)
        messages.warning(request, said % {"names": names})
    return redirect(reverse("admin:tenants_providerinstance_change", args=[instance.pk]))


def _elsewhere(tenant: Tenant, account: Account, webhook) -> str:
    """The host that hears of the number's messages until now, where that is not us."""
    if webhook is None or not webhook.enabled or not webhook.url:
        return ""
    ours = connecting.webhook_url_of(tenant, account.adapter.slug)
    # What follows the host may hold a secret of whoever listens there.
    return "" if webhook.url == ours else urlsplit(webhook.url).netloc


def _chosen(request, tenant: Tenant) -> Account:
    found = adopting.accounts(tenant, _remembered(request, tenant))
    return adopting.choose(found, request.GET.get("account", "") or "-")


def _list_of(tenant: Tenant, account: str = "") -> str:
    page = reverse("admin:vendor_account", args=[tenant.pk])
    return f"{page}?{urlencode({'account': account})}" if account else page


def _refuse(form: forms.Form, exc: OnboardingError) -> None:
    name = "address" if exc.field == "phone" else exc.field
    if name in form.fields:
        form.add_error(name, exc.message)
    else:
        form.add_error(None, exc.message)


PAGES = (
    ("account/", "vendor_account", show, _("Numbers at a provider")),
    ("account/forget/", "vendor_account_forget", forget, ""),
    ("account/adopt/", "vendor_adopt", adopt, _("Take over a number")),
    ("account/make/", "vendor_make", make, _("Make a number at the provider")),
)
"""Below a vendor's page: address, name, view, title."""


# What was typed


def _account_form(request, adapter: Provider) -> AccountForm:
    is_meant = request.method == "POST" and request.POST.get("provider") == adapter.slug
    return AccountForm(request.POST if is_meant else None, adapter=adapter)


def _remember(request, tenant: Tenant, form: AccountForm) -> None:
    """Keep, encrypted, in the person's own session, for this vendor and for a while."""
    given = {name: value for name, value in form.cleaned_data.items() if value}
    sealed = base64.b64encode(secrets.seal_dict(given)).decode()
    key = f"{tenant.pk}:{form.adapter.slug}"
    kept = {"sealed": sealed, "until": timezone.now().timestamp() + TYPED_SECONDS}
    request.session[_TYPED] = {**request.session.get(_TYPED, {}), key: kept}


def _remembered(request, tenant: Tenant) -> dict[str, Mapping[str, str]]:
    found = {}
    for key, kept in request.session.get(_TYPED, {}).items():
        number, _colon, slug = key.partition(":")
        if number != str(tenant.pk) or kept["until"] < timezone.now().timestamp():
            continue
        try:
            found[slug] = secrets.unseal_dict(base64.b64decode(kept["sealed"]))
        except secrets.Unsealable:
            # Its key is no longer in use: it is typed again.
            continue
    return found
