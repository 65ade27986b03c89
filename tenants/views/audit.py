"""The audit's page: searched, read on, taken away as a file."""

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from tenants import audit, audit_csv
from tenants.accounts.models import AuditEntry
from tenants.forms import AuditForm
from tenants.permissions import Action
from tenants.views.access import tenant_page

PAGE = 50
_PLACE = {"section": "settings", "tab": "audit"}


@require_safe
@tenant_page(Action.SEE_AUDIT)
def show(request):
    """The newest entries that fit, those of the team or those of the platform's staff."""
    form = AuditForm(request.GET)
    if not form.is_valid():
        return render(request, "settings/audit.html", {**_PLACE, "form": form}, status=400)
    shown = _entries(request, form, PAGE + 1)
    kept = {name: value for name, value in request.GET.items() if name != "before" and value}
    more = {**kept, "before": shown[PAGE - 1].pk} if len(shown) > PAGE else None
    facts = {
        **_PLACE,
        "form": form,
        "entries": [_described(entry) for entry in shown[:PAGE]],
        "more": urlencode(more) if more else "",
        "kept": urlencode(kept),
        "is_narrowed": bool(kept),
    }
    return render(request, "settings/audit.html", facts)


@require_safe
@tenant_page(Action.SEE_AUDIT)
def export(request):
    """The entries that fit, as a file."""
    form = AuditForm(request.GET)
    if not form.is_valid():
        return HttpResponse(next(iter(form.errors.values()))[0], status=400)
    found = _entries(request, form, audit_csv.MOST_ROWS + 1)
    return audit_csv.answer(found, f"audit-{request.tenant.slug}")


def _entries(request, form: AuditForm, most: int) -> list[AuditEntry]:
    if form.cleaned_data["whose"] == AuditForm.PLATFORM:
        return audit.by_platform(request.tenant.number, form.asked(), most)
    return audit.entries(form.asked(), most)


def _described(entry) -> dict:
    names = dict.fromkeys([*entry.before, *entry.after])
    changes = [(name, entry.before.get(name), entry.after.get(name)) for name in names]
    origin = "" if "address" in entry.get_deferred_fields() else entry.address
    words = audit.ACTS.get(entry.act, entry.act)
    return {"entry": entry, "origin": origin, "words": words, "changes": changes}
