"""Canned replies: kept under a short word, filled in for whoever one is writing to.

`{first_name}` stands for the lead's first name, `{first_name|vous}` for "vous" where it is not
known. The names of what can stand in braces are French and English.
"""

import re
from collections.abc import Callable
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from messaging.models import CannedReply, Conversation
from tenants import audit
from tenants.accounts.models import User
from tenants.models import Tenant

MOST_REPLIES = 500
MOST_OFFERED = 20
LONGEST_TEXT = 4096
SHORTCUT = re.compile(r"[\w-]{1,30}\Z")
_BRACES = re.compile(r"\{\s*([^{}|]*?)\s*(?:\|([^{}]*))?\}")


class WrongReply(Exception):
    """A canned reply that cannot be kept: which field, and why."""

    def __init__(self, field: str, message: Any) -> None:
        super().__init__(field)
        self.field = field
        self.message = message


def _first_name(conversation: Conversation, by: User, tenant: Tenant) -> str:
    return conversation.lead.name.strip().partition(" ")[0]


def _name(conversation: Conversation, by: User, tenant: Tenant) -> str:
    return conversation.lead.name.strip()


def _me(conversation: Conversation, by: User, tenant: Tenant) -> str:
    return by.name


def _organisation(conversation: Conversation, by: User, tenant: Tenant) -> str:
    return tenant.name


def _address(conversation: Conversation, by: User, tenant: Tenant) -> str:
    return "" if conversation.is_group else conversation.peer


# What can stand in braces: the English name, the French one, what it is, how it is found.
VARIABLES: list[tuple[str, str, Any, Callable[[Conversation, User, Tenant], str]]] = [
    ("first_name", "prénom", _("the lead's first name"), _first_name),
    ("name", "nom", _("the lead's whole name"), _name),
    ("address", "adresse", _("the number or address one writes to"), _address),
    ("me", "moi", _("the name of whoever answers"), _me),
    ("organisation", "organisation", _("the name of your organisation"), _organisation),
]
_FOUND = {name: find for english, french, _w, find in VARIABLES for name in (english, french)}


def add(shortcut: str, text: str, *, by: User) -> CannedReply:
    """A new canned reply."""
    if CannedReply.objects.count() >= MOST_REPLIES:
        raise WrongReply("shortcut", _("There are as many canned replies as there can be."))
    with transaction.atomic():
        reply = _saved(CannedReply(shortcut=shortcut, text=text))
        audit.record("reply.added", by=by, subject=reply, after=_facts(reply))
    return reply


def change(reply: CannedReply, shortcut: str, text: str, *, by: User) -> CannedReply:
    """Write a canned reply anew."""
    with transaction.atomic():
        before = _facts(CannedReply.objects.get(pk=reply.pk))
        reply.shortcut, reply.text = shortcut, text
        _saved(reply)
        old, new = audit.difference(before, _facts(reply))
        if new:
            audit.record("reply.changed", by=by, subject=reply, before=old, after=new)
    return reply


@transaction.atomic
def remove(reply: CannedReply, *, by: User) -> None:
    """Take a canned reply away; what was sent with it stays."""
    audit.record("reply.removed", by=by, subject=reply, before=_facts(reply))
    reply.delete()


def offered(text: str) -> list[CannedReply]:
    """The replies whose short word begins like this, then those that hold it."""
    wanted = text.strip().removeprefix("/")
    begin = CannedReply.objects.filter(shortcut__istartswith=wanted)
    found = list(begin[:MOST_OFFERED])
    if wanted and len(found) < MOST_OFFERED:
        more = CannedReply.objects.filter(text__icontains=wanted)
        found += list(more.exclude(pk__in=[each.pk for each in found])[: MOST_OFFERED - len(found)])
    return found


def filled_in(reply: CannedReply, conversation: Conversation, *, by: User, tenant: Tenant) -> str:
    """The text as it would be sent in this conversation by this person."""

    def known(found: re.Match) -> str:
        find = _FOUND.get(found[1].casefold())
        if find is None:
            return found[0]
        return find(conversation, by, tenant) or (found[2] or "").strip()

    text = _BRACES.sub(known, reply.text)
    # A name that is not known leaves no hole before a comma.
    return re.sub(r" +(?=[,.])", "", re.sub(r"(?<=\S) {2,}", " ", text)).rstrip()


def _saved(reply: CannedReply) -> CannedReply:
    _check(reply)
    try:
        with transaction.atomic():
            reply.save()
    except IntegrityError as exc:
        raise WrongReply("shortcut", _("There is a reply with this short word already.")) from exc
    return reply


def _check(reply: CannedReply) -> None:
    if not SHORTCUT.match(reply.shortcut):
        complaint = _("Use 1 to 30 letters, digits, hyphens or underscores.")
        raise WrongReply("shortcut", complaint)
    if not reply.text.strip() or len(reply.text) > LONGEST_TEXT:
        raise WrongReply("text", _("Give a text of 1 to 4096 characters."))
    for found in _BRACES.finditer(reply.text):
        if found[1].casefold() not in _FOUND:
            raise WrongReply(
                "text", _("{%(name)s} is not known: see the list below.") % {"name": found[1]}
            )


def _facts(reply: CannedReply) -> dict[str, Any]:
    return {"shortcut": reply.shortcut, "text": reply.text}
