"""What one can still do with a message: react to it, answer it, change it, withdraw it."""

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import trigger_client_event

from messaging import quoting, reacting, revising
from messaging.models import Message
from messaging.views.access import message_or_404, page
from tenants import limits
from tenants.permissions import Action


@require_safe
@page(Action.REPLY)
def acts(request, pk: int):
    """The dialog of a message."""
    return _shown(request, message_or_404(request, pk))


@require_POST
@page(Action.REPLY)
def edit(request, pk: int):
    """Have a message given another text."""
    message = message_or_404(request, pk)
    text = request.POST.get("text", "")
    try:
        revising.edit(message, text, by=request.user, now=timezone.now())
    except (revising.Refused, limits.LimitReached) as refusal:
        return _shown(request, message, typed=text, problem=refusal.message)
    return _done(request, message)


@require_POST
@page(Action.REPLY)
def withdraw(request, pk: int):
    """Have a message taken back for everyone."""
    message = message_or_404(request, pk)
    try:
        revising.withdraw(message, by=request.user, now=timezone.now())
    except (revising.Refused, limits.LimitReached) as refusal:
        return _shown(request, message, problem=refusal.message)
    return _done(request, message)


@require_POST
@page(Action.REPLY)
def react(request, pk: int):
    """Put an emoji on a message, or take one's own back."""
    message = message_or_404(request, pk)
    emoji = request.POST.get("emoji", "")
    try:
        reacting.react(message, emoji, by=request.user, now=timezone.now())
    except (reacting.Refused, limits.LimitReached) as refusal:
        wrong = getattr(refusal, "field", "") or ""
        return _shown(request, message, emoji=emoji, problem=refusal.message, wrong=wrong)
    return _done(request, message)


def _shown(
    request,
    message: Message,
    *,
    typed: str = "",
    emoji: str = "",
    problem: str = "",
    wrong: str = "",
) -> HttpResponse:
    now = timezone.now()
    refused = revising.refusal(message, now)
    context = {
        "message": message,
        "may_react": reacting.may_react(message, now),
        "usual_emojis": reacting.USUAL,
        "our_emoji": reacting.ours(message),
        "typed_emoji": "" if emoji in reacting.USUAL else emoji,
        "wrong": wrong,
        "text": typed or (refused and refused["text"]) or message.text,
        "may_be_quoted": quoting.may_be_quoted(message, message.conversation, now),
        "may_edit": revising.may_edit(message, now),
        "may_withdraw": revising.may_withdraw(message, now),
        "problem": problem,
    }
    if not problem and not any(context[name] for name in ("may_react", "may_edit", "may_withdraw")):
        context["problem"] = _("This message can no longer be changed or withdrawn.")
    return render(request, "inbox/message_acts.html", context)


def _done(request, message: Message) -> HttpResponse:
    if not request.htmx:
        return redirect("messaging:conversation", message.conversation_id)
    changed = {"conversation": message.conversation_id, "message": message.pk}
    return trigger_client_event(HttpResponse(status=204), "message-revised", changed)
