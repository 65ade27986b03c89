"""Signing in, on the public host and on every tenant's."""

from django.urls import path

from tenants.api import views

urlpatterns = [
    path("auth/login", views.SignInView.as_view(), name="api-login"),
    path("auth/refresh", views.RefreshView.as_view(), name="api-refresh"),
    path("auth/me", views.MeView.as_view(), name="api-me"),
    path("schema/", views.SchemaView.as_view(), name="api-schema"),
    path("docs/", views.DocsView.as_view(), name="api-docs"),
]
