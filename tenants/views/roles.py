"""What each role may do, as the table of rights says it; and what the owners decide of it."""

from django.contrib import messages
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from tenants import permissions, settling
from tenants.permissions import Action
from tenants.views.access import tenant_page


@require_safe
@tenant_page(Action.SEE_TEAM)
def show(request):
    """The table: every action, every role."""
    facts = {
        "section": "settings",
        "tab": "roles",
        "roles": [role.label for role in permissions.ROLES],
        "rows": permissions.table(),
    }
    return render(request, "settings/roles.html", facts)


@require_POST
@tenant_page(Action.DECIDE_WHO_SEES)
def decide(request):
    """Have agents see every conversation, or only their own and those of nobody."""
    sees_all = request.POST.get("agents_see_all") == "yes"
    settling.change(request.tenant.number, {"agents_see_all": sees_all}, by=request.user)
    if sees_all:
        messages.success(request, _("Agents and assistants now see every conversation."))
    else:
        messages.success(
            request,
            _("Agents and assistants now see their own conversations and those of nobody."),
        )
    return redirect("roles")
