"""A tenant's host: the team's pages, signing in, the API."""

from django.urls import include, path

from amda import language, pages
from messaging.views import files

urlpatterns = [
    path("files/content/<str:token>/", files.content, name="file-content"),
    path("accounts/", include("tenants.accounts.urls")),
    path("team/", include("tenants.accounts.team_urls")),
    path("settings/", include("tenants.urls")),
    path("api/", include("amda.urls_api")),
    path("billing/", include("billing.urls")),
    path("favicon.ico", pages.favicon, name="favicon"),
    path("language/", language.change, name="set_language"),
    path("", include("alerts.urls")),
    path("", include("messaging.urls")),
]

handler400 = "amda.errors.bad_request"
handler403 = "amda.errors.forbidden"
handler404 = "amda.errors.not_found"
handler500 = "amda.errors.server_error"
