"""The team's pages, at the root of a tenant's host."""

from django.urls import path

from messaging.views import acting, files, inbox, leads, merges, unknown

app_name = "messaging"

urlpatterns = [
    path("", inbox.inbox, name="inbox"),
    path("inbox/rows/", inbox.rows, name="rows"),
    path("inbox/filter/", inbox.filtering, name="filter"),
    path("inbox/<int:pk>/", inbox.conversation, name="conversation"),
    path("inbox/<int:pk>/pane/", inbox.pane, name="pane"),
    path("inbox/<int:pk>/head/", inbox.head, name="head"),
    path("inbox/<int:pk>/row/", inbox.row, name="row"),
    path("inbox/<int:pk>/messages/", inbox.messages, name="messages"),
    path("inbox/<int:pk>/panel/", leads.panel, name="panel"),
    path("inbox/<int:pk>/read/", inbox.read, name="read"),
    path("inbox/<int:pk>/send/", acting.send, name="send"),
    path("inbox/<int:pk>/assignment/", acting.assignment, name="assignment"),
    path("inbox/<int:pk>/assign/", acting.assign, name="assign"),
    path("inbox/<int:pk>/close/", acting.close, name="close"),
    path("inbox/<int:pk>/reopen/", acting.reopen, name="reopen"),
    path("messages/<int:pk>/", inbox.message, name="message"),
    path("messages/<int:pk>/retry/", acting.retry, name="retry"),
    path("inbox/<int:pk>/files/", files.upload, name="upload"),
    path("files/<int:pk>/", files.file, name="file"),
    path("files/<int:pk>/remove/", files.remove, name="remove_file"),
    path("files/<int:pk>/retry/", files.retry, name="retry_file"),
    path("unread/", inbox.unread, name="unread"),
    path("new/", leads.start, name="start"),
    path("leads/", leads.leads, name="leads"),
    path("leads/unknown/", unknown.unknown, name="unknown"),
    path("leads/<int:pk>/", leads.lead, name="lead"),
    path("leads/<int:pk>/merge/", merges.merge, name="merge"),
    path("leads/<int:pk>/keep/", unknown.keep, name="keep_lead"),
    path("leads/<int:pk>/forget/", unknown.forget, name="forget_lead"),
    path("leads/<int:pk>/link/", unknown.link, name="link_lead"),
    path("merges/<int:pk>/undo/", merges.undo, name="undo_merge"),
    path("leads/<int:pk>/edit/", leads.edit, name="edit_lead"),
    path("leads/<int:pk>/note/", leads.note, name="note"),
]
