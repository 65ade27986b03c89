"""Activities, follow-ups and alerts, below /api/ on a tenant's host."""

from django.urls import path

from alerts.api import activities, views

urlpatterns = [
    path("activities/log", activities.ActivityLogView.as_view(), name="api-activity-log"),
    path("leads/<int:pk>/activities/", activities.TimelineView.as_view(), name="api-timeline"),
    path("leads/<int:pk>/follow-ups/", activities.FollowUpsView.as_view(), name="api-follow-ups"),
    path("follow-ups/<int:pk>/", activities.FollowUpView.as_view(), name="api-follow-up"),
    path("alerts/", views.AlertsView.as_view(), name="api-alerts"),
    path("alerts/active", views.ActiveAlertsView.as_view(), name="api-alerts-active"),
    path("alerts/<int:pk>/", views.AlertView.as_view(), name="api-alert"),
    path("alerts/<int:pk>/resolve", views.AlertResolveView.as_view(), name="api-alert-resolve"),
    path("alerts/<int:pk>/snooze", views.AlertSnoozeView.as_view(), name="api-alert-snooze"),
]
