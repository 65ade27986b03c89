"""Jobs and workers in the admin: what waits, what failed and why not, who works."""

from django.contrib import admin, messages
from django.db import connection
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from procrastinate.contrib.django import models
from procrastinate.contrib.django.models import ProcrastinateEvent, ProcrastinateJob
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display
from unfold.paginator import InfinitePaginator

from amda import queues
from tenants import audit

LABELS = {
    "todo": "info",
    "doing": "warning",
    "succeeded": "success",
    "failed": "danger",
    "cancelled": "default",
    "aborted": "danger",
}
STATES = {
    "todo": _("waiting"),
    "doing": _("running"),
    "succeeded": _("done"),
    "failed": _("failed"),
    "cancelled": _("cancelled"),
    "aborted": _("aborted"),
}
EVENTS = {
    "deferred": _("ordered"),
    "started": _("begun"),
    "deferred_for_retry": _("to be tried again"),
    "failed": _("failed"),
    "succeeded": _("done"),
    "cancelled": _("cancelled"),
    "aborted": _("aborted"),
    "abort_requested": _("abort asked for"),
    "scheduled": _("planned"),
    "retried": _("tried again by hand"),
}
# What a job's worker left is done by the rule of the queue; these ended and nobody does them.
ENDED_BADLY = ("failed", "aborted")

for _model, _one, _several in (
    (ProcrastinateJob, _("job"), _("jobs and workers")),
    (ProcrastinateEvent, _("event"), _("events")),
):
    _model._meta.verbose_name, _model._meta.verbose_name_plural = _one, _several


class EventInline(TabularInline):
    """What happened to a job."""

    model = ProcrastinateEvent
    fields = ("called", "at")
    readonly_fields = fields
    ordering = ("id",)
    extra = 0

    @display(description=_("What"))
    def called(self, event):
        return EVENTS.get(event.type, event.type)

    def has_add_permission(self, request, obj=None) -> bool:
        return False

    def has_change_permission(self, request, obj=None) -> bool:
        return False

    def has_delete_permission(self, request, obj=None) -> bool:
        return False


admin.site.unregister(models.ProcrastinateJob)


@admin.register(ProcrastinateJob)
class JobAdmin(ModelAdmin):
    """Jobs, ids only; those that ended badly can be done again."""

    list_display = ("called", "live_state", "queue_name", "told", "attempts", "scheduled_at")
    list_filter = ("status", "queue_name", "task_name")
    search_fields = ("task_name", "=id")
    ordering = ("-id",)
    fields = (
        "called", "live_state", "queue_name", "told", "attempts", "scheduled_at", "queueing_lock",
    )  # fmt: skip
    readonly_fields = fields
    inlines = (EventInline,)
    actions = ("retry",)
    list_before_template = "admin/jobs/queues.html"
    paginator = InfinitePaginator
    show_full_result_count = False

    @display(description=_("job"), ordering="task_name")
    def called(self, job):
        return job.task_name.removeprefix("amda.")

    @display(description=_("state"), ordering="status", label=LABELS)
    def live_state(self, job):
        return job.status, STATES.get(job.status, job.status)

    @display(description=_("about"))
    def told(self, job):
        return ", ".join(f"{name} {value}" for name, value in job.args.items())[:200] or "–"

    @admin.action(description=_("Do again"))
    def retry(self, request, jobs):
        """Order the chosen jobs anew, where they ended badly and no like one waits."""
        chosen = list(jobs.filter(status__in=ENDED_BADLY).values_list("pk", flat=True))
        with connection.cursor() as cursor:
            cursor.execute(_RETRY, [chosen])
            count = cursor.rowcount
        audit.record("jobs.retried", by=request.user, after={"jobs": count})
        text = ngettext(
            "%(count)s job will be done again.", "%(count)s jobs will be done again.", count
        )
        told = messages.success if count else messages.warning
        told(request, text % {"count": count})

    def changelist_view(self, request, extra_context=None):
        facts = {"state": queues.state(), **(extra_context or {})}
        facts["ages"] = [(queue, queue.age(facts["state"].at)) for queue in facts["state"].queues]
        return super().changelist_view(request, facts)

    def has_add_permission(self, request) -> bool:
        return False

    def has_change_permission(self, request, obj=None) -> bool:
        return False

    def has_delete_permission(self, request, obj=None) -> bool:
        return False


# An order of its own, as the first one was: where the same is waiting already, that one is enough.
_RETRY = """
WITH ended AS (
    DELETE FROM public.procrastinate_jobs WHERE id = ANY(%s) AND status IN ('failed', 'aborted')
    RETURNING queue_name, task_name, lock, queueing_lock, args)
INSERT INTO public.procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args)
SELECT queue_name, task_name, lock, queueing_lock, args FROM ended
ON CONFLICT (queueing_lock) WHERE status = 'todo' DO NOTHING
"""
