"""One's own account: name, address, password, second step, where one is signed in."""

from allauth.account.decorators import reauthentication_required
from allauth.account.internal.flows.login import perform_login, record_authentication
from allauth.account.models import Login
from allauth.decorators import rate_limit
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from tenants.accounts import invitations, mailing, new_email, second_step, sessions, team
from tenants.accounts.forms import JoinForm, NameForm, NewEmailForm


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def home(request):
    """What one can change about oneself, and where."""
    form = NameForm(request.POST or None, instance=request.user)
    if request.method == "POST" and form.is_valid():
        team.rename(request.user, form.cleaned_data["name"])
        messages.success(request, _("Your name is kept."))
        return redirect("account_home")
    facts = {
        "form": form,
        "has_second_step": second_step.is_set_up(request.user),
        "session_count": sessions.sessions_of(request.user).count(),
    }
    return render(request, "accounts/home.html", facts)


@reauthentication_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def change_email(request):
    """Ask for another address; it counts once the link sent to it was opened."""
    form = NewEmailForm(request.POST or None, user=request.user)
    if request.method != "POST" or not form.is_valid():
        return render(request, "accounts/email.html", {"form": form})
    if mailing.send_new_email(request, form.cleaned_data["email"]):
        messages.success(request, _("Open the link we sent to the new address to confirm it."))
        return redirect("account_home")
    form.add_error(None, _("The mail could not be sent. Please try again in a moment."))
    return render(request, "accounts/email.html", {"form": form})


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def confirm_email(request, key: str):
    """Where the link to a new address leads: a button, since mail programs open links too."""
    email = new_email.named_by(key, request.user)
    if email is None:
        return render(request, "accounts/link_over.html", status=410)
    if request.method != "POST":
        return render(request, "accounts/email_confirm.html", {"email": email})
    former = request.user.email
    if new_email.change(request.user, email):
        mailing.send_email_changed(former, request.user)
        messages.success(request, _("You now sign in with %(email)s.") % {"email": email})
    else:
        messages.error(request, _("Somebody signs in with this address already."))
    return redirect("account_home")


@login_required
@never_cache
@require_GET
def list_sessions(request):
    """Where one is signed in."""
    facts = {
        "sessions": sessions.sessions_of(request.user),
        "current": request.session[sessions.KNOWN_KEY],
    }
    return render(request, "accounts/sessions.html", facts)


@login_required
@require_POST
def end_session(request, pk):
    """End one of one's sessions."""
    if not sessions.sign_device_out(request.user, pk):
        raise Http404("no session of this person")
    messages.success(request, _("That device is signed out."))
    return redirect("account_sessions")


@login_required
@require_POST
def end_other_sessions(request):
    """End every session but this one, and every token of programs."""
    sessions.sign_out_elsewhere(request, request.user)
    messages.success(request, _("Every other device is signed out."))
    return redirect("account_sessions")


@never_cache
@rate_limit(action="join", limit_get=True)
@require_http_methods(["GET", "HEAD", "POST"])
def join(request, key: str):
    """Where an invitation's link leads: name and password, and one is in the team."""
    invitation = invitations.invitation_of(key) if request.tenant else None
    if invitation is None:
        return render(request, "accounts/link_over.html", status=410)
    form = JoinForm(request.POST or None, email=invitation.email)
    if request.method != "POST" or not form.is_valid():
        return render(request, "accounts/join.html", {"form": form, "invitation": invitation})
    user = invitations.accept(
        key,
        name=form.cleaned_data["name"],
        password=form.cleaned_data["password"],
        language=translation.get_language() or "",
    )
    if user is None:
        return render(request, "accounts/link_over.html", status=410)
    record_authentication(request, user, method="password", email=user.email)
    return perform_login(request, Login(user=user, email=user.email))
