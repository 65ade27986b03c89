"""The team's page and what can be done there."""

from django.urls import path

from tenants.accounts import team_views as views

urlpatterns = [
    path("", views.show, name="team"),
    path("invite/", views.invite, name="team-invite"),
    path("second-step/", views.require_second_step, name="team-second-step"),
    path("invitations/<int:pk>/send/", views.invite_again, name="team-invite-again"),
    path("invitations/<int:pk>/revoke/", views.revoke, name="team-revoke"),
    path("<int:pk>/role/", views.change_role, name="team-role"),
    path("<int:pk>/deactivate/", views.deactivate, name="team-deactivate"),
    path("<int:pk>/remove/", views.remove, name="team-remove"),
    path("<int:pk>/reactivate/", views.reactivate, name="team-reactivate"),
]
