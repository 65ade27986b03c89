"""Signing in and out, one's own account; allauth's names are those it looks for."""

from allauth.account import views
from django.urls import include, path, re_path

from tenants.accounts import views as own

urlpatterns = [
    path("", own.home, name="account_home"),
    path("email/", own.change_email, name="account_email"),
    path("email/<str:key>/", own.confirm_email, name="account_email_confirm"),
    path("sessions/", own.list_sessions, name="account_sessions"),
    path("sessions/end-others/", own.end_other_sessions, name="account_end_others"),
    path("sessions/<uuid:pk>/end/", own.end_session, name="account_end_session"),
    path("join/<str:key>/", own.join, name="join"),
    path("second-step/", include("allauth.mfa.urls")),
    path("login/", views.login, name="account_login"),
    path("logout/", views.logout, name="account_logout"),
    path("inactive/", views.account_inactive, name="account_inactive"),
    path("signup/", views.signup, name="account_signup"),
    path("reauthenticate/", views.reauthenticate, name="account_reauthenticate"),
    path("password/change/", views.password_change, name="account_change_password"),
    path("password/set/", views.password_set, name="account_set_password"),
    path("password/reset/", views.password_reset, name="account_reset_password"),
    path("password/reset/done/", views.password_reset_done, name="account_reset_password_done"),
    re_path(
        r"^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
        views.password_reset_from_key,
        name="account_reset_password_from_key",
    ),
    path(
        "password/reset/key/done/",
        views.password_reset_from_key_done,
        name="account_reset_password_from_key_done",
    ),
]
