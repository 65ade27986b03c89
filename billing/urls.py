"""The pages of billing, below /billing/ on a tenant's host."""

from django.urls import path

from billing import views

app_name = "billing"

urlpatterns = [
    path("", views.overview, name="overview"),
    path("plans/", views.pricing, name="plans"),
    path("usage/", views.usage_page, name="usage"),
    path("checkout/", views.checkout, name="checkout"),
    path("portal/", views.portal, name="portal"),
    path("done/", views.done, name="done"),
    path("invoices/<int:pk>/", views.invoice, name="invoice"),
]
