"""What a message with a subject needs beside its text: the subject, its thread, the way out."""

import re
from dataclasses import dataclass

from django.conf import settings
from django.core import signing
from django.urls import reverse

from messaging.models import Conversation, LeadIdentity, Message
from tenants import context

LONGEST_SUBJECT = 250
_FROM_THE_TEXT = 60
_LONGEST_THREAD = 20
_SALT = "messaging.unsubscribe"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ANSWER = re.compile(r"(?:re|tr|fwd?|rép|aw)\s*:\s*", re.I)


class BadSubject(ValueError):
    """A subject that would end its header, and begin another one."""


@dataclass(frozen=True)
class Ticket:
    """What a link to unsubscribe is for: one address of one tenant."""

    tenant: int
    identity: int


def subject_of(conversation: Conversation, given: str, text: str) -> str:
    """The subject a message gets: the one given, else that of what was said before, else the
    beginning of its text. Raises `BadSubject`."""
    if _CONTROL.search(given):
        raise BadSubject(given)
    subject = given.strip() or proposed_subject(conversation) or _beginning(text)
    return subject[:LONGEST_SUBJECT]


def proposed_subject(conversation: Conversation) -> str:
    """The subject under which a conversation goes on; "" where nothing was said yet."""
    subjects = conversation.messages.exclude(subject="").order_by("-id")
    last = subjects.values_list("subject", flat=True).first()
    return f"Re: {_bare(last)}"[:LONGEST_SUBJECT] if last else ""


def thread_of(message: Message) -> tuple[str, ...]:
    """The ids of what was said before under this subject, oldest first: the first one, which
    began it, and the newest."""
    bare = _bare(message.subject)
    before = (
        Message.objects.filter(conversation=message.conversation_id, id__lt=message.pk)
        .filter(subject__in=(bare, f"Re: {bare}"[:LONGEST_SUBJECT]))
        .exclude(external_id="")
        .exclude(status=Message.Status.FAILED)
        .order_by("id")
    )
    ids = list(before.values_list("external_id", flat=True))
    return tuple(ids if len(ids) <= _LONGEST_THREAD else [ids[0], *ids[1 - _LONGEST_THREAD :]])


def unsubscribe_url(message: Message) -> str:
    """Where the recipient says with one click that they want no more; it never ends."""
    identity = LeadIdentity.objects.filter(
        lead=message.lead_id, value=message.conversation.peer
    ).first()
    if identity is None:
        return ""
    ticket = signing.Signer(salt=_SALT).sign_object((context.current_number(), identity.pk))
    return settings.PUBLIC_URL + reverse(
        "unsubscribe", args=[ticket], urlconf=settings.PUBLIC_SCHEMA_URLCONF
    )


def read_ticket(text: str) -> Ticket | None:
    """What a link says, if we wrote it."""
    try:
        tenant, identity = signing.Signer(salt=_SALT).unsign_object(text)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    return Ticket(tenant, identity)


def _bare(subject: str) -> str:
    """The subject without the marks of answers before it."""
    rest = subject.strip()
    while found := _ANSWER.match(rest):
        rest = rest[found.end() :]
    return rest or subject


def _beginning(text: str) -> str:
    line = " ".join(text.strip().partition("\n")[0].split())
    return line if len(line) <= _FROM_THE_TEXT else f"{line[: _FROM_THE_TEXT - 1]}…"
