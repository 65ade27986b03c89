"""What a person has typed and not sent, wherever they go on typing."""

from django.db.models import OuterRef, QuerySet, Subquery

from messaging.models import Conversation, Draft


def keep(conversation: Conversation, user, text: str) -> None:
    """Keep this text for this person here; nothing typed is nothing kept."""
    mine = Draft.objects.filter(conversation=conversation, user=user)
    if not text.strip():
        mine.delete()
        return
    latest = mine.order_by("-pk").first() or Draft(conversation=conversation, user=user)
    latest.text = text
    latest.save()


def sent(conversation: Conversation, user, text: str) -> None:
    """What was sent is no draft any more; what was typed since is."""
    Draft.objects.filter(conversation=conversation, user=user, text=text).delete()


def with_drafts(rows: QuerySet[Conversation], user) -> QuerySet[Conversation]:
    """Conversations with this person's draft as `draft`, in the same query."""
    mine = Draft.objects.filter(conversation=OuterRef("pk"), user=user).order_by("-pk")
    return rows.annotate(draft=Subquery(mine.values("text")[:1]))
