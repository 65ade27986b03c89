"""The API of the public host itself: platform staff sign in here; vendors' programs name theirs
with X-Tenant and get `urls_api` instead."""

from django.urls import include, path, re_path

from amda.staff_api import QueuesView
from tenants.api.views import UnknownAddress

urlpatterns = [
    path("", include("tenants.api.urls")),
    path("admin/queues", QueuesView.as_view(), name="api-queues"),
    path("admin/", include("messaging.api.staff_urls")),
    re_path("", UnknownAddress.as_view()),
]
