"""Settings of the team's work: stages, tags, canned replies."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from messaging import canned, pipeline, tagging
from messaging.models import CannedReply, Stage, Tag
from messaging.settings_forms import CannedReplyForm, IntoStageForm, StageForm, TagForm
from messaging.views.access import page
from tenants.permissions import Action

NOTHING: Mapping = MappingProxyType({})
Wrong = (pipeline.WrongStage, tagging.WrongTag, canned.WrongReply)


@require_http_methods(["GET", "HEAD", "POST"])
@page(Action.MANAGE_SETTINGS)
def stages(request):
    """The pipeline's steps; a new one."""
    return _list_or_add(
        request, "stages", StageForm, lambda form: pipeline.add(**form.facts(), by=request.user)
    )


@require_POST
@page(Action.MANAGE_SETTINGS)
def stage(request, stage: int):
    """Change a step."""
    found = get_object_or_404(Stage, pk=stage)
    form = StageForm.of(found, request.POST)
    return _change(
        request,
        "stages",
        form,
        lambda: pipeline.change(found, **form.facts(), by=request.user),
        of=found,
    )


@require_POST
@page(Action.MANAGE_SETTINGS)
def shift_stage(request, stage: int):
    """Move a step up or down."""
    found = get_object_or_404(Stage, pk=stage)
    pipeline.shift(found, -1 if request.POST.get("way") == "up" else 1, by=request.user)
    return redirect("messaging:stages")


@require_POST
@page(Action.MANAGE_SETTINGS)
def remove_stage(request, stage: int):
    """Take a step away, its leads going into another."""
    found = get_object_or_404(Stage, pk=stage)
    form = IntoStageForm(request.POST)
    return _change(
        request,
        "stages",
        form,
        lambda: pipeline.remove(found, into=form.cleaned_data["into"], by=request.user),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@page(Action.MANAGE_SETTINGS)
def tags(request):
    """The tags that leads can carry; a new one."""
    return _list_or_add(
        request, "tags", TagForm, lambda form: tagging.add(**form.cleaned_data, by=request.user)
    )


@require_POST
@page(Action.MANAGE_SETTINGS)
def tag(request, tag: int):
    """Change a tag."""
    found = get_object_or_404(Tag, pk=tag)
    form = TagForm.of(found, request.POST)
    return _change(
        request,
        "tags",
        form,
        lambda: tagging.change(found, **form.cleaned_data, by=request.user),
        of=found,
    )


@require_POST
@page(Action.MANAGE_SETTINGS)
def remove_tag(request, tag: int):
    """Take a tag away from every lead."""
    tagging.remove(get_object_or_404(Tag, pk=tag), by=request.user)
    messages.success(request, _("Removed"))
    return redirect("messaging:tags")


@require_http_methods(["GET", "HEAD", "POST"])
@page(Action.MANAGE_SETTINGS)
def replies(request):
    """The team's canned replies; a new one."""
    return _list_or_add(
        request,
        "replies",
        CannedReplyForm,
        lambda form: canned.add(**form.cleaned_data, by=request.user),
    )


@require_POST
@page(Action.MANAGE_SETTINGS)
def reply(request, reply: int):
    """Write a canned reply anew."""
    found = get_object_or_404(CannedReply, pk=reply)
    form = CannedReplyForm.of(found, request.POST)
    return _change(
        request,
        "replies",
        form,
        lambda: canned.change(found, **form.cleaned_data, by=request.user),
        of=found,
    )


@require_POST
@page(Action.MANAGE_SETTINGS)
def remove_reply(request, reply: int):
    """Take a canned reply away."""
    canned.remove(get_object_or_404(CannedReply, pk=reply), by=request.user)
    messages.success(request, _("Removed"))
    return redirect("messaging:replies")


def _list_or_add(request, tab: str, form_class, add: Callable[[Any], object]) -> HttpResponse:
    form = form_class(request.POST or None)
    if request.method != "POST":
        return _shown(request, tab, form)
    if form.is_valid() and _done(form, lambda: add(form)):
        messages.success(request, _("Saved"))
        return redirect(f"messaging:{tab}")
    return _shown(request, tab, form, status=400)


def _change(request, tab: str, form, change: Callable[[], object], *, of=None) -> HttpResponse:
    """Change one of a list. What was typed into the form `of` a row stays there with what is
    wrong; what is wrong with anything else is said above the list."""
    if form.is_valid() and _done(form, change):
        messages.success(request, _("Saved"))
        return redirect(f"messaging:{tab}")
    if of is None:
        return _shown(request, tab, FORMS[tab](), status=400, problem=form.first_error())
    form.put_focus()
    return _shown(request, tab, FORMS[tab](), status=400, typed={of.pk: form})


def _done(form, act: Callable[[], object]) -> bool:
    try:
        act()
    except Wrong as wrong:
        field = getattr(wrong, "field", None)
        form.add_error(field if field in form.fields else None, wrong.message)
        return False
    return True


def _shown(
    request, tab: str, form, *, status: int = 200, problem: str = "", typed: Mapping = NOTHING
) -> HttpResponse:
    rows = FORMS[tab].rows()
    facts = {
        "section": "settings",
        "tab": tab,
        "form": form,
        "rows": [(each, typed.get(each.pk) or FORMS[tab].of(each)) for each in rows],
        "variables": canned.VARIABLES if tab == "replies" else (),
        "problem": problem,
    }
    return render(request, f"settings/{tab}.html", facts, status=status)


FORMS: dict[str, Any] = {"stages": StageForm, "tags": TagForm, "replies": CannedReplyForm}
