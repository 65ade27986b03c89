"""The same thing done to several conversations at once, and undone."""

import json

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from messaging import conversing, queries
from messaging.forms import SeveralForm
from messaging.models import Conversation
from messaging.views import showing
from messaging.views.access import page, tell_unread
from tenants.accounts.models import User
from tenants.permissions import Action, may

NEEDS = {
    "assign": Action.ASSIGN,
    "close": Action.CLOSE,
    "reopen": Action.CLOSE,
    "read": Action.REPLY,
}
BACK = {"close": "reopen", "reopen": "close"}


@require_POST
@page(Action.READ)
def act(request):
    """Assign, close, reopen or mark read what was selected."""
    form = SeveralForm(request.POST)
    if not form.is_valid():
        return render(request, "inbox/refused.html", {"message": form.first_error()}, status=422)
    action, to = form.cleaned_data["action"], form.cleaned_data["to"]
    if not may(request.user, NEEDS[action]):
        raise PermissionDenied(action)
    chosen = _chosen(request.user, form.cleaned_data["conversations"])
    before = {each.assignee_id for each in chosen}
    with transaction.atomic():
        for each in chosen:
            _do(action, each, to=to, by=request.user)
    response = showing.with_toast(
        HttpResponse(status=204),
        _said(action, len(chosen), to),
        **_way_back(action, chosen, before),
    )
    return tell_unread(response, request.user)


@require_GET
@page(Action.ASSIGN)
def assignment(request):
    """The team, to choose who looks after what was selected."""
    team = User.objects.filter(is_active=True).order_by("name", "email")
    return render(request, "inbox/assign_several.html", {"team": team})


def _chosen(user, ids: list[int]) -> list[Conversation]:
    found = list(queries.visible_conversations(user).filter(pk__in=ids).order_by("pk"))
    if not found:
        raise Http404("no such conversations")
    return found


def _do(action: str, conversation: Conversation, *, to, by) -> None:
    match action:
        case "assign":
            conversing.assign(conversation, to=to, by=by)
        case "close":
            conversing.close(conversation, by=by, now=timezone.now())
        case "reopen":
            conversing.reopen(conversation, by=by)
        case "read":
            conversing.mark_read(conversation)


def _said(action: str, count: int, to) -> str:
    said = {
        "assign": ngettext(
            "%(count)d conversation assigned to %(name)s",
            "%(count)d conversations assigned to %(name)s",
            count,
        )
        if to
        else ngettext(
            "%(count)d conversation no longer assigned",
            "%(count)d conversations no longer assigned",
            count,
        ),
        "close": ngettext("%(count)d conversation closed", "%(count)d conversations closed", count),
        "reopen": ngettext(
            "%(count)d conversation reopened", "%(count)d conversations reopened", count
        ),
        "read": ngettext(
            "%(count)d conversation marked as read",
            "%(count)d conversations marked as read",
            count,
        ),
    }
    return said[action] % {"count": count, "name": to}


def _way_back(action: str, chosen: list[Conversation], assignees: set) -> dict:
    """How to undo it; only what was the same for all can be put back in one go."""
    ids = ",".join(str(each.pk) for each in chosen)
    values = {"conversations": ids}
    if action in BACK:
        values["action"] = BACK[action]
    elif action == "assign" and len(assignees) == 1:
        values |= {"action": "assign", "to": assignees.pop() or ""}
    else:
        return {}
    return {"undo": "/inbox/several/", "values": json.loads(json.dumps(values))}
