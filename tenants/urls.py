"""The settings of a tenant, below /settings/ on its host."""

from django.urls import path

from tenants.views import audit

urlpatterns = [
    path("audit/", audit.show, name="audit"),
    path("audit/export/", audit.export, name="audit-export"),
]
