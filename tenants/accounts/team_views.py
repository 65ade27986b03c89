"""The team's page: who is in it, as what, who is invited."""

from allauth.mfa.models import Authenticator
from django.contrib import messages
from django.db.models import Exists, OuterRef
from django.http import Http404
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from tenants.accounts import invitations, mailing, second_step, team
from tenants.accounts.forms import InviteForm
from tenants.accounts.models import Invitation, User
from tenants.accounts.team import NotAllowed
from tenants.limits import LimitReached
from tenants.permissions import Action, needs


@needs(Action.SEE_TEAM)
@never_cache
@require_safe
def show(request):
    """Everybody of the team; who may manage it also sees who is invited."""
    return _page(request, InviteForm(roles=_choices(request.user)))


@needs(Action.MANAGE_TEAM)
@require_POST
def invite(request):
    """Invite somebody by e-mail."""
    form = InviteForm(request.POST, roles=_choices(request.user))
    if not form.is_valid():
        return _page(request, form, status=400)
    try:
        invitation = invitations.invite(**form.cleaned_data, by=request.user)
    except (NotAllowed, LimitReached) as exc:
        form.add_error("email", exc.message)
        return _page(request, form, status=400)
    return _sent(request, invitation)


@needs(Action.MANAGE_TEAM)
@require_POST
def invite_again(request, pk: int):
    """Send an invitation again, with a new link."""
    invitation = _tried(request, invitations.renew, pk)
    return _sent(request, invitation) if invitation else redirect("team")


@needs(Action.MANAGE_TEAM)
@require_POST
def revoke(request, pk: int):
    """Take an invitation back."""
    if _tried(request, invitations.revoke, pk):
        messages.success(request, _("The invitation is taken back: its link no longer works."))
    return redirect("team")


@needs(Action.MANAGE_TEAM)
@require_POST
def change_role(request, pk: int):
    """Give somebody another role."""
    role = request.POST.get("role", "")
    person = _tried(request, team.change_role, pk, role)
    if person:
        told = {"name": person, "role": person.get_role_display()}
        messages.success(request, _("%(name)s now has the role: %(role)s.") % told)
    return redirect("team")


@needs(Action.MANAGE_TEAM)
@require_POST
def deactivate(request, pk: int):
    """Close somebody's access."""
    person = _tried(request, team.deactivate, pk)
    if person:
        messages.success(request, _("The access of %(name)s is closed.") % {"name": person})
    return redirect("team")


@needs(Action.MANAGE_TEAM)
@require_POST
def reactivate(request, pk: int):
    """Open somebody's access again."""
    person = _tried(request, team.reactivate, pk)
    if person:
        messages.success(request, _("%(name)s can sign in again.") % {"name": person})
    return redirect("team")


@needs(Action.REMOVE_PEOPLE)
@require_POST
def remove(request, pk: int):
    """Take somebody out of the team for good; their name or address is typed to say so."""
    wanted = User.objects.filter(pk=pk, removed_at=None).first()
    typed = request.POST.get("name", "").strip()
    if wanted is not None and typed not in {str(wanted), wanted.email}:
        messages.error(request, _("Type the name of the person to remove them."))
        return redirect("team")
    person = _tried(request, team.remove, pk)
    if person:
        messages.success(request, _("%(name)s is no longer in the team.") % {"name": person})
    return redirect("team")


@needs(Action.REQUIRE_SECOND_STEP)
@require_POST
def require_second_step(request):
    """Ask the whole team for a second step, or no longer."""
    required = request.POST.get("required") == "yes"
    try:
        team.require_second_step(request.tenant.number, required, by=request.user)
    except (NotAllowed, LimitReached) as exc:
        messages.error(request, exc.message)
        return redirect("team")
    if required:
        messages.success(request, _("Everybody is now asked for a second step."))
    else:
        messages.success(request, _("A second step is no longer asked for."))
    return redirect("team")


def _page(request, form: InviteForm, status: int = 200):
    steps = Authenticator.objects.filter(user=OuterRef("pk"), type__in=second_step.STEPS)
    people = User.objects.filter(removed_at=None).annotate(has_second_step=Exists(steps))
    facts = {
        "section": "team",
        "people": people.order_by("-is_active", "name", "email", "pk"),
        "invitations": invitations.open_invitations().select_related("invited_by"),
        "form": form,
        "roles": _choices(request.user),
    }
    return render(request, "accounts/team.html", facts, status=status)


def _choices(user: User) -> list[tuple[str, str]]:
    return [(role.value, role.label) for role in reversed(team.roles_for(user))]


def _tried(request, verb, pk: int, *args):
    """What the verb returned; None, and the reason told, where it is not allowed."""
    try:
        return verb(pk, *args, by=request.user)
    except (NotAllowed, LimitReached) as exc:
        messages.error(request, exc.message)
        return None
    except (User.DoesNotExist, Invitation.DoesNotExist) as exc:
        raise Http404("nobody of this team") from exc


def _sent(request, invitation: Invitation):
    if mailing.send_invitation(request, invitation):
        told = {"email": invitation.email}
        messages.success(request, _("The invitation to %(email)s is on its way.") % told)
    else:
        messages.error(request, _("The mail could not be sent. Send the invitation again later."))
    return redirect("team")
