"""Which tags a lead carries."""

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_POST

from messaging import tagging
from messaging.forms import TagsForm
from messaging.models import Lead, Tag
from messaging.views.access import page
from tenants.permissions import Action


@require_POST
@page(Action.EDIT_LEADS)
def lead_tags(request, pk: int):
    """The lead carries these tags and no others; answers with the tags as they now stand."""
    lead = get_object_or_404(Lead, pk=pk)
    if lead.merged_into_id:
        raise Http404("merged into another lead")
    form = TagsForm(request.POST)
    if not form.is_valid():
        return HttpResponse(form.first_error(), status=422)
    tagging.put_on(lead, form.cleaned_data["tags"])
    context = {"lead": lead, "all_tags": list(Tag.objects.all()), "is_open": True}
    return render(request, "leads/tags.html", context)
