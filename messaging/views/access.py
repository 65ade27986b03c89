"""Who may open a page, and whose rows it may show."""

from collections import Counter
from functools import wraps

from django.db.models import Value
from django.http import Http404, HttpResponse

from messaging import noting, queries
from messaging.models import Conversation, Message, Note
from tenants.permissions import Action
from tenants.views.access import tenant_page

MOST_UNREAD = 100


def page(action: Action):
    """For the team's pages: the right to see it, nothing kept in caches.

    A piece of a page asked for by somebody who is signed out is a 401, not the sign-in page:
    it would be put in the middle of the page.
    """

    def decorate(view):
        guarded = tenant_page(action)(view)

        @wraps(view)
        def shown(request, *args, **kwargs):
            if request.htmx and not request.user.is_authenticated:
                return HttpResponse(status=401, headers={"HX-Refresh": "true"})
            return guarded(request, *args, **kwargs)

        shown.action = action
        return shown

    return decorate


def conversation_or_404(request, pk: int) -> Conversation:
    """A conversation this person may see; anything else does not exist."""
    found = queries.conversation_of(request.user, pk)
    if found is None:
        raise Http404("no such conversation")
    return found


def message_or_404(request, pk: int) -> Message:
    """A message this person may see; anything else does not exist."""
    found = queries.message_of(request.user, pk)
    if found is None:
        raise Http404("no such message")
    return found


def note_or_404(request, pk: int) -> Note:
    """A note this person may see; anything else does not exist."""
    found = noting.note_of(request.user, pk)
    if found is None:
        raise Http404("no such note")
    return found


def unread_of(user) -> tuple[int, int]:
    """How many open conversations are unread, and how many mentions unseen; one query.

    Counting stops at a hundred, shown as 99+.
    """
    unread = queries.visible_conversations(user).filter(
        state=Conversation.State.OPEN, unread_count__gt=0
    )
    conversations = unread.order_by().values_list(Value("unread"))[:MOST_UNREAD]
    mentions = noting.unseen(user).values_list(Value("unseen"))[:MOST_UNREAD]
    counted = Counter(kind for (kind,) in conversations.union(mentions, all=True))
    return counted["unread"], counted["unseen"]


def tell_unread(response: HttpResponse, user) -> HttpResponse:
    """Say the counts beside a piece of a page, so that the page needs no second request."""
    unread, unseen = unread_of(user)
    response["X-Unread"], response["X-Mentions"] = str(unread), str(unseen)
    return response
