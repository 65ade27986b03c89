"""What staff do with a vendor: each act is a page that asks, and one verb."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminEmailInputWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from tenants import audit, context, onboarding, suspending, undertaking
from tenants.accounts import invitations, mailing
from tenants.accounts.models import User
from tenants.accounts.team import NotAllowed
from tenants.figures import FAILED
from tenants.models import Tenant, Undertaking, WebhookDelivery


class ActForm(forms.Form):
    """A page that asks before it does something; by itself it asks for nothing."""

    def __init__(self, *args, tenant: Tenant, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.tenant = tenant


class InviteForm(ActForm):
    """Whom to invite as owner."""

    email = forms.EmailField(label=_("Owner's e-mail"), widget=UnfoldAdminEmailInputWidget())


class SuspendForm(ActForm):
    """Why nobody may sign in any more."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=300,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text=_("The vendor's people read it when they sign in, send, or call the API."),
    )


class RenameForm(ActForm):
    """A vendor's new slug; `onboarding` judges it."""

    slug = forms.CharField(label=_("New slug"), widget=UnfoldAdminTextInputWidget())

    def __init__(self, *args, tenant: Tenant, **kwargs) -> None:
        super().__init__(*args, tenant=tenant, **kwargs)
        self.fields["slug"].initial = tenant.slug


class ExportForm(ActForm):
    """Why everything of a vendor is taken out."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=300,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text=_("The vendor's owner reads it in the audit."),
    )


class EraseForm(ExportForm):
    """The slug once more, so that nobody erases the wrong vendor."""

    slug = forms.CharField(
        label=_("Type the slug of the vendor"),
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].help_text = _("It stays in the audit until the erasure is done.")

    def clean_slug(self) -> str:
        if self.cleaned_data["slug"] != self.tenant.slug:
            raise forms.ValidationError(
                gettext("Nothing was erased: the slug is %(slug)s.") % {"slug": self.tenant.slug}
            )
        return self.cleaned_data["slug"]


@dataclass(frozen=True)
class Act:
    """One thing to do with a vendor: what its page says and asks, and the verb."""

    title: Any
    said: Any
    form: type[ActForm]
    done: Callable[[Any, Tenant, User], "str | Undertaking"]
    fits: Callable[[Tenant], bool] | None = None
    is_grave: bool = False


def _invite(form: InviteForm, tenant: Tenant, by: User) -> str:
    email = form.cleaned_data["email"].lower()
    problem = invited(tenant, email, by)
    if problem:
        form.add_error("email", problem)
        return ""
    return gettext("The invitation to %(email)s is on its way.") % {"email": email}


def invited(tenant: Tenant, email: str, by: User) -> str:
    """Invite somebody to own a vendor; why that was not possible, "" where it was."""
    with context.entered(tenant):
        try:
            invitation = invitations.invite_owner(email)
        except NotAllowed as exc:
            return str(exc.message)
        is_sent = mailing.send_owner_invitation(tenant, invitation)
    audit.record("tenant.owner_invited", by=by, subject=tenant, tenant=tenant)
    if not is_sent:
        return gettext("The mail could not be sent. Send the invitation again later.")
    return ""


def _suspend(form: SuspendForm, tenant: Tenant, by: User) -> str:
    suspending.suspend(tenant, form.cleaned_data["reason"], by=by)
    return gettext("%(name)s is suspended.") % {"name": tenant.name}


def _resume(form: ActForm, tenant: Tenant, by: User) -> str:
    suspending.resume(tenant, by=by)
    return gettext("%(name)s is open again.") % {"name": tenant.name}


def _rename(form: RenameForm, tenant: Tenant, by: User) -> str:
    try:
        renamed = onboarding.rename_tenant(tenant, form.cleaned_data["slug"], by=by)
    except onboarding.OnboardingError as exc:
        form.add_error("slug", exc.message)
        return ""
    return gettext("The slug is now %(slug)s.") % {"slug": renamed.slug}


def _export(form: ExportForm, tenant: Tenant, by: User) -> Undertaking:
    reason = form.cleaned_data["reason"]
    return undertaking.begin(Undertaking.Kind.EXPORT, tenant, by=by, reason=reason)


def _erase(form: EraseForm, tenant: Tenant, by: User) -> Undertaking:
    reason = form.cleaned_data["reason"]
    return undertaking.begin(Undertaking.Kind.ERASURE, tenant, by=by, reason=reason)


def _replay(form: ActForm, tenant: Tenant, by: User) -> Undertaking:
    deliveries = WebhookDelivery.objects.of(tenant).order_by("-pk")
    newest = deliveries.values_list("pk", flat=True).first() or 0
    return undertaking.begin(Undertaking.Kind.REPLAY, tenant, by=by, newest=newest)


def _has_failures(tenant: Tenant) -> bool:
    return WebhookDelivery.objects.of(tenant).filter(state__in=FAILED, erased_at=None).exists()


def _is_suspended(tenant: Tenant) -> bool:
    return tenant.state == Tenant.State.SUSPENDED


ACTS = {
    "invite": Act(
        _("Invite the owner"),
        _("An e-mail with a link lets this person join %(name)s as its owner."),
        InviteForm,
        _invite,
    ),
    "rename": Act(
        _("Rename"),
        _(
            "The former slug of %(name)s goes on leading to it: addresses pasted at providers keep "
            "working, and so does the address its team signs in at."
        ),
        RenameForm,
        _rename,
    ),
    "replay": Act(
        _("Read failed deliveries again"),
        _(
            "Every delivery of %(name)s that failed or could not be read is read again. What is "
            "known already stays as it is."
        ),
        ActForm,
        _replay,
        fits=_has_failures,
    ),
    "export": Act(
        _("Export"),
        _(
            "A job writes everything of %(name)s into a zip: its tables, its files, a manifest "
            "with counts and checksums. It holds what people wrote."
        ),
        ExportForm,
        _export,
    ),
    "suspend": Act(
        _("Suspend"),
        _(
            "What is written to %(name)s is still received and kept. Nothing is sent, and nobody "
            "but its owners can sign in: they read why."
        ),
        SuspendForm,
        _suspend,
        fits=lambda tenant: not _is_suspended(tenant),
        is_grave=True,
    ),
    "resume": Act(
        _("Open again"),
        _("%(name)s can sign in and send again at once."),
        ActForm,
        _resume,
        fits=_is_suspended,
    ),
    "erase": Act(
        _("Erase"),
        _(
            "Everything of %(name)s is removed for good: its people, leads, messages, files, "
            "numbers, deliveries and jobs. A certificate lists how much of each. Nobody can "
            "bring it back: export it first if anybody may need it."
        ),
        EraseForm,
        _erase,
        is_grave=True,
    ),
}
