"""WhatsApp's 24 hours in the composer, and the templates that may be sent at any time."""

import uuid

from django.core.files.uploadedfile import UploadedFile
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods
from django_htmx.http import trigger_client_event

from messaging import media, outbox, templates, windows
from messaging.forms import TemplateForm
from messaging.models import Conversation, Message, MessageFile, MessageTemplate
from messaging.views import showing
from messaging.views.access import conversation_or_404, page
from tenants import limits
from tenants.models import ProviderInstance
from tenants.permissions import Action

MOST_TEMPLATES = 200


@require_GET
@page(Action.REPLY)
def window(request, pk: int):
    """How long one may still answer freely; nothing where that is always so."""
    conversation = conversation_or_404(request, pk)
    found = windows.of(conversation, timezone.now())
    if found is None:
        return HttpResponse(status=204)
    return render(request, "inbox/window.html", {"conversation": conversation, "window": found})


@require_GET
@page(Action.REPLY)
def choose(request, pk: int):
    """The dialog with the templates that can be sent in a conversation."""
    conversation = conversation_or_404(request, pk)
    listed = templates.sendable(_number_or_404(request, conversation))[:MOST_TEMPLATES]
    return render(
        request, "inbox/templates.html", {"conversation": conversation, "templates": listed}
    )


@require_http_methods(["GET", "POST"])
@page(Action.REPLY)
def fill(request, pk: int, template: int):
    """One template: its places to fill in and how it will read; and its sending."""
    conversation = conversation_or_404(request, pk)
    number = _number_or_404(request, conversation)
    chosen = templates.of(number).filter(pk=template).first()
    if chosen is None:
        raise Http404("no such template")
    if request.method == "GET":
        return _shown(request, conversation, chosen, {}, uuid.uuid4())
    form = TemplateForm(request.POST, request.FILES)
    typed = _typed(request, chosen)
    if not form.is_valid():
        return _shown(request, conversation, chosen, typed, uuid.uuid4(), form.first_error())
    reference = form.cleaned_data["reference"] or uuid.uuid4()
    try:
        message = _send(request.user, conversation, chosen, typed, form.cleaned_data, reference)
    except (outbox.Refused, limits.LimitReached, media.NotTaken) as refusal:
        wrong = (getattr(refusal, "field", "") or "").removeprefix("template.variables.")
        return _shown(request, conversation, chosen, typed, reference, refusal.message, wrong)
    if not request.htmx:
        return redirect("messaging:conversation", conversation.pk)
    sent = {"conversation": conversation.pk, "message": message.pk}
    return trigger_client_event(HttpResponse(status=204), "template-sent", sent)


def _number_or_404(request, conversation: Conversation) -> ProviderInstance:
    number = showing.numbers(request).get(conversation.instance_id)
    if number is None:
        raise Http404("the number is no longer connected")
    return number


def _typed(request, chosen: MessageTemplate) -> dict[str, str]:
    keys = [place.key for place in templates.places(chosen)]
    return {key: request.POST.get(f"variables.{key}", "") for key in keys}


def _send(user, conversation, chosen, typed, given, reference) -> Message:
    upload = given["header"]
    return outbox.queue_template(
        conversation,
        chosen,
        typed,
        origin=Message.Origin.PERSON,
        by=user,
        files=[_kept(upload, user)] if upload else [],
        reference=reference,
    )


def _kept(upload: UploadedFile, user) -> MessageFile:
    return media.take(upload, by=user)


def _shown(request, conversation, chosen, typed, reference, problem="", wrong=""):
    context = {
        "conversation": conversation,
        "template": chosen,
        "places": [(place, typed.get(place.key, "")) for place in templates.places(chosen)],
        "file_kind": templates.needs_file(chosen),
        "header": templates.pieces(chosen, "header") if chosen.header_kind == "text" else [],
        "body": templates.pieces(chosen, "body"),
        "typed": typed,
        "reference": reference,
        "problem": problem,
        "wrong": wrong,
    }
    return render(request, "inbox/template.html", context)
