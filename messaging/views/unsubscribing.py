"""The page behind the link of an e-mail, where its reader says that they want no more."""

from django.conf import settings
from django.http import Http404
from django.shortcuts import render
from django.utils import timezone, translation
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from messaging import addressing, mailing, optouts, realtime
from messaging.models import LeadIdentity
from tenants import context, directory
from tenants.models import Tenant


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request, ticket: str):
    """Ask first: programs that look at every link of a mail must not unsubscribe its reader.

    A mail program's one click is a POST (RFC 8058) without cookie or token; the link itself proves
    who may say so.
    """
    found = mailing.read_ticket(ticket)
    if found is None:
        raise Http404("no such link")
    try:
        tenant = directory.tenant_numbered(found.tenant)
    except Tenant.DoesNotExist as exc:
        raise Http404("no such tenant") from exc
    with context.entered(tenant):
        identity = LeadIdentity.objects.filter(pk=found.identity).first()
        if identity is None:
            raise Http404("forgotten")
        if request.method == "POST":
            identity = _wish(identity, opted_out="again" not in request.POST)
    shown = {"tenant_name": tenant.name, "address": identity.value, "out": identity.opted_out}
    with translation.override(_language(request, tenant)):
        return render(request, "unsubscribe.html", shown)


def _wish(identity: LeadIdentity, *, opted_out: bool) -> LeadIdentity:
    optouts.change(
        [addressing.Address(identity.kind, identity.value)],
        opted_out=opted_out,
        by=optouts.Source.LINK,
        at=timezone.now(),
    )
    for conversation in optouts.conversations_at([identity]):
        realtime.publish("conversation", conversation=conversation)
    identity.refresh_from_db()
    return identity


def _language(request, tenant: Tenant) -> str:
    """The reader's own, where the browser says one that we have; else the tenant's."""
    said = settings.LANGUAGE_COOKIE_NAME in request.COOKIES or "Accept-Language" in request.headers
    return translation.get_language_from_request(request) if said else tenant.language
