"""Who may do what: one table of role × action that every check reads."""

from enum import StrEnum
from functools import wraps

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from rest_framework.permissions import BasePermission

from tenants.accounts.models import Role


class Action(StrEnum):
    """What a person may be allowed to do, as the table names it."""

    READ = "read"
    REPLY = "reply"
    START = "start"
    ASSIGN = "assign"
    CLOSE = "close"
    EDIT_LEADS = "edit_leads"
    HANDLE_ALERTS = "handle_alerts"
    SEE_FIGURES = "see_figures"
    SEE_TEAM = "see_team"
    MANAGE_TEAM = "manage_team"
    MANAGE_SETTINGS = "manage_settings"
    SEE_BILLING = "see_billing"
    BUY = "buy"


_ASSISTANT = frozenset({Action.READ, Action.SEE_TEAM})
_AGENT = _ASSISTANT | {
    Action.REPLY,
    Action.START,
    Action.ASSIGN,
    Action.CLOSE,
    Action.EDIT_LEADS,
    Action.HANDLE_ALERTS,
}
_ADMIN = _AGENT | {
    Action.SEE_FIGURES,
    Action.SEE_BILLING,
    Action.MANAGE_TEAM,
    Action.MANAGE_SETTINGS,
}

RIGHTS: dict[str, frozenset[Action]] = {
    Role.OWNER: frozenset(Action),
    Role.ADMIN: _ADMIN,
    Role.AGENT: _AGENT,
    Role.ASSISTANT: _ASSISTANT,
    Role.STAFF: frozenset(),
}


def may(user, action: Action) -> bool:
    """Whether this person's role allows the action, in their own tenant."""
    return bool(
        user
        and user.is_authenticated
        and user.is_active
        and action in RIGHTS.get(user.role, frozenset())
    )


class RoleAllows(BasePermission):
    """For API views: `actions = {"GET": Action.READ, "POST": Action.REPLY}` on the view.

    A method that the view does not list is refused, so that a new route is closed at first.
    """

    def has_permission(self, request, view) -> bool:
        action = getattr(view, "actions", {}).get(request.method.replace("HEAD", "GET"))
        return action is not None and may(request.user, action)


def needs(action: Action):
    """For pages: sign in first, then 403 for whoever's role does not allow the action."""

    def decorate(view):
        @wraps(view)
        @login_required
        def checked(request, *args, **kwargs):
            if not may(request.user, action):
                raise PermissionDenied(action)
            return view(request, *args, **kwargs)

        vars(checked)["action"] = action
        return checked

    return decorate
