"""Notes of the team: writing one, taking it back, who can be named, where one was named."""

from django.http import HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from messaging import noting, queries
from messaging.forms import NoteInConversationForm
from messaging.views import bubbles, showing
from messaging.views.access import conversation_or_404, note_or_404, page, tell_unread
from tenants.permissions import Action

MOST_OFFERED = 8


@require_POST
@page(Action.REPLY)
def write(request, pk: int):
    """Keep a note between the messages; it is never sent to anybody outside."""
    conversation = conversation_or_404(request, pk)
    form = NoteInConversationForm(request.POST, told=queries.who_may_see(conversation))
    if not form.is_valid():
        return render(request, "inbox/refused.html", {"message": form.first_error()}, status=422)
    note = noting.write(
        conversation,
        form.cleaned_data["text"],
        by=request.user,
        named=form.cleaned_data["named"],
        reference=form.cleaned_data["reference"],
        now=timezone.now(),
    )
    if not request.htmx:
        return redirect("messaging:conversation", conversation.pk)
    return render(request, "inbox/entries.html", {"entries": [bubbles.NoteEntry(note)]}, status=201)


@require_GET
@page(Action.READ)
def note(request, pk: int):
    """One note, to be put where it belongs."""
    return render(
        request, "inbox/entries.html", {"entries": [bubbles.NoteEntry(note_or_404(request, pk))]}
    )


@require_POST
@page(Action.REPLY)
def remove(request, pk: int):
    """Take back a note of one's own, with a way to write it again."""
    found = note_or_404(request, pk)
    if found.by_id != request.user.pk:
        said = _("Only whoever wrote a note can remove it.")
        return render(request, "inbox/refused.html", {"message": said}, status=422)
    address = f"/inbox/{found.conversation_id}/notes/"
    again = {"text": found.text, "named": noting.named_in(found)}
    noting.remove(found)
    return showing.with_toast(HttpResponse(""), _("Note removed"), undo=address, values=again)


@require_GET
@page(Action.READ)
def people(request, pk: int):
    """Colleagues whose name begins like this and who may see what is written here."""
    text = request.GET.get("q", "").strip()[:60]
    team = queries.who_may_see(conversation_or_404(request, pk)).exclude(pk=request.user.pk)
    found = team.filter(name__icontains=text) | team.filter(email__istartswith=text)
    shown = found.order_by("name", "email")[:MOST_OFFERED]
    return render(request, "inbox/people.html", {"people": shown})


@require_GET
@page(Action.READ)
def mentions(request):
    """Where this person was named, latest first; looking at it is having seen it."""
    try:
        after = int(request.GET["after"]) if request.GET.get("after") else None
    except ValueError:
        return HttpResponseBadRequest("after")
    found = noting.mentions(request.user, after)
    context = {
        "section": "mentions",
        "rows": found.rows,
        "next": found.next,
        "is_first_page": after is None,
    }
    if after is None:
        noting.mark_seen(request.user, now=timezone.now())
    template = "mentions/rows.html" if request.htmx else "mentions/mentions.html"
    return tell_unread(render(request, template, context), request.user)
