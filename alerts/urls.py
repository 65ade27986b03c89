"""The pages of alerts, at the root of a tenant's host."""

from django.urls import path

from alerts.views import folds, history, reports, rules, steps, today, watching

app_name = "alerts"

urlpatterns = [
    path("dashboard/", watching.dashboard, name="dashboard"),
    path("today/", today.today, name="today"),
    path("today/mail/", today.digest, name="digest"),
    path("alerts/widget/", watching.widget, name="widget"),
    path("alerts/count/", watching.count, name="count"),
    path("alerts/team/", reports.team, name="team"),
    path("alerts/team/persons/", reports.per_person, name="per_person"),
    path("alerts/figures/", reports.figures, name="figures"),
    path("alerts/figures.csv", reports.figures_csv, name="figures_csv"),
    path("alerts/rules/", rules.rules, name="rules"),
    path("alerts/folds/", folds.fold, name="fold"),
    path("alerts/<int:pk>/act/", steps.act, name="act"),
    path("alerts/<int:pk>/resolve/", watching.resolve, name="resolve"),
    path("alerts/<int:pk>/snooze/", watching.snooze, name="snooze"),
    path("leads/<int:pk>/history/", history.history, name="history"),
    path("leads/<int:pk>/log/", history.log, name="log"),
]
