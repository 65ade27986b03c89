"""Canned replies where one writes: found by their short word, filled in for this lead."""

from django.shortcuts import render
from django.views.decorators.http import require_GET

from messaging import canned
from messaging.views.access import conversation_or_404, page
from tenants.permissions import Action

LONGEST_SEARCH = 60


@require_GET
@page(Action.REPLY)
def offered(request, pk: int):
    """The replies that are meant, each as it would be sent in this conversation."""
    conversation = conversation_or_404(request, pk)
    found = canned.offered(request.GET.get("q", "")[:LONGEST_SEARCH].replace("\0", ""))
    filled = [
        (each, canned.filled_in(each, conversation, by=request.user, tenant=request.tenant))
        for each in found
    ]
    return render(request, "inbox/replies.html", {"replies": filled})
