"""The API of a tenant, below /api/ on its host."""

from django.urls import include, path, re_path

from tenants.api.audit import AuditView
from tenants.api.settings import SettingsView
from tenants.api.views import TeamView, UnknownAddress

urlpatterns = [
    path("", include("tenants.api.urls")),
    path("audit/", AuditView.as_view(), name="api-audit"),
    path("settings/", SettingsView.as_view(), name="api-settings"),
    path("users/", TeamView.as_view(), name="api-users"),
    path("", include("messaging.api.urls")),
    path("", include("billing.api.urls")),
    path("", include("alerts.api.urls")),
    re_path("", UnknownAddress.as_view()),
]
