"""Who may do what: one table of role × action that every check reads."""

from enum import StrEnum
from functools import wraps

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.utils.translation import gettext_lazy as _
from rest_framework.permissions import BasePermission

from tenants import context, directory
from tenants.accounts.models import Role


class Action(StrEnum):
    """What a person may be allowed to do, as the table names it."""

    READ = "read"
    SEE_ALL_CONVERSATIONS = "see_all_conversations"
    REPLY = "reply"
    START = "start"
    ASSIGN = "assign"
    CLOSE = "close"
    EDIT_LEADS = "edit_leads"
    HANDLE_ALERTS = "handle_alerts"
    SEE_FIGURES = "see_figures"
    COUNT_PER_PERSON = "count_per_person"
    SEE_TEAM = "see_team"
    MANAGE_TEAM = "manage_team"
    MAKE_OWNERS = "make_owners"
    REMOVE_PEOPLE = "remove_people"
    REQUIRE_SECOND_STEP = "require_second_step"
    MANAGE_SETTINGS = "manage_settings"
    DECIDE_WHO_SEES = "decide_who_sees"
    ACCEPT_RISKS = "accept_risks"
    SEE_AUDIT = "see_audit"
    SEE_BILLING = "see_billing"
    BUY = "buy"


WORDS = {
    Action.READ: _("Read conversations and leads"),
    Action.SEE_ALL_CONVERSATIONS: _("See the conversations of colleagues, too"),
    Action.REPLY: _("Answer"),
    Action.START: _("Write to somebody first"),
    Action.ASSIGN: _("Assign conversations"),
    Action.CLOSE: _("Close and reopen conversations"),
    Action.EDIT_LEADS: _("Change and merge leads"),
    Action.SEE_TEAM: _("See who is in the team"),
    Action.MANAGE_TEAM: _("Invite people, give roles, close access"),
    Action.MAKE_OWNERS: _("Make owners, and change what other owners may"),
    Action.REMOVE_PEOPLE: _("Remove people for good"),
    Action.REQUIRE_SECOND_STEP: _("Ask everybody for a second step"),
    Action.MANAGE_SETTINGS: _("Change the settings"),
    Action.DECIDE_WHO_SEES: _("Decide whose conversations agents and assistants see"),
    Action.ACCEPT_RISKS: _("Confirm what a number risks at its provider"),
    Action.SEE_AUDIT: _("Read the audit"),
    Action.HANDLE_ALERTS: _("Handle alerts"),
    Action.SEE_FIGURES: _("See the figures"),
    Action.COUNT_PER_PERSON: _("Have figures counted per person"),
    Action.SEE_BILLING: _("See the subscription and its invoices"),
    Action.BUY: _("Choose and pay a plan"),
}

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
    Action.SEE_ALL_CONVERSATIONS,
    Action.SEE_FIGURES,
    Action.SEE_BILLING,
    Action.MANAGE_TEAM,
    Action.MANAGE_SETTINGS,
    Action.SEE_AUDIT,
}

RIGHTS: dict[str, frozenset[Action]] = {
    Role.OWNER: frozenset(Action),
    Role.ADMIN: _ADMIN,
    Role.AGENT: _AGENT,
    Role.ASSISTANT: _ASSISTANT,
    Role.STAFF: frozenset(),
}
ROLES = (Role.OWNER, Role.ADMIN, Role.AGENT, Role.ASSISTANT)
# What the tenant's owners may give to every role that reads: the action, the tenant's setting.
GIVEN_BY_TENANT = {Action.SEE_ALL_CONVERSATIONS: "agents_see_all"}


def may(user, action: Action) -> bool:
    """Whether this person's role allows the action, in their own tenant."""
    return bool(user and user.is_authenticated and user.is_active and role_may(user.role, action))


def role_may(role: str, action: Action) -> bool:
    """Whether a role allows the action in the tenant one is in."""
    allowed = RIGHTS.get(role, frozenset())
    return action in allowed or (Action.READ in allowed and _is_given(action))


def roles_that_may(action: Action) -> list[str]:
    """The roles that allow an action in the tenant one is in."""
    return [role for role in RIGHTS if role_may(role, action)]


def table() -> list[tuple[Action, str, list[bool]]]:
    """Every action, what it is called, and whether each of ROLES may do it here."""
    return [
        (action, str(words), [role_may(role, action) for role in ROLES])
        for action, words in WORDS.items()
    ]


def _is_given(action: Action) -> bool:
    setting = GIVEN_BY_TENANT.get(action)
    if setting is None or context.in_public():
        return False
    return getattr(directory.tenant_numbered(context.current_number()), setting)


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
