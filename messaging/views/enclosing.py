"""Sending what is no text: the dialogs of a place, a contact card, a poll, and their sending."""

import uuid
from collections.abc import Mapping
from functools import partial
from typing import Any

from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods
from django_htmx.http import trigger_client_event

from messaging import enclosing, outbox, searching
from messaging.addressing import Kind
from messaging.forms import ContactForm, PlaceForm, PollForm
from messaging.models import Conversation, Lead, Message
from messaging.templatetags.saying import lead_named
from messaging.views import showing
from messaging.views.access import conversation_or_404, page
from tenants import limits
from tenants.permissions import Action

MOST_FOUND = 8


@require_http_methods(["GET", "POST"])
@page(Action.REPLY)
def place(request, pk: int):
    """The dialog of a place, and its sending."""
    conversation = _conversation_or_404(request, pk)
    form = PlaceForm(_typed(request), conversation=conversation)
    return _answer(request, conversation, enclosing.PLACE, form)


@require_http_methods(["GET", "POST"])
@page(Action.REPLY)
def contact(request, pk: int):
    """The dialog of a contact card and its sending; for whoever fills it in from a lead, the leads
    that were found, then the fields of the one that was chosen."""
    conversation = _conversation_or_404(request, pk)
    if request.method == "GET" and "lead" in request.GET:
        chosen = {"typed": _card_of(request), "was_chosen": True}
        return render(request, "inbox/contact_fields.html", chosen)
    if request.method == "GET" and "q" in request.GET:
        return render(request, "inbox/contact_found.html", _found(request, conversation))
    form = ContactForm(_typed(request), conversation=conversation)
    return _answer(request, conversation, enclosing.CONTACT, form)


@require_http_methods(["GET", "POST"])
@page(Action.REPLY)
def poll(request, pk: int):
    """The dialog of a poll, and its sending."""
    conversation = _conversation_or_404(request, pk)
    form = PollForm(_typed(request), conversation=conversation)
    return _answer(request, conversation, enclosing.POLL, form)


def _answer(request, conversation: Conversation, what: str, form) -> HttpResponse:
    context = {"conversation": conversation, "typed": request.POST, "reference": uuid.uuid4()}
    shown = partial(render, request, f"inbox/{what}.html")
    if request.method == "GET":
        return shown(context)
    if not form.is_valid():
        return shown({**context, "problem": form.first_error(), "wrong": next(iter(form.errors))})
    context["reference"] = form.cleaned_data["reference"] or context["reference"]
    try:
        message = _send(request.user, conversation, what, form.cleaned_data, context["reference"])
    except (outbox.Refused, limits.LimitReached) as refusal:
        field = (getattr(refusal, "field", "") or "").removeprefix(f"{what}.").partition(".")[0]
        wrong = field if field in form.fields else ""
        return shown({**context, "problem": refusal.message, "wrong": wrong})
    if message.conversation_id != conversation.pk:
        said = _("This message was already sent elsewhere. Please write it again.")
        return shown({**context, "problem": said, "reference": uuid.uuid4()})
    if not request.htmx:
        return redirect("messaging:conversation", conversation.pk)
    sent = {"conversation": conversation.pk, "message": message.pk}
    return trigger_client_event(HttpResponse(status=204), "message-sent", sent)


def _send(user, conversation, what: str, typed: Mapping[str, Any], reference) -> Message:
    quoted = typed["reply_to"]
    return outbox.queue_enclosed(
        conversation,
        what,
        typed,
        origin=Message.Origin.PERSON,
        by=user,
        reply_to=quoted.external_id if quoted else "",
        reference=reference,
    )


def _found(request, conversation: Conversation) -> dict[str, Any]:
    """The leads that are looked for, each with the numbers it has."""
    text = request.GET["q"].strip()[:100]
    rows = searching.leads(text, size=MOST_FOUND).rows if text else []
    found = [(lead, _phones_of(lead)) for lead in rows]
    return {"conversation": conversation, "text": text, "found": found}


def _card_of(request) -> dict[str, str]:
    """The name of the lead that was chosen, and the number that was."""
    pk = request.GET["lead"]
    is_id = pk.isdecimal() and len(pk) < 19
    lead = Lead.objects.filter(pk=int(pk)).first() if is_id else None
    if lead is None:
        raise Http404("no such lead")
    phones = _phones_of(lead)
    wanted = request.GET.get("phone", "")
    phone = wanted if wanted in phones else next(iter(phones), "")
    return {"name": lead_named(lead), "phone": phone}


def _phones_of(lead: Lead) -> list[str]:
    return [each.value for each in lead.identities.all() if each.kind == Kind.PHONE]


def _typed(request) -> QueryDict | None:
    return request.POST if request.method == "POST" else None


def _conversation_or_404(request, pk: int) -> Conversation:
    conversation = conversation_or_404(request, pk)
    if conversation.instance_id not in showing.numbers(request):
        raise Http404("the number is no longer connected")
    return conversation
