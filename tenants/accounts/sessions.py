"""What ties a session to its tenant and its person's present sign-ins."""

from allauth.account.signals import password_changed, password_reset, password_set
from django.contrib.auth.signals import user_logged_in

from tenants import context

TENANT_KEY = "tenant_number"
VERSION_KEY = "token_version"


def bind(session, user) -> None:
    """Tie a session to the tenant it was made in and to the user's present token version."""
    session[TENANT_KEY] = context.bound_to()
    session[VERSION_KEY] = user.token_version


def is_bound_here(session, user) -> bool:
    """Whether the session was made at this tenant, and none of the user's sign-ins ended since."""
    return (
        session.get(TENANT_KEY) == context.bound_to()
        and session.get(VERSION_KEY) == user.token_version
        and user.is_active
    )


def _bind_new_session(sender, request, user, **kwargs) -> None:
    if request is not None:
        bind(request.session, user)


def _end_other_sign_ins(sender, request, user, **kwargs) -> None:
    """A new password makes every token and session worthless but the one it was set in."""
    user.end_all_sign_ins()
    if request.user.is_authenticated and request.user.pk == user.pk:
        bind(request.session, user)


user_logged_in.connect(_bind_new_session, dispatch_uid="bind_new_session")
for _signal in (password_changed, password_reset, password_set):
    _signal.connect(_end_other_sign_ins, dispatch_uid="end_other_sign_ins")
