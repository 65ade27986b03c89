"""The jobs of AMDA: what there is, on which queue, and what runs by the clock."""

from typing import Any

QUEUES = {
    "inbox": 3,
    "outbox": 3,
    "history": 2,
    "media": 1,
    "removals": 2,
    "instances": 6,
    "crm": 2,
    "default": 2,
}
"""Each queue and how many of its jobs one worker runs at once, so that none starves another."""


def undertake(undertaking: int) -> None:
    """Do what staff set going: each kind is another app's work."""
    from messaging import replaying
    from tenants import erasing, exporting
    from tenants.models import Undertaking
    from tenants.undertaking import carry_out

    kinds = Undertaking.Kind
    carry_out(
        undertaking,
        {
            kinds.EXPORT: exporting.export,
            kinds.ERASURE: erasing.erase,
            kinds.REPLAY: replaying.replay_all,
        },
    )


def on_app_ready(app: Any) -> None:
    """Register every job; the job library calls this once at start."""
    from procrastinate import RetryStrategy

    from alerts import tasks as alerts
    from billing import tasks as billing_tasks
    from messaging import tasks
    from tenants import expiring

    again = RetryStrategy(max_attempts=10, wait=5)
    patiently = RetryStrategy(max_attempts=50, wait=20)
    app.task(name="amda.drain_inbox", queue="inbox")(tasks.drain_inbox)
    app.task(name="amda.take_out", queue="inbox", retry=patiently)(tasks.take_out)
    app.task(name="amda.drain_outbox", queue="outbox", retry=again)(tasks.drain_outbox)
    app.task(name="amda.keep_history", queue="history", retry=again)(tasks.keep_history)
    app.task(name="amda.fetch_media", queue="media", retry=again)(tasks.fetch_media)
    app.task(name="amda.find_phone", queue="instances", retry=again)(tasks.find_phone)
    app.task(name="amda.look_after", queue="instances")(tasks.look_after)
    app.task(name="amda.show_read", queue="instances")(tasks.show_read)
    app.task(name="amda.revise", queue="outbox", retry=again)(tasks.revise)
    app.task(name="amda.react", queue="outbox", retry=again)(tasks.react)
    app.task(name="amda.reconcile", queue="default", retry=patiently)(tasks.reconcile)
    app.task(name="amda.discard_files", queue="removals", retry=patiently)(tasks.discard_files)
    app.task(name="amda.synchronise_templates", queue="default", retry=patiently)(
        tasks.synchronise_templates
    )
    app.task(name="amda.synchronise_crm", queue="crm")(tasks.synchronise_crm)
    every_crm = app.task(name="amda.synchronise_crms", queue="default", queueing_lock="crms")
    app.periodic(cron="* * * * *")(every_crm(tasks.synchronise_crms))
    every_template = app.task(
        name="amda.synchronise_all_templates", queue="default", queueing_lock="templates"
    )
    app.periodic(cron="41 */6 * * *")(every_template(tasks.synchronise_all_templates))
    waiting = app.task(name="amda.probe_waiting", queue="default", queueing_lock="probe_waiting")
    app.periodic(cron="*/5 * * * *")(waiting(tasks.probe_waiting))
    app.task(name="amda.evaluate_leads", queue="history", retry=again)(alerts.evaluate_leads)
    app.task(name="amda.evaluate_instances", queue="history", retry=again)(
        alerts.evaluate_instances
    )
    app.task(name="amda.sweep_alerts", queue="default")(alerts.sweep_alerts)
    sweep = app.task(name="amda.sweep_every_tenant", queue="default", queueing_lock="sweep")
    app.periodic(cron="* * * * *")(sweep(alerts.sweep_every_tenant))
    refresh = app.task(name="amda.refresh_standings", queue="default", queueing_lock="refresh")
    app.periodic(cron="23 3 * * *")(refresh(alerts.refresh_every_tenant))
    forget_old = app.task(name="amda.forget_old", queue="default", queueing_lock="forget_old")
    gaps = app.task(name="amda.look_for_gaps", queue="default", queueing_lock="look_for_gaps")
    app.periodic(cron="*/15 * * * *")(gaps(tasks.look_for_gaps))
    app.periodic(cron="17 * * * *")(forget_old(tasks.forget_old))
    retention = app.task(name="amda.apply_retention", queue="default", queueing_lock="retention")
    app.periodic(cron="37 * * * *")(retention(tasks.apply_retention))
    app.task(name="amda.apply_billing", queue="default", retry=again)(billing_tasks.apply_billing)
    app.task(name="amda.tell_billing", queue="default", retry=patiently)(billing_tasks.tell_billing)
    app.task(name="amda.tell_usage", queue="default", retry=patiently)(billing_tasks.tell_usage)
    app.task(name="amda.end_subscription", queue="default", retry=patiently)(
        billing_tasks.end_subscription
    )
    app.task(name="amda.discard_exports", queue="removals", retry=patiently)(expiring.discard)
    app.task(name="amda.undertake", queue="default", retry=patiently)(undertake)
    keep_billing = app.task(name="amda.keep_billing", queue="default", queueing_lock="keep_billing")
    app.periodic(cron="*/5 * * * *")(keep_billing(billing_tasks.keep_billing))
