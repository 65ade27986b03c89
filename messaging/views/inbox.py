"""The inbox and the pieces of it that an open page asks for again."""

from django.http import HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from messaging import conversing, noting, queries, searching
from messaging.filters import Filters
from messaging.models import Conversation, Stage, Tag
from messaging.views import showing
from messaging.views.access import (
    conversation_or_404,
    message_or_404,
    page,
    tell_unread,
)
from messaging.views.rows import rows as rows_of
from tenants.accounts.models import User
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
    context = {**opened, **_listed(request, opened=pk), "section": "inbox"}
    return render(request, "inbox/inbox.html", context)


@require_GET
@page(Action.READ)
def pane(request, pk: int):
    """A conversation alone, to be put into the open page."""
    opened = _opened(request, pk)
    context = {**opened, "filters": Filters.read(request.GET)}
    return tell_unread(render(request, "inbox/pane.html", context), request.user)


@require_GET
@page(Action.READ)
def rows(request):
    """A page of the list: the first one, or the one after a cursor."""
    try:
        context = _listed(request, request.GET.get("after"))
    except ValueError:
        return HttpResponseBadRequest("after")
    template = "inbox/results.html" if context["filters"].text else "inbox/rows.html"
    return tell_unread(render(request, template, context), request.user)


@require_GET
@page(Action.READ)
def row(request, pk: int):
    """One conversation's row; 204 where it does not belong into the list."""
    found = conversation_or_404(request, pk)
    filters = Filters.read(request.GET)
    if found.pk != pk or not _belongs(request.user, found, filters):
        return tell_unread(HttpResponse(status=204), request.user)
    context = {"rows": rows_of(request, [found], filters)}
    return tell_unread(render(request, "inbox/row.html", context), request.user)


@require_GET
@page(Action.READ)
def messages(request, pk: int):
    """A stretch of a conversation: its newest `count`, or those on one side of a cursor."""
    found = conversation_or_404(request, pk)
    try:
        before, after = _cursor(request, "before"), _cursor(request, "after")
        count = min(int(request.GET.get("count", queries.PAGE)), MOST_MESSAGES)
    except ValueError:
        return HttpResponseBadRequest("before, after, count")
    if after:
        stretch = queries.newer(found, after, max(count, 1))
    else:
        stretch = queries.newest(found, before, max(count, 1))
    return render(request, "inbox/messages.html", showing.pane(request, found, stretch))


@require_GET
@page(Action.READ)
def message(request, pk: int):
    """One message, to be put where it belongs."""
    found = message_or_404(request, pk)
    return render(request, "inbox/entries.html", showing.one(request, found))


@require_GET
@page(Action.READ)
def head(request, pk: int):
    """What stands above a conversation: who, on which number, whose, open or closed."""
    found = conversation_or_404(request, pk)
    context = {**showing.head(request, found), "filters": Filters.read(request.GET)}
    return render(request, "inbox/head.html", context)


@require_GET
@page(Action.READ)
def filtering(request):
    """The choices of a filter: the tenant's numbers and its people."""
    context = {
        "filters": Filters.read(request.GET),
        "numbers": showing.numbers(request),
        "team": User.objects.filter(is_active=True).order_by("name", "email"),
        "stages": Stage.objects.all(),
        "tags": Tag.objects.all(),
    }
    return render(request, "inbox/filter.html", context)


@require_GET
@page(Action.READ)
def unread(request):
    """Only the unread count, in a header, for pages without a list."""
    return tell_unread(HttpResponse(status=204), request.user)


@require_POST
@page(Action.READ)
def read(request, pk: int):
    """The person looks at the conversation: nothing in it is unread any more."""
    found = conversation_or_404(request, pk)
    # Who cannot answer must not make it look taken care of for those who can.
    if may(request.user, Action.REPLY):
        conversing.mark_read(found)
    return tell_unread(HttpResponse(status=204), request.user)


def _opened(request, pk: int) -> dict:
    found = conversation_or_404(request, pk)
    stretch, place = _where_to_begin(request, found)
    return {**showing.pane(request, found, stretch, place.get("first_unread")), **place}


def _where_to_begin(request, found: Conversation) -> tuple[queries.Stretch, dict]:
    """What was asked for, a message or a note, else the first unread one, else the end."""
    target = _asked_for(request, "message", queries.message_of)
    if target is not None and target.conversation_id == found.pk:
        return queries.around(found, queries.place_of(target)), {"target": f"message-{target.pk}"}
    note = _asked_for(request, "note", noting.note_of)
    if note is not None and note.conversation_id == found.pk:
        place = queries.Cursor(note.created_at, 0)
        return queries.around(found, place), {"target": f"note-{note.pk}"}
    stretch = queries.newest(found)
    unread = queries.first_unread(found, stretch.rows)
    if unread is None:
        return stretch, {}
    if unread not in stretch.rows:
        stretch = queries.around(found, queries.place_of(unread))
    return stretch, {"first_unread": unread.pk, "unread_count": found.unread_count}


def _asked_for(request, name: str, look_up):
    wanted = request.GET.get(name, "")
    return look_up(request.user, int(wanted)) if _is_id(wanted) else None


def _listed(request, after: str | None = None, opened: int | None = None) -> dict:
    filters = Filters.read(request.GET)
    context = {
        "filters": filters,
        "numbers": showing.numbers(request),
        "person": _person(filters),
        "stage": Stage.objects.filter(pk=filters.stage).first() if filters.stage else None,
        "tag": Tag.objects.filter(pk=filters.tag).first() if filters.tag else None,
        "is_first_page": not after,
    }
    if filters.text:
        return {**context, **_found(request, filters, int(after) if after else None, opened)}
    cursor = queries.Cursor.read(after) if after else None
    listed = queries.conversations(request.user, filters, cursor)
    rows = rows_of(request, listed.rows, filters, opened)
    return {**context, "rows": rows, "next": listed.next}


def _found(request, filters: Filters, after: int | None, opened: int | None) -> dict:
    """What is looked for: whoever is called so, on the first page, and what was said."""
    nobody = queries.Page([], None)
    called_so = searching.conversations(request.user, filters) if after is None else nobody
    said = searching.messages(request.user, filters, after)
    return {
        "rows": rows_of(request, called_so.rows, filters, opened),
        "has_more_called_so": called_so.next is not None,
        "found": said.rows,
        "next": said.next,
    }


def _person(filters: Filters) -> User | None:
    """The person that a filter names, to be shown by name."""
    return User.objects.filter(pk=filters.person).first() if filters.person else None


def _is_id(text: str) -> bool:
    return text.isdecimal() and len(text) < len(str(queries.LARGEST_ID))


def _cursor(request, name: str) -> queries.Cursor | None:
    text = request.GET.get(name)
    return queries.Cursor.read(text) if text else None


def _belongs(user, found: Conversation, filters: Filters) -> bool:
    if found.last_message_at is None:
        return False
    closed_too = bool(filters.text)
    return queries.matching(user, filters, closed_too=closed_too).filter(pk=found.pk).exists()
