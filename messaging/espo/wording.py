"""What a message is in the CRM: the note of it, the e-mail, what is left of a withdrawn one.

The last line holds a mark that is this message's alone: by it a note that may have been written
already is found again.
"""

from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from messaging.espo.leads import written
from messaging.models import Activity, EspoRecord, Message
from messaging.templatetags.saying import kind_word
from tenants.context import current_number
from tenants.models import ProviderInstance

LONGEST_SUBJECT = 250


def mark(message: Message) -> str:
    """What tells the note of this message from every other one."""
    return f"[AMDA {message.reference.hex[:16]}]"


def note(message: Message, record: EspoRecord) -> dict[str, Any]:
    """The note of a message in its lead's stream."""
    return {
        "type": "Post",
        "parentType": "Lead",
        "parentId": record.record_id,
        "post": note_text(message),
    }


def note_text(message: Message) -> str:
    """The words of a note as the message is now."""
    return f"{_headline(message)}\n{_content(message)}\n\n{mark(message)}"


def email(message: Message, record: EspoRecord) -> dict[str, Any]:
    """An e-mail, as one that is kept: nothing is sent by it."""
    mine = ProviderInstance.objects.of(current_number()).filter(pk=message.instance_id)
    ours = mine.values_list("address", flat=True).first() or ""
    theirs = message.peer or message.conversation.peer
    is_ours = message.direction == Message.Direction.OUT
    return {
        **email_text(message),
        "status": "Archived",
        "dateSent": written(message.sent_at),
        "from": ours if is_ours else theirs,
        "to": theirs if is_ours else ours,
        "isHtml": False,
        "parentType": "Lead",
        "parentId": record.record_id,
    }


def email_text(message: Message) -> dict[str, Any]:
    """Subject and body of an e-mail as the message is now."""
    subject = message.subject.strip() or _("(no subject)")
    return {
        "name": subject[:LONGEST_SUBJECT],
        "body": f"{_content(message)}\n\n{mark(message)}",
    }


def _headline(message: Message) -> str:
    said = {
        "medium": Activity.Channel(message.medium).label,
        "address": message.peer or message.conversation.peer,
        "when": _moment(message.sent_at),
        "who": message.by or "",
    }
    if message.direction == Message.Direction.IN:
        return _("%(medium)s from %(address)s, %(when)s") % said
    if message.by:
        return _("%(medium)s to %(address)s by %(who)s, %(when)s") % said
    return _("%(medium)s to %(address)s, %(when)s") % said


def _content(message: Message) -> str:
    if message.deleted_at:
        return _("This message was withdrawn on %(when)s.") % {"when": _moment(message.deleted_at)}
    files = [f"[{each.file_name or kind_word(each.kind)}]" for each in message.files.all()]
    if not files and not message.text:
        files = [f"[{kind_word(message.kind)}]"]
    return "\n".join([*filter(None, [message.text]), *files])


def _moment(at) -> str:
    return date_format(timezone.localtime(at), "SHORT_DATETIME_FORMAT")
