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

from tenants import audit, context, onboarding, suspending
from tenants.accounts import invitations, mailing
from tenants.accounts.models import User
from tenants.accounts.team import NotAllowed
from tenants.models import Tenant


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


@dataclass(frozen=True)
class Act:
    """One thing to do with a vendor: what its page says and asks, and the verb."""

    title: Any
    said: Any
    form: type[ActForm]
    done: Callable[[Any, Tenant, User], str]
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
}
