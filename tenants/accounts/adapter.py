"""How allauth signs people in here: by e-mail, at their own tenant, nobody by themselves."""

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.stagekit import clear_login
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from tenants import context
from tenants.accounts.models import Role
from tenants.models import Tenant


class AccountAdapter(DefaultAccountAdapter):
    """allauth's decisions where ours differ."""

    def is_open_for_signup(self, request) -> bool:
        """Nobody signs up by themselves: staff make tenants, owners invite their team."""
        return False

    def is_safe_url(self, url) -> bool:
        """Go on after signing in only on the host one signed in at.

        allauth would allow every host of ours, which are other vendors'.
        """
        return url_has_allowed_host_and_scheme(
            url, {self.request.get_host()}, require_https=self.request.is_secure()
        )

    def get_login_redirect_url(self, request) -> str:
        """A tenant's people to their pages, staff to the admin."""
        return "/" if request.tenant else reverse("admin:index")

    def get_logout_redirect_url(self, request) -> str:
        return reverse("account_login")

    def format_email_subject(self, subject) -> str:
        """The subject alone: allauth would put the host before it."""
        return str(subject)

    def _get_login_attempts_cache_key(self, request, **credentials) -> str:
        """Count wrong passwords by tenant, whichever of its hosts they were tried at."""
        return f"{context.bound_to()}:{credentials.get('email', '').strip().lower()}"

    def pre_login(self, request, user, **facts):
        """Tell a suspended tenant's people why they cannot come in; its owners see it inside."""
        if is_suspended(request) and user.role != Role.OWNER:
            clear_login(request)
            return render(request, "account/suspended.html", status=403)
        return super().pre_login(request, user, **facts)


def is_suspended(request) -> bool:
    """Whether the request is for a suspended tenant."""
    return bool(request.tenant) and request.tenant.state == Tenant.State.SUSPENDED
