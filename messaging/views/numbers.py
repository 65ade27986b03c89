"""The team's numbers: how each is connected, linking a phone, letting one go."""

from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from messaging import linking, pacing, risks, states
from messaging.forms import PaceForm, RiskForm, StandInForm
from messaging.providers.base import Feature
from messaging.refusing import Refused
from messaging.views.access import page
from tenants.models import ProviderInstance
from tenants.permissions import Action, may

State = ProviderInstance.State


@require_GET
@page(Action.READ)
def numbers(request):
    """Every number and address of the team, those that are away first."""
    mine = ProviderInstance.objects.serving(request.tenant).order_by("pk")
    found = sorted(mine, key=lambda each: (each.state == State.CONNECTED, each.pk))
    cards = [_card(request, each) for each in found]
    context = {
        "section": "settings",
        "tab": "numbers",
        "cards": cards,
        "to_confirm": [each["number"] for each in cards if each["risk"] and each["may_confirm"]],
    }
    template = "numbers/cards.html" if request.htmx else "numbers/numbers.html"
    return render(request, template, context)


@require_POST
@page(Action.READ)
def look(request, pk: int):
    """Ask the provider now how a number is."""
    number = _number_or_404(request, pk)
    return _shown(request, linking.look(number))


@require_POST
@page(Action.MANAGE_SETTINGS)
def connect(request, pk: int):
    """Start the connection; an owner's word on the risk comes along where it is missing."""
    number = _number_or_404(request, pk)
    try:
        _require_word(request, number)
        linking.connect(number, by=request.user)
    except Refused as refusal:
        return _shown(request, number, refusal)
    return _shown(request, number)


@require_POST
@page(Action.MANAGE_SETTINGS)
def disconnect(request, pk: int):
    """End the connection, until somebody wants it back."""
    number = _number_or_404(request, pk)
    try:
        linking.disconnect(number, by=request.user)
    except Refused as refusal:
        return _shown(request, number, refusal)
    return _shown(request, number)


@require_POST
@page(Action.ACCEPT_RISKS)
def confirm_risk(request, pk: int):
    """Keep an owner's word that they know what a number risks."""
    number = _number_or_404(request, pk)
    form = RiskForm(request.POST)
    if not form.is_valid():
        return _shown(request, number, Refused("required", form.first_error(), risks.FIELD))
    risks.confirm(number, by=request.user)
    return _shown(request, number)


@require_GET
@page(Action.MANAGE_SETTINGS)
def code(request, pk: int):
    """The code to scan now; asked for again and again while a page shows it."""
    number = _number_or_404(request, pk)
    try:
        risks.require_confirmed(number)
        picture, refused = linking.picture(linking.qr(number)), None
    except Refused as refusal:
        picture, refused = "", refusal.message
    return render(request, "numbers/code.html", {"picture": picture, "refused": refused})


@require_POST
@page(Action.MANAGE_SETTINGS)
def link(request, pk: int):
    """To the provider's own page where the phone is linked."""
    number = _number_or_404(request, pk)
    back = request.build_absolute_uri(reverse("messaging:numbers"))
    try:
        _require_word(request, number)
        return redirect(linking.login_link(number, back))
    except Refused as refusal:
        return _whole_page(request, number, refusal)


@require_POST
@page(Action.MANAGE_SETTINGS)
def stand_in(request, pk: int):
    """Which number sends while this one is away."""
    number = _number_or_404(request, pk)
    form = StandInForm(request.POST, others=linking.may_stand_in(number))
    if not form.is_valid():
        raise Http404("no such number")
    linking.choose_stand_in(number, form.cleaned_data["stand_in"], by=request.user)
    return _shown(request, number)


@require_POST
@page(Action.MANAGE_SETTINGS)
def pace(request, pk: int):
    """How fast a number may send."""
    number = _number_or_404(request, pk)
    form = PaceForm(request.POST)
    if not form.is_valid():
        return _shown(request, number, Refused("pace", form.first_error()))
    pacing.set_limits(number, **form.cleaned_data, by=request.user)
    return _shown(request, number)


def _require_word(request, number: ProviderInstance) -> None:
    """Take an owner's word on the risk where it comes along; `Refused` where it is missing."""
    if RiskForm(request.POST).is_valid():
        risks.confirm(number, by=request.user)
    risks.require_confirmed(number)


def _shown(request, number: ProviderInstance, refusal: Refused | None = None) -> HttpResponse:
    """The number's card where a page asked for that; without JavaScript the whole page."""
    if not request.htmx:
        return _whole_page(request, number, refusal) if refusal else redirect("messaging:numbers")
    context = {"card": _card(request, number, refusal)}
    return render(request, "numbers/card.html", context)


def _whole_page(request, number: ProviderInstance, refusal: Refused) -> HttpResponse:
    context = {"section": "settings", "tab": "numbers", "cards": [_card(request, number, refusal)]}
    return render(request, "numbers/numbers.html", context, status=409)


def _card(request, number: ProviderInstance, refusal: Refused | None = None) -> dict:
    left_alone = states.waits_for_person(number)
    may_change = may(request.user, Action.MANAGE_SETTINGS)
    connects = linking.can(number, Feature.CONNECTS)
    is_connected = number.state == State.CONNECTED
    risk = risks.to_confirm(number)
    of_risk = refusal is not None and refusal.field == risks.FIELD
    return {
        "number": number,
        "is_left_alone": left_alone,
        "may_change": may_change,
        "connects": connects and not is_connected,
        "disconnects": connects and is_connected,
        "is_linked_elsewhere": linking.can(number, Feature.HOSTED_LOGIN) and left_alone,
        "shows_code": not risk and linking.shows_code(number),
        "others": linking.may_stand_in(number) if may_change else [],
        "allowed": pacing.allowed(number, timezone.now()),
        "speed": pacing.speed_of(number),
        "comes_back_at": _later(number),
        "risk": risk,
        "may_confirm": may(request.user, Action.ACCEPT_RISKS),
        "risk_refused": refusal.message if of_risk else "",
        "refused": refusal.message if refusal and not of_risk else "",
    }


def _later(number: ProviderInstance):
    due = number.look_again_at
    return due if due and due > timezone.now() else None


def _number_or_404(request, pk: int) -> ProviderInstance:
    mine = ProviderInstance.objects.serving(request.tenant).select_related("tenant")
    number = mine.filter(pk=pk).first()
    if number is None:
        raise Http404("no such number")
    return number
