"""Leads: the list, one lead, the panel beside a conversation, a first message."""

import uuid

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseBadRequest
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect

from messaging import (
    activities,
    handling,
    merging,
    outbox,
    pipeline,
    queries,
    recognising,
    searching,
)
from messaging.espo import showing as showing_crm
from messaging.filters import Filters
from messaging.forms import LeadForm, NoteForm, StartForm
from messaging.models import Lead, Message, Stage, Tag
from messaging.views import showing
from messaging.views.access import conversation_or_404, page
from tenants import limits
from tenants.permissions import Action

MOST_CONVERSATIONS = 50


@require_GET
@page(Action.READ)
def leads(request):
    """The list of leads, newest first, by name, number or address, by stage and tag, or VIPs."""
    asked = Filters.read(request.GET)
    try:
        after = int(request.GET["after"]) if request.GET.get("after") else None
    except ValueError:
        return HttpResponseBadRequest("after")
    found = searching.leads(asked.text, after, stage=asked.stage, tag=asked.tag, only_vip=asked.vip)
    template = "leads/rows.html" if request.htmx else "leads/leads.html"
    context = {
        "section": "leads",
        "rows": found.rows,
        "next": found.next,
        "text": asked.text,
        "stage": asked.stage,
        "tag": asked.tag,
        "vip": asked.vip,
        "kept": asked.address_among_leads,
        "narrowed": bool(asked.text or asked.stage or asked.tag or asked.vip),
        "is_first_page": after is None,
        "has_unknown": not request.htmx and recognising.are_there_any(),
    }
    if not request.htmx:
        context |= {"stages": Stage.objects.all(), "tags": Tag.objects.all()}
    return render(request, template, context)


@require_GET
@page(Action.READ)
def lead(request, pk: int):
    """One lead: how to reach it, whose it is, what was said, what to remember."""
    found = get_object_or_404(Lead.objects.select_related("owner"), pk=pk)
    if found.merged_into_id:
        return redirect("messaging:lead", found.merged_into_id)
    return _lead_page(request, found, LeadForm(instance=found))


@require_POST
@page(Action.EDIT_LEADS)
def edit(request, pk: int):
    """Save name, owner and note."""
    found = _lead_or_404(pk)
    form = LeadForm(request.POST, instance=found)
    if not form.is_valid():
        return _lead_page(request, found, form, status=422)
    saved = form.save(commit=False)
    if "owner" in form.changed_data:
        saved.owner_since = timezone.now()
    saved.save(update_fields=[*form.cleaned_data, "owner_since", "updated_at"])
    recognising.keep(saved, now=timezone.now())
    activities.touched([saved.pk])
    messages.success(request, _("Saved"))
    return redirect("messaging:lead", pk)


@require_GET
@page(Action.READ)
def panel(request, pk: int):
    """The lead beside its conversation."""
    conversation = conversation_or_404(request, pk)
    about = _about(request.user, conversation.lead)
    stage = conversation.lead.stage or pipeline.first_stage()
    others = [each for each in about["conversations"] if each.pk != conversation.pk]
    context = {**about, "conversation": conversation, "stage": stage, "conversations": others}
    return render(request, "inbox/panel.html", context)


@require_POST
@page(Action.EDIT_LEADS)
def note(request, pk: int):
    """Save the note alone; answers with the word that says so."""
    form = NoteForm(request.POST, instance=_lead_or_404(pk))
    if not form.is_valid():
        return HttpResponse(form.errors["note"][0], status=422)
    form.save(commit=False).save(update_fields=["note", "updated_at"])
    return HttpResponse(_("Saved"))


@require_POST
@page(Action.EDIT_LEADS)
def vip(request, pk: int):
    """The lead is a VIP, or is none any more; answers with how that now stands."""
    found = _lead_or_404(pk)
    is_vip = request.POST.get("vip") == "1"
    handling.prefer(found, is_vip=is_vip, by=request.user, now=timezone.now())
    if not request.htmx:
        return redirect("messaging:lead", pk)
    return render(request, "leads/vip.html", {"lead": found, "was_changed": True})


@require_http_methods(["GET", "POST"])
@page(Action.START)
def start(request):
    """The dialog of a first message, and its sending."""
    numbers = list(showing.numbers(request).values())
    if request.method == "GET":
        return _dialog(request, numbers, StartForm(numbers=numbers, initial=_asked(request)))
    form = StartForm(request.POST, numbers=numbers)
    if not form.is_valid():
        return _dialog(request, numbers, form, form.first_error())
    try:
        message = _start(request.user, form.cleaned_data)
    except (outbox.Refused, limits.LimitReached) as refusal:
        field = getattr(refusal, "field", None)
        held_in = getattr(refusal, "facts", {}).get("conversation")
        return _dialog(request, numbers, form, refusal.message, wrong=field, held_in=held_in)
    address = reverse("messaging:conversation", args=[message.conversation_id])
    return HttpResponseClientRedirect(address) if request.htmx else redirect(address)


def _start(user, typed: dict) -> Message:
    return outbox.start(
        typed["to"],
        typed["text"],
        origin=Message.Origin.PERSON,
        instance_id=typed["instance"],
        lead=typed["lead"],
        by=user,
        subject=typed["subject"],
        reference=typed["reference"],
    )


def _asked(request) -> dict:
    pk = request.GET.get("lead", "")
    known = Lead.objects.filter(pk=int(pk)).first() if pk.isdecimal() and len(pk) < 19 else None
    return {"lead": known, "reference": uuid.uuid4()}


def _dialog(request, numbers, form, problem="", wrong=None, held_in=None):
    context = {
        "form": form,
        "numbers": numbers,
        "has_subject": any(showing.has_subject(each.provider) for each in numbers),
        "lead": form.cleaned_data.get("lead") if form.is_bound else form.initial["lead"],
        "problem": problem,
        "wrong": wrong,
        "held_in": held_in,
    }
    return render(request, "inbox/start.html", context)


def _lead_page(request, found: Lead, form: LeadForm, status: int = 200):
    context = {
        **_about(request.user, found),
        "form": form,
        "merges": list(merging.of(found)),
        "in_crm": showing_crm.address_of(found),
    }
    return render(request, "leads/lead.html", context, status=status)


def _lead_or_404(pk: int) -> Lead:
    found = get_object_or_404(Lead.objects.select_related("owner"), pk=pk)
    if found.merged_into_id:
        raise Http404("merged into another lead")
    return found


def _about(user, found: Lead) -> dict:
    return {
        "section": "leads",
        "lead": found,
        "all_tags": list(Tag.objects.all()),
        "identities": found.identities.order_by("pk"),
        "conversations": queries.visible_conversations(user)
        .filter(lead=found)
        .order_by("-last_message_at", "-pk")[:MOST_CONVERSATIONS],
    }
