"""The tenant's EspoCRM: linked, tested, looked after, ended."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST

from messaging import recognising
from messaging.espo import linking, showing, turns
from messaging.settings_forms import CrmForm, CrmStagesForm
from messaging.views.access import page
from tenants.models import CrmLink
from tenants.permissions import Action


@require_http_methods(["GET", "HEAD", "POST"])
@page(Action.MANAGE_SETTINGS)
def crm(request):
    """How the link stands; linking, or another address or key."""
    known = turns.mine()
    if request.method != "POST":
        return _shown(request, known, CrmForm(initial={"url": known.url} if known else None))
    form = CrmForm(request.POST)
    if not form.is_valid():
        return _shown(request, known, form, status=400)
    typed = form.cleaned_data
    try:
        found = linking.link(typed["url"], typed["api_key"], by=request.user)
    except linking.WrongLink as wrong:
        form.add_error(wrong.field, wrong.message)
        return _shown(request, known, form, status=400)
    _tell(request, found, _("EspoCRM is linked. Its leads are being read."))
    return redirect("messaging:crm")


@require_POST
@page(Action.MANAGE_SETTINGS)
def stages(request):
    """What each status means here."""
    known = turns.mine()
    if known is None:
        return redirect("messaging:crm")
    form = CrmStagesForm(request.POST, crm=known)
    if not form.is_valid():
        return _shown(request, known, CrmForm(initial={"url": known.url}), form, status=400)
    linking.choose_stages(known, form.chosen(), by=request.user)
    messages.success(request, _("Saved"))
    return redirect("messaging:crm")


@require_POST
@page(Action.MANAGE_SETTINGS)
def test(request):
    """Ask EspoCRM whether all is well."""
    known = turns.mine()
    if known is not None:
        try:
            _tell(request, linking.test(known), _("EspoCRM answers, and the key is good."))
        except linking.WrongLink as wrong:
            messages.error(request, wrong.message)
    return redirect("messaging:crm")


@require_POST
@page(Action.MANAGE_SETTINGS)
def synchronise(request):
    """Read and tell now."""
    known = turns.mine()
    if known is not None:
        linking.synchronise_now(known)
        messages.success(request, _("It is being synchronised; look again in a moment."))
    return redirect("messaging:crm")


@require_POST
@page(Action.MANAGE_SETTINGS)
def retry(request):
    """Tell again what failed."""
    known = turns.mine()
    if known is not None:
        count = linking.retry(known, by=request.user)
        said = ngettext("%(count)s is told again.", "%(count)s are told again.", count)
        messages.success(request, said % {"count": count})
    return redirect("messaging:crm")


@require_POST
@page(Action.MANAGE_SETTINGS)
def unlink(request):
    """End the link."""
    known = turns.mine()
    if known is not None:
        linking.unlink(known, by=request.user)
        messages.success(request, _("EspoCRM is no longer linked."))
    return redirect("messaging:crm")


def _tell(request, found: linking.Found, said: str) -> None:
    messages.success(request, said)
    for words in found.may_not:
        messages.warning(request, _("The API user may not %(what)s.") % {"what": words})


def _shown(
    request,
    known: CrmLink | None,
    form: CrmForm,
    stages_form: CrmStagesForm | None = None,
    *,
    status: int = 200,
) -> HttpResponse:
    facts = {
        "section": "settings",
        "tab": "crm",
        "crm": known,
        "form": form,
        "correlation": recognising.correlation(timezone.now()),
    }
    if known is not None:
        facts |= {
            "standing": showing.standing(known),
            "stages_form": stages_form or CrmStagesForm(crm=known),
        }
    return render(request, "settings/crm.html", facts, status=status)
