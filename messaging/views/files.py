"""Files of messages: uploading them, showing them, trying again, answering with their content."""

from django.conf import settings
from django.core.files.storage import default_storage
from django.core.handlers.asgi import ASGIRequest
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from messaging import links, media, queries, sniffing
from messaging.models import MessageFile
from messaging.providers import get as provider_of
from messaging.providers.base import Feature
from messaging.views import showing
from messaging.views.access import conversation_or_404, page
from messaging.views.ranges import Blocks, BlocksInThreads, Unsatisfiable, asked_range
from tenants import context, directory
from tenants.accounts.models import User
from tenants.models import Tenant
from tenants.permissions import Action, may

# The page of a file is its own: nothing in it runs, loads or is framed. A viewer of PDFs is a
# plugin to browsers and does not start in a sandbox.
_POLICY = "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'"
_SANDBOXED = f"{_POLICY}; frame-ancestors 'none'; sandbox"
_FOR_PDF = f"{_POLICY}; object-src 'self'; frame-ancestors 'none'"
_PREVIEW_TYPE = "image/jpeg"


@require_POST
@page(Action.REPLY)
def upload(request, pk: int):
    """Keep one file for the next message; the answer is what the composer shows of it."""
    conversation = conversation_or_404(request, pk)
    given = request.FILES.get("file")
    if given is None:
        return _refused(request, _("Choose a file."))
    if Feature.MEDIA not in provider_of(conversation.provider).supports:
        return _refused(request, _("Files cannot be sent from this number."))
    try:
        file = media.take(given, by=request.user)
    except media.NotTaken as exc:
        return _refused(request, exc.message)
    return render(request, "inbox/upload.html", {"file": file}, status=201)


@require_POST
@page(Action.REPLY)
def remove(request, pk: int):
    """Take back an upload that was not sent."""
    file = MessageFile.objects.filter(pk=pk, message=None, uploaded_by=request.user).first()
    if file is None:
        raise Http404("no such upload of this person")
    media.drop(file)
    return HttpResponse(status=204)


@require_POST
@page(Action.REPLY)
def retry(request, pk: int):
    """Ask the provider for a file once more; answers with the message as it is now."""
    file = _visible_or_404(request.user, pk)
    if file.message is None:
        raise Http404("no message has this file")
    media.retry(file)
    message = queries.message_of(request.user, file.message_id)
    return render(request, "inbox/entries.html", showing.one(request, message))


@require_safe
@page(Action.READ)
def file(request, pk: int):
    """The address that pages hold; it leads to a signed link of its reader's own."""
    found = _stored_or_404(_visible_or_404(request.user, pk))
    preview = "preview" in request.GET and bool(found.preview_path)
    return redirect(links.on_cdn(links.signed(found, request.user, preview=preview)))


@csrf_exempt
@require_safe
def content(request, token: str):
    """A file's content, for whoever a link was made for.

    The link alone is enough, so that programs and a delivery network can use it; somebody else
    who is signed in here is refused all the same.
    """
    ticket = links.read(token)
    if ticket is None:
        raise Http404("no such link")
    if request.tenant is not None:
        closed = request.tenant.state == Tenant.State.SUSPENDED
        if closed or request.tenant.number != ticket.tenant:
            raise Http404("another tenant's link")
        return _answer(request, _of_ticket(ticket, request.user), ticket.is_preview)
    if not (settings.MEDIA_CDN_URL or ticket.is_for_provider):
        raise Http404("only a delivery network and providers ask at the public host")
    try:
        tenant = directory.tenant_numbered(ticket.tenant)
    except Tenant.DoesNotExist as exc:
        raise Http404("no such tenant") from exc
    if tenant.state == Tenant.State.SUSPENDED:
        raise Http404("closed")
    with context.entered(tenant):
        found = _of_ticket(ticket, None)
    return _answer(request, found, ticket.is_preview)


def _of_ticket(ticket: links.Ticket, reader) -> MessageFile:
    """The file of a link, while whom it was made for may see it."""
    if ticket.is_for_provider:
        return _stored_or_404(_outgoing_or_404(ticket.file))
    if reader is not None and reader.is_authenticated and reader.pk != ticket.user:
        raise Http404("somebody else's link")
    user = User.objects.filter(pk=ticket.user, token_version=ticket.version).first()
    if not may(user, Action.READ):
        raise Http404("nobody's link any more")
    return _stored_or_404(_visible_or_404(user, ticket.file))


def _visible_or_404(user, pk: int) -> MessageFile:
    found = queries.file_of(user, pk)
    if found is None:
        raise Http404("no such file")
    return found


def _outgoing_or_404(pk: int) -> MessageFile:
    found = queries.outgoing_file(pk)
    if found is None:
        raise Http404("not sent, or withdrawn")
    return found


def _stored_or_404(found: MessageFile) -> MessageFile:
    if found.state != MessageFile.State.STORED:
        raise Http404("not here yet, or no more")
    return found


def _answer(request, found: MessageFile, is_preview: bool):
    """The content or a part of it; a browser asks again with its ETag and gets a 304."""
    path = found.preview_path if is_preview else found.path
    etag = f'"{found.sha256}-p"' if is_preview else f'"{found.sha256}"'
    unchanged = get_conditional_response(request, etag=etag)
    if unchanged is not None:
        return _with_headers(unchanged, found, is_preview, etag)
    try:
        size = default_storage.size(path) if is_preview else found.size
        start, end = asked_range(request, size, etag)
        response = _streamed(request, path, start, end)
    except Unsatisfiable as exc:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{exc.size}"})
    except FileNotFoundError as exc:
        raise Http404("its content is missing") from exc
    if end - start < size:
        response.status_code = 206
        response["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    response["Content-Length"] = str(end - start)
    return _with_headers(response, found, is_preview, etag)


def _streamed(request, path: str, start: int, end: int) -> StreamingHttpResponse | HttpResponse:
    if request.method == "HEAD":
        return HttpResponse()
    blocks = Blocks(path, start, end)
    is_async = isinstance(request, ASGIRequest)
    return StreamingHttpResponse(BlocksInThreads(blocks) if is_async else blocks)


def _with_headers(response, found: MessageFile, is_preview: bool, etag: str):
    display = found.display
    is_inline = display != sniffing.Display.FILE
    if is_preview:
        mime_type = _PREVIEW_TYPE
    else:
        mime_type = found.mime_type if is_inline else sniffing.UNKNOWN
    name = found.file_name or f"{found.kind}-{found.pk}"
    response["Content-Type"] = mime_type
    response["Content-Disposition"] = content_disposition_header(not is_inline, name)
    response["ETag"] = etag
    response["Accept-Ranges"] = "bytes"
    response["Cache-Control"] = f"private, max-age={links.VALID_SECONDS}"
    response["X-Content-Type-Options"] = "nosniff"
    response["Cross-Origin-Resource-Policy"] = "same-site"
    response["Content-Security-Policy"] = (
        _FOR_PDF if display == sniffing.Display.PDF else _SANDBOXED
    )
    return response


def _refused(request, message) -> HttpResponse:
    return render(request, "inbox/refused.html", {"message": message}, status=422)
