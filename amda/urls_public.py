"""The public host: the admin, staff's sign-in, the API's public half."""

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path

from amda import language, mailbox, pages
from billing.views import public_pricing as pricing
from messaging.views import files, unsubscribing

# Staff sign in through allauth, which limits how often a password may be tried.
admin.site.login = secure_admin_login(admin.site.login)

urlpatterns = [
    path("", pages.landing, name="landing"),
    path("pricing/", pricing, name="pricing"),
    path("admin/", admin.site.urls),
    path("files/content/<str:token>/", files.content, name="file-content"),
    path("unsubscribe/<str:ticket>/", unsubscribing.unsubscribe, name="unsubscribe"),
    path("accounts/", include("tenants.accounts.urls")),
    path("api/", include("amda.urls_api_public")),
    path("favicon.ico", pages.favicon, name="favicon"),
    path("language/", language.change, name="set_language"),
    path("mail/", mailbox.listing, name="mailbox"),
    path("mail/<str:name>/", mailbox.one, name="mail"),
]

handler400 = "amda.errors.bad_request"
handler403 = "amda.errors.forbidden"
handler404 = "amda.errors.not_found"
handler500 = "amda.errors.server_error"
