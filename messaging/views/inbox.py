"""The inbox and the pieces of it that an open page asks for again."""

from django.http import HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from messaging import conversing, queries
from messaging.models import Conversation
from messaging.views import showing
from messaging.views.access import (
    conversation_or_404,
    message_or_404,
    page,
    tell_unread,
)
from tenants.permissions import Action, may

MOST_MESSAGES = 200


@require_GET
@page(Action.READ)
def inbox(request):
    """The list, with no conversation open."""
    return render(request, "inbox/inbox.html", {**_listed(request), "section": "inbox"})


@require_GET
@page(Action.READ)
def conversation(request, pk: int):
    """The same page with a conversation open: an address to send to a colleague."""
    opened = _opened(request, pk)
    if opened["conversation"].pk != pk:
        return redirect("messaging:conversation", opened["conversation"].pk)
    return render(request, "inbox/inbox.html", {**opened, **_listed(request), "section": "inbox"})


@require_GET
@page(Action.READ)
def pane(request, pk: int):
    """A conversation alone, to be put into the open page."""
    response = render(request, "inbox/pane.html", {**_opened(request, pk), "view": _view(request)})
    return tell_unread(response, request.user)


@require_GET
@page(Action.READ)
def rows(request):
    """A page of the list: the first one, or the one after a cursor."""
    try:
        context = _listed(request, _cursor(request, "after"))
    except ValueError:
        return HttpResponseBadRequest("after")
    return tell_unread(render(request, "inbox/rows.html", context), request.user)


@require_GET
@page(Action.READ)
def row(request, pk: int):
    """One conversation's row; 204 where it does not belong into the view."""
    found = conversation_or_404(request, pk)
    if found.pk != pk or not _belongs(found, _view(request), request.user):
        return tell_unread(HttpResponse(status=204), request.user)
    context = {
        "each": found,
        "view": _view(request),
        "numbers": showing.numbers(request),
    }
    return tell_unread(render(request, "inbox/row.html", context), request.user)


@require_GET
@page(Action.READ)
def messages(request, pk: int):
    """A page of a conversation: the newest `count`, or those before a cursor."""
    found = conversation_or_404(request, pk)
    try:
        before = _cursor(request, "before")
        count = min(int(request.GET.get("count", queries.PAGE)), MOST_MESSAGES)
    except ValueError:
        return HttpResponseBadRequest("before, count")
    shown = queries.messages(found, before, max(count, 1))
    context = showing.pane(request, found, shown)
    return render(request, "inbox/messages.html", context)


@require_GET
@page(Action.READ)
def message(request, pk: int):
    """One message, to be put where it belongs."""
    found = message_or_404(request, pk)
    context = {"bubble": showing.bubble(found), "may_reply": may(request.user, Action.REPLY)}
    return render(request, "inbox/message.html", context)


@require_GET
@page(Action.READ)
def head(request, pk: int):
    """What stands above a conversation: who, on which number, whose, open or closed."""
    found = conversation_or_404(request, pk)
    return render(
        request, "inbox/head.html", {**showing.head(request, found), "view": _view(request)}
    )


@require_GET
@page(Action.READ)
def unread(request):
    """Only the unread count, in a header, for pages without a list."""
    return tell_unread(HttpResponse(status=204), request.user)


@require_POST
@page(Action.READ)
def read(request, pk: int):
    """The person looks at the conversation: nothing in it is unread any more."""
    _mark_read(request, conversation_or_404(request, pk))
    return tell_unread(HttpResponse(status=204), request.user)


def _opened(request, pk: int) -> dict:
    found = conversation_or_404(request, pk)
    _mark_read(request, found)
    return showing.pane(request, found, queries.messages(found))


def _mark_read(request, found: Conversation) -> None:
    # Who cannot answer must not make it look taken care of for those who can.
    if may(request.user, Action.REPLY):
        conversing.mark_read(found)


def _listed(request, after: queries.Cursor | None = None) -> dict:
    view = _view(request)
    listed = queries.conversations(request.user, view, after)
    return {
        "view": view,
        "rows": listed.rows,
        "next": listed.next,
        "is_first_page": after is None,
        "numbers": showing.numbers(request),
    }


def _view(request) -> str:
    asked = request.GET.get("view", "all")
    return asked if asked in queries.VIEWS else "all"


def _cursor(request, name: str) -> queries.Cursor | None:
    text = request.GET.get(name)
    return queries.Cursor.read(text) if text else None


def _belongs(found: Conversation, view: str, user) -> bool:
    if found.last_message_at is None:
        return False
    if view == "closed":
        return found.state == Conversation.State.CLOSED
    mine = {"mine": user.pk, "unassigned": None}
    return found.state == Conversation.State.OPEN and (
        view == "all" or found.assignee_id == mine[view]
    )
