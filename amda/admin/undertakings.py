"""What staff set going, in the admin: how far it is, what came of it, the export to take away."""

from django.contrib import admin
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.core.files.storage import default_storage
from django.core.handlers.asgi import ASGIRequest
from django.http import Http404, StreamingHttpResponse
from django.urls import path, reverse
from django.utils.http import content_disposition_header
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display

from messaging.views.ranges import Blocks, BlocksInThreads
from tenants import audit, expiring
from tenants.models import Undertaking

SALT = "amda.admin.export"
LINK_SECONDS = 600
State = Undertaking.State
LABELS = {
    State.WAITING: "info",
    State.RUNNING: "warning",
    State.DONE: "success",
    State.FAILED: "danger",
}


@admin.register(Undertaking)
class UndertakingAdmin(ModelAdmin):
    """Exports, erasures and replays; the page of one follows it."""

    list_display = ("__str__", "live_state", "progress", "by_name", "asked_at", "ended_at")
    list_filter = ("kind", "state", "asked_at")
    search_fields = ("slug", "=tenant_number", "by_name")
    ordering = ("-id",)
    change_form_outer_before_template = "admin/vendors/undertaking.html"

    @display(description=_("state"), ordering="state", label=LABELS)
    def live_state(self, undertaking):
        return undertaking.state, undertaking.get_state_display()

    @display(description=_("progress"))
    def progress(self, undertaking):
        return f"{undertaking.percent} %"

    def get_fieldsets(self, request, obj=None):
        """None: the page says it all above."""
        return []

    def get_urls(self):
        def guarded(*args, **kwargs):
            return self.admin_site.admin_view(self.download)(*args, **kwargs)

        guarded.model_admin = self
        pattern = "<path:object_id>/download/"
        return [path(pattern, guarded, name="undertaking_download"), *super().get_urls()]

    def change_view(self, request, object_id, form_url="", extra_context=None):
        undertaking = self.get_object(request, object_id)
        facts = _zip_of(undertaking, request.user) if undertaking else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **facts})

    def download(self, request, object_id):
        """The zip, for whom the link was made and while it is fresh."""
        undertaking = self.get_object(request, object_id)
        if undertaking is None or not undertaking.path:
            raise Http404("no such export")
        if not _is_good(request.GET.get("key", ""), undertaking, request.user):
            raise PermissionDenied("this link is over")
        if not expiring.may_be_fetched(undertaking) or not default_storage.exists(undertaking.path):
            raise Http404("it is gone")
        audit.record(
            "tenant.export_downloaded",
            by=request.user,
            subject_name=undertaking.slug,
            tenant=undertaking.tenant_number,
        )
        return _streamed(request, undertaking)

    def has_add_permission(self, request) -> bool:
        return False

    def has_change_permission(self, request, obj=None) -> bool:
        return False

    def has_delete_permission(self, request, obj=None) -> bool:
        return False


def link_to(undertaking: Undertaking, user) -> str:
    """A link to an export for this member of staff, good for ten minutes; "" where is none."""
    if not expiring.may_be_fetched(undertaking):
        return ""
    key = signing.dumps([undertaking.pk, user.pk, user.token_version], salt=SALT)
    address = reverse("admin:undertaking_download", args=[undertaking.pk])
    return f"{address}?key={key}"


def _zip_of(undertaking: Undertaking, user) -> dict:
    is_made = undertaking.kind == Undertaking.Kind.EXPORT and undertaking.state == State.DONE
    link = link_to(undertaking, user)
    return {
        "link": link,
        "kept_until": expiring.until(undertaking),
        "is_gone": is_made and not link,
    }


def _is_good(key: str, undertaking: Undertaking, user) -> bool:
    try:
        facts = signing.loads(key, salt=SALT, max_age=LINK_SECONDS)
    except signing.BadSignature:
        return False
    return facts == [undertaking.pk, user.pk, user.token_version]


def _streamed(request, undertaking: Undertaking) -> StreamingHttpResponse:
    size = default_storage.size(undertaking.path)
    blocks = Blocks(undertaking.path, 0, size)
    is_async = isinstance(request, ASGIRequest)
    answer = StreamingHttpResponse(
        BlocksInThreads(blocks) if is_async else blocks, content_type="application/zip"
    )
    name = f"{undertaking.slug}-{undertaking.pk}.zip"
    answer["Content-Disposition"] = content_disposition_header(True, name)
    answer["Content-Length"] = str(size)
    answer["Cache-Control"] = "no-store, private"
    return answer
