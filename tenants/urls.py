"""The settings of a tenant, below /settings/ on its host."""

from django.urls import path

from tenants.views import audit, organisation, roles

urlpatterns = [
    path("", organisation.organisation, name="settings"),
    path("hours/", organisation.hours, name="settings-hours"),
    path("retention/", organisation.retention, name="settings-retention"),
    path("logo/<str:digest>/", organisation.logo, name="settings-logo"),
    path("roles/", roles.show, name="roles"),
    path("roles/decide/", roles.decide, name="roles-decide"),
    path("audit/", audit.show, name="audit"),
    path("audit/export/", audit.export, name="audit-export"),
]
