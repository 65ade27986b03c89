"""What is one person's own: drafts, being told, saying that one is answering."""

from datetime import timedelta

from django.contrib import messages
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from messaging import drafting, realtime
from messaging.forms import PreferencesForm
from messaging.models import Message
from messaging.refusing import LONGEST_TEXT
from messaging.templatetags import saying
from messaging.views.access import conversation_or_404, message_or_404, note_or_404, page
from tenants.accounts.models import ToldOf, User
from tenants.permissions import Action

# A page that comes back after a night does not ring for what came in meanwhile.
NEWS_WITHIN = timedelta(minutes=5)
SHOWN_WORDS = 140


@require_POST
@page(Action.REPLY)
def draft(request, pk: int):
    """Keep what was typed so far."""
    text = request.POST.get("text", "").replace("\0", "")[:LONGEST_TEXT]
    drafting.keep(conversation_or_404(request, pk), request.user, text)
    return HttpResponse(status=204)


@require_http_methods(["GET", "POST"])
@page(Action.REPLY)
def answering(request, pk: int):
    """POST: this person is writing here. GET: the sentence that says so of a colleague."""
    conversation = conversation_or_404(request, pk)
    if request.method == "POST":
        realtime.publish("answering", conversation=conversation.pk, user=request.user.pk)
        return HttpResponse(status=204)
    who = request.GET.get("user", "")
    known = who.isdecimal() and len(who) < 19
    person = User.objects.filter(pk=int(who), is_active=True).first() if known else None
    if person is None:
        return HttpResponse(status=204)
    return render(request, "inbox/answering.html", {"person": person})


@require_GET
@page(Action.READ)
def notice(request, pk: int):
    """What to tell of a message that just came in; 204 where this person wants no word of it."""
    message = message_or_404(request, pk)
    conversation = message.conversation
    is_news = timezone.now() - message.received_at < NEWS_WITHIN
    if message.direction != Message.Direction.IN or message.deleted_at or not is_news:
        return HttpResponse(status=204)
    if not _wants(request.user, conversation.assignee_id):
        return HttpResponse(status=204)
    said = message.text if message.kind == "text" else saying.kind_word(message.kind)
    return _told(request.user, saying.named(conversation), said, conversation.pk, message=pk)


@require_GET
@page(Action.READ)
def note_notice(request, pk: int):
    """What to tell of a note that names this person."""
    note = note_or_404(request, pk)
    if not note.mentions.filter(user=request.user, seen_at=None).exists():
        return HttpResponse(status=204)
    title = _("%(name)s named you in a note") % {"name": note.by or _("Somebody")}
    return _told(request.user, title, note.text, note.conversation_id, note=pk)


@require_http_methods(["GET", "POST"])
@page(Action.READ)
def preferences(request):
    """How this person wants to be told."""
    form = PreferencesForm(request.POST or None, instance=request.user)
    if request.method == "POST" and form.is_valid():
        form.save(commit=False).save(update_fields=list(form.cleaned_data))
        messages.success(request, _("Saved"))
        return redirect("messaging:preferences")
    return render(request, "preferences.html", {"form": form, "section": "preferences"})


def _wants(user, assignee: int | None) -> bool:
    if user.told_of == ToldOf.MINE:
        return assignee in (None, user.pk)
    return user.told_of == ToldOf.ALL


def _told(user, title: str, said: str, conversation: int, **place: int) -> JsonResponse:
    [(kind, pk)] = place.items()
    address = reverse("messaging:conversation", args=[conversation])
    return JsonResponse(
        {
            "title": str(title),
            "body": str(said)[:SHOWN_WORDS] if user.told_in_words else "",
            "url": f"{address}?{kind}={pk}",
            "tag": f"{kind}-{pk}",
        }
    )
