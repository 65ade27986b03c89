"""The API for platform staff, on the public host below `/api/admin/`."""

from django.urls import path

from messaging.api import vendors

urlpatterns = [
    path("vendors/", vendors.VendorsView.as_view(), name="api-vendors"),
    path("vendors/<str:slug>/", vendors.VendorView.as_view(), name="api-vendor"),
    path(
        "vendors/<str:slug>/instances/",
        vendors.InstancesView.as_view(),
        name="api-vendor-instances",
    ),
    path(
        "vendors/<str:slug>/instances/<int:pk>/check",
        vendors.CheckView.as_view(),
        name="api-vendor-check",
    ),
    path(
        "vendors/<str:slug>/setup-<str:provider>-webhook",
        vendors.SetUpWebhookView.as_view(),
        name="api-vendor-setup-webhook",
    ),
    path(
        "vendors/<str:slug>/<str:provider>-status",
        vendors.StatusView.as_view(),
        name="api-vendor-status",
    ),
]
