"""Leads, conversations and messages, below /api/ on a tenant's host."""

from django.urls import path

from messaging.api import merges, numbers, settings, told, views

urlpatterns = [
    path("conversations/", views.ConversationsView.as_view(), name="api-conversations"),
    path("conversations/<int:pk>/", views.ConversationView.as_view(), name="api-conversation"),
    path(
        "conversations/<int:pk>/read/",
        views.ConversationReadView.as_view(),
        name="api-conversation-read",
    ),
    path(
        "conversations/<int:pk>/messages/",
        views.ConversationMessagesView.as_view(),
        name="api-conversation-messages",
    ),
    path("messages/", views.MessagesView.as_view(), name="api-messages"),
    path("messages/<int:pk>/", views.MessageView.as_view(), name="api-message"),
    path("messages/<int:pk>/retry/", views.MessageRetryView.as_view(), name="api-message-retry"),
    path(
        "messages/<int:pk>/reaction/",
        views.MessageReactionView.as_view(),
        name="api-message-reaction",
    ),
    path("message-events/", told.MessageEventsView.as_view(), name="api-message-events"),
    path("message-events.csv", told.MessageEventsCsvView.as_view(), name="api-message-events-csv"),
    path("leads/", views.LeadsView.as_view(), name="api-leads"),
    path("leads/<int:pk>/", views.LeadView.as_view(), name="api-lead"),
    path("templates/", views.TemplatesView.as_view(), name="api-templates"),
    path("leads/<int:pk>/merge/", merges.LeadMergeView.as_view(), name="api-lead-merge"),
    path("leads/<int:pk>/merges/", merges.LeadMergesView.as_view(), name="api-lead-merges"),
    path("merges/<int:pk>/undo/", merges.MergeUndoView.as_view(), name="api-merge-undo"),
    path("rate-limits", numbers.RateLimitsView.as_view(), name="api-rate-limits"),
    path("stages/", settings.StagesView.as_view(), name="api-stages"),
    path("tags/", settings.TagsView.as_view(), name="api-tags"),
    path("replies/", settings.RepliesView.as_view(), name="api-replies"),
    path("whatsapp/status", numbers.WhatsAppStatusView.as_view(), name="api-whatsapp-status"),
    path("whatsapp/qr", numbers.WhatsAppQrView.as_view(), name="api-whatsapp-qr"),
    path("whatsapp/connect", numbers.WhatsAppConnectView.as_view(), name="api-whatsapp-connect"),
    path(
        "whatsapp/disconnect",
        numbers.WhatsAppDisconnectView.as_view(),
        name="api-whatsapp-disconnect",
    ),
    path("instances/", views.InstancesView.as_view(), name="api-instances"),
]
