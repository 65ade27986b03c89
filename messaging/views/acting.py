"""What people do with a conversation: answer, retry, assign, close, reopen."""

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from messaging import conversing, drafting, outbox, queries
from messaging.filters import Filters
from messaging.forms import AssignForm, FileReplyForm
from messaging.models import Conversation, Message
from messaging.views import showing
from messaging.views.access import conversation_or_404, message_or_404, page
from tenants import limits
from tenants.accounts.models import User
from tenants.permissions import Action


@require_POST
@page(Action.REPLY)
def send(request, pk: int):
    """Queue what was typed. The same reference twice is one message."""
    conversation = conversation_or_404(request, pk)
    form = FileReplyForm(request.POST, conversation=conversation, user=request.user)
    if not form.is_valid():
        return _refused(request, form.first_error())
    quoted = form.cleaned_data["reply_to"]
    try:
        message = outbox.queue(
            conversation,
            form.cleaned_data["text"],
            origin=Message.Origin.PERSON,
            by=request.user,
            subject=form.cleaned_data["subject"],
            reply_to=quoted.external_id if quoted else "",
            files=[file] if (file := form.cleaned_data["file"]) else [],
            reference=form.cleaned_data["reference"],
        )
    except (outbox.Refused, limits.LimitReached) as refusal:
        return _refused(request, refusal.message)
    drafting.sent(conversation, request.user, request.POST.get("text", ""))
    if message.conversation_id != conversation.pk:
        said = _("This message was already sent elsewhere. Please write it again.")
        return _refused(request, said)
    if not request.htmx:
        return redirect("messaging:conversation", conversation.pk)
    return render(request, "inbox/entries.html", showing.one(request, message), status=201)


@require_POST
@page(Action.REPLY)
def retry(request, pk: int):
    """Queue a failed message again."""
    message = message_or_404(request, pk)
    try:
        limits.require_may_send(request.tenant.number)
        message = outbox.retry(message)
    except (outbox.Refused, limits.LimitReached) as refusal:
        return _refused(request, refusal.message)
    return render(request, "inbox/entries.html", showing.one(request, message))


@require_safe
@page(Action.ASSIGN)
def assignment(request, pk: int):
    """The team, to choose who looks after a conversation."""
    conversation = conversation_or_404(request, pk)
    team = User.objects.filter(is_active=True).order_by("name", "email")
    return render(request, "inbox/assign.html", {"conversation": conversation, "team": team})


@require_POST
@page(Action.ASSIGN)
def assign(request, pk: int):
    """Make somebody responsible, or nobody."""
    conversation = conversation_or_404(request, pk)
    form = AssignForm(request.POST)
    if not form.is_valid():
        return _refused(request, form.first_error())
    before = conversation.assignee_id
    to = form.cleaned_data["to"]
    conversing.assign(conversation, to=to, by=request.user)
    return _changed(
        request,
        conversation,
        _("Assigned to %(name)s") % {"name": to} if to else _("No longer assigned"),
        undo="assign",
        values={"to": before or ""},
    )


@require_POST
@page(Action.CLOSE)
def close(request, pk: int):
    """Put a conversation away until somebody writes again."""
    conversation = conversation_or_404(request, pk)
    conversing.close(conversation, by=request.user, now=timezone.now())
    return _changed(request, conversation, _("Conversation closed"), undo="reopen")


@require_POST
@page(Action.CLOSE)
def reopen(request, pk: int):
    """Bring a conversation back."""
    conversation = conversation_or_404(request, pk)
    conversing.reopen(conversation, by=request.user)
    return _changed(request, conversation, _("Conversation reopened"), undo="close")


def _changed(request, conversation: Conversation, said: str, *, undo: str, values=None):
    context = {**showing.head(request, conversation), "filters": Filters.read(request.POST)}
    response = render(request, "inbox/head.html", context)
    showing.with_change(response, conversation)
    if not queries.is_visible(conversation, request.user):
        return showing.with_toast(response, said)
    way_back = f"/inbox/{conversation.pk}/{undo}/"
    return showing.with_toast(response, said, undo=way_back, values=values)


def _refused(request, message) -> HttpResponse:
    return render(request, "inbox/refused.html", {"message": message}, status=422)
