"""Billing, below /api/ on a tenant's host."""

from django.urls import path

from billing.api import views

urlpatterns = [
    path("billing/plans", views.PlansView.as_view(), name="api-billing-plans"),
    path("billing/subscription", views.SubscriptionView.as_view(), name="api-billing-subscription"),
    path("billing/usage", views.UsageView.as_view(), name="api-billing-usage"),
    path("billing/checkout", views.CheckoutView.as_view(), name="api-billing-checkout"),
    path("billing/portal", views.PortalView.as_view(), name="api-billing-portal"),
]
